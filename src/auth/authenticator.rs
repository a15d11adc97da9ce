//! The way of a request: bearer token, cache, signature, claims, role.

use super::audience::Audience;
use super::cache::TokenCache;
use super::claims::{Claims, Validity};
use super::deny::DenyList;
use super::identity::Identity;
use super::inspect::Inspection;
use super::key_set::KeySet;
use super::name_length::ServerEncoding;
use super::refusal::Refusal;
use super::remote::RemoteKeys;
use super::role::RolePath;
use super::settings::{KeyError, Settings};
use super::token::Token;
use super::trust::{Trust, parse_issuers};
use crate::error::{Error, Result};
use crate::http::Headers;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// Verifies tokens. Made anew when settings change, which also empties its cache.
///
/// ```
/// use goldenkey::auth::{Authenticator, Settings};
/// use goldenkey::http::Headers;
///
/// let settings = Settings { anonymous_role: Some("web_anon".into()), ..Settings::default() };
/// let (authenticator, warnings) = Authenticator::new(settings)?;
/// let identity = authenticator.authenticate(&Headers::default(), 1_700_000_000).unwrap();
/// assert_eq!(identity.role, "web_anon");
/// assert!(warnings.is_empty());
/// # Ok::<(), goldenkey::auth::KeyError>(())
/// ```
pub struct Authenticator {
    /// For tokens of issuers that are not listed; `None` when no key is configured.
    trust: Option<Trust>,
    /// By `iss`.
    issuers: BTreeMap<String, Trust>,
    role_path: RolePath,
    anonymous: Option<Arc<Identity>>,
    cache: Option<TokenCache>,
    deny_list: Arc<DenyList>,
    server_encoding: Arc<ServerEncoding>,
}

