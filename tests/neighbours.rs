//! The programs that stand beside goldenkey on a small machine, run for real: PgBouncer
//! between it and PostgreSQL, nginx between it and the clients. Where one is not installed its
//! tests are ignored; `.ci/run` installs both.

mod support;

#[path = "neighbours/nginx.rs"]
mod nginx;
#[path = "neighbours/pgbouncer.rs"]
mod pgbouncer;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use support::{janitor, process};

/// Roles, a table, and functions that tell about the session that they run in.
const SQL: &str = "
    do $$ declare name text; begin
      foreach name in array array['web_anon', 'reader'] loop
        if not exists (select from pg_roles where rolname = name) then
          execute format('create role %I nologin', name);
        end if;
      end loop;
    end $$;
    grant web_anon, reader to authenticator;
    create schema api;
    create table api.notes (id int primary key, note text);
    create view api.session as select
      current_user::text as role, current_setting('search_path') as search_path,
      pg_backend_pid() as backend;
    create function api.length_of(note text) returns int language sql as
      $$ select length(note) $$;
    create function api.repeated(times int) returns text language sql stable as
      $$ select repeat('0123456789', times) $$;
    grant usage on schema api to web_anon, reader;
    grant all on all tables in schema api to web_anon, reader;
";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("pgbouncer", "transaction_mode", pgbouncer::transaction_mode),
        trial("pgbouncer", "session_mode", pgbouncer::session_mode),
        trial("nginx", "in_front_of_the_gate", nginx::in_front_of_the_gate),
        trial("nginx", "in_place_of_the_gate", nginx::in_place_of_the_gate),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that needs a program, by the name of its Debian package.
fn trial(program: &'static str, name: &str, test: fn(&Path)) -> Trial {
    Trial::ignorable_test(format!("{program}/{name}"), move || {
        let Some(path) = find(program) else {
            return Ok(Completion::ignored_with(format!("{program} is not installed")));
        };
        match catch_unwind(AssertUnwindSafe(|| test(&path))) {
            Ok(()) => Ok(Completion::Completed),
            Err(_) => Err(Failed::without_message()),
        }
    })
}

/// Where a program is; daemons are often outside a user's `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.exists())
}

/// A running program, ended when dropped.
struct Neighbour {
    child: Child,
    _watched: janitor::Watched,
}

impl Neighbour {
    fn spawn(mut command: Command) -> Neighbour {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program can be run");
        let watched = janitor::watch(child.id(), "TERM");
        Neighbour { child, _watched: watched }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        process::send(self.child.id(), process::Signal::Terminate);
        if process::wait(&mut self.child, std::time::Duration::from_secs(5)).is_none() {
            // An error means that it has ended.
            let _ = self.child.kill();
        }
    }
}
