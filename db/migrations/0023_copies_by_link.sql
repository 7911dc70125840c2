-- Copies of conversations that links show: their owners do not learn which ones.

alter table conversations add column branched_by_link boolean not null default false;
comment on column conversations.branched_by_link is 'copied from what a link showed: its owner is not told the origin';
