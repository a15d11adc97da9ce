//! `goldenkey token` and `goldenkey keygen`: tokens signed, tokens inspected, secrets made.

use super::serve::ConfigSource;
use super::{Failure, print};
use crate::app::{Lasting, Live};
use crate::auth::{self, Authenticator, KeyKind, SigningKey};
use crate::config::Config;
use crate::http::Headers;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The size of a generated secret; what HS256 asks for (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// A claim's name and value.
pub type Claim = (String, Value);

/// What `goldenkey token` is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Sign {
    /// The configuration file with `jwt-secret`.
    pub config: Option<PathBuf>,
    /// A file with the key to sign with instead: a JWK, a JWKS or PEM.
    pub key: Option<PathBuf>,
    /// The algorithm, where the key leaves a choice.
    pub algorithm: Option<String>,
    /// The claim `role`.
    pub role: Option<String>,
    /// The claim `exp`, counted from now; negative for a token that has expired already.
    pub expires_seconds: Option<i64>,
    /// Further claims.
    pub claims: Vec<Claim>,
}

/// What `goldenkey token --inspect` is asked for.
#[derive(Debug, PartialEq)]
pub struct Inspect {
    /// The configuration file with `jwt-secret`.
    pub config: Option<PathBuf>,
    /// The token, or `-` to read it from standard input.
    pub token: String,
}

/// What `goldenkey keygen` is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Keygen {
    /// The kind of key; without it a plain secret.
    pub kind: Option<KeyKind>,
    /// The key's identifier; without it the thumbprint of its public part.
    pub kid: Option<String>,
}

/// Signs a token and prints it.
///
/// # Errors
/// When there is no key, or when a server with this configuration would not enter the role
/// that is asked for.
pub fn sign(options: Sign) -> Result<(), Failure> {
    let claims = collect_claims(&options, unix_seconds())?;
    let (config, authenticator) = load(options.config)?;
    let key = match (options.key, &config.jwt_secret) {
        (Some(path), _) => fs::read(&path)
            .map_err(|error| Failure::io(format_args!("--key {}", path.display()), error))?,
        (None, Some(secret)) => secret.clone(),
        (None, None) => {
            let text = "there is no jwt-secret to sign with; goldenkey keygen makes one";
            return Err(text.to_owned().into());
        }
    };
    let token = SigningKey::parse(&key, options.algorithm.as_deref())
        .and_then(|key| key.sign(&claims))
        .map_err(|error| error.to_string())?;
    if let Some(role) = &options.role {
        check_role(&config, &authenticator, &token, role)?;
    }
    print(&(token + "\n"))
}

/// Makes sure that a token leads to the role: `jwt-role-claim-key` may look elsewhere. Other
/// reasons to refuse the token, such as its age, may well be what the user wants.
fn check_role(
    config: &Config,
    authenticator: &Authenticator,
    token: &str,
    role: &str,
) -> Result<(), Failure> {
    let headers = Headers(vec![("Authorization".to_owned(), format!("Bearer {token}"))]);
    match authenticator.authenticate(&headers, unix_seconds()) {
        Ok(identity) if identity.role != role => Err(format!(
            "the token would not have the role {role}, since jwt-role-claim-key is {}: \
             give the role there, with --claim or --claim-json",
            config.jwt_role_claim_key
        )
        .into()),
        _ => Ok(()),
    }
}

/// Prints what a token says, and whether a server with this configuration accepts it now.
///
/// # Errors
/// When the token is refused.
pub fn inspect(options: Inspect) -> Result<(), Failure> {
    let (_, authenticator) = load(options.config)?;
    let token = read_token(options.token)?;
    let inspection = authenticator.inspect(&token, unix_seconds());
    print(&inspection.to_string())?;
    inspection.outcome.map(drop).map_err(|refusal| format!("refused: {refusal}").into())
}

fn read_token(argument: String) -> Result<String, Failure> {
    let mut token = argument;
    if token == "-" {
        token.clear();
        let limit = u64::try_from(auth::MAX_TOKEN_BYTES).unwrap_or(u64::MAX);
        io::stdin()
            .take(limit)
            .read_to_string(&mut token)
            .map_err(|error| Failure::io("cannot read the token", error))?;
    }
    Ok(token.trim().to_owned())
}

/// The configuration of file and environment, and what a server makes of tokens with it.
fn load(path: Option<PathBuf>) -> Result<(Arc<Config>, Arc<Authenticator>), Failure> {
    let config = ConfigSource::of_process(path.as_deref()).load()?;
    let (live, warnings) =
        Live::new(config, &Lasting::default()).map_err(|error| error.to_string())?;
    for warning in warnings {
        eprintln!("goldenkey: warning: {warning}");
    }
    Ok((live.config, live.authenticator))
}

