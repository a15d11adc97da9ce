//! `db-uri` and the settings in the database against a real server: what libpq would do.

mod support;

use goldenkey::config::connection::{ConnectError, ConnectionSettings};
use goldenkey::config::{Environment, read_in_database};
use goldenkey::schema::QualifiedName;
use postgres::Client;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use support::{Cluster, janitor, port, process};

/// A cluster that also listens on TCP, with TLS, and has a user for each way to log in.
struct Tls {
    cluster: Cluster,
    /// An address of this machine that is the cluster's alone, with the usual port.
    address: Ipv4Addr,
}

const HBA: &str = "
local     all      all        trust
hostssl   all      encrypted  127.0.0.0/8  trust
hostnossl all      plain      127.0.0.0/8  trust
hostssl   all      certified  127.0.0.0/8  cert
host      all      secretive  127.0.0.0/8  scram-sha-256
host      all      anybody    127.0.0.0/8  trust
";

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// Copies what the server reads to where its user may read it.
fn server_files() -> PathBuf {
    let folder = janitor::new_folder("tls");
    for name in ["ca.crt", "server.crt", "server.key"] {
        fs::copy(certificate(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("pg_hba.conf"), HBA).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = process::unprivileged_user() {
            chown(&path, Some(user), Some(group)).unwrap();
        }
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    folder
}

fn tls() -> &'static Tls {
    static TLS: LazyLock<Tls> = LazyLock::new(|| {
        let folder = server_files();
        let file = |name: &str| folder.join(name).display().to_string();
        let [high, low] = port::free().to_be_bytes();
        let address = Ipv4Addr::new(127, 54, high, low);
        let cluster = Cluster::start_with(&[
            ("listen_addresses", &address.to_string()),
            ("ssl", "on"),
            ("ssl_cert_file", &file("server.crt")),
            ("ssl_key_file", &file("server.key")),
            ("ssl_ca_file", &file("ca.crt")),
            ("hba_file", &file("pg_hba.conf")),
        ]);
        cluster.sql(
            "postgres",
            "create role encrypted login; create role plain login; create role certified login;
             create role anybody login; create role secretive login password 'open sesame'",
        );
        Tls { cluster, address }
    });
    &TLS
}

/// Connects with parameters in the form of keywords and values; ADDRESS is the server's.
fn connect(parameters: &str) -> Result<Client, ConnectError> {
    // No file of the user who runs the tests counts.
    let environment = Environment::from([("HOME", "/nonexistent")]);
    let address = tls().address.to_string();
    let text = format!("dbname=postgres {}", parameters.replace("ADDRESS", &address));
    ConnectionSettings::parse(&text, &environment).unwrap().connector().unwrap().connect()
}

/// Whether the connection is encrypted, or why there is none.
fn encrypted(parameters: &str) -> Result<bool, String> {
    let mut client = connect(parameters).map_err(|error| error.to_string())?;
    let query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(query, &[]).unwrap().get(0))
}

fn root(name: &str) -> String {
    format!("sslrootcert='{}'", certificate(name).display())
}

#[test]
fn sslmode_decides_about_encryption_as_in_libpq() {
    for (mode, expected) in
        [("disable", false), ("allow", false), ("prefer", true), ("require", true)]
    {
        let parameters = format!("host=ADDRESS user=anybody sslmode={mode}");
        assert_eq!(encrypted(&parameters), Ok(expected), "{mode}");
    }
    assert_eq!(encrypted("host=ADDRESS user=anybody"), Ok(true));
}

#[test]
fn allow_and_prefer_try_the_other_way_when_the_server_wants_it() {
    assert_eq!(encrypted("host=ADDRESS user=encrypted sslmode=allow"), Ok(true));
    assert_eq!(encrypted("host=ADDRESS user=plain sslmode=prefer"), Ok(false));
    let other = root("other-ca.crt");
    let parameters = format!("host=ADDRESS user=anybody sslmode=prefer {other}");
    assert_eq!(encrypted(&parameters), Ok(false));
    for (user, mode) in [("encrypted", "disable"), ("plain", "require")] {
        let error = encrypted(&format!("host=ADDRESS user={user} sslmode={mode}")).unwrap_err();
        assert!(error.contains("pg_hba.conf"), "{error}");
    }
}

#[test]
fn verify_ca_looks_at_the_authority_and_verify_full_also_at_the_host() {
    let at = |host: &str, mode: &str, file: &str| {
        encrypted(&format!("{host} user=anybody sslmode={mode} {}", root(file)))
    };
    let named = "host=localhost hostaddr=ADDRESS";
    assert_eq!(at("host=ADDRESS", "verify-ca", "ca.crt"), Ok(true));
    assert_eq!(at(named, "verify-full", "ca.crt"), Ok(true));
    assert!(at("host=ADDRESS", "verify-full", "ca.crt").unwrap_err().contains("not valid"));
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = at(named, mode, "other-ca.crt").unwrap_err();
        assert!(error.contains("certificate"), "{mode}: {error}");
    }
    // A certificate may be trusted as it is.
    assert_eq!(at("host=ADDRESS", "verify-ca", "server.crt"), Ok(true));
    assert_eq!(at(named, "verify-full", "server.crt"), Ok(true));
    assert!(at("host=ADDRESS", "verify-full", "server.crt").is_err());
}

