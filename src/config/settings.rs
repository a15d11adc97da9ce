//! The table of settings, and the [`Config`] that follows from it.
//!
//! A row is: the text for the reference page and the field; the name and its aliases; the
//! field and its type; the default; marks (see [`Setting`]) and an example; and a check of
//! the value.
//! PostgREST's settings are those of
//! <https://docs.postgrest.org/en/v16/references/configuration.html>.

use super::check;
use super::choice::{ErrorVerbosity, LogLevel, OpenApiMode, TxEnd};
use super::error::{ConfigError, Warning};
use super::setting::Setting;
use super::source::Sources;
use super::value::{Rejected, SocketMode, Value};
use crate::schema::QualifiedName;
use std::time::Duration;

macro_rules! settings {
    ($(
        $(#[doc = $help:literal])+
        $name:literal $(($($alias:literal),+))? => $field:ident: $type:ty = $default:literal
        [$($mark:ident $(($text:literal))?),*] $(where $check:ident)?;
    )+) => {
        /// The configuration of a running server.
        #[derive(Clone, PartialEq)]
        pub struct Config {
            $($(#[doc = $help])+ pub $field: $type,)+
            /// `app.settings.*`: names with that prefix, and their values, for SQL.
            pub app_settings: Vec<(String, String)>,
        }

        /// All settings, by name.
        pub static SETTINGS: &[Setting] = &[$(
            Setting::new(
                $name,
                &[$($($alias),+)?],
                <$type as Value>::KIND,
                $default,
                concat!($($help, "\n"),+),
            )$(.$mark($($text)?))*,
        )+];

        impl Config {
            /// Each setting's value from its sources, or the default.
            pub(super) fn resolve(
                sources: &Sources,
                warnings: &mut Vec<Warning>,
            ) -> Result<Config, ConfigError> {
                let mut rows = SETTINGS.iter();
                let mut row = || rows.next().expect("the table has a row for each field");
                Ok(Config {
                    $($field: {
                        let setting = row();
                        #[allow(unused_mut, unused_assignments)]
                        let mut least: Result<(), Rejected> = Ok(());
                        $(least = check::$check(&<$type>::default());)?
                        let value: $type = sources.value(setting, least, warnings)?;
                        $(
                            if let Err(rejected) = check::$check(&value) {
                                return Err(sources.rejection(setting, rejected));
                            }
                        )?
                        value
                    },)+
                    app_settings: Vec::new(),
                })
            }

            /// Calls `visit` with each setting and its value as it would stand in a file.
            pub(super) fn each_value(&self, mut visit: impl FnMut(&'static Setting, String)) {
                let mut rows = SETTINGS.iter();
                $(
                    let mut text = String::new();
                    self.$field.write(&mut text);
                    visit(rows.next().expect("the table has a row for each field"), text);
                )+
            }

            /// The settings that are not at their defaults.
            pub(super) fn unlike_default(&self) -> Vec<&'static Setting> {
                let default = Config::default();
                let mut rows = SETTINGS.iter();
                let mut found = Vec::new();
                $(
                    let setting = rows.next().expect("the table has a row for each field");
                    if self.$field != default.$field {
                        found.push(setting);
                    }
                )+
                found
            }

            /// Keeps the running values of settings that a reload does not apply, and
            /// gives the names of those that would have changed.
            pub fn keep_fixed(&mut self, running: &Config) -> Vec<&'static str> {
                let mut rows = SETTINGS.iter();
                let mut kept = Vec::new();
                $(
                    let setting = rows.next().expect("the table has a row for each field");
                    if !setting.reloadable && self.$field != running.$field {
                        self.$field = running.$field.clone();
                        kept.push(setting.name);
                    }
                )+
                kept
            }
        }
    };
}

settings! {
    /// The address of the admin server. When empty, that of `server-host`.
    "admin-server-host" => admin_server_host: String = "" [example("127.0.0.1")];
    /// The TCP port of the admin server, which tells whether the server is alive and ready,
    /// and its metrics. Without a port or a socket there is no admin server.
    "admin-server-port" => admin_server_port: Option<u16> = "" [example("3001")];
    /// The Unix socket of the admin server. It wins over `admin-server-port`.
    "admin-server-unix-socket" => admin_server_unix_socket: Option<String> = ""
        [example("/run/goldenkey/admin.sock")];
    /// The permissions of `admin-server-unix-socket`, between 600 and 777.
    "admin-server-unix-socket-mode" => admin_server_unix_socket_mode: SocketMode = "660" [];
    /// How much of an error clients see: `verbose` sends `code`, `message`, `details` and
    /// `hint`, `minimal` only `code` and `message`. The log is not affected.
    "client-error-verbosity" => client_error_verbosity: ErrorVerbosity = "verbose"
        [reloadable, in_database];
    /// Allows aggregate functions in `select`. An aggregate over a large table takes long:
    /// allow them together with a `statement_timeout` of the roles.
    "db-aggregates-enabled" => db_aggregates_enabled: bool = "false" [reloadable, in_database];
    /// The database role of requests without a token. Without it such requests are refused.
    "db-anon-role" => db_anon_role: Option<String> = ""
        [protective, reloadable, in_database, example("web_anon")] where optional_name;
    /// The channel on which `NOTIFY` asks for a reload.
    "db-channel" => db_channel: String = "pgrst" [reloadable] where name;
    /// Listens on `db-channel`. It needs a connection of its own, which cannot go through
    /// a pooler that works by transaction.
    "db-channel-enabled" => db_channel_enabled: bool = "true" [reloadable];
    /// Reads settings from the database: those of the login role, named `pgrst.*`, and
    /// those that `db-pre-config` sets.
    "db-config" => db_config: bool = "true" [reloadable];
    /// Schemas added to the search path of every request, after the request's own. Nothing
    /// in them gets an endpoint. May be empty.
    "db-extra-search-path" => db_extra_search_path: Vec<String> = "public"
        [reloadable, in_database, may_be_empty] where names;
    /// Settings of a function (`CREATE FUNCTION ... SET`) that are applied to the whole
    /// transaction in which it is called.
    "db-hoisted-tx-settings" => db_hoisted_tx_settings: Vec<String>
        = "statement_timeout,plan_filter.statement_cost_limit,default_transaction_isolation"
        [reloadable, in_database];
    /// Lets PostgreSQL compile queries just in time, where it thinks that this pays. It takes
    /// small requests for large ones where tables were never analysed, and compiling costs a
    /// hundred times what they do. So sessions begin with `jit = off`, unless `jit` is set for
    /// the login role, for the database or in `db-uri`.
    "db-jit" => db_jit: bool = "false" [reloadable, in_database];
    /// The most rows that a request gets from a table, view or function. No limit when not
    /// set.
    "db-max-rows" ("max-rows") => db_max_rows: Option<u64> = ""
        [reloadable, in_database, example("1000")];
    /// Answers `Accept: application/vnd.pgrst.plan` with the execution plan.
    "db-plan-enabled" => db_plan_enabled: bool = "false" [reloadable, in_database];
    /// The most connections to the database that are used at a time.
    "db-pool" => db_pool: usize = "10" [] where at_least_one;
    /// How long a request waits for a connection before it gets a 504, in seconds.
    "db-pool-acquisition-timeout" => db_pool_acquisition_timeout: Duration = "10" []
        where not_zero;
    /// Connects again after the database was lost. When false, the server exits instead.
    "db-pool-automatic-recovery" => db_pool_automatic_recovery: bool = "true" [reloadable];
    /// How long a connection stays open without use, in seconds.
    "db-pool-max-idletime" ("db-pool-timeout") => db_pool_max_idletime: Duration = "30" [];
    /// How long a connection is used before it is replaced, in seconds.
    "db-pool-max-lifetime" => db_pool_max_lifetime: Duration = "1800" [];
    /// A function that sets settings named `pgrst.*`, called before the configuration is
    /// read from the database.
    "db-pre-config" => db_pre_config: Option<QualifiedName> = ""
        [reloadable, in_database, example("config.pre_config")] where qualified_name;
    /// A function called at the start of each request's transaction, after the role and the
    /// settings of the request are in place. When it raises, the request fails.
    "db-pre-request" ("pre-request") => db_pre_request: Option<QualifiedName> = ""
        [protective, reloadable, in_database, example("auth.check_token")] where qualified_name;
    /// Prepares statements that are used again. Set it to false behind a pooler that works
    /// by transaction.
    "db-prepared-statements" => db_prepared_statements: bool = "true" [reloadable, in_database];
    /// A function whose result is the answer at `/`, instead of the API's description.
    "db-root-spec" ("root-spec") => db_root_spec: Option<QualifiedName> = ""
        [reloadable, in_database, example("api.root")] where qualified_name;
    /// The schemas whose tables, views and functions are the API. A request chooses among
    /// several with `Accept-Profile` or `Content-Profile`; the first is the default.
    "db-schemas" ("db-schema") => db_schemas: Vec<String> = "public" [protective, reloadable, in_database]
        where exposable_schemas;
    /// How the transaction of a request ends: `commit`, or `rollback` for trying things
    /// out. With `-allow-override` the request may ask for the other with `Prefer: tx=`.
    "db-tx-end" => db_tx_end: TxEnd = "commit" [in_database];
    /// The database, as a URI or as keywords and values in libpq's forms. What it leaves
    /// out comes from libpq's environment variables (`PGHOST` and so on). `@FILE` reads it
    /// from a file.
    "db-uri" => db_uri: String = "postgresql://"
        [protective, secret, example("postgres://authenticator:secret@localhost:5432/shop")];
    /// Sets `request.jwt.claim.NAME` for each top-level claim, beside `request.jwt.claims`.
    "db-use-legacy-gucs" => db_use_legacy_gucs: bool = "true" [reloadable, in_database, own];
    /// The audience that a token's `aud` must name. With one of the characters `|[(*\` it is
    /// a regular expression, which must match the whole name. A token without `aud` is
    /// accepted, unless `jwt-aud-required`.
    "jwt-aud" => jwt_aud: Option<String> = ""
        [protective, reloadable, in_database, example("https://api.example.com")] where word_or_uri;
    /// Refuses tokens without an `aud` when `jwt-aud` is set.
    "jwt-aud-required" => jwt_aud_required: bool = "false" [reloadable, in_database, own];
    /// The number of verified tokens that are remembered. 0 verifies each token each time.
    "jwt-cache-max-entries" => jwt_cache_max_entries: usize = "1000" [reloadable, in_database];
    /// A JSON file of issuers with keys of their own: an object from `iss` to `{"keys": JWK
    /// or JWKS, "jwks_url": URL, "aud": text or texts, "aud_required": bool}`. Tokens of
    /// other issuers are signed with the keys of `jwt-secret` and `jwt-jwks-url`.
    "jwt-issuers" => jwt_issuers: Option<String> = ""
        [protective, reloadable, in_database, own, example("/etc/goldenkey/issuers.json")];
    /// The address of a JSON Web Key Set, fetched at start and when a token names a key
    /// that is not in it.
    "jwt-jwks-url" => jwt_jwks_url: Option<String> = ""
        [protective, reloadable, in_database, own, example("https://login.example.com/.well-known/jwks.json")]
        where web_address;
    /// A table or function with the identifiers (`jti`) of revoked tokens, kept in memory.
    /// `NOTIFY goldenkey_revoke` lets it be read again.
    "jwt-revocation-source" => jwt_revocation_source: Option<QualifiedName> = ""
        [protective, reloadable, in_database, own, example("auth.revoked_tokens")] where qualified_name;
    /// Where a token holds the role: a JSONPath (RFC 9535). In the file, write `$$` for `$`.
    "jwt-role-claim-key" ("role-claim-key") => jwt_role_claim_key: String = "$.role"
        [reloadable, in_database];
    /// The secret that signs tokens, at least 32 bytes; or a JSON Web Key, or a set of them.
    /// `@FILE` reads it from a file. Without it, tokens are refused.
    "jwt-secret" => jwt_secret: Option<Vec<u8>> = ""
        [protective, reloadable, in_database, secret, example("a secret of at least 32 characters")];
    /// Takes `jwt-secret` for base64, with either alphabet.
    "jwt-secret-is-base64" ("secret-is-base64") => jwt_secret_is_base64: bool = "false"
        [reloadable, in_database];
    /// What is logged. `crit`: start and stop, loss and recovery of the database. `error`:
    /// also requests that failed with 5xx. `warn`: also those with 4xx. `info`: all
    /// requests. `debug`: also what developers want to know.
    "log-level" => log_level: LogLevel = "error" [reloadable];
    /// Logs the SQL of each request that `log-level` logs.
    "log-query" => log_query: bool = "false" [reloadable];
    /// What the API's description at `/` shows: what the role may use
    /// (`follow-privileges`), everything (`ignore-privileges`), or nothing (`disabled`).
    "openapi-mode" => openapi_mode: OpenApiMode = "follow-privileges" [reloadable, in_database];
    /// Describes the token as a security scheme.
    "openapi-security-active" => openapi_security_active: bool = "false"
        [reloadable, in_database];
    /// The base address in the description, when clients reach the server through a proxy:
    /// `https://example.com:8443/basePath`.
    "openapi-server-proxy-uri" => openapi_server_proxy_uri: Option<String> = ""
        [in_database, example("https://example.com:8443/basePath")]
        where proxy_uri;
    /// A client must send the rest of a body at this rate, in bytes a second. 0 for any rate.
    "server-body-min-bytes-per-second" => server_body_min_bytes_per_second: u64 = "1024" [own];
    /// The origins that browsers may call from. Any when not set.
    "server-cors-allowed-origins" => server_cors_allowed_origins: Option<Vec<String>> = ""
        [in_database, example("https://example.com, https://www.example.com")];
    /// Puts goldenkey's own event loop between clients and the workers, with the limits and
    /// timeouts named `server-*`. Without it, put a buffering proxy on the same machine in
    /// front.
    "server-gate" => server_gate: bool = "true" [own];
    /// How long a client may take for the head of a request, in seconds.
    "server-head-timeout" => server_head_timeout: Duration = "10" [own] where not_zero;
    /// The address to listen on: an address or name, `*` or `*4` or `*6` for any IPv4 and
    /// IPv6 address, `!4` for any IPv4 address, `!6` for any IPv6 address. `::` hears both.
    "server-host" => server_host: String = "!4" [];
    /// How long a connection without a request stays open, in seconds.
    "server-idle-timeout" => server_idle_timeout: Duration = "75" [own] where not_zero;
    /// The most bytes of a request's body; a longer one gets a 413.
    "server-max-body-bytes" => server_max_body_bytes: u64 = "52428800" [own];
    /// Memory for requests and responses that wait for somebody, in bytes and in all. When
    /// it is used up, the slowest clients are disconnected.
    "server-max-buffer-bytes" => server_max_buffer_bytes: u64 = "134217728" [own];
    /// The most client connections at a time; fewer when the system allows fewer open files.
    "server-max-connections" => server_max_connections: usize = "16384" [own]
        where at_least_one;
    /// The most connections at a time from one address, or one IPv6 network of 64 bits. 0
    /// for three quarters of all.
    "server-max-connections-per-address" => server_max_connections_per_address: usize = "0"
        [own];
    /// The most bytes of a request's line and headers; a longer one gets a 431.
    "server-max-head-bytes" => server_max_head_bytes: usize = "65536" [own];
    /// The most requests that wait for a worker; one more gets a 503.
    "server-max-waiting" => server_max_waiting: usize = "1000" [own];
    /// How long a request waits for a worker before it gets a 503, in seconds.
    "server-max-waiting-seconds" => server_max_waiting_seconds: Duration = "10" [own]
        where not_zero;
    /// The TCP port to listen on. 0 for a free one.
    "server-port" => server_port: u16 = "3000" [];
    /// A client must take a response at this rate, in bytes a second. 0 for any rate.
    "server-response-min-bytes-per-second" => server_response_min_bytes_per_second: u64 = "1024"
        [own];
    /// Lets several processes listen on the same port (`SO_REUSEPORT`).
    "server-reuseport" => server_reuseport: bool = "false" [];
    /// How long requests that have begun may take after `SIGTERM`, in seconds.
    "server-shutdown-timeout" => server_shutdown_timeout: Duration = "30" [own];
    /// The number of worker threads. 0 for two more than `db-pool`.
    "server-threads" => server_threads: usize = "0" [own];
    /// Sends `Server-Timing` with the durations of a request's phases.
    "server-timing-enabled" => server_timing_enabled: bool = "false" [reloadable, in_database];
    /// A header that is sent back as it came, to trace requests.
    "server-trace-header" => server_trace_header: Option<String> = ""
        [reloadable, in_database, example("X-Request-Id")]
        where header_name;
    /// The Unix socket to listen on. It wins over `server-port`.
    "server-unix-socket" => server_unix_socket: Option<String> = ""
        [example("/run/goldenkey/api.sock")];
    /// The permissions of `server-unix-socket`, between 600 and 777.
    "server-unix-socket-mode" => server_unix_socket_mode: SocketMode = "660" [];
    /// Lets filters, order and limit of an embedded resource that has an alias use its own
    /// name too, with a `Warning` in the response.
    "url-use-legacy-target-names" => url_use_legacy_target_names: bool = "true"
        [reloadable, in_database];
}
