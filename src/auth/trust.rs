//! Whom the server trusts: keys, and whom their tokens must be for; one set by default, and
//! one for each of several issuers (`jwt-issuers`).
//!
//! A token whose `iss` is listed must be signed with that issuer's keys, and no others. All
//! other tokens must be signed with the default keys.

use super::KeyError;
use super::audience::Audience;
use super::claims::Claims;
use super::key::Key;
use super::key_set::KeySet;
use super::refusal::Refusal;
use super::remote::RemoteKeys;
use super::token::Token;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keys and audiences that belong together.
pub(super) struct Trust {
    pub keys: KeySet,
    pub remote: Option<Arc<RemoteKeys>>,
    /// Any of these will do; none means that everybody is meant.
    pub audiences: Vec<Audience>,
    /// Whether a token must name an audience.
    pub audience_required: bool,
}

impl Trust {
    /// Finds the key that signed `token`, and tells its name.
    pub fn verify(&self, token: &Token<'_>) -> Result<Arc<str>, Refusal> {
        let name = |key: &Key| key.name.clone();
        let Some(remote) = &self.remote else { return self.keys.verify(token).map(name) };
        let fixed = match self.keys.verify(token) {
            Ok(key) => return Ok(name(key)),
            Err(refusal) => refusal,
        };
        let Some(keys) = remote.keys() else {
            return Err(if self.keys.keys.is_empty() { Refusal::KeysNotYetFetched } else { fixed });
        };
        let verified = keys.verify(token).map(name);
        if verified.is_err() && !keys.knows(&token.header) {
            remote.want_refresh();
        }
        // That some key was tried is the better reason.
        verified.map_err(|refusal| if fixed == Refusal::BadSignature { fixed } else { refusal })
    }

    /// Checks whom the token is for.
    pub fn check_audience(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        claims.check_audience(&self.audiences, self.audience_required)
    }
}

/// One issuer in the file of `jwt-issuers`, an object from `iss` to this.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerSettings {
    /// A JWK or JWKS.
    keys: Option<Value>,
    /// The URL of a JWKS.
    jwks_url: Option<String>,
    /// Whom tokens must be for: one name or several.
    aud: Option<OneOrMany>,
    /// Whether a token must name an audience.
    #[serde(default)]
    aud_required: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Reads the text of `jwt-issuers`; `remote` gives the keys of a URL. The texts are warnings.
///
/// # Errors
///
/// When the text is no such object, or an issuer has no key that can be used.
pub(super) fn parse_issuers(
    json: &str,
    remote: &dyn Fn(&str) -> Result<Arc<RemoteKeys>, KeyError>,
) -> Result<(BTreeMap<String, Trust>, Vec<String>), KeyError> {
    let issuers: BTreeMap<String, IssuerSettings> = serde_json::from_str(json)
        .map_err(|error| KeyError::new(format!("jwt-issuers: {error}")))?;
    let mut warnings = Vec::new();
    let mut trusts = BTreeMap::new();
    for (issuer, settings) in issuers {
        let failed = |reason: String| KeyError::new(format!("jwt-issuers: {issuer:?}: {reason}"));
        let (keys, texts) = match &settings.keys {
            Some(value) => KeySet::from_json(value).map_err(|error| failed(error.to_string()))?,
            None if settings.jwks_url.is_some() => Default::default(),
            None => return Err(failed("it has neither keys nor jwks_url".to_owned())),
        };
        warnings.extend(texts.into_iter().map(|text| format!("{issuer:?}: {text}")));
        let remote = settings.jwks_url.as_deref().map(remote).transpose()?;
        let audiences = match settings.aud {
            None => Vec::new(),
            Some(OneOrMany::One(audience)) => vec![Audience::new(audience)],
            Some(OneOrMany::Many(audiences)) => audiences.into_iter().map(Audience::new).collect(),
        };
        let audience_required = settings.aud_required;
        trusts.insert(issuer, Trust { keys, remote, audiences, audience_required });
    }
    Ok((trusts, warnings))
}
