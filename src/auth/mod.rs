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

mod algorithm;
mod audience;
mod authenticator;
mod cache;
mod claims;
mod deny;
mod fetch;
mod identity;
mod inspect;
mod json;
mod key;
mod key_set;
mod keygen;
mod mistaken;
mod name_length;
mod refusal;
mod remote;
mod role;
mod role_dotted;
mod rsa_der;
mod settings;
mod sign;
mod token;
mod trust;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod test_tokens;
#[cfg(test)]
mod tests;

pub use authenticator::Authenticator;
pub use cache::CacheCounters;
pub use deny::{Denials, Denied, DenyList, MAX_DENIED};
pub use identity::Identity;
pub use inspect::Inspection;
pub use key::MIN_SECRET_BYTES;
pub use keygen::{GeneratedKey, KeyKind, keygen};
pub use name_length::ServerEncoding;
pub use refusal::Refusal;
pub use remote::FetchedKeys;
pub use settings::{KeyError, Settings};
pub use sign::{SigningKey, sign};
pub use token::MAX_TOKEN_BYTES;
