-- What each user keeps, in bytes, and the turns of which nothing is kept but how they ended.
-- Conversations are locked before users, in the order of whoever begins a turn.

alter table conversations
  add column is_listed        boolean not null default true,
  add column messages_deleted integer not null default 0;
comment on column conversations.is_listed is 'false while nothing is kept of any of its turns';
comment on column conversations.messages_deleted is 'rows of messages that were deleted again; message_count still counts them';

create table storage (
  user_id    uuid primary key references users (id) on delete cascade,
  bytes      bigint not null default 0,
  counted_at timestamptz
) with (fillfactor = 50);
comment on table storage is 'How many sealed bytes of messages, titles and system prompts are kept of a user.';
comment on column storage.bytes is 'kept by triggers of conversations and messages';
comment on column storage.counted_at is 'null: what was there before the triggers is still to be added';
create index storage_uncounted on storage (user_id) where counted_at is null;
insert into storage (user_id) select id from users where conversation_count > 0;

create table forgotten_turns (
  answer_id       uuid primary key,
  conversation_id uuid not null references conversations (id) on delete cascade,
  user_id         uuid not null,
  finished_at     timestamptz not null default now()
);
comment on table forgotten_turns is 'Turns that ended without being billed: their rows of messages have no text, and are deleted a day later.';
create index forgotten_turns_conversation on forgotten_turns (conversation_id);
create index forgotten_turns_time on forgotten_turns (finished_at);

create function kept_bytes(title bytea, system_prompt bytea) returns bigint
language sql immutable parallel safe as $$
  select octet_length(title)::bigint + coalesce(octet_length(system_prompt), 0)
$$;

-- In all of them: the row of storage before that of users, so that no two wait for each other.
create or replace function count_new_conversations() returns trigger language plpgsql as $$
begin
  insert into storage as s (user_id, bytes)
  select user_id, sum(kept_bytes(title, system_prompt)) from changed group by user_id order by user_id
  on conflict (user_id) do update set bytes = s.bytes + excluded.bytes;
  update users u set conversation_count = u.conversation_count + c.conversations
  from (select user_id, count(*) as conversations from changed where is_listed group by user_id) as c
  where c.user_id = u.id;
  return null;
end $$;
create or replace function count_lost_conversations() returns trigger language plpgsql as $$
begin
  update storage s set bytes = s.bytes - c.bytes
  from (
    select user_id, sum(kept_bytes(title, system_prompt)) as bytes from changed group by user_id
  ) as c
  where c.user_id = s.user_id;
  update users u set conversation_count = u.conversation_count - c.conversations
  from (select user_id, count(*) as conversations from changed where is_listed group by user_id) as c
  where c.user_id = u.id;
  return null;
end $$;

create function follow_changed_conversation() returns trigger language plpgsql as $$
begin
  update storage s set bytes = s.bytes
    + kept_bytes(new.title, new.system_prompt) - kept_bytes(old.title, old.system_prompt)
  where s.user_id = new.user_id;
  if new.is_listed <> old.is_listed then
    update users u
    set conversation_count = u.conversation_count + case when new.is_listed then 1 else -1 end
    where u.id = new.user_id;
  end if;
  return null;
end $$;
create trigger conversations_followed
  after update of title, system_prompt, is_listed on conversations for each row
  when (
    new.is_listed <> old.is_listed
    or octet_length(new.title) <> octet_length(old.title)
    or octet_length(new.system_prompt) is distinct from octet_length(old.system_prompt)
  )
  execute function follow_changed_conversation();
