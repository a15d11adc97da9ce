//! The configuration as a whole, from its sources to what is derived of it.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const SECRET: &str = "a-secret-of-more-than-32-letters-in-all";

/// Loads a file's text with an environment and the database's settings.
fn load_all(
    file: &str,
    environment: &Environment,
    database: &[(&str, &str)],
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goldenkey.conf");
    std::fs::write(&path, file).unwrap();
    let database: Vec<_> =
        database.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::load(Some(&path), environment, &database)
}

fn load(file: &str) -> Config {
    load_all(file, &Environment::default(), &[]).unwrap().0
}

fn failure(file: &str) -> String {
    load_all(file, &Environment::default(), &[]).unwrap_err().to_string()
}

#[test]
fn the_table_is_sorted_and_its_names_are_unique() {
    assert!(SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    let mut names: Vec<_> = SETTINGS.iter().flat_map(Setting::names).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn without_any_source_the_defaults_are_the_documented_ones() {
    let config = Config::default();
    assert_eq!(config.db_schemas, ["public"]);
    assert_eq!(config.db_extra_search_path, ["public"]);
    assert_eq!(config.db_anon_role, None);
    assert_eq!(config.db_pool_acquisition_timeout, Duration::from_secs(10));
    assert_eq!(config.db_tx_end, TxEnd::Commit);
    assert_eq!(config.jwt_cache_max_entries, 1000);
    assert_eq!(config.server_host, "!4");
    assert_eq!(config.admin_server_host, "!4");
    assert_eq!(config.server_threads, 12);
    assert_eq!(config.server_unix_socket_mode, SocketMode(0o660));
    assert!(config.db_use_legacy_gucs && config.server_gate);
}

#[test]
fn the_database_wins_over_the_environment_and_that_over_the_file() {
    let environment = Environment::from([("PGRST_DB_MAX_ROWS", "2"), ("PGRST_SERVER_PORT", "80")]);
    let file = "db-max-rows = 1\nserver-port = 79\ndb-anon-role = \"anon\"";
    let load = |database| load_all(file, &environment, database).unwrap().0;
    let config = load(&[]);
    assert_eq!((config.db_max_rows, config.server_port), (Some(2), 80));
    assert_eq!(config.db_anon_role.as_deref(), Some("anon"));
    let config = load(&[("db_max_rows", "3"), ("db_max_rows", "4"), ("server_port", "81")]);
    assert_eq!((config.db_max_rows, config.server_port), (Some(4), 80));
}

#[test]
fn an_alias_counts_when_the_name_is_not_set() {
    let config = load("db-schema = \"a\"\nmax-rows = 7\npre-request = \"auth.check_token\"");
    assert_eq!(config.db_schemas, ["a"]);
    assert_eq!(config.db_max_rows, Some(7));
    assert_eq!(config.db_pre_request.unwrap().to_string(), "auth.check_token");
    assert_eq!(load("db-schema = \"a\"\ndb-schemas = \"b\"").db_schemas, ["b"]);
    assert_eq!(load("db-schema = \"a\"\ndb-schemas = \"\"").db_schemas, ["a"]);
}

#[test]
fn an_empty_value_counts_as_not_set_except_for_the_search_path() {
    let config = load(
        "db-max-rows = \"\"\njwt-secret = \"\"\nlog-level = \"\"\ndb-tx-end = \"\"\n\
         db-extra-search-path = \"\"\nserver-cors-allowed-origins = \"\"",
    );
    assert_eq!(config.db_max_rows, None);
    assert_eq!(config.jwt_secret, None);
    assert_eq!(config.log_level, LogLevel::Error);
    assert_eq!(config.server_cors_allowed_origins, None);
    assert!(config.db_extra_search_path.is_empty());
}

#[test]
fn a_number_or_boolean_that_is_none_is_a_warning_and_the_default() {
    let text = "db-max-rows = \"all\"\ndb-pool = \"many\"\ndb-plan-enabled = \"perhaps\"";
    let (config, warnings) = load_all(text, &Environment::default(), &[]).unwrap();
    assert_eq!((config.db_max_rows, config.db_pool, config.db_plan_enabled), (None, 10, false));
    let warnings: Vec<_> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(warnings.len(), 3);
    assert!(
        warnings[2].starts_with("db-pool = \"many\" (file): it is not a number"),
        "{warnings:?}"
    );
}

#[test]
fn booleans_and_numbers_may_be_written_in_several_ways() {
    for text in ["true", "\"TRUE\"", "on", "1", "\"yes\""] {
        assert!(load(&format!("db-plan-enabled = {text}")).db_plan_enabled, "{text}");
    }
    for text in ["false", "\"False\"", "off", "0"] {
        assert!(!load(&format!("db-channel-enabled = {text}")).db_channel_enabled, "{text}");
    }
    for text in ["20", "\"20\"", "2e1", "20.0"] {
        assert_eq!(load(&format!("db-pool = {text}")).db_pool, 20, "{text}");
    }
}

#[test]
fn a_bad_value_names_the_setting_the_value_and_what_is_allowed() {
    for (file, parts) in [
        ("log-level = \"chatty\"", ["\"chatty\"", "Invalid logging level. Check", "crit, error"]),
        ("db-tx-end = \"so\"", ["\"so\"", "Invalid transaction termination. Check", "rollback"]),
        ("client-error-verbosity = \"x\"", ["\"x\"", "Invalid client-error-verbosity.", "minimal"]),
        ("openapi-mode = \"x\"", ["\"x\"", "Invalid openapi-mode. Check", "disabled"]),
        (
            "server-unix-socket-mode = \"888\"",
            ["888", "Invalid server-unix-socket-mode: not an octal", "600"],
        ),
        (
            "admin-server-unix-socket-mode = \"599\"",
            [
                "599",
                "Invalid admin-server-unix-socket-mode: needs to be between 600 and 777",
                "octal",
            ],
        ),
        (
            "db-schemas = \"a, pg_catalog\"",
            ["pg_catalog", "db-schemas does not allow schema: 'pg_catalog'", "other"],
        ),
        (
            "openapi-server-proxy-uri = \"not a uri\"",
            [
                "not a uri",
                "Malformed proxy uri, a correct example: https://example.com:8443/basePath",
                "http",
            ],
        ),
        ("jwt-aud = \"http://%%\"", ["%%", "jwt-aud should be a string or a valid URI", "URI"]),
        ("server-port = 65536", ["65536", "out of range", "65535"]),
        ("db-pool = 0", ["\"0\"", "too small", "from 1"]),
        ("db-pool = -1", ["\"-1\"", "out of range", "from 1"]),
        ("server-idle-timeout = -1", ["\"-1\"", "out of range", "1 second or more"]),
        ("server-threads = \"many\"", ["many", "not a number", "whole number"]),
        ("server-trace-header = \"X Y\"", ["X Y", "name of a header", "hyphens"]),
    ] {
        let message = failure(file);
        let name = file.split(' ').next().unwrap();
        assert!(message.starts_with(&format!("Error in config {name}")), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn a_name_that_postgresql_would_cut_off_is_refused() {
    let long = "n".repeat(64);
    for (name, value) in [
        ("db-anon-role", long.clone()),
        ("db-channel", long.clone()),
        ("db-schemas", format!("api, {long}")),
        ("db-extra-search-path", long.clone()),
        ("db-pre-request", format!("auth.{long}")),
        ("db-root-spec", format!("{long}.root")),
        ("jwt-revocation-source", long.clone()),
    ] {
        let message = failure(&format!("{name} = \"{value}\""));
        assert!(message.contains(name) && message.contains("longer than 63 bytes"), "{message}");
    }
    assert_eq!(load(&format!("db-channel = \"{}\"", &long[1..])).db_channel.len(), 63);
}

#[test]
fn the_admin_server_needs_a_port_of_its_own() {
    assert!(failure("admin-server-port = 3000").contains("cannot be the same as server-port"));
    assert_eq!(load("admin-server-port = 3001").admin_server_port, Some(3001));
}

#[test]
fn the_secret_is_read_decoded_and_long_enough() {
    let secret = |file: &str| load(file).jwt_secret.unwrap();
    assert_eq!(secret(&format!("jwt-secret = \"{SECRET}\"")), SECRET.as_bytes());
    let base64 = "jwt-secret-is-base64 = true\njwt-secret = ";
    let url = "yMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5ufo6err7O3u7w..";
    assert_eq!(secret(&format!("{base64}\"{url}\"")).len(), 40);
    assert!(
        failure(&format!("{base64}\"this is not base64, but it is long enough!\""))
            .contains("base64")
    );
    let short = failure("jwt-secret = \"thirty-one-letters-are-too-few!\"");
    assert!(short.contains("The JWT secret must be at least 32 characters long."), "{short}");
    assert!(!short.contains("thirty-one"), "{short}");
    assert_eq!(secret("jwt-secret = \"{\\\"keys\\\":[]}\""), b"{\"keys\":[]}");
}

#[test]
fn values_stand_in_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("secret"), format!("{SECRET}\n")).unwrap();
    std::fs::write(path("uri"), "  postgres://a:b@c/d\n").unwrap();
    let config =
        load(&format!("jwt-secret = \"@{}\"\ndb-uri = \"@{}\"", path("secret"), path("uri")));
    assert_eq!(config.jwt_secret.unwrap(), SECRET.as_bytes());
    assert_eq!(config.db_uri, "postgres://a:b@c/d");
    assert!(failure(&format!("jwt-secret = \"@{}\"", path("nothing.txt"))).contains("nothing.txt"));
}

#[test]
fn settings_for_sql_come_from_file_and_environment() {
    let environment = Environment::from([("PGRST_APP_SETTINGS_COLOUR", "red")]);
    let file = "app.settings.colour = \"blue\"\napp.settings.Key_2 = \"\"\napp.settings.n = 5";
    let (config, warnings) = load_all(file, &environment, &[]).unwrap();
    let expected =
        [("app.settings.COLOUR", "red"), ("app.settings.Key_2", ""), ("app.settings.n", "5")];
    let settings: Vec<_> =
        config.app_settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, expected);
    assert!(warnings.is_empty());
}

#[test]
fn an_unknown_name_is_a_warning_with_the_nearest_known_one() {
    let environment = Environment::from([("PGRST_DB_SCHMAS", "x")]);
    let database = [("db_anon_rol", "x"), ("server_port", "1")];
    let (_, warnings) = load_all("sever-port = 1\nblue = 1", &environment, &database).unwrap();
    let warnings: Vec<_> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        warnings,
        [
            "unknown setting sever-port is passed over; did you mean server-port?",
            "unknown setting blue is passed over",
            "unknown setting PGRST_DB_SCHMAS is passed over; did you mean db-schemas?",
            "unknown setting pgrst.db_anon_rol is passed over; did you mean db-anon-role?",
            "pgrst.server_port is passed over: server-port cannot be set in the database",
        ]
    );
}

#[test]
fn a_variable_in_quotes_is_a_warning() {
    let environment =
        Environment::from([("PGRST_DB_SCHEMAS", "\"api\""), ("PGRST_DB_ANON_ROLE", "'anon'")]);
    let (_, warnings) = load_all("", &environment, &[]).unwrap();
    assert_eq!(warnings.len(), 2);
    for (warning, name) in warnings.iter().zip(["PGRST_DB_ANON_ROLE", "PGRST_DB_SCHEMAS"]) {
        let text = warning.to_string();
        assert!(text.starts_with(&format!("{name} stands in quotes")), "{text}");
    }
}

#[test]
fn a_bad_value_in_the_database_says_where_it_stands() {
    let error = load_all("", &Environment::default(), &[("openapi_mode", "x")]).unwrap_err();
    assert_eq!(error.source(), Source::Database);
    let secret = [("jwt_secret", "short")];
    let error = load_all("", &Environment::default(), &secret).unwrap_err();
    assert_eq!(error.source(), Source::Database);
}

#[test]
fn a_reload_keeps_what_only_a_restart_applies() {
    let running = load("server-port = 80\ndb-schemas = \"a\"");
    let mut new = load("server-port = 81\ndb-schemas = \"b\"");
    assert_eq!(new.keep_fixed(&running), ["server-port"]);
    assert_eq!(new.server_port, 80);
    assert_eq!(new.db_schemas, ["b"]);
}

#[test]
fn neither_debug_nor_a_masked_dump_shows_a_secret() {
    let config = load(&format!(
        "jwt-secret = \"{SECRET}\"\ndb-uri = \"postgres://u:pass-word@h\"\n\
         app.settings.key = \"app-secret\""
    ));
    for text in [format!("{config:?}"), config.dump(Secrets::Hidden)] {
        assert!([SECRET, "pass-word", "app-secret"].iter().all(|s| !text.contains(s)), "{text}");
        assert!(text.contains("server-port = 3000"));
    }
    let shown = config.dump(Secrets::Shown);
    assert!(shown.contains(SECRET) && shown.contains("pass-word"));
}

#[test]
fn the_example_is_a_file_that_sets_nothing_and_its_lines_are_valid() {
    let text = example();
    assert_eq!(load(&text), Config::default());
    let uncommented: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let (config, warnings) = load_all(&uncommented, &Environment::default(), &[]).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.db_anon_role.as_deref(), Some("web_anon"));
    assert_eq!(config.jwt_role_claim_key, "$.role");
}

