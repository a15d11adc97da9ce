//! A peer that dies without a word: a network that swallows everything.

use super::{SQL, eventually, metric, with_admin};
use crate::support::{Cluster, Request, Server, Settings, port, wait_for};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The listener tries a silent connection every 15 seconds, and waits 5 for the answer.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// Between the server and its database. Connections that were made before it was told to
/// swallow stay open, and nothing comes through them any more.
#[derive(Clone)]
struct Network {
    port: u16,
    /// Connections with a lower number are swallowed.
    swallowed_below: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

impl Network {
    fn to(socket: PathBuf) -> Network {
        let port = port::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let network = Network { port, swallowed_below: Arc::default(), made: Arc::default() };
        let between = network.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = between.made.fetch_add(1, Ordering::SeqCst);
                let database = UnixStream::connect(&socket).expect("the database listens");
                let (upward, downward) = (
                    (
                        client.try_clone().expect("a handle"),
                        database.try_clone().expect("a handle"),
                    ),
                    (database, client),
                );
                let (up, down) = (between.clone(), between.clone());
                thread::spawn(move || up.carry(number, upward.0, upward.1));
                thread::spawn(move || down.carry(number, downward.0, downward.1));
            }
        });
        network
    }

    fn carry(&self, number: usize, mut from: impl Read, mut to: impl Write) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if number < self.swallowed_below.load(Ordering::SeqCst) {
                continue;
            }
            if to.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    }

    fn swallow(&self) {
        self.swallowed_below.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

#[test]
fn a_silently_dead_database_is_noticed_and_what_was_missed_made_good() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let network = Network::to(cluster.socket_folder().join(".s.PGSQL.5432"));
    let uri = format!("postgresql://authenticator@127.0.0.1:{}/{}", network.port, database.name);
    let (settings, admin) = with_admin(Settings::new(&database).set("db-uri", uri));
    let server = Server::start(&settings);
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
    eventually("it listens", &server, || metric(admin, "goldenkey_listening") == 1.0);
    network.swallow();
    // Idle connections are tried before they are used.
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(server.send(&Request::get("/todos")).status, 200, "{}", server.log_end());
    database.sql("create table api.news (); grant select on api.news to web_anon; notify pgrst");
    let found = wait_for(NOTICED_WITHIN, || {
        (server.send(&Request::get("/news")).status == 200).then_some(())
    });
    assert!(found.is_some(), "what was announced meanwhile is found\n{}", server.log_end());
}

#[test]
fn a_network_without_a_database_behind_it_is_503() {
    let database = Cluster::shared().database(SQL);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("bound");
    let uri = format!("postgresql://authenticator@{address}/x?connect_timeout=2&sslmode=disable");
    let settings = Settings::new(&database).set("db-uri", uri);
    let mut server = Server::spawn(&settings, &crate::support::janitor::new_folder("server"));
    server.wait_until_ready().expect("it answers, if only with 503");
    assert_eq!(server.send(&Request::get("/todos")).code(), "PGRST002");
    server.wait_for_log(0, "timeout expired");
    drop((TcpStream::connect(address), silent));
}
