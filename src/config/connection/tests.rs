//! Connection strings in both forms, and what completes them.

use super::settings::Host;
use super::*;
use crate::config::Environment;
use proptest::prelude::*;
use std::time::Duration;

fn parse_with<const N: usize>(text: &str, variables: [(&str, &str); N]) -> ConnectionSettings {
    ConnectionSettings::parse(text, &Environment::from(variables)).unwrap()
}

fn parse(text: &str) -> ConnectionSettings {
    parse_with(text, [("USER", "me")])
}

fn failure(text: &str) -> String {
    ConnectionSettings::parse(text, &Environment::from([("USER", "me")])).unwrap_err().to_string()
}

fn password(settings: &ConnectionSettings) -> Option<&str> {
    settings.servers[0].password.as_deref()
}

#[test]
fn both_forms_of_a_connection_string_mean_the_same() {
    for (uri, keywords, shown) in [
        ("postgresql://u:p@h:5433/d", "user=u password=p host=h port=5433 dbname=d", "u@h:5433/d"),
        ("postgres://h", "host = h", "me@h:5432/me"),
        ("postgresql://u@h1:1,h2/d", "host=h1,h2 port=1, user=u dbname=d", "u@h1:1,h2:5432/d"),
        ("postgresql://u@[::1]:5/d", "host=::1 port=5 user=u dbname=d", "u@::1:5/d"),
        ("postgresql://%2Ftmp/my%20db", "host='/tmp' dbname='my db'", "me@/tmp:5432/my db"),
        ("postgresql:///d?host=/a&port=6", r"host=/\a port=6 dbname=d", "me@/a:6/d"),
    ] {
        assert_eq!(parse(uri).to_string(), shown);
        assert_eq!(parse(keywords).to_string(), shown);
    }
}

#[test]
fn a_socket_may_stand_in_the_query_and_the_password_may_be_left_out() {
    let settings = parse("postgresql://authenticator@/db?host=/tmp/x&port=5433");
    assert_eq!(settings.to_string(), "authenticator@/tmp/x:5433/db");
    assert_eq!(settings.servers[0].host, Host::Unix("/tmp/x".into()));
    for text in ["postgresql://:@/", "postgresql://@", "postgres://u:@h/", "postgresql://?user=u"] {
        assert_eq!(password(&parse(text)), None, "{text}");
    }
}

#[test]
fn a_password_may_hold_what_else_would_end_it() {
    assert_eq!(password(&parse("postgres://u:?p:a%40ss?@h/d?sslmode=disable")), Some("?p:a@ss?"));
    assert_eq!(password(&parse(r"host=h password='it\'s \\ here'")), Some(r"it's \ here"));
}

#[test]
fn the_environment_completes_what_is_left_out() {
    let variables = [
        ("PGHOST", "env-host"),
        ("PGPORT", "7"),
        ("PGUSER", "env-user"),
        ("PGPASSWORD", "env-password"),
        ("PGDATABASE", "env-db"),
        ("PGAPPNAME", "app"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGSSLMODE", "require"),
        ("PGTARGETSESSIONATTRS", "primary"),
    ];
    let settings = parse_with("postgresql://", variables);
    assert_eq!(settings.to_string(), "env-user@env-host:7/env-db");
    assert_eq!(password(&settings), Some("env-password"));
    assert_eq!(settings.application_name, "app");
    assert_eq!(settings.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(settings.tls.mode, SslMode::Require);
    assert_eq!(settings.target, TargetSession::Primary);
    let given = "postgresql://u@h:8/d?sslmode=disable&connect_timeout=0";
    let settings = parse_with(given, variables);
    assert_eq!(settings.to_string(), "u@h:8/d");
    assert_eq!(settings.connect_timeout, None);
    assert_eq!(settings.tls.mode, SslMode::Disable);
}

#[test]
fn the_password_file_is_asked_for_each_server() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".pgpass");
    std::fs::write(&path, "a:5432:*:me:one\nlocalhost:*:*:me:two\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = parse_with(
        "host=a,b,/var/run/postgresql",
        [("USER", "me"), ("HOME", home.path().to_str().unwrap())],
    );
    let passwords: Vec<_> = settings.servers.iter().map(|s| s.password.as_deref()).collect();
    assert_eq!(passwords, [Some("one"), None, Some("two")]);
}

#[test]
fn a_service_comes_before_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services");
    std::fs::write(&path, "[other]\nhost=x\n[shop]\nhost=service-host\nport=9\n").unwrap();
    let variables =
        [("USER", "me"), ("PGSERVICEFILE", path.to_str().unwrap()), ("PGHOST", "env-host")];
    let settings = parse_with("service=shop port=8", variables);
    assert_eq!(settings.to_string(), "me@service-host:8/me");
    let error = ConnectionSettings::parse("service=no", &Environment::from(variables)).unwrap_err();
    assert!(error.to_string().contains("definition of service \"no\" not found"), "{error}");
}

