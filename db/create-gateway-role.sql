-- The role of the gateway: owner of its own database, and nothing else. The PostgreSQL image runs this
-- once, as the superuser, when the data folder is made. psql reads the password where it is: it stands
-- in no argument and no environment.

\set password `cat "$DATABASE_PASSWORD_FILE"`
create role gateway login password :'password'
  nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
create database gateway owner gateway encoding 'UTF8' template template0;
revoke all on database gateway from public;
