//! Values as values: the members of a JSON object as parameters of a statement.
//!
//! `json_to_record` gives the text of a scalar to the input function of the column's type, and
//! so does PostgreSQL with a literal or a parameter of no stated type in the place of a value.
//! Where the two could differ (JSON columns, arrays, rows, members that are objects or arrays)
//! the object goes to SQL whole.

use super::sql::Sql;
use crate::plan::TypedColumn;
use crate::request::{JsonPayload, Payload, PayloadShape};
use crate::schema::Column;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// A longer object goes to SQL whole.
const MAX_OBJECT_BYTES: usize = 16 << 10;

/// Types whose input takes a text in the same way wherever it stands, without modifiers.
const TYPES: &[&str] = &[
    "bigint",
    "boolean",
    "character",
    "character varying",
    "date",
    "double precision",
    "integer",
    "numeric",
    "real",
    "smallint",
    "text",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
    "uuid",
];

/// The values of the columns, in their order; `None` where they are not values.
pub fn of_object<'a>(
    columns: &[TypedColumn],
    payload: &'a Option<Payload>,
) -> Option<Vec<Option<Cow<'a, str>>>> {
    let Some(Payload::Json(JsonPayload { text, shape: Some(PayloadShape::Object), .. })) = payload
    else {
        return None;
    };
    let takes_values = |column: &TypedColumn| column.from_json.is_none() && is_known(column.column);
    if text.len() > MAX_OBJECT_BYTES || columns.is_empty() || !columns.iter().all(takes_values) {
        return None;
    }
    // Of a name that occurs again the last member counts, as it does for PostgreSQL.
    let members: HashMap<Cow<str>, &RawValue> = serde_json::from_str(text).ok()?;
    columns.iter().map(|column| scalar(members.get(&*column.column.name)?.get())).collect()
}

/// Appends the values, separated by commas.
pub fn push_list<'a>(sql: &mut Sql<'a>, values: Vec<Option<Cow<'a, str>>>) {
    let mut first = true;
    for value in values {
        sql.separate(&mut first, ", ").nullable(value);
    }
}

fn is_known(column: &Column) -> bool {
    let name = column.nominal_type.split('(').next().unwrap_or_default();
    // What stands behind a modifier, `timestamp(3) with time zone`, is not worth a parser.
    let is_whole = column.nominal_type.ends_with(')') || name.len() == column.nominal_type.len();
    is_whole && TYPES.binary_search(&name).is_ok()
}

/// What `json_to_record` would give to the input function: `Some(None)` is NULL, `None` what
/// it would not make of a text.
fn scalar(json: &str) -> Option<Option<Cow<'_, str>>> {
    match json.as_bytes().first()? {
        b'n' => Some(None),
        b'{' | b'[' => None,
        b'"' => {
            let inner = &json[1..json.len() - 1];
            if !inner.contains('\\') {
                return Some(Some(Cow::Borrowed(inner)));
            }
            // PostgreSQL judges what is no text.
            let text: String = serde_json::from_str(json).ok()?;
            (!text.contains('\0')).then_some(Some(Cow::Owned(text)))
        }
        _ => Some(Some(Cow::Borrowed(json))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_sorted_for_their_search() {
        assert!(TYPES.is_sorted());
    }

    #[test]
    fn scalars_are_their_texts() {
        let text = |json| scalar(json).expect("a scalar").map(Cow::into_owned);
        assert_eq!(text("null"), None);
        assert_eq!(text("1.50e3").as_deref(), Some("1.50e3"));
        assert_eq!(text("true").as_deref(), Some("true"));
        assert_eq!(text(r#""a\n\u00e9""#).as_deref(), Some("a\n\u{e9}"));
        for other in ["{}", "[1]", r#""\u0000""#, r#""\ud800""#] {
            assert_eq!(scalar(other), None, "{other}");
        }
    }
}
