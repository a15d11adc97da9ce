//! What feeds the deny list: the table or function `jwt-revocation-source`, read whole, and
//! notifications, which add to it.

use crate::auth::{Denied, DenyList};
use crate::observe::{Event, Observer};
use crate::query::quote::identifier;
use crate::schema::QualifiedName;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use postgres::{Client, Error};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// The channel whose notifications revoke: a `jti`, or a JSON object of claims.
pub const CHANNEL: &str = "goldenkey_revoke";

/// The deny list with those who write to it.
#[derive(Default)]
pub struct Revocations {
    deny_list: Arc<DenyList>,
    /// What notifications add while the source is read, which may not have it yet.
    meanwhile: Mutex<Option<Vec<Denied>>>,
}

impl Revocations {
    /// The list that authentication looks at.
    pub fn deny_list(&self) -> &Arc<DenyList> {
        &self.deny_list
    }

    /// Adds what a notification says.
    pub fn add(&self, payload: &str, observer: &Observer) {
        let Some(denied) = Denied::parse(payload) else {
            // The payload stays out of the log: it may name a person.
            return log::warn!("a notification on {CHANNEL} revokes nothing: not one claim");
        };
        let mut meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(added) = &mut *meanwhile {
            added.push(denied.clone());
        }
        if !self.deny_list.insert(denied) {
            observer.observe(&Event::RevocationsFull);
        }
    }

    /// Replaces the list by what the source has, and what notifications add while it is read.
    ///
    /// # Errors
    /// The error of the connection or the database; the list stays as it was.
    pub fn read(
        &self,
        client: &mut Client,
        source: &QualifiedName,
        observer: &Observer,
    ) -> Result<(), Error> {
        let mut journal = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        *journal = Some(Vec::new());
        drop(journal);
        let found = read(client, source);
        let mut journal = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        let added = journal.take().unwrap_or_default();
        if !self.deny_list.replace(added.into_iter().chain(found?)) {
            observer.observe(&Event::RevocationsFull);
        }
        observer.observe(&Event::RevocationsLoaded(self.deny_list.len()));
        Ok(())
    }
}

fn read(client: &mut Client, source: &QualifiedName) -> Result<Vec<Denied>, Error> {
    let name = quoted(source);
    let mut transaction = client.build_transaction().read_only(true).start()?;
    let is_relation: bool = transaction
        .query_typed_one("select to_regclass($1) is not null", &[(&name, Type::TEXT)])?
        .try_get(0)?;
    let call = if is_relation { "" } else { "()" };
    // A column of the alias's name would come before the row.
    let sql = format!("select to_json(_goldenkey_row)::text from {name}{call} as _goldenkey_row");
    let mut denied = Vec::new();
    let mut rows = transaction.query_typed_raw::<&str, _>(&sql, [])?;
    while let Some(row) = rows.next()? {
        if let Some(json) = row.try_get::<_, Option<&str>>(0)? {
            denied.extend(of_row(json));
        }
    }
    drop(rows);
    transaction.commit()?;
    Ok(denied)
}

fn quoted(name: &QualifiedName) -> String {
    let mut text = String::new();
    if !name.schema.is_empty() {
        identifier(&mut text, &name.schema);
        text.push('.');
    }
    identifier(&mut text, &name.name);
    text
}

/// What a row revokes: the value of a function, the column `jti`, or else the first column.
fn of_row(json: &str) -> Option<Denied> {
    let value = match serde_json::from_str(json) {
        Ok(Value::Object(mut row)) => match row.remove("jti") {
            Some(value) => value,
            None => row.into_iter().next().map_or(Value::Null, |(_, value)| value),
        },
        Ok(value) => value,
        Err(_) => return None,
    };
    match value {
        Value::Null => None,
        Value::String(text) => Denied::parse(&text),
        other => Denied::parse(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(claim: &str, value: &str) -> Denied {
        Denied { claim: claim.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_row_revokes_by_its_value_its_jti_or_its_first_column() {
        for (json, expected) in [
            (r#""a1""#, Some(denied("jti", "a1"))),
            (r#"{"at":"2026-01-01","jti":"a1"}"#, Some(denied("jti", "a1"))),
            (r#"{"token":"a1","at":"2026-01-01"}"#, Some(denied("jti", "a1"))),
            (r#"{"claims":{"sub":"ada"}}"#, Some(denied("sub", "ada"))),
            (r#"{"jti":null}"#, None),
            ("null", None),
        ] {
            assert_eq!(of_row(json), expected, "{json}");
        }
    }

    #[test]
    fn a_name_is_quoted() {
        assert_eq!(quoted(&QualifiedName::new("a\"b", "c d")), "\"a\"\"b\".\"c d\"");
        assert_eq!(quoted(&QualifiedName::new("", "f")), "\"f\"");
    }

    #[test]
    fn notifications_revoke() {
        let revocations = Revocations::default();
        revocations.add(r#"{"sub":"ada"}"#, &Observer::default());
        revocations.add("a1", &Observer::default());
        assert_eq!(revocations.deny_list().len(), 2);
    }
}
