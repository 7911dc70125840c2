-- Connections of MCP clients (OAuth 2.1), personal access tokens, and the browser sessions of the pages.

alter table sessions
  add column kind           text not null default 'password'
                            check (kind in ('password', 'browser', 'connection', 'personal')),
  add column name           text,
  add column client_id      text,
  add column scopes         text[],
  add column token_hash     bytea constraint sessions_token_unique unique,
  add column limit_nano_usd bigint check (limit_nano_usd >= 0),
  add column elicits_urls   boolean not null default false,
  add column last_used_at   timestamptz;
comment on table sessions is 'Everything by which somebody acts as a user: one row can be revoked, and ends at once everywhere.';
comment on column sessions.kind is 'password: a token of authenticate_user; browser: a cookie of the pages; connection: an approved OAuth grant; personal: a personal access token';
comment on column sessions.name is 'of the client or the personal token; shown to its owner';
comment on column sessions.client_id is 'connections only: the OAuth client';
comment on column sessions.scopes is 'null: everything';
comment on column sessions.token_hash is 'browser and personal only: SHA-256 of the secret, which is not stored';
comment on column sessions.limit_nano_usd is 'connections only: the most it may spend a month (UTC); null: no limit of its own';
comment on column sessions.elicits_urls is 'its client said when it connected that it opens links for its user (MCP: URL elicitation)';
comment on column sessions.last_used_at is 'to about five minutes';

create table oauth_records (
  model       text not null,
  key         bytea not null,
  sealed      bytea not null,
  user_id     uuid references users (id) on delete cascade,
  grant_id    uuid references sessions (id) on delete cascade,
  uid_hash    bytea,
  consumed_at timestamptz,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz,
  primary key (model, key)
);
comment on table oauth_records is 'What the authorization server keeps between two requests: clients, grants, codes, refresh tokens, pending sign-ins.';
comment on column oauth_records.model is 'oidc-provider''s name of the kind of record';
comment on column oauth_records.key is 'SHA-256 of the record''s id: an id may itself be a code or a token';
comment on column oauth_records.sealed is 'the record, sealed under the key-encryption key';
comment on column oauth_records.user_id is 'whose it is, once that is known';
comment on column oauth_records.grant_id is 'the connection it belongs to: a grant has its session''s id';
comment on column oauth_records.uid_hash is 'SHA-256 of a second id some records are found by';
comment on column oauth_records.consumed_at is 'when a code or refresh token was used; a second use revokes the grant';
create index oauth_records_grant on oauth_records (grant_id) where grant_id is not null;
create index oauth_records_uid on oauth_records (uid_hash) where uid_hash is not null;
create index oauth_records_expiry on oauth_records (expires_at);
create index oauth_records_user on oauth_records (user_id) where user_id is not null;

create table one_time_links (
  token_hash bytea primary key,
  user_id    uuid not null references users (id) on delete cascade,
  expires_at timestamptz not null
);
comment on table one_time_links is 'Links to the page of the Anthropic key that a tool call gave out; deleted by their use.';
create index one_time_links_expiry on one_time_links (expires_at);

create table connection_spending (
  session_id        uuid not null references sessions (id) on delete cascade,
  starts_on         date not null,
  spent_nano_usd    bigint not null default 0,
  reserved_nano_usd bigint not null default 0,
  primary key (session_id, starts_on)
);
comment on table connection_spending is 'What a connection with a limit of its own spent in a month (UTC), and what its running answers may still cost.';

alter table ledger add column session_id uuid;
comment on column ledger.session_id is 'by which session it was asked for; the session itself may be gone';
