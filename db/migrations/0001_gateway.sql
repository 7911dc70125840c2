-- The gateway's first schema: who may talk to Claude, what was said, and what it cost.
-- db/README.md tells what each row means, who writes it and how long it lives.

create table users (
  id             uuid primary key,
  username       text not null,
  username_key   text not null constraint users_username_unique unique,
  email          text not null,
  email_key      text not null constraint users_email_unique unique,
  password_hash  text not null,
  data_key       bytea not null,
  created_at     timestamptz not null default now()
);
comment on column users.username_key is 'username in lower case: unique without case';
comment on column users.email_key is 'email in lower case: unique without case';
comment on column users.password_hash is 'argon2id, PHC string';
comment on column users.data_key is 'sealed: the key that seals this user''s own values, wrapped by the key-encryption key';

create table api_keys (
  user_id     uuid primary key references users (id) on delete cascade,
  sealed      bytea not null,
  last_four   text not null,
  created_at  timestamptz not null default now(),
  rejected_at timestamptz
);
comment on table api_keys is 'Each user''s own Anthropic key.';
comment on column api_keys.sealed is 'sealed under the user''s data key';
comment on column api_keys.rejected_at is 'when Anthropic last refused it; null while it works';

create table sessions (
  id         uuid primary key,
  user_id    uuid not null references users (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
comment on table sessions is 'One issued access token; the token''s jti is the id. The token itself is not stored.';
create index sessions_user on sessions (user_id, expires_at);
create index sessions_expiry on sessions (expires_at);

create table sign_in_failures (
  id          bigint generated always as identity primary key,
  account_key text not null,
  user_id     uuid references users (id) on delete cascade,
  failed_at   timestamptz not null default now()
);
comment on table sign_in_failures is 'Wrong passwords, kept a day: per-account limit and security status.';
comment on column sign_in_failures.account_key is 'SHA-256 of the name that was tried, existing or not; empty once a right password followed';
create index sign_in_failures_account on sign_in_failures (account_key, failed_at);
create index sign_in_failures_time on sign_in_failures (failed_at);

create table signing_keys (
  kid         text primary key,
  public_jwk  jsonb not null,
  sealed      bytea not null,
  created_at  timestamptz not null default now()
);
comment on column signing_keys.sealed is 'the private JWK, sealed under the key-encryption key';

create table conversations (
  id                  uuid primary key,
  user_id             uuid not null references users (id) on delete cascade,
  data_key            bytea not null,
  title               bytea not null,
  system_prompt       bytea,
  model               text not null,
  is_active           boolean not null default true,
  message_count       integer not null default 0,
  history_start       integer not null default 1,
  running_message_id  uuid,
  created_at          timestamptz(3) not null default now(),
  updated_at          timestamptz(3) not null default now()
);
comment on column conversations.updated_at is 'last activity; whole milliseconds, so that it survives a JavaScript Date in a cursor';
comment on column conversations.data_key is 'sealed: the key of this conversation, wrapped by the key-encryption key';
comment on column conversations.title is 'sealed under the conversation''s data key';
comment on column conversations.system_prompt is 'sealed under the conversation''s data key';
comment on column conversations.model is 'the model of the last send, used when a send names none';
comment on column conversations.message_count is 'rows of messages';
comment on column conversations.history_start is 'position of the first message that is still sent to Claude; moves in large steps';
comment on column conversations.running_message_id is 'the answer being generated; while set, another send is refused';
create index conversations_recent on conversations (user_id, updated_at desc, id desc);

create table messages (
  id                  uuid primary key,
  conversation_id     uuid not null references conversations (id) on delete cascade,
  user_id             uuid not null references users (id) on delete cascade,
  position            integer not null,
  role                text not null check (role in ('user', 'assistant')),
  status              text not null
                      check (status in ('running', 'complete', 'refused', 'failed', 'cancelled', 'interrupted')),
  content             bytea,
  model               text not null,
  token_count         integer not null default 0,
  created_at          timestamptz not null default now(),
  result              jsonb,
  error_code          text,
  request_id          text,
  idempotency_hash    bytea,
  request_fingerprint bytea,
  replica_id          uuid,
  lease_expires_at    timestamptz,
  finished_at         timestamptz,
  duration_ms         integer,
  upstream_ms         integer,
  constraint messages_position_unique unique (conversation_id, position)
);
comment on table messages is 'A turn is two rows, the user''s message (odd position) and Claude''s answer (even), written together.';
comment on column messages.status is 'the turn''s: both rows always have the same';
comment on column messages.content is 'sealed under the conversation''s data key: JSON array of content blocks, verbatim';
comment on column messages.result is 'answers only: the non-secret fields of send_message''s result, for a replay';
comment on column messages.idempotency_hash is 'answers only: HMAC of the caller''s idempotency key';
comment on column messages.request_fingerprint is 'answers only: HMAC of the arguments, to tell a repeat from a different call';
comment on column messages.replica_id is 'running answers only: the process that generates it';
comment on column messages.lease_expires_at is 'running answers only: renewed by that process; once past, any replica may close it';
create unique index messages_idempotency on messages (user_id, idempotency_hash) where idempotency_hash is not null;
create index messages_running on messages (lease_expires_at) where status = 'running' and role = 'assistant';
create index messages_user_time on messages (user_id, created_at);
create index messages_time on messages (created_at);

create table ledger (
  id                     bigint generated always as identity primary key,
  user_id                uuid not null,
  conversation_id        uuid not null,
  message_id             uuid not null constraint ledger_message_unique unique,
  model                  text not null,
  input_tokens           integer not null,
  cache_write_5m_tokens  integer not null,
  cache_write_1h_tokens  integer not null,
  cache_read_tokens      integer not null,
  output_tokens          integer not null,
  thinking_tokens        integer not null,
  unit_prices            jsonb,
  cost_nano_usd          bigint,
  estimated              text,
  request_id             text,
  created_at             timestamptz not null default now()
);
comment on table ledger is 'Append-only: one row for every call that Anthropic bills. Outlives the conversation it names.';
comment on column ledger.input_tokens is 'input after the last cache breakpoint; all input is this plus cache writes and reads';
comment on column ledger.thinking_tokens is 'for information: part of output_tokens';
comment on column ledger.unit_prices is 'nano-USD per token, as used for cost_nano_usd; null when the model''s price is unknown';
comment on column ledger.estimated is 'null when Anthropic reported the usage; else why it had to be estimated';
create index ledger_user_time on ledger (user_id, created_at);
create index ledger_time on ledger (created_at);

create unlogged table rate_limits (
  key      text primary key,
  hits     integer not null,
  reset_at timestamptz not null
);
comment on table rate_limits is 'Counters shared by all replicas. Unlogged: losing them in a crash only restarts the windows.';
create index rate_limits_reset on rate_limits (reset_at);
