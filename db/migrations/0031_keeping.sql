-- Links that crawlers have opened, and what the audit log has of one user.

alter table conversation_links add column crawled_on date;
comment on column conversation_links.crawled_on is 'the last day (UTC) of which the audit log has that a crawler opened it';

-- no transaction
create index concurrently audit_events_actor on audit_events (actor_id, chain, seq) where actor_id is not null;
create index concurrently audit_events_user on audit_events (target_id, chain, seq) where target_kind = 'user';
