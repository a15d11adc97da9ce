//! The response's body and what goes with it, made by the outermost `SELECT`.

use super::sql::Sql;
use crate::plan::{BodyFormat, SCALAR_COLUMN};

/// The alias of the presented rows.
pub const ROW: &str = "pgrst_row";

/// What the body is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// Rows.
    Rows,
    /// At most one row, presented as it is and not as an array.
    OneRow,
    /// Single values, in this column.
    Values(&'static str),
    /// One value, in this column.
    OneValue(&'static str),
}

/// How the text of a body column becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    /// The text is the body.
    Text,
    /// The text is hexadecimal, for bodies that are not text.
    Hex,
}

/// Appends the expression of the body.
pub fn push_body<'a>(
    sql: &mut Sql<'a>,
    format: BodyFormat<'a>,
    presented: Presented,
) -> BodyEncoding {
    match format {
        BodyFormat::Json | BodyFormat::JsonStripped => {
            push_json(sql, presented, format == BodyFormat::JsonStripped);
        }
        BodyFormat::Object | BodyFormat::ObjectStripped => {
            sql.push("COALESCE((json_agg(");
            push_element(sql, presented, format == BodyFormat::ObjectStripped);
            sql.push(")->0)::text, 'null')");
        }
        BodyFormat::Csv => push_csv(sql),
        BodyFormat::GeoJson => {
            sql.push(
                "json_build_object('type', 'FeatureCollection', 'features', \
                 COALESCE(json_agg(ST_AsGeoJSON(",
            )
            .identifier(ROW)
            .push(")::json), '[]'))::text");
        }
        BodyFormat::Handler(handler) => {
            return push_encoded(sql, handler.binary, |sql| {
                sql.qualified(&handler.function).push("(");
                match (presented, &handler.target) {
                    (Presented::Values(column) | Presented::OneValue(column), _) => {
                        sql.column(ROW, column);
                    }
                    (_, Some(row_type)) => {
                        sql.identifier(ROW).push("::").qualified(row_type);
                    }
                    (_, None) => {
                        sql.identifier(ROW);
                    }
                }
                sql.push(")");
            });
        }
        BodyFormat::Scalar { binary } => {
            return push_encoded(sql, binary, |sql| {
                sql.push("(array_agg(").column(ROW, SCALAR_COLUMN).push("))[1]");
            });
        }
    }
    BodyEncoding::Text
}

/// Bytes come back as hexadecimal; their text is the body otherwise.
fn push_encoded<'a>(
    sql: &mut Sql<'a>,
    binary: bool,
    inner: impl FnOnce(&mut Sql<'a>),
) -> BodyEncoding {
    if binary {
        sql.push("encode(");
        inner(sql);
        sql.push(", 'hex')");
        return BodyEncoding::Hex;
    }
    sql.push("(");
    inner(sql);
    sql.push(")::text");
    BodyEncoding::Text
}

fn push_json(sql: &mut Sql, presented: Presented, stripped: bool) {
    let one = matches!(presented, Presented::OneRow | Presented::OneValue(_));
    sql.push(if one { "COALESCE((json_agg(" } else { "COALESCE(json_agg(" });
    push_element(sql, presented, stripped);
    sql.push(if one { ")->0)::text, 'null')" } else { ")::text, '[]')" });
}

fn push_element(sql: &mut Sql, presented: Presented, stripped: bool) {
    match (presented, stripped) {
        (Presented::Values(column) | Presented::OneValue(column), false) => sql.column(ROW, column),
        (Presented::Values(column) | Presented::OneValue(column), true) => {
            sql.push("json_strip_nulls(to_json(").column(ROW, column).push("))")
        }
        (_, false) => sql.identifier(ROW),
        (_, true) => sql.push("json_strip_nulls(row_to_json(").identifier(ROW).push("))"),
    };
}

/// The header is taken from the first row, so that it is right for any `select`.
fn push_csv(sql: &mut Sql) {
    sql.push("COALESCE((SELECT string_agg(pgrst_key, ',') FROM json_object_keys((json_agg(")
        .identifier(ROW)
        .push(")->0)) AS pgrst_key), '') || E'\\n' || COALESCE(string_agg(substring(")
        .identifier(ROW)
        .push("::text, 2, length(")
        .identifier(ROW)
        .push("::text) - 2), E'\\n'), '')");
}
