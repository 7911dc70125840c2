-- Without the permission to read conversations a session reaches those that it began.

alter table conversations add column session_id uuid;
comment on column conversations.session_id is 'by which session it was begun, which may be gone; null: before this was kept';
