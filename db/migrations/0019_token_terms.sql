-- What a personal access token may ask for.

alter table sessions add column allowed_models text[];
comment on column sessions.allowed_models is 'models that a personal access token may name at the Messages API; null: every model';
