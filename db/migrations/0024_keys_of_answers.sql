-- Whose key paid for an answer, as its sender and its owner see it.

alter table messages add column key_last_four text;
comment on column messages.key_last_four is 'answers only: the end of the Anthropic key that was used; null: not known';