impl Authenticator {
    /// Makes sure that a secret and a `jwt-role-claim-key` can be used, without looking for
    /// keys elsewhere.
    ///
    /// # Errors
    ///
    /// When the secret is too short or no key, or the other is no path.
    pub fn check_settings(secret: Option<&[u8]>, role_claim_key: &str) -> Result<(), KeyError> {
        if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
            KeySet::from_secret(secret)?;
        }
        RolePath::parse(role_claim_key).map(drop)
    }

    /// Prepares keys and rules. The texts are warnings for the operator.
    ///
    /// With a `jwt-jwks-url` that is new it waits up to two seconds for the first keys.
    ///
    /// # Errors
    ///
    /// When the secret is too short, no key can be used, or `jwt-role-claim-key` is no path.
    pub fn new(settings: Settings) -> Result<(Self, Vec<String>), KeyError> {
        let mut warnings = Vec::new();
        let mut warn = |setting: &str, texts: Vec<String>| {
            warnings.extend(texts.into_iter().map(|text| format!("{setting}: {text}")));
        };
        let remote = |url: &str| settings.fetched_keys.of(url);
        let secret = settings.secret.as_deref().filter(|secret| !secret.is_empty());
        let (keys, texts) = secret.map(KeySet::from_secret).transpose()?.unwrap_or_default();
        warn("jwt-secret", texts);
        let (role_path, text) = RolePath::parse(&settings.role_claim_key)?;
        warn("jwt-role-claim-key", text.into_iter().collect());
        let (issuers, texts) = match &settings.issuers {
            Some(json) => parse_issuers(json, &remote)?,
            None => Default::default(),
        };
        warn("jwt-issuers", texts);
        if settings.anonymous_role.as_deref() == Some("none") {
            return Err(KeyError::new(
                "db-anon-role: none is SQL's word for the login role; for no anonymous requests leave \
                 the setting empty",
            ));
        }
        let url = settings.jwks_url.as_deref().filter(|url| !url.is_empty());
        let trust = Trust {
            keys,
            remote: url.map(remote).transpose()?,
            audiences: settings.audience.into_iter().map(Audience::new).collect(),
            audience_required: settings.audience_required,
        };
        let authenticator = Authenticator {
            trust: (secret.is_some() || url.is_some()).then_some(trust),
            issuers,
            role_path,
            anonymous: settings.anonymous_role.map(|role| Arc::new(Identity::anonymous(&role))),
            cache: (settings.cache_max_entries > 0)
                .then(|| TokenCache::new(settings.cache_max_entries, settings.cache_counters)),
            deny_list: settings.deny_list,
            server_encoding: settings.server_encoding,
        };
        Ok((authenticator, warnings))
    }

    /// Finds out who sent a request; `now` is in seconds since 1970.
    ///
    /// A request without a bearer token is anonymous, whatever other credentials it carries.
    ///
    /// # Errors
    ///
    /// 401 with PGRST301 to PGRST303 for a token that is refused, or none where one is
    /// needed; 500 with PGRST300 for a token when there are no keys.
    pub fn authenticate(&self, headers: &Headers, now: i64) -> Result<Arc<Identity>> {
        let Some(token) = bearer_token(headers) else {
            return match &self.anonymous {
                Some(identity) => Ok(identity.clone()),
                None => Err(Refusal::AnonymousDisabled.into_error("no token was sent".into())),
            };
        };
        if let Some(cache) = self.cache.as_ref().filter(|_| !token.is_empty())
            && let Some(identity) = cache.get(token)
            && identity.keys_generation == self.keys_generation()
        {
            return self.check(&identity, now).map(|()| identity).map_err(|refusal| {
                cache.remove(token);
                refused(refusal, token)
            });
        }
        let identity = self.verify(token, now).map_err(|refusal| refused(refusal, token))?;
        let identity = Arc::new(identity);
        if let Some(cache) = &self.cache {
            cache.insert(token, identity.clone());
        }
        Ok(identity)
    }

    /// Examines a token in the way [`authenticate`](Self::authenticate) does, and tells what
    /// it finds, also where it would have stopped; `now` is in seconds since 1970.
    pub fn inspect(&self, token: &str, now: i64) -> Inspection {
        Inspection::of(self, token, now)
    }

    /// The number of tokens in the cache.
    pub fn cached_tokens(&self) -> usize {
        self.cache.as_ref().map_or(0, TokenCache::len)
    }

    /// What may have changed since a token was verified with keys that are still in use.
    /// Audience and role path cannot: a change of settings makes a new authenticator.
    fn check(&self, identity: &Identity, now: i64) -> Result<(), Refusal> {
        identity.validity.check(now)?;
        if self.deny_list.denies(identity) { Err(Refusal::Revoked) } else { Ok(()) }
    }

    pub(super) fn verify(&self, token: &str, now: i64) -> Result<Identity, Refusal> {
        // Read before the keys, so that a change meanwhile counts as one afterwards.
        let keys_generation = self.keys_generation();
        if self.trust.is_none() && self.issuers.is_empty() {
            return Err(Refusal::NoSecret);
        }
        let token = Token::parse(token)?;
        let trust = self.trust_for(&token)?;
        trust.verify(&token)?;
        let payload = token.payload()?;
        let claims = Claims::parse(&payload)?;
        let validity = Validity::of(&claims, now)?;
        trust.check_audience(&claims)?;
        let role = self.role(&claims)?;
        let identity = Identity {
            claims_json: claims.to_json(Some(&role))?,
            authenticated: self.anonymous.as_ref().is_none_or(|anonymous| anonymous.role != role),
            role,
            sql: OnceLock::new(),
            validity,
            keys_generation,
            deny_version: AtomicU64::new(0),
        };
        if self.deny_list.denies(&identity) { Err(Refusal::Revoked) } else { Ok(identity) }
    }

    /// Whose keys must have signed the token. Its `iss` is not verified yet, and need not be:
    /// who lies about it is held against the keys of whom he claims to be.
    pub(super) fn trust_for(&self, token: &Token<'_>) -> Result<&Trust, Refusal> {
        let listed = if self.issuers.is_empty() {
            None
        } else {
            let payload = token.payload()?;
            let issuer = Claims::parse(&payload)?.string("iss");
            issuer.and_then(|issuer| self.issuers.get(issuer.as_ref()))
        };
        listed.or(self.trust.as_ref()).ok_or(Refusal::NoSuitableKey)
    }

    fn remotes(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.trust.iter().chain(self.issuers.values()).filter_map(|trust| trust.remote.as_ref())
    }

    /// Grows whenever some remote keys change.
    fn keys_generation(&self) -> u64 {
        self.remotes().map(|remote| remote.generation()).sum()
    }

    pub(super) fn role(&self, claims: &Claims<'_>) -> Result<String, Refusal> {
        let role = match self.role_path.select(claims)? {
            Some(role) => role,
            None => {
                let anonymous = self.anonymous.as_ref().ok_or(Refusal::AnonymousDisabled)?;
                anonymous.role.clone()
            }
        };
        match role.as_str() {
            "none" => Err(Refusal::RoleNone),
            text if text.contains('\0') => Err(Refusal::RoleUnreadable),
            text if !self.server_encoding.takes_whole(text) => Err(Refusal::RoleTooLong),
            _ => Ok(role),
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("issuers", &self.issuers.keys())
            .field("role_path", &self.role_path)
            .finish_non_exhaustive()
    }
}

/// The token of the first `Authorization` header, if its scheme is `Bearer` in any case.
fn bearer_token(headers: &Headers) -> Option<&str> {
    let value = headers.get("authorization")?.as_bytes();
    let white = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let end = value.iter().position(white).unwrap_or(value.len());
    if !value[..end].eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    let start = end + value[end..].iter().take_while(|b| white(b)).count();
    // Cut after ASCII, so it is still text.
    std::str::from_utf8(&value[start..]).ok()
}

/// The error for a refused token. The log gets its `alg` and `kid`, which help to find the
/// sender, and never the signature.
fn refused(refusal: Refusal, token: &str) -> Error {
    let mut log = format!("token refused: {refusal}");
    if let Ok(token) = Token::parse(token) {
        log += &format!("; alg {}", token.header.algorithm);
        if let Some(kid) = &token.header.kid {
            log += &format!(", kid {kid:?}");
        }
    }
    refusal.into_error(log)
}
