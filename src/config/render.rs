//! What is written about settings: `--dump-config`, `--example` and the reference page.

use super::setting::Setting;
use super::settings::{Config, SETTINGS};
use super::value::write_text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// Whether a dump shows what must not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// It does, so that it can be used as a file.
    Shown,
    /// `jwt-secret`, `db-uri` and `app.settings.*` are masked.
    Hidden,
}

/// What stands in place of a hidden value.
const MASK: &str = "\"(hidden)\"";

impl Config {
    /// The configuration as a file that says all there is.
    pub fn dump(&self, secrets: Secrets) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str, secret: bool| {
            let value = if secret && value != "\"\"" { MASK } else { value };
            let _ = writeln!(out, "{name} = {value}");
        };
        let hidden = secrets == Secrets::Hidden;
        let as_base64 = self.jwt_secret_is_base64 || self.is_secret_no_plain_text();
        for (name, text) in &self.app_settings {
            let mut value = String::new();
            write_text(&mut value, text);
            line(name, &value, hidden);
        }
        self.each_value(|setting, mut value| {
            match (setting.name, &self.jwt_secret) {
                ("jwt-secret", Some(secret)) if as_base64 => {
                    value.clear();
                    write_text(&mut value, &STANDARD.encode(secret));
                }
                ("jwt-secret-is-base64", _) => value = as_base64.to_string(),
                _ => {}
            }
            line(setting.name, &value, hidden && setting.secret);
        });
        out
    }

    /// Whether the secret, as text, would be another one: it came from a file.
    fn is_secret_no_plain_text(&self) -> bool {
        let secret = self.jwt_secret.as_deref().unwrap_or_default();
        secret.starts_with(b"@") || std::str::from_utf8(secret).is_err()
    }
}

/// A configuration file with each setting's help and its default, or an example where there
/// is none. All of it is commented out.
pub fn example() -> String {
    let mut out = String::new();
    for setting in SETTINGS {
        for line in help_lines(setting) {
            let _ = writeln!(out, "## {line}");
        }
        let _ = writeln!(out, "# {} = {}\n", setting.name, sample(setting));
    }
    out.push_str("## Settings for SQL: current_setting('app.settings.NAME').\n");
    out.push_str("# app.settings.NAME = \"value\"\n");
    out
}

/// The reference page of all settings, in Markdown.
pub fn reference() -> String {
    let protective: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| setting.protective)
        .map(|setting| format!("`{}`", setting.name))
        .collect();
    let mut out = REFERENCE_HEAD.replace("{protective}", &protective.join(", "));
    for setting in SETTINGS {
        let _ = write!(out, "\n## {}\n\n", setting.name);
        for line in help_lines(setting) {
            let _ = writeln!(out, "{line}");
        }
        out.push('\n');
        write_facts(&mut out, setting);
    }
    out.push_str(REFERENCE_TAIL);
    out
}

/// The table of a setting's properties.
fn write_facts(out: &mut String, setting: &Setting) {
    let default = match setting.default {
        "" => "none".to_owned(),
        text => format!("`{text}`"),
    };
    let _ = writeln!(out, "| | |\n|---|---|\n| Type | {} |\n| Default | {default} |", setting.kind);
    if !setting.example.is_empty() {
        let _ = writeln!(out, "| Example | `{} = {}` |", setting.name, sample(setting));
    }
    let _ = writeln!(out, "| Environment | `{}` |", setting.variable());
    if setting.in_database {
        let _ = writeln!(out, "| In the database | `pgrst.{}` |", setting.database_name());
    }
    let reload = if setting.reloadable { "applies it" } else { "does not apply it" };
    let _ = writeln!(out, "| Reload | {reload} |");
    if !setting.aliases.is_empty() {
        let _ = writeln!(out, "| Also as | `{}` |", setting.aliases.join("`, `"));
    }
    if setting.own {
        let _ = writeln!(out, "| PostgREST | does not have it |");
    }
}

/// A value as it would stand in a file.
fn sample(setting: &Setting) -> String {
    let value = if setting.example.is_empty() { setting.default } else { setting.example };
    match setting.kind {
        "boolean" | "integer" | "seconds" => value.to_owned(),
        _ => {
            let mut text = String::new();
            write_text(&mut text, value);
            text
        }
    }
}

