//! Connection strings in the form of a URI: `postgresql://user:password@host:port/db?key=value`.

use super::error::ConnectionError;
use percent_encoding::percent_decode_str;

/// What stands behind the scheme, when the text is a URI.
pub(super) fn after_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"))
}

/// Reads a URI behind its scheme into parameters.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, ConnectionError> {
    let mut parameters = Vec::new();
    // A password may hold any character but @ and /.
    let authority_end = text.find('/').unwrap_or(text.len());
    let rest = match text[..authority_end].find('@') {
        Some(at) => {
            let (user, password) = text[..at].split_once(':').unwrap_or((&text[..at], ""));
            push(&mut parameters, "user", user)?;
            push(&mut parameters, "password", password)?;
            &text[at + 1..]
        }
        None => text,
    };
    if rest.split('?').next().is_some_and(|rest| rest.contains('@')) {
        return Err(unencoded());
    }
    let hosts_end = rest.find(['/', '?']).unwrap_or(rest.len());
    hosts(&rest[..hosts_end], &mut parameters)?;
    let (path, query) = match rest[hosts_end..].split_once('?') {
        Some((path, query)) => (path, query),
        None => (&rest[hosts_end..], ""),
    };
    push(&mut parameters, "dbname", path.strip_prefix('/').unwrap_or(path))?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=').filter(|(_, v)| !v.contains('=')) else {
            return Err(ConnectionError::new(
                "a parameter in the query of the URI is not of the form name=value",
            ));
        };
        parameters.push((decode(name)?, decode(value)?));
    }
    Ok(parameters)
}

/// Reads `host:port,host:port`.
fn hosts(text: &str, parameters: &mut Vec<(String, String)>) -> Result<(), ConnectionError> {
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for item in text.split(',') {
        let (name, port) = match item.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or_else(|| {
                    ConnectionError::new("URI: no closing \"]\" of an IPv6 address")
                })?;
                (address, port)
            }
            None => item.split_at(item.find(':').unwrap_or(item.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port,
            None if port.is_empty() => "",
            None => return Err(ConnectionError::new("URI: unexpected character behind \"]\"")),
        };
        if !decode(port)?.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unencoded());
        }
        names.push(name);
        ports.push(port);
    }
    if ports.iter().any(|port| !port.is_empty()) {
        push(parameters, "port", &ports.join(","))?;
    }
    if names.iter().any(|name| !name.is_empty()) {
        push(parameters, "host", &names.join(","))?;
    }
    Ok(())
}

/// What stands where a host, a port or a database should is most likely a part of a password,
/// which must not be shown, nor taken for a name that others may see.
fn unencoded() -> ConnectionError {
    ConnectionError::new(
        "URI: user, password, host, port and database cannot be told apart: write the characters \
         / @ : ? # [ ] % in them percent-encoded (@ is %40, / is %2F, : is %3A)",
    )
}

/// Adds a part of the URI, unless it is empty and so left to the environment.
fn push(
    parameters: &mut Vec<(String, String)>,
    name: &str,
    encoded: &str,
) -> Result<(), ConnectionError> {
    if !encoded.is_empty() {
        parameters.push((name.to_owned(), decode(encoded)?));
    }
    Ok(())
}

/// Percent-decodes. What is refused is not shown: it may be a part of a password.
fn decode(text: &str) -> Result<String, ConnectionError> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%'
            && !bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(ConnectionError::new("URI: \"%\" is not followed by two hexadecimal digits"));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if decoded.contains('\0') => {
            Err(ConnectionError::new("URI: %00 is not allowed"))
        }
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(ConnectionError::new("URI: percent-encoded bytes are not UTF-8")),
    }
}
