//! Throw-away PostgreSQL clusters, reachable over a Unix socket only, and databases in them.

use super::janitor::{self, Watched};
use super::process::{self, Signal};
use super::{pg_bin, wait_for};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postgres::{Client, NoTls};
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Settings that make a cluster fast, and plans, counts and messages the same on every run.
const SETTINGS: [(&str, &str); 11] = [
    ("listen_addresses", ""),
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "300"),
    ("autovacuum", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("timezone", "UTC"),
    ("lc_messages", "C"),
    ("default_text_search_config", "pg_catalog.english"),
];

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A cluster of its own folder and processes. It has the role `authenticator`, without a
/// password. Dropping it ends its processes and removes its folder.
pub struct Cluster {
    folder: PathBuf,
    settings: Vec<(String, String)>,
    postmaster: Mutex<Option<(Child, Watched)>>,
    /// The databases that fixtures were loaded into. Held while one or a copy is made.
    templates: Mutex<HashMap<PathBuf, String>>,
    databases: AtomicU32,
}

impl Cluster {
    /// The cluster that the tests of this binary share.
    pub fn shared() -> &'static Cluster {
        static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        &SHARED
    }

    /// A new running cluster.
    pub fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// A new running cluster with more settings of `postgresql.conf`.
    ///
    /// # Panics
    /// With PostgreSQL's own words when it cannot be made or started.
    pub fn start_with(settings: &[(&str, &str)]) -> Cluster {
        let cluster = Cluster {
            folder: janitor::new_folder("cluster"),
            settings: SETTINGS
                .iter()
                .chain(settings)
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            postmaster: Mutex::new(None),
            templates: Mutex::new(HashMap::new()),
            databases: AtomicU32::new(0),
        };
        cluster.initdb();
        cluster.boot();
        cluster.sql("postgres", "create role authenticator login noinherit");
        cluster
    }

    fn make_folders(&self) {
        for folder in [self.data(), self.socket_folder()] {
            fs::create_dir(&folder).expect("the cluster's folder is ours");
            if let Some((user, group)) = process::unprivileged_user() {
                std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("we are root");
            }
            let private = fs::Permissions::from_mode(0o700);
            if folder == self.data() {
                fs::set_permissions(&folder, private).expect("the folder is ours");
            }
        }
    }

    fn initdb(&self) {
        self.make_folders();
        let run = |locale: &str| {
            self.program("initdb")
                .arg("-D")
                .arg(self.data())
                .args([
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--no-sync",
                    "--no-instructions",
                ])
                .args(["--locale", locale])
                .output()
                .expect("initdb can be run")
        };
        let mut output = run("C.UTF-8");
        if !output.status.success() {
            output = run("C");
        }
        assert!(output.status.success(), "initdb failed:\n{}", text_of(&output));
    }

    /// A running standby that streams from this cluster.
    ///
    /// # Panics
    /// With PostgreSQL's own words when it cannot be made or started.
    pub fn standby(&self) -> Cluster {
        let standby = Cluster {
            folder: janitor::new_folder("standby"),
            settings: self.settings.clone(),
            postmaster: Mutex::new(None),
            templates: Mutex::new(HashMap::new()),
            databases: AtomicU32::new(0),
        };
        standby.make_folders();
        let output = self
            .program("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-U", "postgres"])
            .arg("-h")
            .arg(self.socket_folder())
            .arg("-D")
            .arg(standby.data())
            .output()
            .expect("pg_basebackup can be run");
        assert!(output.status.success(), "pg_basebackup failed:\n{}", text_of(&output));
        standby.boot();
        standby
    }

    /// Starts the stopped or crashed cluster, and waits until it takes connections.
    pub fn boot(&self) {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.expect("the cluster's folder is ours");
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.socket_folder());
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("postgres can be run");
        let watched = janitor::watch(child.id(), "QUIT");
        let mut postmaster = self.postmaster();
        *postmaster = Some((child, watched));
        let (child, _) = postmaster.as_mut().expect("just set");
        let ready = wait_for(START_LIMIT, || {
            let exited = child.try_wait().expect("a child can be waited for").is_some();
            (exited || self.config("postgres", "postgres").connect(NoTls).is_ok())
                .then_some(!exited)
        });
        assert!(ready == Some(true), "PostgreSQL did not start:\n{}", self.log());
    }

    /// Lets the role `authenticator` in with its password only, from now on.
    pub fn require_password(&self) {
        let file = self.data().join("pg_hba.conf");
        let rules = fs::read_to_string(&file).expect("the cluster's folder is ours");
        fs::write(&file, format!("local all authenticator scram-sha-256\n{rules}"))
            .expect("the cluster's folder is ours");
        self.sql("postgres", "select pg_reload_conf()");
    }

    /// Ends the cluster at once, as a fast shutdown does: connections are closed.
    pub fn stop(&self) {
        self.end(|pid| process::send(pid, Signal::Interrupt));
    }

    /// Kills the postmaster and every backend with `kill -9`.
    pub fn crash(&self) {
        self.end(|pid| {
            // A stopped postmaster starts no further backends.
            process::send(pid, Signal::Stop);
            let backends = process::children(pid);
            process::send(pid, Signal::Kill);
            backends.iter().for_each(|&backend| process::send(backend, Signal::Kill));
            // Their shared memory must be free before the cluster can boot again.
            let gone = |pid: &u32| process::stat_field(*pid, 4).is_none();
            wait_for(STOP_LIMIT, || backends.iter().all(gone).then_some(()));
        });
    }

    fn end(&self, signal: impl FnOnce(u32)) {
        if let Some((mut child, _watched)) = self.postmaster().take() {
            signal(child.id());
            child.wait().expect("a child can be waited for");
        }
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<(Child, Watched)>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the Unix socket.
    pub fn socket_folder(&self) -> PathBuf {
        self.folder.join("socket")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// What PostgreSQL wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The connection URI of the role `authenticator`.
    pub fn uri(&self, database: &str) -> String {
        let folder = self.socket_folder();
        let host = utf8_percent_encode(folder.to_str().expect("UTF-8"), NON_ALPHANUMERIC);
        let name = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!("postgresql://authenticator@{host}/{name}")
    }

    fn config(&self, database: &str, user: &str) -> postgres::Config {
        let mut config = postgres::Config::new();
        config.host_path(self.socket_folder()).user(user).dbname(database);
        config
    }

    /// A connection as the superuser.
    pub fn connect(&self, database: &str) -> Client {
        let connection = self.config(database, "postgres").connect(NoTls);
        connection.expect("the superuser can connect")
    }

    /// Runs one or more statements as the superuser, in one transaction.
    ///
    /// # Panics
    /// With psql's message when one fails.
    pub fn sql(&self, database: &str, statements: &str) {
        let result = self.psql(database, &["-c", statements]);
        result.unwrap_or_else(|message| panic!("{message}"));
    }

    /// Runs psql as the superuser, stopping at the first error; its message is the error.
    pub fn psql(&self, database: &str, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(pg_bin::folder().join("psql"))
            .args(["-X", "-q", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-d", database, "-h"])
            .arg(self.socket_folder())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGOPTIONS", "-c client_min_messages=warning")
            .stdin(Stdio::null())
            .output()
            .expect("psql can be run");
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("psql failed: {}", text_of(&output).trim()))
        }
    }

    /// A database of its own, into which the statements were loaded as the superuser.
    pub fn database(&self, statements: &str) -> Database<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = self.create(format!("test_{number}"), "template0");
        if !statements.is_empty() {
            // Roles belong to the whole cluster: two tests must not make or grant one at once.
            let _guard = self.lock_templates();
            self.sql(&database.name, statements);
        }
        database
    }

    /// A database of that name, a copy of the one that the SQL file was loaded into.
    pub fn database_from(
        &self,
        name: &str,
        fixture: Option<&Path>,
    ) -> Result<Database<'_>, String> {
        let mut templates = self.lock_templates();
        let template = match fixture {
            None => "template0".to_string(),
            Some(file) => match templates.get(file) {
                Some(template) => template.clone(),
                None => {
                    let template = format!("template_{}", templates.len());
                    self.psql("postgres", &["-c", &create_statement(&template, "template0")])?;
                    self.psql(
                        &template,
                        &["-f", file.to_str().expect("a fixture's path is UTF-8")],
                    )?;
                    templates.insert(file.to_path_buf(), template.clone());
                    template
                }
            },
        };
        Ok(self.create(name.to_string(), &template))
    }

    fn create(&self, name: String, template: &str) -> Database<'_> {
        self.sql("postgres", &create_statement(&name, template));
        Database { cluster: self, name }
    }

    fn lock_templates(&self) -> MutexGuard<'_, HashMap<PathBuf, String>> {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of PostgreSQL's programs, to be run as the user that the cluster belongs to.
    fn program(&self, name: &str) -> Command {
        let mut command = process::unprivileged(pg_bin::folder().join(name));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("LC_ALL", "C");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end(|pid| process::send(pid, Signal::Quit));
        janitor::remove_folder(&self.folder);
    }
}

fn create_statement(name: &str, template: &str) -> String {
    format!("create database \"{name}\" template \"{template}\"")
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A database of one test or suite; dropping it removes it with its connections.
pub struct Database<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
}

impl Database<'_> {
    /// The connection URI of the role `authenticator`.
    pub fn uri(&self) -> String {
        self.cluster.uri(&self.name)
    }

    /// A connection as the superuser.
    pub fn connect(&self) -> Client {
        self.cluster.connect(&self.name)
    }

    /// Runs statements as the superuser, in one transaction.
    pub fn sql(&self, statements: &str) {
        self.cluster.sql(&self.name, statements);
    }

    /// The first column of the only row of a query, as text.
    pub fn value(&self, query: &str) -> Option<String> {
        let query = format!("select ({query})::text");
        self.connect().query_one(&query, &[]).expect("the query is valid").get(0)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let statement = format!("drop database if exists \"{}\" with (force)", self.name);
        // The cluster may be stopped already.
        let _ = self.cluster.psql("postgres", &["-c", &statement]);
    }
}
