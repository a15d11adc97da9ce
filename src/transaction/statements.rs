//! The statements that are prepared in one session.
//!
//! A shape is prepared on its second use: many are used once. The key holds the role and
//! the search path beside the text, because PostgreSQL checks some privileges only when
//! it makes a plan, and resolves names then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// At most so many statements are prepared in a session.
const MAX_PREPARED: usize = 256;

/// Their keys have at most so many bytes together. PostgreSQL needs about a hundred times as
/// much for the plans, in each session, and clients decide how long a statement is.
const MAX_PREPARED_BYTES: usize = 128 << 10;

/// A statement with a longer key is not prepared.
const MAX_KEY_BYTES: usize = 16 << 10;

/// At most so many shapes are remembered as used once.
const MAX_SEEN: usize = 1024;

/// After so many statements whose fate is unknown, all are given up.
const MAX_ORPHANS: usize = 32;

/// So old may what a plan knows of roles be. PostgreSQL makes plans anew when tables change,
/// but not when a membership or `BYPASSRLS` is taken away, which decides the policies in them.
const PLANS_LIFETIME: Duration = Duration::from_secs(5);

/// What is prepared in a session.
#[derive(Debug, Default)]
pub struct StatementCache {
    /// When all plans were last known to be fresh; `None` while there are none.
    plans_made_at: Option<Instant>,
    prepared: HashMap<Box<str>, Prepared>,
    /// The length of all keys of `prepared`.
    prepared_bytes: usize,
    /// Hashes of shapes that were used once.
    seen: HashMap<u64, ()>,
    next_number: u64,
    /// Statements that were sent to be prepared in a message that failed.
    orphans: usize,
    clock: u64,
    /// Whether nothing is prepared any more.
    retired: bool,
}

#[derive(Debug)]
struct Prepared {
    number: u64,
    used_at: u64,
}

/// How a statement is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// As it is, with its values inside.
    Inline,
    /// Prepare it under this number, and execute it.
    Prepare(u64),
    /// Execute the statement of this number.
    Execute(u64),
}

