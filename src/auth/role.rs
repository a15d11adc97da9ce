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

/// What is wrong with a path. The parser's own words help where it got into the path at all.
fn explanation(text: &str, error: &serde_json_path::ParseError) -> String {
    let name = |text: &str| {
        text.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if text.starts_with('$') {
        return format!(
            ": it is no JSONPath (RFC 9535) from its character {} on",
            error.position() + 1
        );
    }
    let example = if name(text) { text } else { "role" };
    format!(
        ": it is no JSONPath (RFC 9535), which begins with $, as in $.{example} (in the \
         configuration file: \"$$.{example}\")"
    )
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
                None => Err(failed(&explanation(text, &error))),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn select(path: &str, claims: &str) -> Option<String> {
        let (path, _) = RolePath::parse(path).expect(path);
        path.select(&Claims::parse(claims).unwrap()).unwrap()
    }

    #[test]
    fn the_first_value_of_a_json_path_is_the_role() {
        let claims = r#"{"groups": ["x", "web_a", "web_b"], "user": {"role": "r"}, "n": [1.50]}"#;
        for (path, role) in [
            ("$.groups[1]", Some("web_a")),
            ("$.groups[-1]", Some("web_b")),
            ("$.groups[1:]", Some("web_a")),
            ("$.groups[*]", Some("x")),
            ("$.groups[5]", None),
            ("$.groups[?@ != 'x']", Some("web_a")),
            ("$.groups[?search(@, '^web')]", Some("web_a")),
            ("$.groups[?match(@, '.*_b')]", Some("web_b")),
            ("$.user.role", Some("r")),
            ("$..role", Some("r")),
            ("$['user']['role']", Some("r")),
            ("$.user", Some(r#"{"role":"r"}"#)),
            ("$.nobody", None),
        ] {
            assert_eq!(select(path, claims).as_deref(), role, "{path}");
        }
    }

    #[test]
    fn a_simple_member_and_its_long_form_mean_the_same() {
        for claims in [r#"{"role":"r"}"#, r#"{"role":null}"#, r#"{"role":[1, 2]}"#, "{}"] {
            assert_eq!(select("$.role", claims), select("$['role']", claims), "{claims}");
        }
    }

    #[test]
    fn only_match_and_search_are_offered() {
        for path in ["$[?length(@) == 3]", "$[?count(@.*) == 1]", "$[?value(@..a) == 1]"] {
            let error = RolePath::parse(path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("failed to parse role-claim-key value ({path})")));
        }
        assert!(RolePath::parse("$[?@ == 'length(x)']").is_ok());
        assert!(RolePath::parse(r#"$[?@ == "it's length(x)"]"#).is_ok());
    }

    #[test]
    fn what_is_no_path_is_named_in_the_error() {
        for text in ["role", "$.role[", "", "$", ".a[?(@ = 1)]"] {
            match RolePath::parse(text) {
                Ok((RolePath::Json(_), None)) if text == "$" => {}
                Ok(_) => panic!("{text} is a path"),
                Err(error) => assert!(error.to_string().contains(&format!("({text})"))),
            }
        }
    }

    #[test]
    fn an_error_says_what_a_path_looks_like_or_where_it_is_wrong() {
        let error = |text| RolePath::parse(text).unwrap_err().to_string();
        assert!(error("user_role").contains("as in $.user_role"), "{}", error("user_role"));
        assert!(error("a role").contains("as in $.role"), "{}", error("a role"));
        assert!(error("$.role[").contains("from its character"), "{}", error("$.role["));
    }

    #[test]
    fn the_dotted_form_works_with_a_warning() {
        let (path, warning) = RolePath::parse(".user.role").unwrap();
        assert!(matches!(path, RolePath::Dotted(_)));
        assert!(warning.unwrap().ends_with("write $.user.role"));
        assert_eq!(select(".user.role", r#"{"user":{"role":"r"}}"#).as_deref(), Some("r"));
    }
}
