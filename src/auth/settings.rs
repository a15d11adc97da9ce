//! What authentication is told, and what it says when it cannot use it.

use super::cache::CacheCounters;
use super::deny::DenyList;
use super::name_length::ServerEncoding;
use super::remote::FetchedKeys;
use std::fmt;
use std::sync::Arc;

/// What authentication needs to know, read and decoded.
#[derive(Clone)]
pub struct Settings {
    /// `jwt-secret`: read from its file and decoded from base64 where the configuration says
    /// so. A secret, a JWK or a JWKS.
    pub secret: Option<Vec<u8>>,
    /// `jwt-jwks-url`: a JWKS over HTTP or HTTPS, whose keys count beside those of the secret.
    pub jwks_url: Option<String>,
    /// `jwt-issuers`: the text of the JSON file, an object from `iss` to
    /// `{"keys": JWK or JWKS, "jwks_url": URL, "aud": text or texts, "aud_required": bool}`.
    pub issuers: Option<String>,
    /// `jwt-aud`: whom tokens must be for.
    pub audience: Option<String>,
    /// `jwt-aud-required`: whether tokens that are for nobody in particular are refused.
    pub audience_required: bool,
    /// `jwt-role-claim-key`.
    pub role_claim_key: String,
    /// `db-anon-role`: the role of requests without a token, or without a role in it.
    pub anonymous_role: Option<String>,
    /// `jwt-cache-max-entries`; 0 verifies every token anew.
    pub cache_max_entries: usize,
    /// Counters of the cache. These and the following outlive a reload: give each new
    /// [`Authenticator`](super::Authenticator) the same.
    pub cache_counters: Arc<CacheCounters>,
    /// The deny list.
    pub deny_list: Arc<DenyList>,
    /// Keys from URLs, which a reload keeps without fetching them anew.
    pub fetched_keys: Arc<FetchedKeys>,
    /// The encoding of the database, in which the length of a role's name counts.
    pub server_encoding: Arc<ServerEncoding>,
}

impl Default for Settings {
    /// PostgREST's defaults: no key, no anonymous role, the role in `$.role`, 1000 cached
    /// tokens.
    fn default() -> Self {
        Settings {
            secret: None,
            jwks_url: None,
            issuers: None,
            audience: None,
            audience_required: false,
            role_claim_key: "$.role".to_owned(),
            anonymous_role: None,
            cache_max_entries: 1000,
            cache_counters: Arc::default(),
            deny_list: Arc::default(),
            fetched_keys: Arc::default(),
            server_encoding: Arc::default(),
        }
    }
}

/// A setting of authentication that cannot be used: the message that stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError(String);

impl KeyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        KeyError(message.into())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}
