//! Checks of single values beyond their type. The texts before "Allowed" are PostgREST's.

use super::value::Rejected;
use crate::schema::{MAX_IDENTIFIER_BYTES, QualifiedName};
use std::time::Duration;

/// System catalogs are no API.
pub(super) fn exposable_schemas(schemas: &[String]) -> Result<(), Rejected> {
    if let Some(schema) =
        schemas.iter().find(|s| matches!(s.as_str(), "pg_catalog" | "information_schema"))
    {
        return Err(Rejected::invalid(
            format!("db-schemas does not allow schema: '{schema}'"),
            "schemas other than pg_catalog and information_schema",
        ));
    }
    if schemas.iter().any(String::is_empty) {
        return Err(Rejected::invalid("it holds an empty name.", "names separated by commas"));
    }
    names(schemas)
}

/// PostgreSQL cuts longer names off without an error, so that what is meant would not be what is
/// found.
pub(super) fn name(name: &str) -> Result<(), Rejected> {
    if name.len() > MAX_IDENTIFIER_BYTES {
        return Err(Rejected::invalid(
            "it is longer than 63 bytes, where PostgreSQL cuts names off.",
            "a name of 63 bytes or less, such as the part that PostgreSQL keeps",
        ));
    }
    Ok(())
}

pub(super) fn names(names: &[String]) -> Result<(), Rejected> {
    names.iter().try_for_each(|text| name(text))
}

pub(super) fn optional_name(text: &Option<String>) -> Result<(), Rejected> {
    text.as_deref().map_or(Ok(()), name)
}

pub(super) fn qualified_name(text: &Option<QualifiedName>) -> Result<(), Rejected> {
    let Some(QualifiedName { schema, name: last }) = text else { return Ok(()) };
    name(schema).and_then(|()| name(last))
}

pub(super) fn at_least_one(number: &usize) -> Result<(), Rejected> {
    match number {
        0 => Err(Rejected::invalid("it is too small.", "a whole number from 1")),
        _ => Ok(()),
    }
}

pub(super) fn not_zero(duration: &Duration) -> Result<(), Rejected> {
    if duration.is_zero() {
        return Err(Rejected::invalid("it is too short.", "1 second or more"));
    }
    Ok(())
}

/// `jwt-aud` is a StringOrURI (RFC 7519, section 2): with a colon, a URI.
pub(super) fn word_or_uri(audience: &Option<String>) -> Result<(), Rejected> {
    match audience {
        Some(text) if text.contains(':') && !is_uri(text) && !is_expression(text) => {
            Err(Rejected::invalid(
                "jwt-aud should be a string or a valid URI",
                "a string without a colon, a URI, or a regular expression",
            ))
        }
        _ => Ok(()),
    }
}

/// Whether it is meant as a regular expression, and is one.
fn is_expression(text: &str) -> bool {
    text.contains(['|', '[', '(', '*', '\\']) && regex_lite::Regex::new(text).is_ok()
}

pub(super) fn web_address(url: &Option<String>) -> Result<(), Rejected> {
    match url {
        Some(text) if !is_web_address(text) => {
            Err(Rejected::invalid("it is no web address.", "https://HOST/PATH"))
        }
        _ => Ok(()),
    }
}

pub(super) fn proxy_uri(uri: &Option<String>) -> Result<(), Rejected> {
    match uri {
        Some(text) if !is_web_address(text) => Err(Rejected::invalid(
            "Malformed proxy uri, a correct example: https://example.com:8443/basePath",
            "a URI with http or https",
        )),
        _ => Ok(()),
    }
}

/// A header's name is a token (RFC 9110, section 5.6.2).
pub(super) fn header_name(name: &Option<String>) -> Result<(), Rejected> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match name {
        Some(text) if !text.bytes().all(is_token) => {
            Err(Rejected::invalid("it is no name of a header.", "letters, digits and hyphens"))
        }
        _ => Ok(()),
    }
}

/// An absolute URI of `http` or `https` with a host.
fn is_web_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (host_port, "80"),
    };
    matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https")
        && !host.is_empty()
        && port.parse::<u16>().is_ok()
        && is_uri(text)
}

/// Whether the text has the form of a URI (RFC 3986): a scheme, and only the characters
/// that a URI may hold.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut scheme = scheme.bytes();
    if !scheme.next().is_some_and(|b| b.is_ascii_alphabetic())
        || !scheme.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    {
        return false;
    }
    let mut bytes = rest.bytes();
    while let Some(b) = bytes.next() {
        let fine = match b {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|b| b.is_ascii_hexdigit())),
            _ => b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&b),
        };
        if !fine {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_address_has_a_scheme_and_a_host() {
        for good in ["https://example.com", "http://a:8443/base?q#f", "https://[::1]:80/"] {
            assert!(is_web_address(good), "{good}");
        }
        for bad in ["not a uri", "example.com", "ftp://a", "http://", "http://a:x", "http://a b"] {
            assert!(!is_web_address(bad), "{bad}");
        }
    }

    #[test]
    fn an_audience_with_a_colon_must_be_a_uri() {
        assert!(word_or_uri(&Some("desk 7".into())).is_ok());
        assert!(word_or_uri(&Some("urn:a:b".into())).is_ok());
        assert!(word_or_uri(&Some("http://%%localhost".into())).is_err());
    }
}
