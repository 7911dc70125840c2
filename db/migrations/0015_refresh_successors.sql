-- A client that lost the answer to a refresh, or of which two processes refresh at once, comes with
-- the same refresh token again. For a while it gets the same successor, which therefore is remembered.

alter table oauth_records add column successor_key bytea;
comment on column oauth_records.successor_key is 'key of the refresh token that took this one''s place, in the same statement that set consumed_at';
