//! PgBouncer between goldenkey and PostgreSQL.

use super::{Neighbour, SQL};
use crate::support::{
    Cluster, Database, Request, Server, Settings, janitor, jwt, process, wait_for,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Part of the socket's name only.
const PORT: u16 = 6432;

/// PgBouncer in a folder of its own, with two server connections for any number of clients.
fn start(program: &Path, database: &Database, mode: &str) -> (Neighbour, PathBuf) {
    let folder = janitor::new_folder("pgbouncer");
    if let Some((user, group)) = process::unprivileged_user() {
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("we are root");
    }
    let socket = database.cluster.socket_folder();
    fs::write(folder.join("users"), "\"authenticator\" \"\"\n").expect("the folder is ours");
    let settings = format!(
        "[databases]\n{name} = host={host} dbname={name}\n\
         [pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nlisten_port = {PORT}\n\
         auth_type = trust\nauth_file = {folder}/users\npool_mode = {mode}\n\
         default_pool_size = 2\nserver_reset_query_always = 0\nlogfile = {folder}/log\n",
        name = database.name,
        host = socket.display(),
        folder = folder.display(),
    );
    fs::write(folder.join("pgbouncer.ini"), settings).expect("the folder is ours");
    let mut command = process::unprivileged(program);
    command.arg("--quiet").arg(folder.join("pgbouncer.ini"));
    let pgbouncer = Neighbour::spawn(command);
    let there = wait_for(Duration::from_secs(10), || {
        folder.join(format!(".s.PGSQL.{PORT}")).exists().then_some(())
    });
    assert!(there.is_some(), "{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
    (pgbouncer, folder)
}

fn settings(database: &Database, folder: &Path) -> Settings {
    let host = utf8_percent_encode(folder.to_str().expect("UTF-8"), NON_ALPHANUMERIC);
    let uri = format!("postgresql://authenticator@{host}:{PORT}/{}", database.name);
    Settings::new(database).set("db-uri", uri)
}

/// Many clients share two sessions, and each request is whose it is.
fn exercise(server: &Server) {
    let token = jwt::token(&json!({"role": "reader"}));
    thread::scope(|scope| {
        for client in 0..4 {
            let token = token.as_str();
            scope.spawn(move || {
                let mut connection = server.connect();
                for number in 0..50 {
                    let request = Request::get("/session");
                    let (request, role) = match (client + number) % 2 {
                        0 => (request.bearer(token), "reader"),
                        _ => (request, "web_anon"),
                    };
                    let got = connection.send(&request).expect("an answer").json();
                    assert_eq!(got[0]["role"], role, "{got}");
                    assert_eq!(got[0]["search_path"], "\"api\", \"public\"", "{got}");
                    let body = json!({"id": client * 1000 + number, "note": "n"}).to_string();
                    let got = connection.send(&Request::post("/notes", body)).expect("an answer");
                    assert_eq!(got.status, 201, "{}", got.text());
                    let got = connection.send(&Request::get("/nothing")).expect("an answer");
                    assert_eq!(got.status, 404, "{}", got.text());
                }
            });
        }
    });
    let got = server.send(&Request::get("/notes?select=count()"));
    assert_eq!(got.json(), json!([{"count": 200}]));
}

pub fn transaction_mode(program: &Path) {
    let database = Cluster::shared().database(SQL);
    let (_pgbouncer, folder) = start(program, &database, "transaction");
    let settings = settings(&database, &folder)
        .set("db-prepared-statements", false)
        .set("db-channel-enabled", false)
        .set("db-aggregates-enabled", true);
    let server = Server::start(&settings);
    exercise(&server);
}

/// PgBouncer of this mode refuses a session's settings that it does not know; it has them set
/// with each request instead.
pub fn session_mode(program: &Path) {
    let database = Cluster::shared().database(SQL);
    let (_pgbouncer, folder) = start(program, &database, "session");
    let settings = settings(&database, &folder)
        .set("db-pool", 1)
        .set("db-channel-enabled", false)
        .set("db-aggregates-enabled", true);
    let server = Server::start(&settings);
    exercise(&server);
    let log = fs::read_to_string(folder.join("log")).expect("it writes one");
    assert!(log.contains("unsupported startup parameter"), "it refused nothing:\n{log}");
}
