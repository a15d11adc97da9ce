//! The `Prefer` header (RFC 7240).
//! <https://docs.postgrest.org/en/v16/references/api/preferences.html>

use crate::error::{Error, Result};
use crate::http::Headers;

/// What the client prefers. Of a preference that is given twice the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    pub resolution: Option<Resolution>,
    pub representation: Option<Representation>,
    pub count: Option<Count>,
    /// `tx=`; always `None` when the configuration does not let clients choose.
    pub transaction: Option<Transaction>,
    pub missing: Option<Missing>,
    pub handling: Option<Handling>,
    /// `timezone=`, as given: PostgreSQL says whether it is one.
    pub timezone: Option<String>,
    pub max_affected: Option<i64>,
    /// What is not understood, as given.
    pub invalid: Vec<String>,
}

/// What an insert does with rows that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    MergeDuplicates,
    IgnoreDuplicates,
}

/// What a write returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Representation {
    /// `representation`: the rows.
    Full,
    /// `headers-only`: `Location`.
    HeadersOnly,
    /// `minimal`: nothing.
    Minimal,
}

/// How the rows of the whole result are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Exact,
    Planned,
    Estimated,
}

/// How the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    Commit,
    Rollback,
}

/// What an absent key of the body stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Default,
    Null,
}

/// What is done about preferences that are not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    Strict,
    Lenient,
}

/// A preference of a fixed set, as it stands in `Prefer` and `Preference-Applied`.
#[derive(Clone, Copy)]
enum Known {
    Resolution(Resolution),
    Representation(Representation),
    Count(Count),
    Transaction(Transaction),
    Missing(Missing),
    Handling(Handling),
}

const KNOWN: [(&str, Known); 14] = [
    ("resolution=merge-duplicates", Known::Resolution(Resolution::MergeDuplicates)),
    ("resolution=ignore-duplicates", Known::Resolution(Resolution::IgnoreDuplicates)),
    ("return=representation", Known::Representation(Representation::Full)),
    ("return=headers-only", Known::Representation(Representation::HeadersOnly)),
    ("return=minimal", Known::Representation(Representation::Minimal)),
    ("count=exact", Known::Count(Count::Exact)),
    ("count=planned", Known::Count(Count::Planned)),
    ("count=estimated", Known::Count(Count::Estimated)),
    ("tx=commit", Known::Transaction(Transaction::Commit)),
    ("tx=rollback", Known::Transaction(Transaction::Rollback)),
    ("missing=default", Known::Missing(Missing::Default)),
    ("missing=null", Known::Missing(Missing::Null)),
    ("handling=strict", Known::Handling(Handling::Strict)),
    ("handling=lenient", Known::Handling(Handling::Lenient)),
];

impl Preferences {
    /// Reads all `Prefer` headers. `tx_override` says whether clients may choose how the
    /// transaction ends.
    ///
    /// ```
    /// use goldenkey::http::Headers;
    /// use goldenkey::request::Preferences;
    /// let headers = Headers(vec![("Prefer".into(), "count=exact, return=minimal".into())]);
    /// let preferences = Preferences::parse(&headers, false);
    /// assert_eq!(preferences.applied().unwrap(), "return=minimal, count=exact");
    /// ```
    pub fn parse(headers: &Headers, tx_override: bool) -> Self {
        let mut preferences = Preferences::default();
        let mut max_affected_seen = false;
        for item in headers.all("prefer").filter(|v| !v.is_empty()).flat_map(|v| v.split(',')) {
            let item = item.trim();
            if let Some((_, known)) = KNOWN.iter().find(|(text, _)| *text == item) {
                preferences.set(*known);
            } else if let Some(timezone) = item.strip_prefix("timezone=") {
                preferences.timezone.get_or_insert_with(|| timezone.to_owned());
            } else if let Some(number) = item.strip_prefix("max-affected=") {
                if !max_affected_seen {
                    preferences.max_affected = number.parse().ok();
                }
                max_affected_seen = true;
            } else {
                preferences.invalid.push(item.to_owned());
            }
        }
        if !tx_override {
            preferences.transaction = None;
        }
        preferences
    }

