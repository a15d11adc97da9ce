//! What must never happen: a test for each of the seven points of `ARCHITECTURE.md` that
//! would catch the breach from outside.

mod support;

#[path = "must_never/acknowledged.rs"]
mod acknowledged;
#[path = "must_never/leaks.rs"]
mod leaks;
#[path = "must_never/long_names.rs"]
mod long_names;
#[path = "must_never/overload.rs"]
mod overload;
#[path = "must_never/plans.rs"]
mod plans;
#[path = "must_never/quoting.rs"]
mod quoting;
#[path = "must_never/reloads.rs"]
mod reloads;
#[path = "must_never/roles.rs"]
mod roles;
#[path = "must_never/sessions.rs"]
mod sessions;

/// Roles and views that show who a request runs as.
const SQL: &str = "
    do $$
    declare name text;
    begin
      foreach name in array array['web_anon', 'reader', 'writer', 'sluggish', 'outsider'] loop
        if not exists (select from pg_roles where rolname = name) then
          execute format('create role %I nologin', name);
        end if;
      end loop;
    end $$;
    grant web_anon, reader, writer, sluggish to authenticator;
    alter role sluggish set statement_timeout = '150ms';

    create schema api;
    grant usage on schema api to web_anon, reader, writer, sluggish, authenticator;
    create view api.whoami as select
      current_user::text as role,
      nullif(current_setting('request.jwt.claims', true), '')::json as claims,
      nullif(current_setting('request.jwt.claim.email', true), '') as email,
      current_setting('request.headers', true)::json as headers,
      current_setting('statement_timeout') as statement_timeout,
      current_setting('lock_timeout') as lock_timeout,
      pg_backend_pid() as backend;
    create view api.broken as select 1 / (pg_backend_pid() * 0) as x;
    create view api.slow as select pg_sleep(30)::text as slept;
    create table api.notes (id int primary key, note text);
    grant select on all tables in schema api to web_anon, reader, writer, sluggish;
    grant all on api.notes to writer;
";
