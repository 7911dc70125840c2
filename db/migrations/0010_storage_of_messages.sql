-- The bytes of messages (0009_storage.sql). What only reads comes first: the triggers stop whoever
-- writes messages until they are there.

-- Of turns that were never billed no text is kept any more; they are deleted in small steps.
insert into forgotten_turns (answer_id, conversation_id, user_id, finished_at)
select m.id, m.conversation_id, m.user_id, coalesce(m.finished_at, m.created_at)
from messages m
where m.role = 'assistant' and m.status in ('refused', 'failed', 'cancelled', 'interrupted')
  and not exists (select from ledger l where l.message_id = m.id);

-- transaction

create function kept_bytes(role text, status text, content bytea, stop_sequence bytea) returns bigint
language sql immutable parallel safe as $$
  select case
    when role = 'assistant' and status = 'running' then 0
    else coalesce(octet_length(content), 0)::bigint + coalesce(octet_length(stop_sequence), 0)
  end
$$;
comment on function kept_bytes(text, text, bytea, bytea) is
  'of a message; what a running answer has so far counts when it has ended';

create function follow_new_message() returns trigger language plpgsql as $$
begin
  insert into storage as s (user_id, bytes)
  values (new.user_id, kept_bytes(new.role, new.status, new.content, new.stop_sequence))
  on conflict (user_id) do update set bytes = s.bytes + excluded.bytes;
  return null;
end $$;
create function follow_changed_message() returns trigger language plpgsql as $$
begin
  update storage s set bytes = s.bytes
    + kept_bytes(new.role, new.status, new.content, new.stop_sequence)
    - kept_bytes(old.role, old.status, old.content, old.stop_sequence)
  where s.user_id = new.user_id;
  return null;
end $$;
create function count_lost_messages() returns trigger language plpgsql as $$
begin
  update storage s set bytes = s.bytes - c.bytes
  from (
    select user_id, sum(kept_bytes(role, status, content, stop_sequence)) as bytes
    from changed group by user_id
  ) as c
  where c.user_id = s.user_id and c.bytes <> 0;
  return null;
end $$;
-- Their conditions are plain comparisons: a function would be parsed with every statement.
create trigger messages_added after insert on messages for each row
  when (new.content is not null or new.stop_sequence is not null)
  execute function follow_new_message();
create trigger messages_changed
  after update of status, content, stop_sequence on messages for each row
  when (
    not (new.role = 'assistant' and new.status = 'running')
    and (
      (old.role = 'assistant' and old.status = 'running')
      or octet_length(new.content) is distinct from octet_length(old.content)
      or octet_length(new.stop_sequence) is distinct from octet_length(old.stop_sequence)
    )
  )
  execute function follow_changed_message();
create trigger messages_removed after delete on messages
  referencing old table as changed for each statement execute function count_lost_messages();
