//! What feeds the deny list: the table or function `jwt-revocation-source`, read whole. A
//! notification on [`CHANNEL`] asks for it to be read again, and has no other say: everybody
//! who may log in to the database can send one.

use crate::auth::{Denials, Denied, DenyList};
use crate::observe::{Event, Observer};
use crate::query::quote::identifier;
use crate::schema::QualifiedName;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use postgres::{Client, Error};
use serde_json::Value;
use std::sync::Arc;

/// The channel whose notifications ask for the source to be read again.
pub const CHANNEL: &str = "goldenkey_revoke";

/// The deny list with its source.
#[derive(Default)]
pub struct Revocations {
    deny_list: Arc<DenyList>,
}

impl Revocations {
    /// The list that authentication looks at.
    pub fn deny_list(&self) -> &Arc<DenyList> {
        &self.deny_list
    }

    /// Replaces the list by what the source has.
    ///
    /// # Errors
    /// The error of the connection or the database; the list stays as it was.
    pub fn read(
        &self,
        client: &mut Client,
        source: &QualifiedName,
        observer: &Observer,
    ) -> Result<(), Error> {
        let found = read(client, source)?;
        if found.is_full() {
            observer.observe(&Event::RevocationsFull);
        }
        self.deny_list.replace(found);
        observer.observe(&Event::RevocationsLoaded(self.deny_list.len()));
        Ok(())
    }

    /// Forgets what a source had that the configuration names no more.
    pub fn clear(&self) {
        if !self.deny_list.is_empty() {
            self.deny_list.replace(Denials::default());
        }
    }
}

fn read(client: &mut Client, source: &QualifiedName) -> Result<Denials, Error> {
    let name = quoted(source);
    let mut transaction = client.build_transaction().read_only(true).start()?;
    let is_relation: bool = transaction
        .query_typed_one("select to_regclass($1) is not null", &[(&name, Type::TEXT)])?
        .try_get(0)?;
    let call = if is_relation { "" } else { "()" };
    // A column of the alias's name would come before the row.
    let sql = format!("select to_json(_goldenkey_row)::text from {name}{call} as _goldenkey_row");
    let mut denials = Denials::default();
    let mut rows = transaction.query_typed_raw::<&str, _>(&sql, [])?;
    while let Some(row) = rows.next()? {
        if let Some(json) = row.try_get::<_, Option<&str>>(0)? {
            of_row(json).into_iter().for_each(|denied| denials.add(denied));
        }
        if denials.is_full() {
            break;
        }
    }
    drop(rows);
    transaction.commit()?;
    Ok(denials)
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
}
