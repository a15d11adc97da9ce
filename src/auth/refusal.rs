//! Why a token is refused, and what the client and the operator read about it.
//!
//! Codes, messages and `WWW-Authenticate` are PostgREST's
//! (<https://docs.postgrest.org/en/v16/references/errors.html#group-3-jwt-errors>).

use crate::error::Error;
use std::fmt;

/// When to ask again while keys are being fetched.
const RETRY_AFTER_SECONDS: u32 = 5;

/// A reason to refuse a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A token came, but the configuration names no key.
    NoSecret,
    /// The keys are at a URL that has not answered yet.
    KeysNotYetFetched,
    /// No token came, and there is no anonymous role.
    AnonymousDisabled,
    /// `Authorization: Bearer` without a token.
    EmptyToken,
    /// So many parts between dots instead of three.
    Parts(usize),
    /// Header, signature or coding of the token are malformed; the text says what.
    Malformed(&'static str),
    /// The token says that it is not signed (`alg` is `none`).
    Unsecured,
    /// No key has the token's `kid`, or may be used with its `alg`.
    NoSuitableKey,
    /// There are suitable keys, and the signature is of none of them.
    BadSignature,
    /// The signed claims are no JSON object that can be read.
    ClaimsUnreadable,
    /// A time claim (its name) is no number.
    NotANumber(&'static str),
    /// `exp` has passed.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `iat` is still to come.
    IssuedInFuture,
    /// `aud` is neither a string nor an array of strings.
    AudienceMalformed,
    /// `aud` names others, or nobody although an audience is required.
    NotInAudience,
    /// A claim of the token is on the deny list.
    Revoked,
    /// The role is `none`, which `SET ROLE` takes for the login role.
    RoleNone,
    /// PostgreSQL would cut the role's name off, and enter another one.
    RoleTooLong,
    /// The role holds a NUL, which no role name can.
    RoleUnreadable,
}

impl Refusal {
    /// The code of the error body.
    pub fn code(&self) -> &'static str {
        use Refusal::*;
        match self {
            NoSecret | KeysNotYetFetched => "PGRST300",
            EmptyToken | Parts(_) | Malformed(_) | Unsecured | NoSuitableKey | BadSignature => {
                "PGRST301"
            }
            AnonymousDisabled => "PGRST302",
            RoleNone | RoleTooLong => "22023",
            _ => "PGRST303",
        }
    }

    /// The message of the error body.
    pub fn message(&self) -> String {
        use Refusal::*;
        match self {
            NoSecret => "Server lacks JWT secret".into(),
            KeysNotYetFetched => "Server has not fetched its JWT keys yet".into(),
            AnonymousDisabled => "Anonymous access is disabled".into(),
            EmptyToken => "Empty JWT is sent in Authorization header".into(),
            Parts(found) => format!("Expected 3 parts in JWT; got {found}"),
            Malformed(_) => "JWT cryptographic operation failed".into(),
            Unsecured => "Wrong or unsupported encoding algorithm".into(),
            NoSuitableKey | BadSignature => "No suitable key or wrong key type".into(),
            ClaimsUnreadable | RoleUnreadable => "Parsing claims failed".into(),
            NotANumber(claim) => format!("The JWT '{claim}' claim must be a number"),
            Expired => "JWT expired".into(),
            NotYetValid => "JWT not yet valid".into(),
            IssuedInFuture => "JWT issued at future".into(),
            AudienceMalformed => {
                "The JWT 'aud' claim must be a string or an array of strings".into()
            }
            NotInAudience => "JWT not in audience".into(),
            Revoked => "JWT revoked".into(),
            RoleNone => "role \"none\" does not exist".into(),
            RoleTooLong => "a role whose name is longer than 63 bytes does not exist".into(),
        }
    }

    fn details(&self) -> Option<&'static str> {
        match self {
            Refusal::Unsecured => Some("JWT is unsecured but expected 'alg' was not 'none'"),
            Refusal::NoSuitableKey => Some("No suitable key was found to decode the JWT"),
            Refusal::BadSignature => Some("None of the keys was able to decode the JWT"),
            _ => None,
        }
    }

    /// The whole answer; `log` tells the operator what exactly was wrong, and must not hold
    /// the token's signature.
    pub(super) fn into_error(self, log: String) -> Error {
        let message = self.message();
        let status = match self {
            Refusal::NoSecret => 500,
            Refusal::KeysNotYetFetched => 503,
            _ => 401,
        };
        let challenge = match self.code() {
            "PGRST300" => None,
            "PGRST302" | "22023" => Some("Bearer".to_owned()),
            _ => Some(format!("Bearer error=\"invalid_token\", error_description=\"{message}\"")),
        };
        let mut error = Error::new(status, self.code(), message).log(log);
        if let Some(details) = self.details() {
            error = error.details(details);
        }
        match challenge {
            Some(challenge) => error.header("WWW-Authenticate", challenge),
            None if status == 503 => error.header("Retry-After", RETRY_AFTER_SECONDS.to_string()),
            None => error,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match (self, self.details()) {
            (Refusal::Malformed(what), _) => write!(f, ": {what}"),
            (Refusal::RoleUnreadable, _) => f.write_str(": the role holds a NUL"),
            (_, Some(details)) => write!(f, ": {details}"),
            _ => Ok(()),
        }
    }
}