#[test]
fn a_client_certificate_logs_in() {
    let user = "host=ADDRESS user=certified sslmode=require";
    let files = format!(
        "sslcert='{}' sslkey='{}'",
        certificate("client.crt").display(),
        certificate("client.key").display()
    );
    assert_eq!(encrypted(&format!("{user} {files}")), Ok(true));
    assert!(encrypted(user).is_err());
}

#[test]
fn a_password_is_bound_to_the_channel() {
    let user = "host=ADDRESS user=secretive password='open sesame'";
    assert_eq!(encrypted(&format!("{user} channel_binding=require sslmode=require")), Ok(true));
    assert_eq!(encrypted(&format!("{user} sslmode=disable")), Ok(false));
    let error = connect("host=ADDRESS user=secretive password=wrong").err().unwrap();
    assert_eq!(error.code().map(|code| code.code()), Some("28P01"));
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[test]
fn servers_are_tried_in_turn_until_one_is_acceptable() {
    let socket = tls().cluster.socket_folder().display().to_string();
    let cluster = &tls().cluster;
    cluster.sql("postgres", "create role reader login");
    cluster.sql("postgres", "alter role reader set default_transaction_read_only = on");
    assert!(connect(&format!("host=/nowhere,{socket} user=anybody")).is_ok());
    for (target, fits) in [
        ("any", true),
        ("read-only", true),
        ("read-write", false),
        ("primary", true),
        ("standby", false),
        ("prefer-standby", true),
    ] {
        let result = connect(&format!("host={socket} user=reader target_session_attrs={target}"));
        assert_eq!(result.is_ok(), fits, "{target}");
    }
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let socket = tls().cluster.socket_folder().display().to_string();
    let error = connect(&format!("host={socket} user=anybody dbname=nowhere")).err().unwrap();
    assert!(error.to_string().contains("database \"nowhere\" does not exist"), "{error}");
    assert!(error.to_string().starts_with("connection to server on socket"), "{error}");
}

/// The settings in a database, whose `{db}` is its name, as the role `authenticator`.
fn in_database(statements: &str, pre_config: Option<QualifiedName>) -> Vec<(String, String)> {
    let database = Cluster::shared().database("");
    database.sql(&statements.replace("{db}", &database.name));
    let connector =
        ConnectionSettings::parse(&database.uri(), &Environment::default()).unwrap().connector();
    let mut client = connector.unwrap().connect().unwrap();
    let settings = read_in_database(&mut client, pre_config.as_ref());
    let again = client.simple_query("show transaction_read_only").is_ok();
    assert!(again, "the connection is as it was");
    settings.unwrap_or_else(|error| vec![("error".into(), error.code().unwrap().code().into())])
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const PRE_CONFIG: &str = "
    create schema \"Set up\";
    grant usage on schema \"Set up\" to authenticator;
    create function \"Set up\".\"Pre\"() returns void language sql as $$
      select set_config('pgrst.db_schemas', 'a, b', true),
             set_config('pgrst.server_port', '1', true),
             set_config('pgrst.db_max_rows', '3', true)
    $$;
    create function \"Set up\".\"write\"() returns void language sql as $$
      create table public.t ()
    $$;";

#[test]
fn settings_of_the_login_role_in_this_database_are_read() {
    let settings = in_database(
        "alter role authenticator in database {db} set pgrst.db_max_rows = '2';
         alter role authenticator in database {db} set pgrst.jwt_secret = 'a=b=c';
         alter role authenticator in database {db} set work_mem = '8MB';
         alter database {db} set pgrst.db_schemas = 'no';",
        None,
    );
    assert_eq!(settings, [pair("db_max_rows", "2"), pair("jwt_secret", "a=b=c")]);
}

#[test]
fn the_functions_settings_come_before_the_roles_so_that_the_roles_count() {
    let statements = format!(
        "{PRE_CONFIG} alter role authenticator in database {{db}} set pgrst.db_max_rows = '1';"
    );
    let settings = in_database(&statements, Some(QualifiedName::new("Set up", "Pre")));
    assert_eq!(settings.last(), Some(&pair("db_max_rows", "1")));
    assert!(settings.contains(&pair("db_schemas", "a, b")));
    assert!(settings.iter().all(|(name, _)| name != "server_port"), "{settings:?}");
}

#[test]
fn the_role_may_name_the_function() {
    let statements = format!(
        "{PRE_CONFIG}
         alter role authenticator in database {{db}} set pgrst.db_pre_config = 'Set up.Pre';"
    );
    assert!(in_database(&statements, None).contains(&pair("db_schemas", "a, b")));
}

#[test]
fn a_function_that_fails_or_writes_is_an_error_that_leaves_no_transaction_open() {
    let call = |name| in_database(PRE_CONFIG, Some(QualifiedName::new("Set up", name)));
    assert_eq!(call("missing"), [pair("error", "42883")]);
    assert_eq!(call("write"), [pair("error", "25006")]);
}
