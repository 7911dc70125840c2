-- Who changed what: events in chains, each of which shows when one of its events was changed later.

create table audit_keys (
  id text primary key,
  data_key bytea not null,
  public_jwk jsonb not null,
  sealed bytea not null,
  created_at timestamptz not null default now()
);
comment on table audit_keys is 'keys of the audit log: a wrapped key for its MACs, and a sealed one that signs checkpoints';

create table audit_heads (
  chain uuid primary key,
  seq bigint not null,
  hash bytea not null check (octet_length(hash) = 32)
);
comment on table audit_heads is 'the newest event of each chain';

create table audit_events (
  chain uuid not null,
  seq bigint not null,
  at timestamptz(3) not null,
  action text not null,
  actor_kind text not null,
  actor_id uuid,
  session_id uuid,
  address_prefix text,
  target_kind text,
  target_id text,
  team_id uuid,
  detail text not null,
  prev_hash bytea not null,
  hash bytea not null check (octet_length(hash) = 32),
  mac bytea not null check (octet_length(mac) = 32),
  key_id text not null references audit_keys,
  primary key (chain, seq)
);
comment on table audit_events is 'what was changed, by whom and when; never text, titles or names';
comment on column audit_events.chain is 'a team, or the zero uuid for the installation';
comment on column audit_events.detail is 'JSON, hashed as it is stored';

create table audit_checkpoints (
  at timestamptz primary key,
  text text not null
);
comment on table audit_checkpoints is 'the heads of all chains at a time, signed; also written to the log';