#[test]
fn what_cannot_be_honoured_is_refused_without_showing_a_password() {
    for (text, part) in [
        ("postgres://u:%zz@h", "hexadecimal"),
        ("postgres://u:p@h/d?conect_timeout=1", "did you mean connect_timeout?"),
        ("postgres://u:p@h/d?colour=blue", "invalid connection option of 6 letters"),
        ("\"postgres://u:p@h/d\"", "without them"),
        ("host=h sslmode=perhaps", "invalid sslmode value: \"perhaps\""),
        ("host=h port=http", "port"),
        ("host=a,b port=1,2,3", "3 port numbers"),
        ("host=a,b hostaddr=127.0.0.1", "hostaddr"),
        ("password='open", "unterminated"),
        ("tmp_db", "missing \"=\""),
        ("postgres://[::1", "]"),
        ("postgres://h?sslmode", "not of the form"),
        ("host=h requirepeer=postgres", "not supported"),
        ("host=h sslnegotiation=direct", "weak sslmode"),
        ("host=h sslrootcert=system sslmode=require", "weak sslmode"),
        ("host=@abstract", "abstract"),
    ] {
        let message = failure(text);
        assert!(message.contains(part) && !message.contains("%zz"), "{message}");
    }
    assert!(!format!("{:?}", parse("postgres://u:geheim@h")).contains("geheim"));
}

#[test]
fn no_part_of_a_password_is_taken_for_something_that_is_shown() {
    for between in
        ["@", "/", "?", "#", "&", "=", ":", " ", "%", ",", "[", "]", "'", "&x=", " x=", "@/", "/@?"]
    {
        let secret = format!("geheim{between}9wort");
        for text in [
            format!("postgres://u:{secret}@h/d"),
            format!("postgres://u:9{secret}@h:5432/d?sslmode=disable"),
            format!("postgres://h/d?user=u&password={secret}&sslmode=disable"),
            format!("Postgres://u:{secret}@h/d?sslmode=disable"),
            format!("\"postgres://u:{secret}@h/d\""),
            format!("host=h password={secret} user=u"),
            format!("host=h password='{secret}' user=u"),
        ] {
            let environment = Environment::from([("USER", "me")]);
            let shown = match ConnectionSettings::parse(&text, &environment) {
                Ok(settings) => {
                    let connector = settings.connector();
                    let servers = connector.map(|c| c.servers().join(" ")).unwrap_or_default();
                    format!("{settings} {settings:?} {servers}")
                }
                Err(error) => error.to_string(),
            };
            assert!(!shown.contains("geheim") && !shown.contains("9wort"), "{text}: {shown}");
        }
    }
}

#[test]
fn a_listener_wants_a_server_that_accepts_writes() {
    let settings = parse("host=a,b target_session_attrs=standby");
    assert_eq!(settings.for_listener().target, TargetSession::ReadWrite);
}

#[test]
fn nobody_listening_is_an_error_that_names_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("host={} port=5999", folder.path().display());
    let error = parse(&text).connector().unwrap().connect().err().unwrap();
    let message = error.to_string();
    assert!(message.contains("connection to server on socket"), "{message}");
    assert!(message.contains(".s.PGSQL.5999") && message.contains("No such file"), "{message}");
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time_and_few_threads_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join(".s.PGSQL.5999");
    // Connections are accepted by the kernel; nobody answers.
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let text = format!("host={} port=5999 connect_timeout=1", folder.path().display());
    let connector = parse(&text).connector().unwrap();
    let failures: Vec<_> = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..20).map(|_| scope.spawn(|| connector.connect())).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap().err()).collect()
    });
    assert!(failures.iter().all(|error| error.as_ref().is_some_and(ConnectError::is_timeout)));
    assert!(connector.connect().err().unwrap().is_timeout());
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC*") {
        let environment = Environment::from([("USER", "me")]);
        for prefix in ["", "postgres://", "postgresql://u:p@h/"] {
            let _ = ConnectionSettings::parse(&format!("{prefix}{text}"), &environment);
        }
    }

    #[test]
    fn any_odd_text_is_parsed_or_refused(text in "[a-c:/@?&=%,\\[\\]' \\\\\x000-9]*") {
        let environment = Environment::from([("USER", "me")]);
        for prefix in ["", "postgres://", "host="] {
            let _ = ConnectionSettings::parse(&format!("{prefix}{text}"), &environment);
        }
    }

    #[test]
    fn a_quoted_keyword_value_reads_back(value in "[^\\x00]{1,20}") {
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        let settings = parse(&format!("host=h password = '{quoted}' user=u"));
        prop_assert_eq!(password(&settings), Some(value.as_str()));
    }

    #[test]
    fn a_percent_encoded_password_reads_back(value in "[^\\x00]{1,20}") {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let encoded = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        let settings = parse(&format!("postgres://u:{encoded}@h/d"));
        prop_assert_eq!(password(&settings), Some(value.as_str()));
        prop_assert_eq!(settings.to_string(), "u@h:5432/d");
    }

    #[test]
    fn a_password_file_never_panics(lines in "[a-c:*\\\\\n#]*") {
        let _ = passfile::find(&lines, ["a", "5432", "b", "c"]);
    }
}
