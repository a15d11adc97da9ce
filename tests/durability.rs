//! Acknowledged writes survive `kill -9`, of PostgreSQL and of the server; and nothing is
//! written twice.

mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use support::{Cluster, Connection, Request, Server, Settings, janitor, jwt, wait_for};

/// No key: a write that is silently repeated leaves two rows.
const SQL: &str = "
    create role web_anon nologin;
    create role writer nologin;
    grant web_anon, writer to authenticator;
    create schema api;
    create table api.ledger (id int not null, amount int not null check (amount > 0));
    grant usage on schema api to web_anon, writer;
    grant all on api.ledger to writer;
";

const WRITERS: u32 = 6;
const CRASHES: u32 = 4;
const LIMIT: Duration = Duration::from_secs(30);

/// What the client was told of a write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    Acknowledged,
    /// A client error: nothing was written.
    Refused,
    /// A server error or no answer: it may be there or not.
    Unknown,
}

/// The writes of all threads and what became of them.
#[derive(Default)]
struct Ledger {
    next: AtomicU32,
    words: Mutex<BTreeMap<u32, Word>>,
    done: AtomicBool,
}

impl Ledger {
    /// Writes one row after the other until told to stop. Every seventh breaks a constraint.
    fn write(&self, port: u16) {
        let token = jwt::for_role("writer");
        let mut connection = None;
        while !self.done.load(Ordering::Relaxed) {
            let Some(open) = connection.take().or_else(|| Connection::open(port).ok()) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let mut open: Connection = open;
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let amount = if id.is_multiple_of(7) { 0 } else { 1 };
            let body = format!("{{\"id\": {id}, \"amount\": {amount}}}");
            let prefer = ["return=minimal", "return=representation", "return=headers-only"];
            let request = Request::post("/ledger", body)
                .bearer(&token)
                .header("Prefer", prefer[id as usize % prefer.len()]);
            let word = match open.send(&request) {
                Ok(got) => {
                    connection = Some(open);
                    word_of(got.status, &got.text())
                }
                Err(_) => Word::Unknown,
            };
            self.words.lock().expect("nothing panics with it").insert(id, word);
        }
    }

    fn acknowledged(&self) -> usize {
        let words = self.words.lock().expect("nothing panics with it");
        words.values().filter(|word| **word == Word::Acknowledged).count()
    }

    /// Waits until a number of further writes were acknowledged.
    fn wait_for_more(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        let reached = wait_for(LIMIT, || (self.acknowledged() >= wanted).then_some(()));
        assert!(reached.is_some(), "writes go on");
    }

    /// Compares what is there with what was said.
    fn check(&self, database: &support::Database) {
        let query = "select id, count(*) from api.ledger group by id";
        let rows = database.connect().query(query, &[]).expect("a valid query");
        let present: BTreeMap<i32, i64> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        for (id, word) in &*self.words.lock().expect("nothing panics with it") {
            let count = present.get(&i32::try_from(*id).expect("few rows")).copied().unwrap_or(0);
            let right = match word {
                Word::Acknowledged => count == 1,
                Word::Refused => count == 0,
                Word::Unknown => count <= 1,
            };
            assert!(right, "row {id} was {word:?} and is there {count} times");
        }
    }
}

fn word_of(status: u16, text: &str) -> Word {
    match status {
        201 => Word::Acknowledged,
        400..=499 => Word::Refused,
        503 => Word::Unknown,
        _ => panic!("unexpected: {status} {text}"),
    }
}

/// Runs the writers while `crash` is called now and then.
fn write_through(ledger: &Ledger, port: u16, mut crash: impl FnMut()) {
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| ledger.write(port));
        }
        // The writers end also when an assertion here fails.
        let stop = StopAtEnd(&ledger.done);
        for _ in 0..CRASHES {
            ledger.wait_for_more(100);
            crash();
        }
        ledger.wait_for_more(100);
        drop(stop);
    });
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A cluster whose commits are in the kernel's hands before they are acknowledged.
fn cluster() -> Cluster {
    Cluster::start_with(&[("synchronous_commit", "on"), ("full_page_writes", "on")])
}

#[test]
fn acknowledged_writes_survive_a_killed_postgresql() {
    let cluster = cluster();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    let ledger = Ledger::default();
    write_through(&ledger, server.port, || {
        cluster.crash();
        cluster.boot();
    });
    ledger.check(&database);
}

#[test]
fn acknowledged_writes_survive_a_killed_server() {
    let cluster = cluster();
    let database = cluster.database(SQL);
    let folder = janitor::new_folder("server");
    let settings = Settings::new(&database);
    let mut server = Server::spawn(&settings, &folder);
    server.wait_until_ready().unwrap_or_else(|message| panic!("{message}"));
    let ledger = Ledger::default();
    let port = server.port;
    write_through(&ledger, port, || {
        server.kill();
        server = Server::spawn(&settings, &folder);
        server.wait_until_ready().unwrap_or_else(|message| panic!("{message}"));
    });
    ledger.check(&database);
}
