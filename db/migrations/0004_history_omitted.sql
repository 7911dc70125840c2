-- How much of a conversation is no longer sent to Claude, counted when it is cut and not at every send.

alter table conversations add column history_omitted integer not null default 0;
comment on column conversations.history_omitted is 'whole messages before history_start';
update conversations c set history_omitted = (
  select count(*) from messages m
  where m.conversation_id = c.id and m.status = 'complete' and m.position < c.history_start
) where c.history_start > 1;
