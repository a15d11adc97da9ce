//! The server and its process: running out of descriptors, and sockets from systemd.

#[path = "gate/rig.rs"]
#[allow(dead_code, reason = "the other tests of the server use the rest")]
mod rig;

use goldenkey::server::{Server, Settings};
use rig::{Running, start, wait_for};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Descriptors left when they are made scarce.
const SPARE_DESCRIPTORS: u64 = 20;

/// The limit is the whole process's, so its tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_files_limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call gets a pointer to a structure of its own type.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit
}

fn set_open_files_limit(limit: libc::rlimit) {
    // SAFETY: the call gets a pointer to a structure of its own type.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// Connects until this process, which is the server's too, has no descriptor left.
fn exhaust(server: &Running) {
    let before = open_files_limit();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    set_open_files_limit(libc::rlimit { rlim_cur: open + SPARE_DESCRIPTORS, ..before });
    let mut clients = Vec::new();
    let refused = loop {
        match TcpStream::connect(server.port_address()) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
    // The server tries to accept meanwhile, and fails.
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(clients);
    set_open_files_limit(before);
}

fn assert_serves_again(server: &Running) {
    wait_for("the server to accept again", || {
        let mut client = server.connect();
        client.send("GET /echo HTTP/1.0\r\n\r\n");
        client.read_to_end().starts_with("HTTP/1.1 200").then_some(())
    });
}

#[test]
fn running_out_of_descriptors_does_not_end_the_service() {
    let _turn = turn();
    for gate in [true, false] {
        let server = start(|settings| settings.gate = gate);
        server.assert_serves();
        for _ in 0..2 {
            exhaust(&server);
            assert_serves_again(&server);
        }
        server.stop();
    }
}

/// The server of the test below, in a process of its own.
#[test]
#[ignore = "a part of another test"]
fn serve_on_an_inherited_socket() {
    let server = Server::bind(Settings { socket_activation: true, ..rig::settings() }).unwrap();
    println!("serving {}", server.address());
    server.run(std::sync::Arc::new(rig::Talkative::default())).unwrap();
}

fn activate(listener: &TcpListener) -> Child {
    let descriptor = listener.as_raw_fd();
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "serve_on_an_inherited_socket", "--ignored", "--nocapture"])
        .stdout(Stdio::null());
    // SAFETY: dup2 and fcntl are allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            // When it is the right one already, dup2 would leave it to be closed by exec.
            let passed = match descriptor {
                3 => libc::fcntl(3, libc::F_SETFD, 0) == 0,
                other => libc::dup2(other, 3) == 3,
            };
            if passed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    command.spawn().unwrap()
}

fn get(address: SocketAddr) -> String {
    let mut client = rig::Client::new(TcpStream::connect(address).unwrap());
    client.send("GET /echo HTTP/1.0\r\n\r\n");
    client.read_to_end()
}

#[test]
fn a_socket_from_systemd_is_served_by_one_process_after_the_other() {
    let _turn = turn();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..2 {
        let mut child = activate(&listener);
        assert!(get(address).starts_with("HTTP/1.1 200"));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
