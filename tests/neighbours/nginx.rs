//! nginx between the clients and goldenkey.

use super::{Neighbour, SQL};
use crate::support::{Cluster, Connection, Request, Server, Settings, janitor, port, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// nginx in a folder of its own, in front of a Unix socket in that folder.
fn start(program: &Path, folder: &Path) -> (Neighbour, u16) {
    let port = port::free();
    let path = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
        .concat();
    let settings = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {path}/nginx.pid;\n\
         error_log {path}/error.log;\nevents {{ worker_connections 128; }}\n\
         http {{\naccess_log off;\n{temporary}\
         upstream goldenkey {{ server unix:{path}/api.sock; keepalive 4; }}\n\
         server {{\nlisten 127.0.0.1:{port};\nclient_max_body_size 50m;\n\
         location / {{\nproxy_pass http://goldenkey;\nproxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\nproxy_set_header Host $host;\n}}\n}}\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), settings).expect("the folder is ours");
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).arg("-e");
    command.arg(folder.join("error.log"));
    let nginx = Neighbour::spawn(command);
    let there = wait_for(Duration::from_secs(10), || Connection::open(port).ok());
    assert!(
        there.is_some(),
        "{}",
        fs::read_to_string(folder.join("error.log")).unwrap_or_default()
    );
    (nginx, port)
}

fn exercise(program: &Path, gate: bool) {
    let database = Cluster::shared().database(SQL);
    let folder = janitor::new_folder("nginx");
    let settings = Settings::new(&database)
        .set("server-unix-socket", folder.join("api.sock").to_str().expect("UTF-8"))
        .set("server-unix-socket-mode", "666")
        .set("server-gate", gate)
        .set("server-port", Value::Null)
        .set("server-host", Value::Null);
    let server = Server::spawn(&settings, &folder);
    let (_nginx, port) = start(program, &folder);
    let mut client = Connection::open(port).expect("nginx listens");
    let ready = wait_for(Duration::from_secs(20), || {
        let got = client.send(&Request::get("/notes")).expect("nginx answers");
        (got.status == 200).then_some(())
    });
    assert!(ready.is_some(), "{}", server.log_end());

    // One connection to nginx, few to the server, many requests.
    for number in 0..100 {
        let body = json!({"id": number, "note": "n"}).to_string();
        let got = client.send(&Request::post("/notes", body)).expect("an answer");
        assert_eq!(got.status, 201, "{}", got.text());
        let got = client.send(&Request::get(&format!("/notes?id=eq.{number}"))).expect("an answer");
        assert_eq!(got.json(), json!([{"id": number, "note": "n"}]));
    }
    let got = client.send(&Request::new("HEAD", "/notes")).expect("an answer");
    assert_eq!((got.status, got.header("Content-Range")), (200, Some("0-99/*")));

    let note = "long ".repeat(1 << 20);
    let body = json!({"note": note}).to_string();
    let got = client.send(&Request::post("/rpc/length_of", body)).expect("an answer");
    assert_eq!(got.json(), json!(note.len()), "{}", server.log_end());
    let got = client.send(&Request::get("/rpc/repeated?times=500000")).expect("an answer");
    assert_eq!((got.status, got.body.len()), (200, 5_000_002));
    let got = client.send(&Request::get("/notes?id=eq.x")).expect("an answer");
    assert_eq!((got.status, got.code().as_str()), (400, "22P02"));
}

pub fn in_front_of_the_gate(program: &Path) {
    exercise(program, true);
}

pub fn in_place_of_the_gate(program: &Path) {
    exercise(program, false);
}
