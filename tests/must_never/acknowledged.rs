//! Point 4: A write is acknowledged before its COMMIT is.

use crate::SQL;
use crate::support::{Cluster, Database, Request, Server, Settings, jwt, wait_for};
use std::time::Duration;

/// A constraint trigger that acts when the transaction commits: it fails, waits for a lock
/// that the test holds, or ends its own connection.
const AT_COMMIT: &str = "
    create function api.at_commit() returns trigger language plpgsql security definer as $$
    begin
      if new.note = 'fail' then
        raise check_violation using message = 'refused at commit';
      elsif new.note = 'wait' then
        perform pg_advisory_xact_lock(1);
      elsif new.note = 'die' then
        perform pg_terminate_backend(pg_backend_pid());
        perform pg_sleep(30);
      end if;
      return null;
    end $$;
    create constraint trigger at_commit after insert on api.notes
      deferrable initially deferred for each row execute function api.at_commit();
";

fn start() -> (Database<'static>, Server) {
    let database = Cluster::shared().database(&format!("{SQL}{AT_COMMIT}"));
    let server = Server::start(&Settings::new(&database));
    (database, server)
}

fn insert(id: u32, note: &str) -> Request {
    let body = format!("{{\"id\": {id}, \"note\": \"{note}\"}}");
    Request::post("/notes", body).bearer(&jwt::for_role("writer"))
}

fn rows(database: &Database) -> Option<String> {
    database.value("select string_agg(id::text, ',' order by id) from api.notes")
}

/// Each way of asking for the answer, which may take its own way through the transaction.
const PREFERENCES: [&str; 4] = [
    "return=minimal",
    "return=headers-only",
    "return=representation",
    "return=representation, handling=strict, max-affected=1",
];

#[test]
fn a_write_that_fails_at_commit_is_not_acknowledged() {
    let (database, server) = start();
    for (id, prefer) in (1..).zip(PREFERENCES) {
        // Repeated, so that the prepared statement takes this way, too.
        for _ in 0..4 {
            let got = server.send(&insert(id, "fail").header("Prefer", prefer));
            let answer = (got.status, got.code());
            assert_eq!(answer, (400, "23514".to_string()), "{prefer}: {}", got.text());
        }
    }
    let singular = insert(9, "fail").header("Accept", "application/vnd.pgrst.object+json");
    let got = server.send(&singular.header("Prefer", "return=representation"));
    assert_eq!(got.status, 400, "{}", got.text());
    assert_eq!(rows(&database), None);
}

#[test]
fn a_write_is_acknowledged_only_once_its_commit_is_through() {
    let (database, server) = start();
    for (id, prefer) in (1..).zip(PREFERENCES) {
        let mut holder = database.connect();
        holder.batch_execute("begin; select pg_advisory_xact_lock(1)").expect("the lock is free");
        let request = insert(id, "wait").header("Prefer", prefer);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| server.send(&request));
            let mut observer = database.connect();
            let waiting = wait_for(Duration::from_secs(10), || {
                let query = "select from pg_locks where locktype = 'advisory' and not granted \
                             and database = (select oid from pg_database \
                                             where datname = current_database())";
                let found = observer.query(query, &[]).expect("a valid query");
                (!found.is_empty()).then_some(())
            });
            assert!(waiting.is_some(), "the commit waits");
            // Time for a server that answers too early to do so.
            std::thread::sleep(Duration::from_millis(300));
            assert!(!asking.is_finished(), "{prefer}: answered before the commit");
            holder.batch_execute("commit").expect("the lock is given back");
            assert_eq!(asking.join().expect("no panic").status, 201);
        });
    }
    assert_eq!(rows(&database).as_deref(), Some("1,2,3,4"));
}

#[test]
fn a_write_whose_commit_breaks_off_is_answered_503() {
    let (database, server) = start();
    for (id, prefer) in (1..).zip(PREFERENCES) {
        let got = server.send(&insert(id, "die").header("Prefer", prefer));
        assert_eq!(got.status, 503, "{prefer}: {}", got.text());
        assert!(!got.code().is_empty());
        assert!(got.header("Retry-After").is_some(), "{prefer}");
    }
    assert_eq!(rows(&database), None);
    assert_eq!(server.send(&insert(7, "fine")).status, 201);
}
