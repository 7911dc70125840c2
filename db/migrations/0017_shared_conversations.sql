-- Conversations that people manage, branch, import and share: who sealed them, what they came from,
-- who besides their owner reads or continues them, and the snapshots that links show.

alter table conversations
  add column sealed_for           uuid,
  add column archived_at          timestamptz,
  add column title_by             text,
  add column branched_from        uuid,
  add column branched_at_position integer,
  add column import_source        text,
  add column import_ref           bytea,
  add column payer                text not null default 'sender',
  add column payers               text not null default 'any',
  add column team_id              uuid,
  add column retain_until         timestamptz,
  -- Not validated, which would read the whole table: what is there has the defaults.
  add constraint conversations_title_by_known
    check (title_by in ('user', 'gateway', 'import')) not valid,
  add constraint conversations_payer_known check (payer in ('sender', 'team')) not valid,
  add constraint conversations_payers_known check (payers in ('any', 'team_only')) not valid;
comment on column conversations.sealed_for is 'the user in the bindings of its sealed values; null: user_id, as long as it never had another owner';
comment on column conversations.archived_at is 'when its owner archived it';
comment on column conversations.title_by is 'who chose the title; null: it is the beginning of the first message';
comment on column conversations.branched_from is 'the conversation it is a copy of, which may be gone';
comment on column conversations.branched_at_position is 'the last message that was copied';
comment on column conversations.import_ref is 'HMAC of the id in the source, under the owner''s data key';
comment on column conversations.payer is 'who pays for a message unless the call says otherwise';
comment on column conversations.payers is 'whose keys may be used in it';
comment on column conversations.team_id is 'the team that it belongs to';
comment on column conversations.retain_until is 'when it is deleted by itself; null: never';

-- transaction
alter table messages
  add column sender_id      uuid,
  add column payer          text,
  add column paying_team_id uuid,
  add column imported       boolean not null default false,
  add constraint messages_payer_known check (payer in ('user', 'team')) not valid;
comment on column messages.user_id is 'the owner of the conversation';
comment on column messages.sender_id is 'who sent it, or asked for the answer, if that was not the owner; that user may be gone';
comment on column messages.payer is 'answers only; null: the sender';
comment on column messages.imported is 'copied from another service, never sent by this one';

-- transaction
alter table ledger add column owner_id uuid;
comment on column ledger.owner_id is 'whose conversation it was; null: the sender''s own';

-- transaction
create table conversation_grants (
  id              uuid primary key,
  conversation_id uuid not null references conversations (id) on delete cascade,
  user_id         uuid references users (id) on delete cascade,
  team_id         uuid,
  role            text not null check (role in ('viewer', 'contributor')),
  granted_by      uuid not null,
  created_at      timestamptz not null default now(),
  accepted_at     timestamptz,
  expires_at      timestamptz,
  from_position   integer not null default 1 check (from_position >= 1),
  constraint conversation_grants_one_recipient check (user_id is null or team_id is null),
  constraint conversation_grants_from_the_start check (role = 'viewer' or from_position = 1)
);
comment on table conversation_grants is 'Who besides its owner may read a conversation, or continue it.';
comment on column conversation_grants.user_id is 'with team_id null as well: everybody who has an account';
comment on column conversation_grants.accepted_at is 'null: offered to a person who has not accepted it yet, and so without effect';
comment on column conversation_grants.from_position is 'the first message that may be read';
create unique index conversation_grants_recipient on conversation_grants
  (conversation_id, coalesce(user_id, team_id, '00000000-0000-0000-0000-000000000000'));
create index conversation_grants_user on conversation_grants (user_id, conversation_id);
create index conversation_grants_team on conversation_grants (team_id, conversation_id);

create table conversation_marks (
  user_id            uuid not null references users (id) on delete cascade,
  conversation_id    uuid not null references conversations (id) on delete cascade,
  archived_at        timestamptz,
  hidden_at          timestamptz,
  last_read_position integer,
  primary key (user_id, conversation_id)
);
comment on table conversation_marks is 'What a person noted for themselves about a conversation that is shared with them.';
create index conversation_marks_conversation on conversation_marks (conversation_id);

create table conversation_links (
  id               uuid primary key,
  token_hash       bytea not null constraint conversation_links_token_unique unique,
  conversation_id  uuid not null references conversations (id) on delete cascade,
  audience         text not null check (audience in ('team', 'everybody', 'public')),
  team_id          uuid,
  through_position integer not null,
  label            bytea,
  created_by       uuid not null,
  created_at       timestamptz not null default now(),
  expires_at       timestamptz not null,
  revoked_at       timestamptz,
  views            integer not null default 0,
  last_viewed_on   date
);
comment on table conversation_links is 'Links that show a conversation as it was when they were made.';
comment on column conversation_links.token_hash is 'SHA-256 of the secret in the address, which is not stored';
comment on column conversation_links.through_position is 'the last message that it shows';
comment on column conversation_links.label is 'sealed under the conversation''s data key';
create index conversation_links_conversation on conversation_links (conversation_id);

create table user_settings (
  user_id     uuid primary key references users (id) on delete cascade,
  shares_from text not null default 'anyone' check (shares_from in ('anyone', 'teammates', 'nobody'))
);
comment on table user_settings is 'What a person chose; without a row the defaults hold.';
comment on column user_settings.shares_from is 'who may offer them conversations';

-- no transaction
create unique index concurrently conversations_imported on conversations (user_id, import_source, import_ref) where import_ref is not null;
create unique index concurrently messages_idempotency_of_sender on messages (coalesce(sender_id, user_id), idempotency_hash) where idempotency_hash is not null;
create index concurrently messages_sender on messages (sender_id, created_at) where sender_id is not null;