impl StatementCache {
    /// How to run the statement of this key. After [`Use::Prepare`] the outcome must be
    /// told with [`prepared`](Self::prepared) or [`failed`](Self::failed).
    pub fn plan_use(&mut self, key: &str) -> Use {
        if self.retired || key.len() > MAX_KEY_BYTES {
            return Use::Inline;
        }
        self.clock += 1;
        if let Some(prepared) = self.prepared.get_mut(key) {
            prepared.used_at = self.clock;
            return Use::Execute(prepared.number);
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        let hash = hash_of(key);
        if self.seen.insert(hash, ()).is_none() {
            return Use::Inline;
        }
        self.next_number += 1;
        Use::Prepare(self.next_number)
    }

    /// The message that prepared the statement has succeeded.
    pub fn prepared(&mut self, key: &str, number: u64) {
        self.plans_made_at.get_or_insert_with(Instant::now);
        self.prepared_bytes += key.len();
        self.prepared.insert(key.into(), Prepared { number, used_at: self.clock });
    }

    /// The message that was to prepare a statement has failed. Whether the statement is
    /// there is unknown; its number is not used again.
    pub fn failed(&mut self) {
        self.orphans += 1;
    }

    /// Gives up all statements for good: something else in the session interferes with them.
    pub fn retire(&mut self) {
        self.retired = true;
        self.renew();
    }

    /// Gives up all statements, to be prepared anew: what they were made for has changed.
    pub fn renew(&mut self) {
        self.forget_all();
        self.orphans = MAX_ORPHANS;
    }

    /// SQL that makes room and renews old plans, to be run before the next use; `None` when
    /// there is nothing to do.
    pub fn upkeep(&mut self) -> Option<String> {
        if self.orphans >= MAX_ORPHANS {
            self.orphans = 0;
            self.forget_all();
            return Some("DEALLOCATE ALL".to_owned());
        }
        let mut sql = String::new();
        if self.plans_made_at.is_some_and(|at| at.elapsed() >= PLANS_LIFETIME) {
            self.plans_made_at = Some(Instant::now());
            sql.push_str("DISCARD PLANS");
        }
        while self.is_full() {
            let oldest = self.prepared.iter().min_by_key(|(_, p)| p.used_at)?.0.clone();
            let prepared = self.prepared.remove(&oldest)?;
            self.prepared_bytes -= oldest.len();
            sql.push_str(if sql.is_empty() { "DEALLOCATE k" } else { ";DEALLOCATE k" });
            sql.push_str(&prepared.number.to_string());
        }
        (!sql.is_empty()).then_some(sql)
    }

    /// Whether there is no room for one more.
    fn is_full(&self) -> bool {
        self.prepared.len() >= MAX_PREPARED
            || self.prepared_bytes > MAX_PREPARED_BYTES - MAX_KEY_BYTES
    }

    fn forget_all(&mut self) {
        self.prepared.clear();
        self.prepared_bytes = 0;
    }
}

fn hash_of(key: &str) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(key.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_prepared_on_its_second_use() {
        let mut cache = StatementCache::default();
        assert_eq!(cache.plan_use("a"), Use::Inline);
        assert_eq!(cache.plan_use("a"), Use::Prepare(1));
        cache.prepared("a", 1);
        assert_eq!(cache.plan_use("a"), Use::Execute(1));
        assert_eq!(cache.plan_use("b"), Use::Inline);
    }

    #[test]
    fn a_number_whose_preparation_failed_is_not_used_again() {
        let mut cache = StatementCache::default();
        cache.plan_use("a");
        assert_eq!(cache.plan_use("a"), Use::Prepare(1));
        cache.failed();
        assert_eq!(cache.plan_use("a"), Use::Prepare(2));
    }

    #[test]
    fn many_failures_give_everything_up() {
        let mut cache = StatementCache::default();
        cache.plan_use("a");
        cache.plan_use("a");
        cache.prepared("a", 1);
        for _ in 0..MAX_ORPHANS {
            cache.failed();
        }
        assert_eq!(cache.upkeep().as_deref(), Some("DEALLOCATE ALL"));
        assert_eq!(cache.upkeep(), None);
        assert_eq!(cache.plan_use("a"), Use::Prepare(2));
    }

    #[test]
    fn long_statements_make_room_for_each_other() {
        let mut cache = StatementCache::default();
        for i in 0..100 {
            let key = format!("{i}{}", "x".repeat(MAX_KEY_BYTES - 10));
            cache.upkeep();
            cache.plan_use(&key);
            let Use::Prepare(number) = cache.plan_use(&key) else {
                panic!("a second use prepares")
            };
            cache.prepared(&key, number);
            let bytes = cache.prepared.keys().map(|key| key.len()).sum::<usize>();
            assert!(bytes == cache.prepared_bytes && bytes <= MAX_PREPARED_BYTES);
        }
        let too_long = "x".repeat(MAX_KEY_BYTES + 1);
        for _ in 0..3 {
            assert_eq!(cache.plan_use(&too_long), Use::Inline);
        }
    }

    #[test]
    fn a_retired_cache_prepares_nothing_more() {
        let mut cache = StatementCache::default();
        cache.plan_use("a");
        cache.plan_use("a");
        cache.prepared("a", 1);
        cache.retire();
        assert_eq!(cache.upkeep().as_deref(), Some("DEALLOCATE ALL"));
        assert_eq!(cache.upkeep(), None);
        for _ in 0..3 {
            assert_eq!(cache.plan_use("a"), Use::Inline);
        }
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let mut cache = StatementCache::default();
        for i in 0..MAX_PREPARED {
            let key = format!("k{i}");
            cache.plan_use(&key);
            let Use::Prepare(number) = cache.plan_use(&key) else {
                panic!("a second use prepares")
            };
            cache.prepared(&key, number);
        }
        cache.plan_use("k0");
        assert_eq!(cache.upkeep().as_deref(), Some("DEALLOCATE k2"));
        assert_eq!(cache.upkeep(), None);
    }
}
