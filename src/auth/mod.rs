//! Authentication: from the `Authorization` header to a verified role and its claims.
//!
//! [`Authenticator::new`] prepares keys and rules from [`Settings`] once;
//! [`Authenticator::authenticate`] is what each request goes through. What the role may do
//! is the database's business.
//!
//! Keys and signatures come from `jsonwebtoken` and aws-lc-rs; header and claims are read and
//! checked here, in the manner of PostgREST
//! (<https://docs.postgrest.org/en/v16/references/auth.html>). A name that a claims object
//! holds twice counts where it stands first; a header that does so is refused.

mod cache;
mod claims;
mod deny;
mod identity;
mod json;
mod key;
mod key_set;
mod refusal;
mod role;
mod role_dotted;
mod sign;
mod token;

pub use cache::CacheCounters;
pub use deny::{Denied, DenyList, MAX_DENIED};
pub use identity::Identity;
pub use key::MIN_SECRET_BYTES;
pub use refusal::Refusal;
pub use sign::{SigningKey, sign};
pub use token::MAX_TOKEN_BYTES;

use crate::error::{Error, Result};
use crate::http::Headers;
use cache::TokenCache;
use claims::{Claims, Validity};
use key_set::KeySet;
use role::RolePath;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use token::Token;

/// What authentication needs to know, read and decoded.
#[derive(Clone)]
pub struct Settings {
    /// `jwt-secret`: read from its file and decoded from base64 where the configuration says
    /// so. A secret, a JWK or a JWKS.
    pub secret: Option<Vec<u8>>,
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
    /// Counters that outlive a reload; give each new [`Authenticator`] the same.
    pub cache_counters: Arc<CacheCounters>,
    /// The deny list, which outlives a reload too.
    pub deny_list: Arc<DenyList>,
}

impl Default for Settings {
    /// PostgREST's defaults: no key, no anonymous role, the role in `$.role`, 1000 cached
    /// tokens.
    fn default() -> Self {
        Settings {
            secret: None,
            audience: None,
            audience_required: false,
            role_claim_key: "$.role".to_owned(),
            anonymous_role: None,
            cache_max_entries: 1000,
            cache_counters: Arc::default(),
            deny_list: Arc::default(),
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
    keys: Option<KeySet>,
    audience: Vec<String>,
    audience_required: bool,
    role_path: RolePath,
    anonymous: Option<Arc<Identity>>,
    cache: Option<TokenCache>,
    deny_list: Arc<DenyList>,
}

impl Authenticator {
    /// Prepares keys and rules. The texts are warnings for the operator.
    ///
    /// # Errors
    ///
    /// When the secret is too short, no key can be used, or `jwt-role-claim-key` is no path.
    pub fn new(settings: Settings) -> Result<(Self, Vec<String>), KeyError> {
        let mut warnings = Vec::new();
        let mut warn = |setting: &str, text: String| warnings.push(format!("{setting}: {text}"));
        let keys = match settings.secret.as_deref() {
            None | Some([]) => None,
            Some(secret) => {
                let (keys, texts) = KeySet::from_secret(secret)?;
                texts.into_iter().for_each(|text| warn("jwt-secret", text));
                Some(keys)
            }
        };
        let (role_path, text) = RolePath::parse(&settings.role_claim_key)?;
        if let Some(text) = text {
            warn("jwt-role-claim-key", text);
        }
        let anonymous = match settings.anonymous_role.as_deref() {
            Some("none") => {
                return Err(KeyError::new("db-anon-role: SET ROLE takes none for the login role"));
            }
            role => role.map(|role| Arc::new(Identity::anonymous(role))),
        };
        let cache = (settings.cache_max_entries > 0)
            .then(|| TokenCache::new(settings.cache_max_entries, settings.cache_counters));
        let authenticator = Authenticator {
            keys,
            audience: settings.audience.into_iter().collect(),
            audience_required: settings.audience_required,
            role_path,
            anonymous,
            cache,
            deny_list: settings.deny_list,
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

    /// The number of tokens in the cache.
    pub fn cached_tokens(&self) -> usize {
        self.cache.as_ref().map_or(0, TokenCache::len)
    }

    /// What may have changed since a token was verified. Keys, audience and role path cannot:
    /// a change of settings makes a new authenticator.
    fn check(&self, identity: &Identity, now: i64) -> Result<(), Refusal> {
        identity.validity.check(now)?;
        if self.deny_list.denies(identity) { Err(Refusal::Revoked) } else { Ok(()) }
    }

    fn verify(&self, token: &str, now: i64) -> Result<Identity, Refusal> {
        let keys = self.keys.as_ref().ok_or(Refusal::NoSecret)?;
        let token = Token::parse(token)?;
        keys.verify(&token)?;
        let payload = token.payload()?;
        let claims = Claims::parse(&payload)?;
        let validity = Validity::of(&claims, now)?;
        claims.check_audience(&self.audience, self.audience_required)?;
        let role = self.role(&claims)?;
        let identity = Identity {
            claims_json: claims.to_json(Some(&role))?,
            authenticated: self.anonymous.as_ref().is_none_or(|anonymous| anonymous.role != role),
            role,
            sql: OnceLock::new(),
            validity,
            keys_generation: 0,
            deny_version: AtomicU64::new(0),
        };
        if self.deny_list.denies(&identity) { Err(Refusal::Revoked) } else { Ok(identity) }
    }

    fn role(&self, claims: &Claims<'_>) -> Result<String, Refusal> {
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
            _ => Ok(role),
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("keys", &self.keys.as_ref().map(|keys| keys.keys.len()))
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

/// The error for a refused token. The log gets header fields and claims of it, which help to
/// find the sender, and never the signature.
fn refused(refusal: Refusal, token: &str) -> Error {
    let mut log = format!("token refused: {refusal}");
    if let Ok(token) = Token::parse(token) {
        log += &format!("; alg {:?}", token.header.algorithm);
        if let Some(kid) = &token.header.kid {
            log += &format!(", kid {kid:?}");
        }
    }
    refusal.into_error(log)
}
