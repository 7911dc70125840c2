-- Some acts on the pages ask for the password again, unless it was just given.

alter table sessions add column proven_at timestamptz;
comment on column sessions.proven_at is 'when its user last gave the password in it; null: never, or begun by an older build';
