//! A JSON body as a source of records.

use super::sql::Sql;
use crate::request::{JsonPayload, Payload, PayloadShape};

/// The alias of one object of the body, as jsonb.
pub const ITEM: &str = "pgrst_item";

/// The alias of one line of a body that names its columns once.
const LINE: &str = "pgrst_line";

/// A JSON body: its text and what it is.
#[derive(Debug, Clone, Copy)]
pub struct JsonBody<'a> {
    /// The text.
    pub text: &'a str,
    /// What it is.
    pub shape: PayloadShape,
    header: &'a [String],
}

impl<'a> JsonBody<'a> {
    /// A body without records.
    pub const NO_ROWS: JsonBody<'static> =
        JsonBody { text: "[]", shape: PayloadShape::Objects, header: &[] };

    /// A body with one record of nothing.
    pub const EMPTY_ROW: JsonBody<'static> =
        JsonBody { text: "{}", shape: PayloadShape::Object, header: &[] };

    /// The JSON of a payload. PostgreSQL judges a text that was not looked at: all but an
    /// object is taken for an array.
    pub fn of(payload: &'a Option<Payload>) -> Option<Self> {
        let Some(Payload::Json(JsonPayload { text, shape, header, .. })) = payload else {
            return None;
        };
        let guessed = match text.trim_start().starts_with('{') {
            true => PayloadShape::Object,
            false => PayloadShape::Objects,
        };
        Some(Self { text, shape: shape.unwrap_or(guessed), header })
    }

    /// Appends a call that gives the records, to be followed by an alias with the names and
    /// types of their columns.
    pub fn push_records(self, sql: &mut Sql<'a>) {
        match self.shape {
            PayloadShape::Object => sql.push("json_to_record(").value(self.text).push("::json)"),
            PayloadShape::Objects => {
                sql.push("json_to_recordset(").value(self.text).push("::json)")
            }
            PayloadShape::Rows => {
                self.push_lines(sql, "json");
                sql.push(", LATERAL json_to_record(");
                self.push_object(sql, "json");
                sql.push(")")
            }
        };
    }

    /// Appends a relation of the records as jsonb objects, named [`ITEM`].
    pub fn push_items(self, sql: &mut Sql<'a>) {
        match self.shape {
            PayloadShape::Object => sql.push("(SELECT ").value(self.text).push("::jsonb)"),
            PayloadShape::Objects => {
                sql.push("jsonb_array_elements(").value(self.text).push("::jsonb)")
            }
            PayloadShape::Rows => {
                sql.push("(SELECT ");
                self.push_object(sql, "jsonb");
                sql.push(" FROM ");
                self.push_lines(sql, "jsonb");
                sql.push(")")
            }
        };
        sql.push(" AS ").identifier(ITEM).push("(").identifier(ITEM).push(")");
    }

    /// The lines of the body, named [`LINE`].
    fn push_lines(self, sql: &mut Sql<'a>, json: &str) {
        sql.push(json).push("_array_elements(").value(self.text).push("::").push(json);
        sql.push(") AS ").identifier(LINE).push("(").identifier(LINE).push(")");
    }

    /// The object of a line.
    fn push_object(self, sql: &mut Sql<'a>, json: &str) {
        sql.push(json).push("_object(ARRAY[");
        let mut first = true;
        for name in self.header {
            sql.separate(&mut first, ", ").literal(name);
        }
        sql.push("]::text[], ARRAY(SELECT ").push(json).push("_array_elements_text(");
        sql.identifier(LINE).push(")))");
    }
}