#[test]
fn the_reference_page_in_docs_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == reference(), "run UPDATE_DOCS=1 cargo test to write {}", path.display());
}

/// A value of a setting that is not its default.
fn another_value(setting: &Setting) -> String {
    let number = |text: &str| text.parse::<u64>().map_or(7, |number| number + 1).to_string();
    match (setting.name, setting.kind) {
        ("server-unix-socket-mode" | "admin-server-unix-socket-mode", _) => "700".into(),
        ("jwt-role-claim-key", _) => "$$.user['the \\\"role']".into(),
        ("admin-server-host" | "server-host", _) => "::1".into(),
        ("jwt-secret", _) => format!("{SECRET} \\\\ \\\" $$ #"),
        ("db-tx-end", _) => "rollback".into(),
        ("client-error-verbosity", _) => "minimal".into(),
        ("log-level", _) => "debug".into(),
        ("openapi-mode", _) => "disabled".into(),
        (_, "boolean") => if setting.default == "true" { "false" } else { "true" }.into(),
        (_, "integer" | "seconds") => number(setting.default),
        _ if !setting.example.is_empty() => setting.example.into(),
        _ => "some, things".into(),
    }
}

#[test]
fn a_dump_of_any_setting_gives_the_same_configuration_and_the_same_dump() {
    let default = Config::default().dump(Secrets::Shown);
    for setting in SETTINGS {
        let base64 = setting.name == "jwt-secret-is-base64";
        let secret = if base64 {
            "jwt-secret = \"YSBzZWNyZXQgb2YgbW9yZSB0aGFuIDMyIGxldHRlcnM=\"\n"
        } else {
            ""
        };
        let file = format!("{secret}{} = \"{}\"", setting.name, another_value(setting));
        let config = load(&file);
        let dump = config.dump(Secrets::Shown);
        assert_ne!(dump, default, "{file} changes nothing");
        let again = load(&dump);
        assert!(again == config, "{file}\n{dump}");
        assert_eq!(again.dump(Secrets::Shown), dump);
    }
}

