//! The deny list: claim values whose tokens are refused before they expire.
//!
//! It lives in memory and is replaced whole, so that revocation costs a request nothing: a
//! cached token is compared with the list only after the list has changed.

use super::identity::Identity;
use super::json;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// The most values on the list; further ones are not taken, and the caller is told.
pub const MAX_DENIED: usize = 1_000_000;

/// The most bytes of text on the list.
const MAX_DENIED_BYTES: usize = 64 << 20;

/// A claim and the value of it that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Denied {
    /// The name of a top-level claim.
    pub claim: String,
    /// Its value: a string as it is, anything else as compact JSON.
    pub value: String,
}

impl Denied {
    /// Reads one revocation: a JSON object with one member, such as `{"sub":"ada"}`, denies
    /// tokens with that claim; any other text is the `jti` of a token.
    ///
    /// ```
    /// use goldenkey::auth::Denied;
    ///
    /// assert_eq!(Denied::parse("token-7").unwrap().claim, "jti");
    /// assert_eq!(Denied::parse(r#"{"sub":"ada"}"#).unwrap().claim, "sub");
    /// assert_eq!(Denied::parse(r#"{"sub":"ada","iss":"x"}"#), None);
    /// ```
    ///
    /// Returns `None` for an empty text, and for an object of several members: nobody should
    /// have to guess whether it denies tokens with all or with any of them.
    pub fn parse(text: &str) -> Option<Denied> {
        if text.is_empty() {
            return None;
        }
        let Some(members) = json::members(text) else {
            return Some(Denied { claim: "jti".to_owned(), value: text.to_owned() });
        };
        let [(claim, value)] = members.as_slice() else { return None };
        let mut normal = String::new();
        json::normalize(value.get(), json::MAX_DEPTH, &mut normal)?;
        let value = json::string(&normal).map_or_else(|| normal.clone(), Cow::into_owned);
        Some(Denied { claim: claim.to_string(), value })
    }
}

/// Values on their way to the list, within its bounds.
#[derive(Debug, Default)]
pub struct Denials {
    by_claim: HashMap<String, HashSet<String>>,
    len: usize,
    bytes: usize,
    full: bool,
}

impl Denials {
    /// Adds a value, unless the bounds are reached.
    pub fn add(&mut self, denied: Denied) {
        self.add_within(denied, MAX_DENIED, MAX_DENIED_BYTES);
    }

    fn add_within(&mut self, denied: Denied, max_len: usize, max_bytes: usize) {
        let bytes = self.bytes.saturating_add(denied.claim.len() + denied.value.len());
        self.full |= self.len >= max_len || bytes > max_bytes;
        if !self.full && self.by_claim.entry(denied.claim).or_default().insert(denied.value) {
            self.len += 1;
            self.bytes = bytes;
        }
    }

    /// Whether there was a value that did not fit.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

impl FromIterator<Denied> for Denials {
    fn from_iter<I: IntoIterator<Item = Denied>>(values: I) -> Self {
        let mut denials = Denials::default();
        values.into_iter().for_each(|denied| denials.add(denied));
        denials
    }
}

/// Denied claim values. It is shared by all generations of the configuration.
#[derive(Debug, Default)]
pub struct DenyList {
    denied: RwLock<Denials>,
    /// Grows with each change.
    version: AtomicU64,
}

impl DenyList {
    /// Replaces the whole list.
    pub fn replace(&self, all: Denials) {
        *self.denied.write().unwrap_or_else(PoisonError::into_inner) = all;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// How many values are denied.
    pub fn len(&self) -> usize {
        self.denied.read().unwrap_or_else(PoisonError::into_inner).len
    }

    /// Whether nothing is denied.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a claim of the identity is denied. Costs next to nothing when the identity
    /// has passed this version of the list before.
    pub(super) fn denies(&self, identity: &Identity) -> bool {
        // Read before the list, so that a value added meanwhile is looked for next time.
        let version = self.version.load(Ordering::Acquire);
        if identity.deny_version.load(Ordering::Relaxed) == version {
            return false;
        }
        let map = &self.denied.read().unwrap_or_else(PoisonError::into_inner).by_claim;
        let denied = !map.is_empty()
            && identity.claims().any(|(name, value)| {
                map.get(name.as_ref()).is_some_and(|values| values.contains(value.as_ref()))
            });
        if !denied {
            identity.deny_version.store(version, Ordering::Relaxed);
        }
        denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_claims_are_written() {
        let value = |text: &str| Denied::parse(text).map(|denied| denied.value);
        assert_eq!(value(r#"{"n": 1.50}"#).as_deref(), Some("1.50"));
        assert_eq!(value(r#"{"sub": "a\u0064a"}"#).as_deref(), Some("ada"));
        assert_eq!(value(r#"{"o": {"b": 1, "a": 2}}"#).as_deref(), Some(r#"{"a":2,"b":1}"#));
        assert_eq!(value("[1]").as_deref(), Some("[1]"));
        assert_eq!(value("{}"), None);
        assert_eq!(value(""), None);
    }

    #[test]
    fn a_list_is_replaced_whole() {
        let list = DenyList::default();
        assert!(list.is_empty());
        list.replace(["a", "a", r#"{"sub":"a"}"#].into_iter().filter_map(Denied::parse).collect());
        assert_eq!(list.len(), 2);
        list.replace(Denied::parse("b").into_iter().collect());
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_list_is_bounded_by_number_and_by_bytes() {
        let add = |values: &[&str], max_len, max_bytes| {
            let mut denials = Denials::default();
            for value in values {
                denials.add_within(Denied::parse(value).unwrap(), max_len, max_bytes);
            }
            (denials.len, denials.is_full())
        };
        assert_eq!(add(&["a", "b", "a"], 3, 100), (2, false));
        assert_eq!(add(&["a", "b", "c", "d"], 3, 100), (3, true));
        assert_eq!(add(&["a", "b", "c"], 3, "jtiajtib".len()), (2, true));
    }
}
