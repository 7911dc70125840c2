-- Calls without a conversation, and what the ledger says of them.

create table calls (
  id                  uuid primary key,
  user_id             uuid not null references users (id) on delete cascade,
  session_id          uuid not null,
  source              text not null,
  model               text not null,
  tag                 text,
  client              text,
  session_label       text,
  agent_id            text,
  request_class       text,
  max_tokens_asked    integer not null,
  max_tokens_sent     integer not null,
  reservation         jsonb not null,
  replica_id          uuid not null,
  lease_expires_at    timestamptz not null,
  cancel_requested_at timestamptz,
  started_at          timestamptz not null default now()
) with (fillfactor = 70, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
comment on table calls is 'Calls without a conversation, while they run: what each has reserved, and who runs it.';
comment on column calls.source is 'the way it came in, as in the ledger';
comment on column calls.tag is 'the caller''s label for cost allocation; in clear, like the next four';
comment on column calls.client is 'product part of the user agent';
comment on column calls.session_label is 'the client''s own session; a label, unique for one user only';
comment on column calls.agent_id is 'which agent of the client called';
comment on column calls.request_class is 'what kind of call the client said it is';
comment on column calls.max_tokens_sent is 'what its budgets had room for';
comment on column calls.reservation is 'like messages.reservation';
comment on column calls.cancel_requested_at is 'somebody asked its process to stop';
create index calls_user on calls (user_id);

-- transaction

alter table ledger
  alter column conversation_id drop not null,
  alter column message_id drop not null,
  add column source           text not null default 'mcp',
  add column call_id          uuid,
  add column client           text,
  add column session_label    text,
  add column agent_id         text,
  add column request_class    text,
  add column status           text,
  add column stop_reason      text,
  add column speed            text,
  add column geo              text,
  add column tier             text,
  add column web_searches     integer not null default 0,
  add column iterations       jsonb,
  add column max_tokens_asked integer,
  add column max_tokens_sent  integer,
  add column ms_to_first_byte integer,
  add column ms_total         integer,
  add constraint ledger_names_its_call
    check (message_id is not null or call_id is not null) not valid;
comment on column ledger.source is 'mcp: an answer of a conversation; messages: a call of the Messages API';
comment on column ledger.call_id is 'of calls without a message: the row of calls, which is gone';
comment on column ledger.iterations is 'what several models did in one call, each with its tokens and unit prices; then the cost is theirs';
comment on column ledger.web_searches is 'billed ones; unit_prices.webSearch is the price of one';
comment on column ledger.status is 'how the call ended, in the words of messages.status; null: see the message';

-- no transaction

create unique index concurrently ledger_call_unique on ledger (call_id) where call_id is not null;
