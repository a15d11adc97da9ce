//! Operations, as somebody who runs the server sees them: logs, the admin server, reloads,
//! notifications, and what happens when the database is in trouble.

mod support;

#[path = "operations/admin.rs"]
mod admin;
#[path = "operations/jit.rs"]
mod jit;
#[path = "operations/logs.rs"]
mod logs;
#[path = "operations/notifications.rs"]
mod notifications;
#[path = "operations/recovery.rs"]
mod recovery;
#[path = "operations/reloads.rs"]
mod reloads;
#[path = "operations/resources.rs"]
mod resources;
#[path = "operations/revocation.rs"]
mod revocation;

#[path = "operations/silence.rs"]
mod silence;
#[path = "operations/standby.rs"]
mod standby;

use std::time::Duration;
use support::{Connection, Request, Response, Server, Settings, port};

/// A schema with something to read, something slow and something that fails.
const SQL: &str = "
    do $$
    declare name text;
    begin
      foreach name in array array['web_anon', 'reader'] loop
        begin execute format('create role %I nologin', name);
        exception when duplicate_object then null; end;
      end loop;
    end $$;
    grant web_anon, reader to authenticator;
    create schema api;
    create table api.todos (id int primary key, task text);
    insert into api.todos values (1, 'water the plants');
    create view api.slow as select pg_sleep(0.5)::text as slept;
    create function api.fail() returns void language plpgsql as $$
    begin raise sqlstate 'PT500' using message = 'out of order'; end $$;
    grant usage on schema api to web_anon, reader;
    grant select on all tables in schema api to web_anon, reader;
";

/// As long as anything may take that a test waits for.
const LIMIT: Duration = Duration::from_secs(20);

/// Settings with an admin server, and its port.
fn with_admin(settings: Settings) -> (Settings, u16) {
    let port = port::free();
    (settings.set("admin-server-port", port), port)
}

/// Asks the admin server on a connection of its own.
fn ask(port: u16, path: &str) -> Response {
    let mut connection = Connection::open(port).expect("the admin server accepts");
    connection.send(&Request::get(path)).expect("the admin server answers")
}

/// The value of a metric with its labels; 0 when there is no such line.
fn metric(port: u16, name: &str) -> f64 {
    let text = ask(port, "/metrics").text();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Waits until the condition holds.
fn eventually(what: &str, server: &Server, condition: impl Fn() -> bool) {
    let held = support::wait_for(LIMIT, || condition().then_some(()));
    assert!(held.is_some(), "{what}\n{}", server.log_end());
}
