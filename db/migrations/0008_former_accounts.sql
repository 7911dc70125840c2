-- A budget outlives its account: what was spent, and an admin's limit, are found again by whoever
-- registers with the same name or address. Neither is kept: only what a secret key makes of it.

create table name_keys (
  id       smallint primary key check (id = 1),
  data_key bytea not null
);
comment on table name_keys is 'One row: the key that names of deleted accounts are hashed with.';
comment on column name_keys.data_key is 'sealed under the key-encryption key';

-- No foreign key: it would lock users, and what it names is gone by the time that the row counts.
create table former_accounts (
  name_hash      bytea primary key,
  person         uuid not null,
  held_by        uuid,
  day            date not null,
  day_nano_usd   bigint not null default 0,
  day_tokens     bigint not null default 0,
  month          date not null,
  month_nano_usd bigint not null default 0,
  month_tokens   bigint not null default 0,
  admin_limits   jsonb not null default '[]'
);
comment on table former_accounts is 'What deleted accounts had spent, and which limits an admin had set them, by name and by address.';
comment on column former_accounts.name_hash is 'HMAC-SHA256 of the name or address in lower case, under name_keys';
comment on column former_accounts.person is 'random; rows with the same one are of one person, and count once';
comment on column former_accounts.held_by is 'the user who has registered with it since; null: nobody';
create index former_accounts_person on former_accounts (person);
create index former_accounts_held on former_accounts (held_by) where held_by is not null;

alter table spending
  add column carried_nano_usd bigint not null default 0,
  add column carried_tokens   bigint not null default 0;
comment on column spending.carried_nano_usd is 'part of spent_nano_usd: spent by an earlier account of the same name or address';
comment on column spending.carried_tokens is 'part of spent_tokens: the same';
