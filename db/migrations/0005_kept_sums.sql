-- Sums that are read too often to be added up each time. Triggers keep them, in the statement that
-- changes what they sum up, so that they also hold while an older build works on this schema.

alter table users add column conversation_count bigint not null default 0;
comment on column users.conversation_count is 'rows of conversations; kept by their triggers';
update users u set conversation_count = c.conversations
from (select user_id, count(*) as conversations from conversations group by user_id) as c
where c.user_id = u.id;

create function count_new_conversations() returns trigger language plpgsql as $$
begin
  update users u set conversation_count = u.conversation_count + c.conversations
  from (select user_id, count(*) as conversations from changed group by user_id) as c
  where c.user_id = u.id;
  return null;
end $$;
create function count_lost_conversations() returns trigger language plpgsql as $$
begin
  update users u set conversation_count = u.conversation_count - c.conversations
  from (select user_id, count(*) as conversations from changed group by user_id) as c
  where c.user_id = u.id;
  return null;
end $$;
create trigger conversations_counted after insert on conversations
  referencing new table as changed for each statement execute function count_new_conversations();
create trigger conversations_uncounted after delete on conversations
  referencing old table as changed for each statement execute function count_lost_conversations();

create table usage_daily (
  user_id            uuid not null,
  booked_on          date not null,
  model              text not null,
  tag                text not null,
  calls              bigint not null,
  estimated_calls    bigint not null,
  unpriced_calls     bigint not null,
  input_tokens       bigint not null,
  output_tokens      bigint not null,
  cache_read_tokens  bigint not null,
  cache_write_tokens bigint not null,
  cost_nano_usd      bigint not null,
  primary key (user_id, booked_on, model, tag)
) with (fillfactor = 80);
comment on table usage_daily is 'The ledger''s rows of a user''s day, added up by model and tag; kept by its triggers.';
comment on column usage_daily.tag is 'empty: calls without one';
comment on column usage_daily.input_tokens is 'all input, cached or not';
comment on column usage_daily.cache_write_tokens is 'for 5 minutes and for 1 hour';
comment on column usage_daily.cost_nano_usd is 'of the calls whose price is known';
create index usage_daily_booked on usage_daily (booked_on);

create view ledger_by_day as
select
  user_id,
  booked_on,
  model,
  coalesce(tag, '') as tag,
  count(*) as calls,
  count(estimated) as estimated_calls,
  count(*) - count(cost_nano_usd) as unpriced_calls,
  sum(input_tokens::bigint + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens)::bigint
    as input_tokens,
  sum(output_tokens)::bigint as output_tokens,
  sum(cache_read_tokens)::bigint as cache_read_tokens,
  sum(cache_write_5m_tokens::bigint + cache_write_1h_tokens)::bigint as cache_write_tokens,
  coalesce(sum(cost_nano_usd), 0)::bigint as cost_nano_usd
from ledger
group by user_id, booked_on, model, coalesce(tag, '');
comment on view ledger_by_day is 'What usage_daily has to be.';

insert into usage_daily select * from ledger_by_day;

create function add_to_usage_daily() returns trigger language plpgsql as $$
begin
  insert into usage_daily as d
  select
    user_id,
    booked_on,
    model,
    coalesce(tag, ''),
    count(*),
    count(estimated),
    count(*) - count(cost_nano_usd),
    sum(input_tokens::bigint + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens),
    sum(output_tokens),
    sum(cache_read_tokens),
    sum(cache_write_5m_tokens::bigint + cache_write_1h_tokens),
    coalesce(sum(cost_nano_usd), 0)
  from booked
  group by user_id, booked_on, model, coalesce(tag, '')
  on conflict (user_id, booked_on, model, tag) do update set
    calls = d.calls + excluded.calls,
    estimated_calls = d.estimated_calls + excluded.estimated_calls,
    unpriced_calls = d.unpriced_calls + excluded.unpriced_calls,
    input_tokens = d.input_tokens + excluded.input_tokens,
    output_tokens = d.output_tokens + excluded.output_tokens,
    cache_read_tokens = d.cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = d.cache_write_tokens + excluded.cache_write_tokens,
    cost_nano_usd = d.cost_nano_usd + excluded.cost_nano_usd;
  return null;
end $$;
create trigger ledger_added after insert on ledger
  referencing new table as booked for each statement execute function add_to_usage_daily();

-- The one change that a line of the ledger sees is that its label goes with its user, and then all of
-- the user's days are added up anew. That also holds for what an operator does to it by hand.
create function redo_usage_daily() returns trigger language plpgsql as $$
begin
  delete from usage_daily d using (select distinct user_id from changed) as c
  where d.user_id = c.user_id;
  insert into usage_daily
  select l.* from ledger_by_day l where l.user_id in (select user_id from changed);
  return null;
end $$;
create trigger ledger_changed after update on ledger
  referencing new table as changed for each statement execute function redo_usage_daily();
create trigger ledger_removed after delete on ledger
  referencing old table as changed for each statement execute function redo_usage_daily();
