//! The commands of the program, run as a user runs them.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use support::process::{self, Signal};
use support::{Cluster, janitor, jwt, port, server, wait_for};

/// What a command did.
struct Outcome {
    success: bool,
    stdout: String,
    stderr: String,
}

/// A command of the program, with nothing of this environment's configuration.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(server::BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Outcome {
    outcome(&mut command(args))
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().expect("the binary under test can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Outcome {
        success: output.status.success(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A configuration file with these lines.
fn configuration(lines: &str) -> String {
    let path = janitor::new_folder("cli").join("api.conf");
    fs::write(&path, lines).expect("the folder is ours");
    path.to_str().expect("UTF-8").to_owned()
}

fn with_secret() -> String {
    configuration(&format!("jwt-secret = \"{}\"\n", jwt::SECRET))
}

fn claims_of(token: &str) -> Value {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    let payload = token.split('.').nth(1).expect("a token has three parts");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

#[test]
fn help_and_version_are_printed_by_long_and_short_options() {
    for option in ["--help", "-h"] {
        let help = run(&[option]);
        assert!(help.success);
        for word in ["tutorial", "token", "keygen", "--dump-config", "--dump-schema", "--ready"] {
            assert!(help.stdout.contains(word), "{word} is not in {}", help.stdout);
        }
    }
    let version = concat!("goldenkey ", env!("CARGO_PKG_VERSION"), "\n");
    for option in ["--version", "-v", "-V"] {
        assert_eq!(run(&[option]).stdout, version);
    }
}

#[test]
fn an_unknown_option_fails_with_a_suggestion() {
    let outcome = run(&["--dump-confg"]);
    assert!(!outcome.success);
    assert!(outcome.stderr.contains("--dump-config"), "{}", outcome.stderr);
}

#[test]
fn the_example_is_a_configuration_that_changes_nothing() {
    let example = run(&["--example"]);
    assert!(example.success);
    assert_eq!(run(&["-e"]).stdout, example.stdout);
    let path = configuration(&example.stdout);
    let without_database = |args: &[&str]| outcome(command(args).env("PGRST_DB_CONFIG", "false"));
    let dumped = without_database(&["--dump-config", &path]);
    assert_eq!(dumped.stderr, "");
    let defaults = without_database(&["--dump-config"]);
    assert_eq!(dumped.stdout, defaults.stdout);
}

#[test]
fn the_configuration_is_dumped_with_its_defaults_and_without_its_secrets_when_asked() {
    let path = configuration(&format!(
        "db-uri = \"postgres://me:hunter22@db.example.com/shop\"\n\
         db-config = false\n\
         db-schema = \"api\" # an alias\n\
         jwt-secret = \"{}\"\n",
        jwt::SECRET
    ));
    let dumped = outcome(command(&["--dump-config", &path]).env("PGRST_DB_POOL", "7"));
    assert!(dumped.success, "{}", dumped.stderr);
    for line in ["db-schemas = \"api\"", "db-pool = 7", "server-port = 3000"] {
        assert!(dumped.stdout.lines().any(|l| l == line), "{line} is not in {}", dumped.stdout);
    }
    for secret in [jwt::SECRET, "hunter22"] {
        assert!(dumped.stdout.contains(secret), "{}", dumped.stdout);
    }
    let hidden = run(&["--dump-config", "--hide-secrets", &path]);
    for secret in [jwt::SECRET, "hunter22"] {
        assert!(!hidden.stdout.contains(secret), "{}", hidden.stdout);
    }
}

#[test]
fn a_dump_is_a_configuration_file_that_dumps_the_same() {
    let secret = janitor::new_folder("cli").join("secret");
    fs::write(&secret, [0xe9; 40]).expect("the folder is ours");
    let path = configuration(&format!(
        "db-uri = \"postgres://me:hun%24ter%22@db.example.com/shop\"\n\
         db-config = false\n\
         jwt-secret = \"@{}\"\n\
         jwt-role-claim-key = \"$$.user['role']\"\n\
         app.settings.colour = \"b\\\"lue $$ # \\\\ \"\n",
        secret.display()
    ));
    let first = run(&["--dump-config", &path]);
    assert!(first.success, "{}", first.stderr);
    let again = run(&["--dump-config", &configuration(&first.stdout)]);
    assert_eq!((again.stdout, again.stderr.as_str()), (first.stdout, ""));
}

#[test]
fn a_value_may_be_read_from_standard_input() {
    let path = configuration("db-uri = \"@/dev/stdin\"\ndb-config = false\n");
    let mut child = command(&["--dump-config", &path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary under test can be run");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(b"postgres://me@piped.example.com/shop\n").expect("it is read");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("db-uri = \"postgres://me@piped.example.com/shop\""), "{text}");
}

#[test]
fn a_secret_that_is_plainly_something_else_stops_the_start() {
    for (secret, meant) in [
        ("https://idp.example.com/.well-known/jwks.json", "jwt-jwks-url"),
        ("/etc/goldenkey/jwt-secret-of-this-server", "write @ before the path"),
        (r#"[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qz\"}]"#, "array of keys"),
        (r#"{\"keys\": {\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qz\"}}"#, "array of JWKs"),
    ] {
        let path = configuration(&format!("jwt-secret = \"{secret}\"\n"));
        for args in [&[path.as_str()][..], &["--dump-schema", &path]] {
            let outcome = run(args);
            assert!(!outcome.success && outcome.stderr.contains(meant), "{}", outcome.stderr);
            assert!(!outcome.stderr.contains("AyM1SysP"), "{}", outcome.stderr);
        }
    }
}

#[test]
fn an_unknown_setting_is_a_warning_with_the_nearest_name() {
    let path = configuration("db-anon-rol = \"web_anon\"\ndb-config = false\n");
    let dumped = run(&["--dump-config", &path]);
    assert!(dumped.success);
    assert!(dumped.stderr.contains("db-anon-rol"), "{}", dumped.stderr);
    assert!(dumped.stderr.contains("did you mean db-anon-role?"), "{}", dumped.stderr);
}

#[test]
fn a_bad_value_stops_the_start_and_says_what_is_allowed() {
    let path = configuration("db-tx-end = \"perhaps\"\n");
    let outcome = run(&[&path]);
    assert!(!outcome.success);
    for word in ["db-tx-end", "perhaps", "commit-allow-override"] {
        assert!(outcome.stderr.contains(word), "{word} is not in {}", outcome.stderr);
    }
}

#[test]
fn what_cannot_be_served_is_not_dumped_as_a_configuration() {
    for (setting, reason) in
        [("jwt-role-claim-key = \"role\"", "role-claim-key"), ("jwt-secret = \"short\"", "secret")]
    {
        let dumped = run(&["--dump-config", &configuration(setting)]);
        assert!(!dumped.success && dumped.stdout.is_empty(), "{setting}: {}", dumped.stdout);
        assert!(dumped.stderr.contains(reason), "{}", dumped.stderr);
    }
}

#[test]
fn a_missing_configuration_file_is_named() {
    let outcome = run(&["/nonexistent/api.conf"]);
    assert!(!outcome.success);
    assert!(outcome.stderr.contains("/nonexistent/api.conf"), "{}", outcome.stderr);
}

#[test]
fn a_token_is_signed_with_the_configured_secret() {
    let config = with_secret();
    let before = jwt::now();
    let signed = run(&[
        "token",
        &config,
        "--role",
        "todo_user",
        "--expires",
        "5m",
        "--claim",
        "email=a@b.c",
        "--claim-json",
        "groups=[1,2]",
    ]);
    assert!(signed.success, "{}", signed.stderr);
    let claims = claims_of(signed.stdout.trim_end());
    let expiry = claims["exp"].as_i64().expect("a number");
    assert!((before + 300..=jwt::now() + 300).contains(&expiry), "{claims}");
    let rest = json!({"role": "todo_user", "exp": expiry, "email": "a@b.c", "groups": [1, 2]});
    assert_eq!(claims, rest);
}

#[test]
fn a_tokens_inspection_says_whether_it_is_accepted() {
    let config = with_secret();
    let good = jwt::token(&json!({"role": "todo_user", "exp": jwt::now() + 60}));
    let outcome = run(&["token", &config, "--inspect", &good]);
    assert!(outcome.success, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("accepted, with the role \"todo_user\""), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("GMT"), "a date for people: {}", outcome.stdout);

    let old = jwt::token(&json!({"role": "todo_user", "exp": jwt::now() - 60}));
    let outcome = run(&["token", &config, "--inspect", &old]);
    assert!(!outcome.success);
    assert!(outcome.stderr.contains("refused: JWT expired"), "{}", outcome.stderr);
}

#[test]
fn a_token_to_inspect_may_come_from_standard_input() {
    let config = with_secret();
    let mut child = command(&["token", &config, "--inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary under test can be run");
    let token = jwt::for_role("todo_user");
    let mut stdin = child.stdin.take().expect("piped");
    writeln!(stdin, "{token}").expect("the command reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the command ends");
    assert!(output.status.success());
}

#[test]
fn a_role_that_the_server_would_not_find_is_not_signed() {
    let config = configuration(&format!(
        "jwt-secret = \"{}\"\njwt-role-claim-key = \"$$.who\"\ndb-anon-role = \"web_anon\"\n",
        jwt::SECRET
    ));
    let outcome = run(&["token", &config, "--role", "todo_user"]);
    assert!(!outcome.success);
    assert!(outcome.stderr.contains("jwt-role-claim-key is $.who"), "{}", outcome.stderr);
    assert!(run(&["token", &config, "--claim", "who=todo_user"]).success);
}

#[test]
fn without_a_secret_there_is_nothing_to_sign_with() {
    let outcome = run(&["token", "--role", "todo_user"]);
    assert!(!outcome.success);
    assert!(outcome.stderr.contains("jwt-secret"), "{}", outcome.stderr);
}

#[test]
fn a_generated_secret_signs_tokens() {
    let secret = run(&["keygen"]).stdout;
    let config = configuration(&format!("jwt-secret = \"{}\"\n", secret.trim_end()));
    let token = run(&["token", &config, "--role", "todo_user"]);
    assert!(token.success, "{}", token.stderr);
}

#[test]
fn a_generated_key_pair_signs_what_its_public_part_verifies() {
    let pair = run(&["keygen", "--kind", "ec", "--kid", "2026"]);
    assert!(pair.success, "{}", pair.stderr);
    let key = janitor::new_folder("key").join("private.jwk");
    fs::write(&key, &pair.stdout).expect("the folder is ours");
    let (_, public) = pair.stderr.trim_end().rsplit_once('\n').expect("text, then the key");
    assert!(!public.contains("\"d\""), "{public}");

    let escaped = public.replace('"', "\\\"");
    let config = configuration(&format!("jwt-secret = \"{escaped}\"\n"));
    let key = key.to_str().expect("UTF-8");
    let token = run(&["token", &config, "--key", key, "--role", "todo_user"]).stdout;
    let inspected = run(&["token", &config, "--inspect", token.trim_end()]);
    assert!(inspected.success, "{}{}", inspected.stdout, inspected.stderr);
}

#[test]
fn the_dump_has_what_the_database_adds() {
    let cluster = Cluster::start();
    let database = cluster.database("alter role authenticator set pgrst.db_max_rows = '77';");
    let config = configuration(&format!("db-uri = \"{}\"\n", database.uri()));
    let dumped = run(&["--dump-config", &config]);
    assert!(dumped.stdout.lines().any(|line| line == "db-max-rows = 77"), "{}", dumped.stdout);
}

#[test]
fn the_schema_is_dumped_as_json() {
    let database = Cluster::shared().database("create schema api; create table api.t (id int);");
    let config = configuration(&format!("db-uri = \"{}\"\ndb-schemas = \"api\"\n", database.uri()));
    let dumped = run(&["--dump-schema", &config]);
    assert!(dumped.success, "{}", dumped.stderr);
    let json: Value = serde_json::from_str(&dumped.stdout).expect("JSON");
    assert_eq!(json["schemas"]["api"]["relations"]["t"]["name"], "api.t");
}

#[test]
fn readiness_is_what_the_admin_server_answers() {
    for (status, ready) in [("200 OK", true), ("503 Service Unavailable", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("bound").port();
        let admin = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the command connects");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).expect("the command asks");
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("the command reads");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let config = configuration(&format!("admin-server-port = {port}\n"));
        let outcome = run(&["--ready", &config]);
        assert_eq!(outcome.success, ready, "{}", outcome.stderr);
        let url = format!("http://127.0.0.1:{port}/ready");
        assert_eq!(outcome.stdout == format!("OK: {url}\n"), ready, "{}", outcome.stdout);
        assert!(admin.join().expect("it answered").starts_with("GET /ready HTTP/1.1\r\n"));
    }
}

#[test]
fn nobody_answering_means_not_ready() {
    let config = configuration(&format!("admin-server-port = {}\n", port::free()));
    let outcome = run(&["--ready", &config]);
    assert!(!outcome.success);
    assert!(outcome.stderr.contains("not ready"), "{}", outcome.stderr);
}

/// A data folder for the tutorial that its unprivileged user can reach.
fn data_folder() -> PathBuf {
    janitor::new_folder("tutorial").join("data")
}

fn tutorial_command(data: &Path, port: u16) -> Command {
    let data = data.to_str().expect("UTF-8");
    command(&["tutorial", "--port", &port.to_string(), "--data", data])
}

/// A tutorial whose cluster takes connections; interrupted as by Ctrl-C at the end.
struct Tutorial {
    child: Child,
    _watched: janitor::Watched,
}

impl Tutorial {
    fn start(data: &Path) -> Tutorial {
        let mut child = tutorial_command(data, port::free())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary under test can be run");
        let watched = janitor::watch(child.id(), "INT");
        let mut output = child.stdout.take().expect("piped");
        let mut text = String::new();
        // The text ends when everything runs; more would mean waiting for the end.
        while !text.contains("# More tokens") {
            let mut buffer = [0; 4096];
            let length = output.read(&mut buffer).expect("readable");
            assert!(length > 0, "the tutorial ended after:\n{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        Tutorial { child, _watched: watched }
    }

    fn interrupt(&mut self) -> Option<ExitStatus> {
        process::send(self.child.id(), Signal::Interrupt);
        process::wait(&mut self.child, Duration::from_secs(30))
    }
}

impl Drop for Tutorial {
    fn drop(&mut self) {
        if self.interrupt().is_none() {
            // Nothing else is left to try.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn postmaster(data: &Path) -> u32 {
    let file = fs::read_to_string(data.join("cluster/postmaster.pid")).expect("a running cluster");
    file.lines().next().and_then(|line| line.parse().ok()).expect("a process number")
}

#[test]
fn the_tutorials_cluster_does_not_outlive_a_killed_program() {
    let data = data_folder();
    let mut tutorial = Tutorial::start(&data);
    let pid = postmaster(&data);
    tutorial.child.kill().expect("it runs");
    tutorial.child.wait().expect("it is a child");
    let gone =
        wait_for(Duration::from_secs(30), || process::stat_field(pid, 4).is_none().then_some(()));
    assert!(gone.is_some(), "PostgreSQL still runs");
    let log = fs::read_to_string(data.join("postgres.log")).expect("PostgreSQL's log");
    assert!(log.contains("database system is shut down"), "{log}");
}

#[test]
fn the_tutorial_keeps_its_secret_to_its_owner_and_from_run_to_run() {
    let data = data_folder();
    let config = data.join("tutorial.conf");
    let mut texts = Vec::new();
    for _ in 0..2 {
        let status = Tutorial::start(&data).interrupt().expect("it ends");
        assert!(status.success(), "{status}");
        assert!(!data.join("cluster/postmaster.pid").exists(), "PostgreSQL is stopped");
        texts.push(fs::read_to_string(&config).expect("a configuration"));
    }
    assert_eq!(texts[0], texts[1]);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&config), mode(&data), mode(&data.join("sockets"))), (0o600, 0o700, 0o700));
}

#[test]
fn a_crash_of_everything_and_a_stale_process_number_are_in_nobodys_way() {
    let data = data_folder();
    let mut tutorial = Tutorial::start(&data);
    process::send(postmaster(&data), Signal::Kill);
    tutorial.child.kill().expect("it runs");
    tutorial.child.wait().expect("it is a child");
    drop(Tutorial::start(&data));

    // The number of the crashed server is another program's by now: this test's.
    let file = data.join("cluster/postmaster.pid");
    let text = format!("{}\n{}\n", std::process::id(), data.join("cluster").display());
    fs::write(&file, text).expect("the folder can be written");
    if let Some((user, group)) = process::unprivileged_user() {
        std::os::unix::fs::chown(&file, Some(user), Some(group)).expect("we are root");
    }
    Tutorial::start(&data);
}

#[test]
fn a_second_tutorial_on_the_same_folder_and_one_on_a_busy_port_say_so() {
    let data = data_folder();
    let _tutorial = Tutorial::start(&data);
    let second = outcome(&mut tutorial_command(&data, port::free()));
    assert!(!second.success);
    assert!(second.stderr.contains("another `goldenkey tutorial`"), "{}", second.stderr);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let busy = listener.local_addr().expect("bound").port();
    let second = outcome(&mut tutorial_command(&data_folder(), busy));
    assert!(!second.success);
    assert!(second.stderr.contains(&busy.to_string()), "{}", second.stderr);
    assert!(second.stderr.contains("choose another port"), "{}", second.stderr);
}

#[test]
fn without_postgresql_the_tutorial_says_what_to_install() {
    let empty = janitor::new_folder("empty");
    let second =
        outcome(tutorial_command(&data_folder(), port::free()).env("GOLDENKEY_PG_BIN", &empty));
    assert!(!second.success);
    assert!(second.stderr.contains("GOLDENKEY_PG_BIN"), "{}", second.stderr);
}