fn help_lines(setting: &Setting) -> impl Iterator<Item = &'static str> {
    setting.help.lines().map(str::trim)
}

const REFERENCE_HEAD: &str = "# Configuration

Settings come from the configuration file, the environment and the database. The database
wins over the environment, which wins over the file. They are PostgREST's, with its names
and defaults; goldenkey's own are marked.

    goldenkey goldenkey.conf

`goldenkey --example` prints a file with all settings, and `goldenkey --dump-config FILE`
the configuration in force, with its secrets, as a file that gives the same configuration
(`--hide-secrets` leaves them out). This page is generated from the table of settings in
`src/config/settings.rs`.

## The file

    # A comment, also behind a value.
    db-uri       = \"postgres://authenticator:secret@localhost:5432/shop\"
    db-anon-role = \"web_anon\"
    db-pool      = 20
    db-plan-enabled = true

A string stands in double quotes and ends on its line; in it, `\\` begins an escape as in
JSON, `$(NAME)` stands for an environment variable, and `$$` for a dollar. Numbers and
booleans need no quotes. An empty string means that the setting is not set. A list is one
string, separated by commas.

An unknown name is passed over with a warning, which the log has at every level but `crit`. A
bad value stops the start with a message that says what is allowed; a reload with one changes
nothing. A number or boolean that is none counts as not set, with a warning, as in PostgREST;
goldenkey's own settings are read strictly.

`@FILE`, and the configuration file itself, may also be a pipe (`@/dev/stdin`), whose writer has
ten seconds. It is read once, and what it gave is kept, also across reloads.

## The environment

`PGRST_DB_SCHEMAS` is `db-schemas`, and so on. `PGRST_APP_SETTINGS_NAME` is
`app.settings.NAME`. libpq's variables (`PGHOST`, `PGPASSWORD` and so on) complete `db-uri`.

## The database

Settings of the login role count, those for this database before those for all:

    alter role authenticator in database shop set pgrst.db_schemas = 'api, reports';

So do those that the function named by `db-pre-config` sets:

    create function config.pre_config() returns void language sql as $$
      select set_config('pgrst.db_schemas', 'api, reports', true)
    $$;

The role's win over the function's. When one of them is bad, none of them counts. `db-config =
false` leaves all of them out.

## Reload

`SIGUSR2`, or `NOTIFY pgrst, 'reload config'`, reads file and database again. What a reload
does not apply takes a restart.

A file that was cut short must not open the API: a reload is refused when a setting is in force
that the file or the environment gave, and neither says a word about it any more. That holds for
{protective}. To take one of them away, write it with an empty value:
`db-pre-request = \"\"`.

# Settings

## app.settings.*

Any setting for SQL: `app.settings.colour = \"blue\"` makes
`current_setting('app.settings.colour')` give `blue`.

| | |
|---|---|
| Type | string |
| Environment | `PGRST_APP_SETTINGS_*` |
| Reload | applies it |
";

const REFERENCE_TAIL: &str = "
# Connecting to the database

`db-uri` means what it means to libpq
(<https://www.postgresql.org/docs/current/libpq-connect.html>): a URI or keywords and values,
several hosts, Unix sockets, `target_session_attrs`, `load_balance_hosts`, `sslmode` from
`disable` to `verify-full` with `sslrootcert`, `sslcert` and `sslkey`, `sslnegotiation`,
`channel_binding`, `passfile`, `service`, timeouts and keepalives. What it leaves out comes
from the service file, the environment, the password file and libpq's defaults, in this
order. Where goldenkey differs from libpq:

- Connecting to one server takes at most 10 seconds, unless `connect_timeout` says otherwise;
  0 stands for any time.
- A peer that is silent is probed after 60 seconds and given up a minute later, unless
  `keepalives_idle`, `keepalives_interval` or `keepalives_count` say otherwise.
- `verify-full` looks for the host in the certificate's subject alternative names, not in its
  common name.
- The database user defaults to `USER` or `LOGNAME` in the environment, then to the name of
  the system's user.
- Kerberos, revocation lists (`sslcrl`), encrypted keys (`sslpassword`), `requirepeer`,
  `require_auth` and abstract Unix sockets are not supported; asking for them stops the start.
";
