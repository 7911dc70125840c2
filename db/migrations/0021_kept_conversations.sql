-- Lists of archived conversations, and how many branches a conversation has.

-- no transaction
create index concurrently conversations_archived on conversations (user_id, updated_at desc, id desc) where archived_at is not null and is_listed;
create index concurrently conversations_branched on conversations (branched_from) where branched_from is not null;
