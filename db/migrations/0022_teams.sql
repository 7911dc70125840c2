-- Teams and their members, invitations that are passed on by hand, and what a user may do in the
-- whole installation.

create table teams (
  id            uuid primary key,
  name          text not null,
  name_key      text not null constraint teams_name_unique unique,
  data_key      bytea not null,
  created_by    uuid,
  created_at    timestamptz not null default now(),
  archived_at   timestamptz,
  shares_from   text not null default 'members' check (shares_from in ('members', 'anyone', 'nobody')),
  on_departure  text not null default 'keep' check (on_departure in ('keep', 'delete')),
  default_payer text not null default 'sender' check (default_payer in ('sender', 'team')),
  payers        text not null default 'any' check (payers in ('any', 'team_only'))
);
comment on table teams is 'People who share conversations and money. Archived, never deleted.';
comment on column teams.name_key is 'the name in lower case, with one hyphen for whatever stands between words';
comment on column teams.data_key is 'wrapped';
comment on column teams.created_by is 'that user may be gone; null: the operator';
comment on column teams.shares_from is 'who may share conversations with it';
comment on column teams.on_departure is 'what becomes of a member''s conversations in it when they leave';

create table team_members (
  team_id  uuid not null references teams (id) on delete cascade,
  user_id  uuid not null references users (id) on delete cascade,
  role     text not null check (role in ('owner', 'admin', 'member')),
  source   text not null default 'manual' check (source in ('manual', 'oidc', 'scim')),
  added_by uuid,
  added_at timestamptz not null default now(),
  primary key (team_id, user_id)
);
comment on table team_members is 'Who is in which team. Changed under a lock on the team''s row.';
comment on column team_members.added_by is 'that user may be gone; null: the operator';
create index team_members_user on team_members (user_id, team_id);

create table invitations (
  id                uuid primary key,
  token_hash        bytea not null constraint invitations_token_unique unique,
  team_id           uuid references teams (id) on delete cascade,
  team_role         text check (team_role in ('owner', 'admin', 'member')),
  installation_role text not null default 'member' check (installation_role in ('member', 'auditor', 'admin')),
  username_key      text,
  email_key         text,
  authority         text not null check (authority in ('team', 'installation')),
  created_by        uuid,
  created_at        timestamptz not null default now(),
  expires_at        timestamptz not null,
  used_by           uuid,
  used_at           timestamptz,
  revoked_at        timestamptz,
  constraint invitations_role_of_team check ((team_id is null) = (team_role is null))
);
comment on table invitations is 'Links that let one person join, once.';
comment on column invitations.token_hash is 'SHA-256 of the secret in the address, which is not stored';
comment on column invitations.username_key is 'the only name that the account may have; null: any';
comment on column invitations.email_key is 'the only address that the account may have; null: any';
comment on column invitations.authority is 'of the inviter: their role in the team when it is accepted, or one in the installation';
comment on column invitations.created_by is 'that user may be gone; null: the operator, or the gateway at its start';
create index invitations_team on invitations (team_id, expires_at);
create index invitations_creator on invitations (created_by);

-- transaction
alter table users
  add column role         text not null default 'member',
  add column suspended_at timestamptz,
  -- Not validated, which would read the whole table: what is there has the default.
  add constraint users_role_known check (role in ('member', 'auditor', 'admin')) not valid;
comment on column users.role is 'what they may do in the installation; names in ADMIN_USERNAMES are admins whatever it says';
comment on column users.suspended_at is 'since when they may not sign in';

-- transaction
alter table one_time_links
  add column purpose text not null default 'key',
  add constraint one_time_links_purpose_known check (purpose in ('key', 'password')) not valid;
comment on column one_time_links.purpose is 'what its user may enter with it: an Anthropic key, or a new password';
