//! The real binary: started with a configuration file, waited for, signalled and stopped.

use super::http::{self, Connection, Request, Response};
use super::janitor::{self, Watched};
use super::process::{self, Signal};
use super::{Database, jwt, port, wait_for};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The path of the binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_goldenkey");

/// What a server is started with: its settings, by the names of the configuration file, in
/// order, and its environment beside the inherited one without `PG*` and `PGRST_*`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub values: Vec<(String, Value)>,
    pub environment: Vec<(String, String)>,
    /// Appended to the configuration file as it is.
    pub text: String,
    /// The port of 127.0.0.1 to listen on.
    pub port: u16,
}

impl Settings {
    /// Settings with a free port and nothing else but the address.
    pub fn bare() -> Settings {
        let port = port::free();
        let settings =
            Settings { values: Vec::new(), environment: Vec::new(), text: String::new(), port };
        settings.set("server-host", "127.0.0.1").set("server-port", port)
    }

    /// Settings for a database: the schema `api`, the anonymous role `web_anon`, the secret
    /// of [`jwt::SECRET`], a small pool.
    pub fn new(database: &Database) -> Settings {
        Settings::bare()
            .set("db-uri", database.uri())
            .set("db-schemas", "api")
            .set("db-anon-role", "web_anon")
            .set("db-pool", 4)
            .set("jwt-secret", jwt::SECRET)
            .set("log-level", "info")
    }

    /// Sets a value in place of an earlier one of that name.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Settings {
        let value = value.into();
        match self.values.iter_mut().find(|(given, _)| given == name) {
            Some(entry) => entry.1 = value,
            None => self.values.push((name.to_string(), value)),
        }
        self
    }

    /// Appends lines to the configuration file.
    pub fn text(mut self, text: &str) -> Settings {
        self.text += text;
        self
    }

    /// The configuration file. Strings are written as JSON writes them; null is left out.
    pub fn to_file(&self) -> String {
        let given = self.values.iter().filter(|(_, value)| !value.is_null());
        let lines = given.map(|(name, value)| format!("{name} = {value}\n"));
        lines.collect::<String>() + &self.text + "\n"
    }
}

/// A run of the binary. Dropping it kills the process.
pub struct Server {
    child: Child,
    _watched: Watched,
    pub port: u16,
    folder: PathBuf,
}

impl Server {
    /// A server that answers.
    ///
    /// # Panics
    /// With the server's log when it does not come up.
    pub fn start(settings: &Settings) -> Server {
        let mut server = Server::spawn(settings, &janitor::new_folder("server"));
        server.wait_until_ready().unwrap_or_else(|message| panic!("{message}"));
        server
    }

    /// Starts the binary with `server.conf`, written into the folder, and does not wait. Its
    /// output is appended to `server.log` there.
    pub fn spawn(settings: &Settings, folder: &Path) -> Server {
        fs::write(folder.join("server.conf"), settings.to_file()).expect("the folder is ours");
        let mut command = Command::new(BINARY);
        command.arg(folder.join("server.conf"));
        Server::spawn_command(command, settings, folder)
    }

    fn spawn_command(mut command: Command, settings: &Settings, folder: &Path) -> Server {
        let log = File::options().create(true).append(true).open(folder.join("server.log"));
        let log = log.expect("the folder is ours");
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("PG") || name_text.starts_with("GOLDENKEY_") {
                command.env_remove(&name);
            }
        }
        let child = command
            .envs(settings.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("the binary under test can be run");
        let watched = janitor::watch(child.id(), "KILL");
        Server { child, _watched: watched, port: settings.port, folder: folder.to_path_buf() }
    }

    /// Waits until the server answers with anything but 503, which may only mean that it is
    /// still loading; a 503 to the end is an answer too.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let probe = Request::get("/__ready__").header("Connection", "close").to_bytes();
        let mut last_status = None;
        let mut exit = None;
        let done = wait_for(START_LIMIT, || {
            exit = self.child.try_wait().expect("a child can be waited for");
            if exit.is_some() {
                return Some(());
            }
            last_status = http::exchange(self.port, &probe, "GET").ok().map(|r| r.status);
            (last_status.is_some() && last_status != Some(503)).then_some(())
        });
        let problem = match exit {
            Some(status) => format!("it exited with {status}"),
            None if done.is_some() || last_status.is_some() => return Ok(()),
            None => format!("no answer within {START_LIMIT:?}"),
        };
        Err(format!("the server did not start: {problem}\n{}", self.log_end()))
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
            .unwrap_or_else(|error| panic!("cannot connect: {error}\n{}", self.log_end()))
    }

    /// Sends one request over a connection of its own.
    ///
    /// # Panics
    /// With the end of the server's log when there is no answer.
    pub fn send(&self, request: &Request) -> Response {
        self.connect()
            .send(request)
            .unwrap_or_else(|error| panic!("no answer: {error}\n{}", self.log_end()))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        process::send(self.pid(), signal);
    }

    /// Writes the configuration file anew, for a reload.
    pub fn rewrite(&self, settings: &Settings) {
        let file = self.folder.join("server.conf");
        fs::write(file, settings.to_file()).expect("the folder is ours");
    }

    /// Waits for the process to end; `None` if it still runs after `limit`.
    pub fn wait_for_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        process::wait(&mut self.child, limit)
    }

    /// Stops the server with SIGTERM; `None` if it had to be killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::Terminate);
        self.wait_for_exit(STOP_LIMIT)
    }

    /// Ends the process with `kill -9`.
    pub fn kill(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until the log, from a byte offset on, holds the text.
    ///
    /// # Panics
    /// With the log, when it does not come.
    pub fn wait_for_log(&self, from: usize, text: &str) {
        let found = wait_for(Duration::from_secs(10), || {
            self.log().get(from..).is_some_and(|log| log.contains(text)).then_some(())
        });
        assert!(found.is_some(), "the log lacks {text:?}:\n{}", self.log_end());
    }

    /// The last lines of the log, indented.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        last.iter().map(|line| format!("    | {line}\n")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