#[test]
fn a_secret_that_is_no_text_is_dumped_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for secret in [[0xff; 40].as_slice(), b"@ begins this secret, as it would a path"] {
        std::fs::write(&path, secret).unwrap();
        let config = load(&format!("jwt-secret = \"@{}\"", path.display()));
        assert_eq!(load(&config.dump(Secrets::Shown)).jwt_secret.as_deref(), Some(secret));
    }
}

proptest! {
    #[test]
    fn a_dump_reads_back_as_the_same_configuration(
        role in "\\PC{0,12}",
        aud in "[^:\\x00]{0,12}",
        secret in prop::collection::vec(any::<u8>(), 32..48),
        rows in proptest::option::of(0u64..1 << 60),
        key in "[a-z]{1,6}",
        value in "(?s).{0,20}",
    ) {
        let config = Config {
            db_anon_role: Some(role.clone()).filter(|role| !role.is_empty()),
            jwt_aud: Some(aud).filter(|aud| !aud.is_empty()),
            jwt_secret: Some(secret),
            jwt_secret_is_base64: true,
            db_max_rows: rows,
            app_settings: vec![(format!("app.settings.{key}"), value)],
            ..Config::default()
        };
        prop_assert_eq!(load(&config.dump(Secrets::Shown)), config);
    }
}
