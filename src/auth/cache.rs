//! Verified tokens and whom they stand for, so that a token is verified once.
//!
//! Bounded by entries, keyed by the whole token. Refused tokens never come in, so nobody can
//! fill it without a key.

use super::identity::Identity;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happened in token caches since the start. It outlives them: a reload of the
/// configuration makes a new cache, and counters must not go back.
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

impl CacheCounters {
    /// How many tokens were found.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// How many tokens were looked for in vain.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// How many tokens had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

type Token = Box<str>;

pub(super) struct TokenCache {
    cache: Cache<Token, Arc<Identity>, UnitWeighter, DefaultHashBuilder, CountEvictions>,
    counters: Arc<CacheCounters>,
}

impl TokenCache {
    /// A cache for up to `max_entries` tokens, which must not be zero.
    pub fn new(max_entries: usize, counters: Arc<CacheCounters>) -> Self {
        let cache = Cache::with(
            max_entries,
            max_entries as u64,
            UnitWeighter,
            DefaultHashBuilder::default(),
            CountEvictions(counters.clone()),
        );
        TokenCache { cache, counters }
    }

    /// The identity of a token that was verified before. Whether it still holds is for the
    /// caller to check.
    pub fn get(&self, token: &str) -> Option<Arc<Identity>> {
        let found = self.cache.get(token);
        let counter = if found.is_some() { &self.counters.hits } else { &self.counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub fn insert(&self, token: &str, identity: Arc<Identity>) {
        self.cache.insert(token.into(), identity);
    }

    pub fn remove(&self, token: &str) {
        self.cache.remove(token);
    }

    pub fn len(&self) -> usize {
        self.cache.len()
    }
}

#[derive(Clone)]
struct CountEvictions(Arc<CacheCounters>);

impl Lifecycle<Token, Arc<Identity>> for CountEvictions {
    type RequestState = ();

    fn on_evict(&self, _: &mut (), _: Token, _: Arc<Identity>) {
        self.0.evictions.fetch_add(1, Ordering::Relaxed);
    }
}
