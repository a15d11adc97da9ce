//! The settings of a request's transaction, as SQL text: role, claims, headers and the rest
//! of what a function can ask with `current_setting`.
//!
//! <https://docs.postgrest.org/en/v16/references/transactions.html>

use crate::auth::Identity;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::Headers;
use crate::query::quote::{identifier, literal};
use crate::request::{ApiRequest, cookies_json, headers_json};
use crate::schema::{MAX_IDENTIFIER_BYTES, RoleSettings, Routine};

/// `SET ROLE none` would mean the login role, whatever role of that name there is.
const RESERVED_ROLE: &str = "none";

/// What is the same for all requests of a configuration.
#[derive(Debug, Clone)]
pub struct PreludeSettings {
    /// `SET LOCAL` of `app.settings.*`.
    app_settings: String,
    /// How many results those give.
    app_results: usize,
    /// `db-extra-search-path`, as the tail of a list.
    extra_search_path: String,
    /// `db-use-legacy-gucs`
    claim_settings: bool,
}

impl PreludeSettings {
    /// Takes what matters from a configuration.
    pub fn new(config: &Config) -> Self {
        let mut app_settings = String::new();
        let mut app_results = 0;
        for (name, value) in &config.app_settings {
            // `SET` cuts the parts of a longer name off, `set_config` takes it whole.
            match name.split('.').all(|part| part.len() <= MAX_IDENTIFIER_BYTES) {
                true => push_setting(&mut app_settings, name, value),
                false => {
                    push_stored_setting(&mut app_settings, name, value);
                    app_results += 1;
                }
            }
        }
        let mut extra_search_path = String::new();
        for schema in &config.db_extra_search_path {
            extra_search_path.push_str(", ");
            identifier(&mut extra_search_path, schema);
        }
        let claim_settings = config.db_use_legacy_gucs;
        Self { app_settings, app_results, extra_search_path, claim_settings }
    }

    /// The search path of requests to a schema, as SQL.
    pub fn search_path(&self, schema: &str) -> String {
        let mut path = String::new();
        identifier(&mut path, schema);
        path + &self.extra_search_path
    }
}

/// Builds the text.
pub struct Prelude<'a> {
    /// What is the same for all requests.
    pub settings: &'a PreludeSettings,
    /// Who asks.
    pub identity: &'a Identity,
    /// What is asked.
    pub request: &'a ApiRequest,
    /// The header fields, for `request.headers` and `request.cookies`.
    pub headers: &'a Headers,
    /// What the role brings.
    pub role_settings: Option<&'a RoleSettings>,
    /// The function that is called, whose own settings apply to the whole transaction.
    pub routine: Option<&'a Routine>,
}

impl Prelude<'_> {
    /// Appends the text, and gives the number of the results that it has.
    ///
    /// # Errors
    /// When the role is one that cannot be entered.
    pub fn write(&self, out: &mut String) -> Result<usize> {
        let role = &self.identity.role;
        if role.eq_ignore_ascii_case(RESERVED_ROLE) {
            return Err(reserved_role(role));
        }
        let of_role = self.role_settings.map_or(&[][..], |role| &role.settings);
        let of_routine = self.routine.map_or(&[][..], |routine| &routine.settings);
        for (name, value) in of_role {
            push_stored_setting(out, name, value);
        }
        out.push_str(self.identity.sql.get_or_init(|| self.identity_text()));
        push_setting(out, "request.method", self.request.method.as_str());
        push_setting(out, "request.path", &self.request.path);
        push_setting(out, "request.headers", &headers_json(self.headers));
        push_setting(out, "request.cookies", &cookies_json(self.headers));
        out.push_str(&self.settings.app_settings);
        if let Some(timezone) = &self.request.preferences.timezone {
            push_setting(out, "timezone", timezone);
        }
        for (name, value) in of_routine {
            push_stored_setting(out, name, value);
        }
        Ok(of_role.len() + self.settings.app_results + of_routine.len())
    }

    /// The part that depends on the token alone.
    fn identity_text(&self) -> Box<str> {
        let mut text = String::new();
        push_setting(&mut text, "role", &self.identity.role);
        push_setting(&mut text, "request.jwt.claims", &self.identity.claims_json);
        if self.settings.claim_settings {
            for (name, value) in self.identity.claims().filter(|(name, _)| is_plain(name)) {
                push_setting(&mut text, &format!("request.jwt.claim.{name}"), &value);
            }
        }
        text.into()
    }
}

fn reserved_role(role: &str) -> Error {
    Error::new(401, "22023", format!("role \"{role}\" does not exist"))
        .header("WWW-Authenticate", "Bearer")
        .log("the role name \"none\" is reserved: SET ROLE takes it for the login role")
}

/// Whether a claim's name can be the last part of a setting's name, and stands for no other
/// claim there: the names of settings have no case, and end after 63 bytes.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_IDENTIFIER_BYTES
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'$'))
}

/// Appends `SET LOCAL name='value';`. The parts of the name are quoted.
fn push_setting(out: &mut String, name: &str, value: &str) {
    out.push_str("SET LOCAL ");
    for (index, part) in name.split('.').enumerate() {
        if index > 0 {
            out.push('.');
        }
        identifier(out, part);
    }
    out.push('=');
    literal(out, value);
    out.push(';');
}

/// A setting as a text that is stored with a role or function. Some hold lists, which `SET`
/// would take for one item: `set_config` reads the stored form.
pub(super) fn push_stored_setting(out: &mut String, name: &str, value: &str) {
    out.push_str("SELECT set_config(");
    literal(out, name);
    out.push(',');
    literal(out, value);
    out.push_str(",true);");
}
