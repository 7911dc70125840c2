-- What every process writes now and then, to be sure that it can.

create unlogged table heartbeats (
  replica_id uuid primary key,
  beat_at    timestamptz not null
);
comment on table heartbeats is 'That a process could write. Unlogged: it says nothing about the past.';