    fn set(&mut self, known: Known) {
        match known {
            Known::Resolution(value) => _ = self.resolution.get_or_insert(value),
            Known::Representation(value) => _ = self.representation.get_or_insert(value),
            Known::Count(value) => _ = self.count.get_or_insert(value),
            Known::Transaction(value) => _ = self.transaction.get_or_insert(value),
            Known::Missing(value) => _ = self.missing.get_or_insert(value),
            Known::Handling(value) => _ = self.handling.get_or_insert(value),
        }
    }

    /// The rows that may be affected: `max-affected` counts with `handling=strict` only.
    pub fn enforced_max_affected(&self) -> Option<i64> {
        self.max_affected.filter(|_| self.handling == Some(Handling::Strict))
    }

    /// Errors with `PGRST122` when preferences are not understood and `handling=strict` is set.
    pub fn refuse_invalid(&self) -> Result<()> {
        if self.handling != Some(Handling::Strict) || self.invalid.is_empty() {
            return Ok(());
        }
        Err(Error::new(400, "PGRST122", "Invalid preferences given with handling=strict")
            .details(format!("Invalid preferences: {}", self.invalid.join(", "))))
    }

    /// The value of `Preference-Applied`; `None` when there is nothing to say. The caller
    /// first clears what its answer did not apply. `max-affected` counts only when strict.
    pub fn applied(&self) -> Option<String> {
        let mut text = String::new();
        let mut add = |item: &str| {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(item);
        };
        let known = [
            self.resolution.map(|value| match value {
                Resolution::MergeDuplicates => "resolution=merge-duplicates",
                Resolution::IgnoreDuplicates => "resolution=ignore-duplicates",
            }),
            self.missing.map(|value| match value {
                Missing::Default => "missing=default",
                Missing::Null => "missing=null",
            }),
            self.representation.map(|value| match value {
                Representation::Full => "return=representation",
                Representation::HeadersOnly => "return=headers-only",
                Representation::Minimal => "return=minimal",
            }),
            self.count.map(|value| match value {
                Count::Exact => "count=exact",
                Count::Planned => "count=planned",
                Count::Estimated => "count=estimated",
            }),
            self.transaction.map(|value| match value {
                Transaction::Commit => "tx=commit",
                Transaction::Rollback => "tx=rollback",
            }),
            self.handling.map(|value| match value {
                Handling::Strict => "handling=strict",
                Handling::Lenient => "handling=lenient",
            }),
        ];
        known.into_iter().flatten().for_each(&mut add);
        if let Some(timezone) = &self.timezone {
            add(&format!("timezone={timezone}"));
        }
        if let (Some(Handling::Strict), Some(max)) = (self.handling, self.max_affected) {
            add(&format!("max-affected={max}"));
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Preferences {
        let fields = values.iter().map(|value| ("prefer".to_owned(), (*value).to_owned()));
        Preferences::parse(&Headers(fields.collect()), true)
    }

    #[test]
    fn the_first_of_a_preference_counts_over_all_headers() {
        let preferences = parse(&["tx=rollback , tx=commit", "count=exact,count=planned"]);
        assert_eq!(preferences.transaction, Some(Transaction::Rollback));
        assert_eq!(preferences.count, Some(Count::Exact));
    }

    #[test]
    fn applied_preferences_have_a_fixed_order() {
        let preferences =
            parse(&["timezone=UTC, max-affected=5, tx=commit, count=exact, handling=strict"]);
        let applied = preferences.applied().unwrap();
        assert_eq!(
            applied,
            "count=exact, tx=commit, handling=strict, timezone=UTC, max-affected=5"
        );
    }

    #[test]
    fn strict_handling_names_what_is_not_understood() {
        let error = parse(&["anything, handling=strict, wait=10"]).refuse_invalid().unwrap_err();
        assert_eq!(error.code(), "PGRST122");
        assert_eq!(error.details_value().unwrap(), "Invalid preferences: anything, wait=10");
        parse(&["anything, handling=lenient"]).refuse_invalid().unwrap();
    }

    #[test]
    fn an_empty_header_says_nothing() {
        assert_eq!(parse(&[""]), Preferences::default());
    }
}
