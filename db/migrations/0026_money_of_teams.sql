-- Money of teams: their keys, their budgets, what is spent of them, and what the ledger says of it.

create table team_keys (
  id          uuid primary key,
  team_id     uuid not null references teams (id) on delete cascade,
  label       text,
  sealed      bytea,
  last_four   text not null,
  added_by    uuid,
  added_at    timestamptz not null default now(),
  rejected_at timestamptz,
  removed_at  timestamptz,
  constraint team_keys_sealed_while_kept check ((sealed is null) = (removed_at is not null))
);
comment on table team_keys is 'Anthropic keys of teams. Replaced, never edited: the ledger names them.';
comment on column team_keys.sealed is 'under the team''s data key; null: removed';
comment on column team_keys.added_by is 'that user may be gone';
comment on column team_keys.rejected_at is 'when Anthropic refused it; null: not since it last worked';
create unique index team_keys_live on team_keys (team_id) where removed_at is null;

create table team_budgets (
  team_id        uuid not null references teams (id) on delete cascade,
  period         text not null check (period in ('day', 'month')),
  set_by         text not null check (set_by in ('admin', 'team')),
  limit_nano_usd bigint check (limit_nano_usd >= 0),
  limit_tokens   bigint check (limit_tokens >= 0),
  updated_at     timestamptz not null default now(),
  primary key (team_id, period, set_by)
);
comment on table team_budgets is 'Limits of what all members of a team spend together with its key. Both of a period apply.';

create table member_caps (
  team_id        uuid not null references teams (id) on delete cascade,
  user_id        uuid references users (id) on delete cascade,
  period         text not null check (period in ('day', 'month')),
  limit_nano_usd bigint check (limit_nano_usd >= 0),
  limit_tokens   bigint check (limit_tokens >= 0),
  updated_at     timestamptz not null default now()
);
comment on table member_caps is 'Limits of what one member spends with the team''s key.';
comment on column member_caps.user_id is 'null: of every member who has none of their own for this period';
create unique index member_caps_unique on member_caps
  (team_id, (coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid)), period);
create index member_caps_user on member_caps (user_id);

create table team_spending (
  team_id           uuid not null references teams (id) on delete cascade,
  period            text not null check (period in ('day', 'month')),
  starts_on         date not null,
  spent_nano_usd    bigint not null default 0,
  spent_tokens      bigint not null default 0,
  reserved_nano_usd bigint not null default 0,
  reserved_tokens   bigint not null default 0,
  primary key (team_id, period, starts_on)
) with (fillfactor = 50);
comment on table team_spending is 'What a team''s key was used for in a day or month (UTC), and what running answers may still cost.';

create table member_spending (
  team_id           uuid not null references teams (id) on delete cascade,
  user_id           uuid not null,
  period            text not null check (period in ('day', 'month')),
  starts_on         date not null,
  spent_nano_usd    bigint not null default 0,
  spent_tokens      bigint not null default 0,
  reserved_nano_usd bigint not null default 0,
  reserved_tokens   bigint not null default 0,
  primary key (team_id, user_id, period, starts_on)
) with (fillfactor = 80);
comment on table member_spending is 'Each sender''s part of team_spending.';
comment on column member_spending.user_id is 'that user may be gone, or no member any more';

create table budget_requests (
  id              uuid primary key,
  team_id         uuid references teams (id) on delete cascade,
  user_id         uuid not null references users (id) on delete cascade,
  period          text not null check (period in ('day', 'month')),
  wanted_nano_usd bigint not null check (wanted_nano_usd >= 0),
  reason          bytea,
  state           text not null default 'open' check (state in ('open', 'approved', 'denied', 'withdrawn')),
  created_at      timestamptz not null default now(),
  decided_by      uuid,
  decided_at      timestamptz,
  until           timestamptz
);
comment on table budget_requests is 'Members who ask for a higher limit.';
comment on column budget_requests.reason is 'sealed under the team''s data key';
comment on column budget_requests.until is 'when an approved raise ends: with its period';
create index budget_requests_open on budget_requests (team_id, created_at) where state = 'open';
create index budget_requests_user on budget_requests (user_id);

create table usage_daily_team (
  team_id            uuid not null,
  booked_on          date not null,
  user_id            uuid not null,
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
  primary key (team_id, booked_on, user_id, model, tag)
) with (fillfactor = 80);
comment on table usage_daily_team is 'Like usage_daily, of the calls that teams paid for.';
create index usage_daily_team_user on usage_daily_team (user_id);

-- transaction

alter table ledger
  add column payer         text not null default 'user',
  add column team_id       uuid,
  add column key_id        uuid,
  add column key_last_four text,
  add constraint ledger_payer_known
    check (payer = 'user' and team_id is null or payer = 'team' and team_id is not null) not valid;
comment on column ledger.payer is 'user: the sender';
comment on column ledger.team_id is 'the team that paid';
comment on column ledger.key_id is 'the team''s key; null: the sender''s own';
comment on column ledger.key_last_four is 'the end of the key, as the Anthropic Console shows it; null: not known';

create view ledger_by_team_day as
select
  team_id,
  booked_on,
  user_id,
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
where team_id is not null
group by team_id, booked_on, user_id, model, coalesce(tag, '');
comment on view ledger_by_team_day is 'What usage_daily_team has to be.';

-- For each row: a call that its sender pays for must not cost more than before.
create function add_to_usage_daily_team() returns trigger language plpgsql as $$
begin
  insert into usage_daily_team as d
  values (
    new.team_id,
    new.booked_on,
    new.user_id,
    new.model,
    coalesce(new.tag, ''),
    1,
    case when new.estimated is null then 0 else 1 end,
    case when new.cost_nano_usd is null then 1 else 0 end,
    new.input_tokens::bigint + new.cache_write_5m_tokens + new.cache_write_1h_tokens
      + new.cache_read_tokens,
    new.output_tokens,
    new.cache_read_tokens,
    new.cache_write_5m_tokens::bigint + new.cache_write_1h_tokens,
    coalesce(new.cost_nano_usd, 0)
  )
  on conflict (team_id, booked_on, user_id, model, tag) do update set
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
create trigger ledger_added_to_team after insert on ledger
  for each row when (new.team_id is not null) execute function add_to_usage_daily_team();

create function redo_usage_daily_team() returns trigger language plpgsql as $$
begin
  delete from usage_daily_team d using (select distinct user_id from changed) as c
  where d.user_id = c.user_id;
  insert into usage_daily_team
  select l.* from ledger_by_team_day l where l.user_id in (select user_id from changed);
  return null;
end $$;
create trigger ledger_changed_of_team after update on ledger
  referencing new table as changed for each statement execute function redo_usage_daily_team();
create trigger ledger_removed_of_team after delete on ledger
  referencing old table as changed for each statement execute function redo_usage_daily_team();

-- transaction

alter table spending
  add column team_spent_nano_usd    bigint not null default 0,
  add column team_spent_tokens      bigint not null default 0,
  add column team_reserved_nano_usd bigint not null default 0,
  add column team_reserved_tokens   bigint not null default 0;
comment on column spending.team_spent_nano_usd is 'beside spent_nano_usd: what teams paid for what this user sent';

-- transaction

alter table budgets
  add column covers text not null default 'own_key',
  add constraint budgets_covers_known check (covers in ('own_key', 'everything')) not valid;
comment on column budgets.covers is 'own_key: what is paid with the user''s own key; everything: also what teams pay for them';

-- transaction

alter table sessions add column purses uuid[] not null default '{}';
comment on column sessions.purses is 'teams whose money a connection or personal token may spend';
