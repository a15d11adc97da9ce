//! `jwt-role-claim-key`: where in the claims the role is.
//!
//! A JSONPath (RFC 9535), or the dotted form that PostgREST had before v16
//! (<https://docs.postgrest.org/en/v16/references/auth.html#jwt-role-extraction>).

use super::KeyError;
use super::claims::Claims;
use super::json;
use super::refusal::Refusal;
use super::role_dotted::DottedPath;
use serde_json::Value;
use serde_json_path::JsonPath;

/// The functions of JSONPath that PostgREST offers.
const FUNCTIONS: [&str; 2] = ["match", "search"];

/// A parsed `jwt-role-claim-key`.
#[derive(Debug)]
pub(super) enum RolePath {
    /// One top-level claim (`$.role`), which needs no tree of the claims.
    Member(String),
    Json(JsonPath),
    Dotted(DottedPath),
}

impl RolePath {
    /// Parses the setting; the text is a warning about the dotted form.
    pub fn parse(text: &str) -> Result<(Self, Option<String>), KeyError> {
        let failed = |reason: &str| {
            KeyError::new(format!("failed to parse role-claim-key value ({text}){reason}"))
        };
        if let Some(name) = simple_member(text) {
            return Ok((RolePath::Member(name.to_owned()), None));
        }
        match JsonPath::parse(text) {
            Ok(path) => match functions(text).find(|name| !FUNCTIONS.contains(name)) {
                Some(name) => Err(failed(&format!(": there is no function {name}()"))),
                None => Ok((RolePath::Json(path), None)),
            },
            Err(error) => match DottedPath::parse(text) {
                Some(path) => {
                    let warning = format!(
                        "the form of {text} is deprecated since PostgREST 16; write {}",
                        path.to_json_path()
                    );
                    Ok((RolePath::Dotted(path), Some(warning)))
                }
                None => Err(failed(&format!(": {error}"))),
            },
        }
    }

    /// The role in the claims: a string as it is, anything else as its JSON; `None` when the
    /// path leads nowhere. Of several values the first counts.
    pub fn select(&self, claims: &Claims<'_>) -> Result<Option<String>, Refusal> {
        if let RolePath::Member(name) = self {
            return claims.get(name).map(role_text).transpose();
        }
        // Parsed from normal JSON, so that each name is there once.
        let claims: Value =
            serde_json::from_str(&claims.to_json(None)?).map_err(|_| Refusal::ClaimsUnreadable)?;
        let found = match self {
            RolePath::Json(path) => path.query(&claims).first(),
            RolePath::Dotted(path) => path.find(&claims),
            RolePath::Member(name) => claims.get(name),
        };
        Ok(found.map(|value| match value {
            Value::String(role) => role.clone(),
            other => other.to_string(),
        }))
    }
}

fn role_text(value: &str) -> Result<String, Refusal> {
    if value.starts_with('"') {
        return json::string(value).map(Into::into).ok_or(Refusal::ClaimsUnreadable);
    }
    let mut out = String::new();
    json::normalize(value, json::MAX_DEPTH, &mut out).ok_or(Refusal::ClaimsUnreadable)?;
    Ok(out)
}

/// The name in a path of the form `$.name`.
fn simple_member(text: &str) -> Option<&str> {
    let name = text.strip_prefix("$.")?;
    let first = name.bytes().next()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (!first.is_ascii_digit() && name.bytes().all(plain)).then_some(name)
}

/// The names of the functions that a JSONPath calls: words before a parenthesis, outside of
/// strings.
fn functions(path: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let mut escaped = false;
    let outside = move |c: char| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => return true,
        }
        false
    };
    let is_outside: Vec<bool> = path.chars().map(outside).collect();
    path.char_indices().enumerate().filter_map(move |(i, (at, c))| {
        if c != '(' || !is_outside[i] {
            return None;
        }
        let before = &path[..at];
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = &before[before.trim_end_matches(word).len()..];
        (!name.is_empty()).then_some(name)
    })
}
