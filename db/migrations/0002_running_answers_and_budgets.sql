-- Answers that outlive their connection, and budgets that are reserved before the call.

alter table messages
  add column tag                 text,
  add column stop_sequence       bytea,
  add column checkpoint_tokens   integer not null default 0,
  add column cancel_requested_at timestamptz,
  add column joined_at           timestamptz,
  add column reservation         jsonb;
comment on column messages.tag is 'the caller''s label for cost allocation; in clear';
comment on column messages.stop_sequence is 'answers only: sealed under the conversation''s data key';
comment on column messages.checkpoint_tokens is 'running answers only: output so far, estimated, as of the text in content';
comment on column messages.cancel_requested_at is 'running answers only: somebody asked its process to stop';
comment on column messages.joined_at is 'a repeat of its call came while it ran, on whichever replica';
comment on column messages.reservation is 'running answers only: what is reserved for it and at which prices, for whoever closes it';

alter table ledger
  add column tag       text,
  add column booked_on date not null default (now() at time zone 'utc')::date;
update ledger set booked_on = (created_at at time zone 'utc')::date;
comment on column ledger.booked_on is 'UTC day whose budget paid';
create index ledger_user_booked on ledger (user_id, booked_on);
create index ledger_booked on ledger (booked_on);

create table budgets (
  user_id        uuid not null references users (id) on delete cascade,
  period         text not null check (period in ('day', 'month')),
  set_by         text not null check (set_by in ('admin', 'user')),
  limit_nano_usd bigint check (limit_nano_usd >= 0),
  limit_tokens   bigint check (limit_tokens >= 0),
  updated_at     timestamptz not null default now(),
  primary key (user_id, period, set_by)
);
comment on table budgets is 'Limits of one user: an admin''s replace the defaults, the user''s own may only lower them.';
comment on column budgets.limit_nano_usd is 'null: no limit';
comment on column budgets.limit_tokens is 'input and output together; null: no limit';

create table spending (
  user_id           uuid not null references users (id) on delete cascade,
  period            text not null check (period in ('day', 'month')),
  starts_on         date not null,
  spent_nano_usd    bigint not null default 0,
  spent_tokens      bigint not null default 0,
  reserved_nano_usd bigint not null default 0,
  reserved_tokens   bigint not null default 0,
  primary key (user_id, period, starts_on)
);
comment on table spending is 'What a user spent in a day or month (UTC), and what running answers may still cost.';

insert into spending (user_id, period, starts_on, spent_nano_usd, spent_tokens)
select l.user_id, p.period, date_trunc(p.period, l.booked_on)::date, coalesce(sum(l.cost_nano_usd), 0),
  sum(l.input_tokens + l.cache_write_5m_tokens + l.cache_write_1h_tokens + l.cache_read_tokens
    + l.output_tokens)
from ledger l
cross join (values ('day'), ('month')) as p (period)
where exists (select from users u where u.id = l.user_id)
group by 1, 2, 3;
