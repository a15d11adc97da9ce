//! The deny list: claim values whose tokens are refused before they expire.
//!
//! It lives in memory and is fed by notifications and reloads of the database, so that
//! revocation costs a request nothing: a cached token is compared with the list only after
//! the list has grown.

use super::identity::Identity;
use super::json;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// The most values on the list; further ones are not taken, and the caller is told.
pub const MAX_DENIED: usize = 1_000_000;

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

/// Denied claim values. It is shared by all generations of the configuration.
#[derive(Debug)]
pub struct DenyList {
    denied: RwLock<HashMap<String, HashSet<String>>>,
    /// Grows with each change that denies more.
    version: AtomicU64,
    max_denied: usize,
}

impl Default for DenyList {
    /// An empty list with room for [`MAX_DENIED`] values.
    fn default() -> Self {
        DenyList { denied: RwLock::default(), version: AtomicU64::new(0), max_denied: MAX_DENIED }
    }
}

impl DenyList {
    /// Adds a value. Returns `false` when the list is full.
    pub fn insert(&self, denied: Denied) -> bool {
        let mut map = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        if map.values().map(HashSet::len).sum::<usize>() >= self.max_denied {
            return false;
        }
        map.entry(denied.claim).or_default().insert(denied.value);
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    /// Replaces the whole list. Returns `false` when some values did not fit.
    pub fn replace(&self, all: impl IntoIterator<Item = Denied>) -> bool {
        let mut new: HashMap<String, HashSet<String>> = HashMap::new();
        let mut all = all.into_iter();
        for denied in all.by_ref().take(self.max_denied) {
            new.entry(denied.claim).or_default().insert(denied.value);
        }
        *self.denied.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.version.fetch_add(1, Ordering::Release);
        all.next().is_none()
    }

    /// How many values are denied.
    pub fn len(&self) -> usize {
        let map = self.denied.read().unwrap_or_else(PoisonError::into_inner);
        map.values().map(HashSet::len).sum()
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
        let map = self.denied.read().unwrap_or_else(PoisonError::into_inner);
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
    fn a_list_grows_and_is_replaced() {
        let list = DenyList::default();
        assert!(list.is_empty());
        assert!(list.insert(Denied::parse("a").unwrap()));
        assert!(list.insert(Denied::parse("a").unwrap()));
        assert!(list.insert(Denied::parse(r#"{"sub":"a"}"#).unwrap()));
        assert_eq!(list.len(), 2);
        assert!(list.replace(Denied::parse("b")));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_list_is_bounded() {
        let list = DenyList { max_denied: 3, ..DenyList::default() };
        assert!(!list.replace(["a", "b", "c", "d"].into_iter().filter_map(Denied::parse)));
        assert_eq!(list.len(), 3);
        assert!(!list.insert(Denied::parse("e").unwrap()));
        assert!(list.replace(Denied::parse("e")));
        assert!(list.insert(Denied::parse("f").unwrap()));
    }
}
