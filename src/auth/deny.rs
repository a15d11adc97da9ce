//! The deny list: claim values whose tokens are refused before they expire.
//!
//! It lives in memory and is fed by notifications and reloads of the database, so that
//! revocation costs a request nothing: a cached token is compared with the list only after
//! the list has grown.

use super::identity::Identity;
use serde_json::Value;
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
    /// Reads one revocation: a JSON object such as `{"sub":"ada"}` denies each of its
    /// members, any other text is the `jti` of a token.
    pub fn parse(text: &str) -> Vec<Denied> {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(members)) => members
                .into_iter()
                .map(|(claim, value)| {
                    let value = match value {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    Denied { claim, value }
                })
                .collect(),
            _ => vec![Denied { claim: "jti".to_owned(), value: text.to_owned() }],
        }
    }
}

/// Denied claim values. It is shared by all generations of the configuration.
#[derive(Debug, Default)]
pub struct DenyList {
    denied: RwLock<HashMap<String, HashSet<String>>>,
    /// Grows with each change that denies more.
    version: AtomicU64,
}

impl DenyList {
    /// Adds a value. Returns `false` when the list is full.
    pub fn insert(&self, denied: Denied) -> bool {
        let mut map = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        if map.values().map(HashSet::len).sum::<usize>() >= MAX_DENIED {
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
        for denied in all.by_ref().take(MAX_DENIED) {
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
