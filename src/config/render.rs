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
        for (name, text) in &self.app_settings {
            let mut value = String::new();
            write_text(&mut value, text);
            line(name, &value, hidden);
        }
        self.each_value(|setting, mut value| {
            if let (true, "jwt-secret", Some(secret)) =
                (self.jwt_secret_is_base64, setting.name, &self.jwt_secret)
            {
                value.clear();
                write_text(&mut value, &STANDARD.encode(secret));
            }
            line(setting.name, &value, hidden && setting.secret);
        });
        out
    }
}

/// A configuration file with each setting's help and default, all commented out.
pub fn example() -> String {
    let mut out = String::new();
    for setting in SETTINGS {
        for line in help_lines(setting) {
            let _ = writeln!(out, "## {line}");
        }
        let _ = writeln!(out, "# {} = {}\n", setting.name, written_default(setting));
    }
    out.push_str("## Settings for SQL: current_setting('app.settings.NAME').\n");
    out.push_str("# app.settings.NAME = \"value\"\n");
    out
}

/// The reference page of all settings, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(REFERENCE_HEAD);
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

/// The default as it would stand in a file.
fn written_default(setting: &Setting) -> String {
    match setting.kind {
        "boolean" | "integer" | "seconds" if !setting.default.is_empty() => {
            setting.default.to_owned()
        }
        _ => {
            let mut text = String::new();
            write_text(&mut text, setting.default);
            text
        }
    }
}

fn help_lines(setting: &Setting) -> impl Iterator<Item = &'static str> {
    setting.help.lines().map(str::trim)
}

const REFERENCE_HEAD: &str = "# Configuration
";

const REFERENCE_TAIL: &str = "";
