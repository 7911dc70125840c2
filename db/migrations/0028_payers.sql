-- Who pays where no call says so: for a conversation, and for calls without one.

alter table conversations
  add column paying_team_id uuid,
  add constraint conversations_team_pays
    check (payer = 'sender' or paying_team_id is not null) not valid;
comment on column conversations.paying_team_id is 'the team that pays where payer is team';

-- transaction

alter table calls add column key_last_four text;
comment on column calls.key_last_four is 'the end of the Anthropic key that it is made with';
