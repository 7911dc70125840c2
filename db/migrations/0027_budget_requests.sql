-- Requests for a higher limit: of which book, what was granted, and by whose authority.

alter table budget_requests
  add column book             text not null default 'member',
  add column granted_nano_usd bigint,
  add column decided_as       text,
  add constraint budget_requests_book_known
    check (book in ('user', 'member', 'team') and (book = 'user') = (team_id is null)) not valid,
  add constraint budget_requests_authority_known
    check (decided_as in ('team', 'installation')) not valid;
comment on table budget_requests is 'Users who ask for a higher limit, and raises that were granted.';
comment on column budget_requests.book is 'whose limit: the user''s own, the member''s part of a pool, or the pool';
comment on column budget_requests.reason is 'sealed under the data key of the team, or without one of the user';
comment on column budget_requests.granted_nano_usd is 'of an approved one: the limit until then, where it is higher';
comment on column budget_requests.decided_as is 'of an approved one: whose limits it raises';
comment on column budget_requests.until is 'when an open one lapses, and a raise ends: with its period';

-- no transaction
create index concurrently budget_requests_raising_team on budget_requests (team_id) where state = 'approved';
create index concurrently budget_requests_raising_user on budget_requests (user_id) where state = 'approved' and team_id is null;
