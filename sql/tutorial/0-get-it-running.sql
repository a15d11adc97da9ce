-- Tutorial 0: a todo list that anyone may read.

create schema api;

create table api.todos (
  id serial primary key,
  done boolean not null default false,
  task text not null,
  due timestamptz
);

insert into api.todos (task) values
  ('finish tutorial 0'),
  ('pat self on back');

-- The role of requests that carry no token.
create role web_anon nologin;
grant usage on schema api to web_anon;
grant select on api.todos to web_anon;

-- The role that the server logs in as. It may do nothing but become one of the others.
create role authenticator noinherit login;
grant web_anon to authenticator;