/// Prints a new key: a plain secret, or a JWK that signs. The part of it that verifies, for
/// `jwt-secret`, goes to standard error, so that the output is the private key alone.
///
/// # Errors
/// When the system has no randomness to give.
pub fn keygen(options: Keygen) -> Result<(), Failure> {
    let kind = match (options.kind, &options.kid) {
        (None, None) => return print(&(random_secret()? + "\n")),
        (kind, _) => kind.unwrap_or(KeyKind::Secret),
    };
    let key = auth::keygen(kind, options.kid.as_deref()).map_err(|error| error.to_string())?;
    if let Some(public) = key.public {
        eprintln!("the public key, for jwt-secret:\n{public}");
    }
    print(&format!("{}\n", key.private))
}

/// A new random secret, in base64.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_secret() -> Result<String, Failure> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| "the system's random number generator failed".to_owned())?;
    Ok(STANDARD.encode(bytes))
}

/// The claims that the options ask for, in their order.
///
/// # Errors
/// When a claim is given twice.
fn collect_claims(options: &Sign, now: i64) -> Result<Map<String, Value>, Failure> {
    let role = options.role.iter().map(|role| ("role".to_owned(), role.as_str().into()));
    let expiry = options.expires_seconds.iter();
    let expiry = expiry.map(|&seconds| ("exp".to_owned(), now.saturating_add(seconds).into()));
    let mut claims = Map::new();
    for (name, value) in role.chain(expiry).chain(options.claims.iter().cloned()) {
        if claims.contains_key(&name) {
            return Err(format!("the claim {name} is given twice").into());
        }
        claims.insert(name, value);
    }
    Ok(claims)
}

/// Parses `NAME=TEXT`.
///
/// # Errors
/// A text that says what is expected.
pub fn parse_text_claim(argument: &str) -> Result<Claim, String> {
    let (name, value) = split_claim(argument)?;
    Ok((name.to_owned(), value.into()))
}

/// Parses `NAME=JSON`.
///
/// # Errors
/// A text that says what is expected.
pub fn parse_json_claim(argument: &str) -> Result<Claim, String> {
    let (name, value) = split_claim(argument)?;
    let value =
        serde_json::from_str(value).map_err(|error| format!("the value is not JSON: {error}"))?;
    Ok((name.to_owned(), value))
}

fn split_claim(argument: &str) -> Result<(&str, &str), String> {
    let claim = argument.split_once('=').filter(|(name, _)| !name.is_empty());
    claim.ok_or_else(|| "expected NAME=VALUE".to_owned())
}

/// Parses a duration such as `90s`, `5m`, `12h` or `30d` into seconds; a number alone is
/// seconds.
///
/// # Errors
/// A text that says what is expected.
pub fn parse_duration(argument: &str) -> Result<i64, String> {
    let expected = || "expected a number and a unit, such as 90s, 5m, 12h or 30d".to_owned();
    let (number, unit_seconds) = match argument.char_indices().last() {
        Some((at, 's')) => (&argument[..at], 1),
        Some((at, 'm')) => (&argument[..at], 60),
        Some((at, 'h')) => (&argument[..at], 60 * 60),
        Some((at, 'd')) => (&argument[..at], 24 * 60 * 60),
        _ => (argument, 1),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(unit_seconds).ok_or_else(expected)
}

/// Seconds since 1970 began in UTC, as JWT counts them.
pub fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(claims: &[&str]) -> Sign {
        Sign {
            role: Some("todo_user".to_owned()),
            expires_seconds: Some(300),
            claims: claims.iter().map(|claim| parse_text_claim(claim).unwrap()).collect(),
            ..Sign::default()
        }
    }

    #[test]
    fn the_options_become_claims() {
        let claims = collect_claims(&options(&["email=a@b.c"]), 1000).unwrap();
        assert_eq!(
            Value::Object(claims),
            json!({"role": "todo_user", "exp": 1300, "email": "a@b.c"})
        );
    }

    #[test]
    fn a_claim_given_twice_is_refused() {
        for again in ["role=other", "exp=1"] {
            assert!(collect_claims(&options(&[again]), 0).is_err(), "{again}");
        }
        assert!(collect_claims(&options(&["a=1", "a=2"]), 0).is_err());
    }

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("-1m", -60),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "m", "5 m", "5w", "1.5h", "99999999999999999d", "é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_text_of_a_claim_may_hold_an_equals_sign_and_its_name_may_not_be_empty() {
        assert_eq!(parse_text_claim("a=b=c"), Ok(("a".to_owned(), json!("b=c"))));
        assert!(parse_text_claim("=b").is_err());
        assert!(parse_text_claim("a").is_err());
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let secret = random_secret().unwrap();
        assert_eq!(STANDARD.decode(&secret).unwrap().len(), SECRET_BYTES);
        assert_ne!(secret, random_secret().unwrap());
    }
}
