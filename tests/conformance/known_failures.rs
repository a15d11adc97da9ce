//! The list of cases that are known to fail, `known_failures.json`: those whose subject is
//! not built yet, and those where goldenkey answers better by choice.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The file's content. Keys are `suite/case`, or `suite` for a whole one; values the reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFailures {
    not_yet: BTreeMap<String, String>,
    better_by_choice: BTreeMap<String, String>,
}

/// Why a case is expected to fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Part and reason, for people.
    pub reason: String,
    /// Whether the entry names this very case, so that its passing is a failure.
    pub exact: bool,
}

impl KnownFailures {
    /// Reads the list. Each entry has a reason; a choice is about one case, never a suite.
    pub fn parse(text: &str) -> Result<KnownFailures, String> {
        let list: KnownFailures = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut all = list.not_yet.iter().chain(&list.better_by_choice);
        if let Some((name, _)) = all.find(|(_, reason)| reason.trim().is_empty()) {
            return Err(format!("{name} has no reason"));
        }
        if let Some(name) = list.better_by_choice.keys().find(|name| !name.contains('/')) {
            return Err(format!("{name}: what is better by choice is listed case by case"));
        }
        if let Some(name) = list.better_by_choice.keys().find(|n| list.not_yet.contains_key(*n)) {
            return Err(format!("{name} is listed twice"));
        }
        Ok(list)
    }

    /// Whether and why this case is expected to fail.
    pub fn find(&self, suite: &str, case: &str) -> Option<Known> {
        let name = format!("{suite}/{case}");
        let known =
            |part: &str, reason: &str, exact| Known { reason: format!("{part}: {reason}"), exact };
        if let Some(reason) = self.better_by_choice.get(&name) {
            return Some(known("better by choice", reason, true));
        }
        if let Some(reason) = self.not_yet.get(&name) {
            return Some(known("not yet", reason, true));
        }
        self.not_yet.get(suite).map(|reason| known("not yet", reason, false))
    }

    /// Whether the suite is listed as a whole.
    pub fn has_suite(&self, suite: &str) -> bool {
        self.not_yet.contains_key(suite)
    }

    /// The entries that name none of the given suites and cases.
    pub fn stale(&self, exists: impl Fn(&str) -> bool) -> Vec<&str> {
        let all = self.not_yet.keys().chain(self.better_by_choice.keys());
        all.map(String::as_str).filter(|name| !exists(name)).collect()
    }
}
