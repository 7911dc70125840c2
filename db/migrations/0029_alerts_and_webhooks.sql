-- Budgets that are nearly used up, told once; and webhooks, which tell programs elsewhere.

create table budget_alerts (
  book_kind      text not null check (book_kind in ('user', 'team', 'member', 'connection')),
  book_id        uuid not null,
  user_id        uuid not null,
  period         text not null check (period in ('day', 'month')),
  starts_on      date not null,
  threshold      integer not null check (threshold between 0 and 100),
  limit_nano_usd bigint,
  limit_tokens   bigint,
  spent_nano_usd bigint not null,
  spent_tokens   bigint not null,
  fired_at       timestamptz not null default now(),
  told_at        timestamptz,
  primary key (book_kind, book_id, user_id, period, starts_on, threshold)
);
comment on table budget_alerts is 'Shares of a limit that were reached, once in a period.';
comment on column budget_alerts.book_id is 'a user, a team (also of a member''s part), or a session';
comment on column budget_alerts.user_id is 'whose book it is, or who was stopped; the zero uuid for a team''s pool';
comment on column budget_alerts.threshold is 'percent; 0: a call was stopped';
comment on column budget_alerts.limit_nano_usd is 'as it was then: another limit can be reached again';
comment on column budget_alerts.told_at is 'when it was queued for the webhooks';
create index budget_alerts_user on budget_alerts (user_id);
create index budget_alerts_untold on budget_alerts (fired_at) where told_at is null;

create table webhooks (
  id              uuid primary key,
  team_id         uuid references teams (id) on delete cascade,
  data_key        bytea not null,
  url             bytea not null,
  secret          bytea not null,
  previous_secret bytea,
  previous_until  timestamptz,
  events          text[] not null,
  created_by      uuid,
  created_at      timestamptz not null default now(),
  delivered_at    timestamptz,
  failing_since   timestamptz,
  last_problem    text,
  dropped         bigint not null default 0,
  disabled_at     timestamptz,
  disabled_reason text check (disabled_reason in ('by_hand', 'gone', 'failing')),
  check ((previous_secret is null) = (previous_until is null)),
  check ((disabled_at is null) = (disabled_reason is null))
);
comment on table webhooks is 'Receivers of events elsewhere, of a team or (no team) of the installation.';
comment on column webhooks.data_key is 'sealed under the KEK; seals the row''s values and the bodies of its deliveries';
comment on column webhooks.previous_secret is 'signs as well, until previous_until';
comment on column webhooks.failing_since is 'the first failure after the last success';
comment on column webhooks.dropped is 'deliveries that were given up';
create index webhooks_team on webhooks (team_id);

create table webhook_events (
  id          uuid primary key,
  event       text not null,
  team_id     uuid,
  data        jsonb not null,
  occurred_at timestamptz not null default clock_timestamp()
);
comment on table webhook_events is 'What happened and is not queued yet; written in the transaction of the act.';

create table webhook_deliveries (
  id              uuid primary key,
  webhook_id      uuid not null references webhooks (id) on delete cascade,
  event           text not null,
  body            bytea not null,
  created_at      timestamptz not null default now(),
  attempts        integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  delivered_at    timestamptz,
  last_status     integer
);
comment on table webhook_deliveries is 'Events on their way to a webhook.';
comment on column webhook_deliveries.body is 'sealed under the webhook''s data key';
comment on column webhook_deliveries.last_status is 'HTTP status of the last attempt; null: none yet, or no answer';
create index webhook_deliveries_open on webhook_deliveries (webhook_id, next_attempt_at) where delivered_at is null;
create index webhook_deliveries_delivered on webhook_deliveries (delivered_at) where delivered_at is not null;
