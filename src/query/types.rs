//! Names of types that a client casts to.

use super::sql::Sql;

/// Types whose names are grammar, not identifiers: quoted, PostgreSQL would not find them
/// (<https://www.postgresql.org/docs/current/datatype.html>).
const GRAMMAR_TYPES: &[&str] = &[
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "char",
    "char varying",
    "character",
    "character varying",
    "dec",
    "decimal",
    "double precision",
    "float",
    "int",
    "integer",
    "interval",
    "json",
    "national char",
    "national character",
    "nchar",
    "numeric",
    "real",
    "smallint",
    "time",
    "time with time zone",
    "time without time zone",
    "timestamp",
    "timestamp with time zone",
    "timestamp without time zone",
    "varchar",
];

/// Appends a type name. Client text becomes either a name from the table above or quoted
/// identifiers, folded to lower case as PostgreSQL does without quotes.
pub fn push_type_name(sql: &mut Sql, name: &str) {
    let folded = name.trim().to_lowercase();
    if let Ok(known) = GRAMMAR_TYPES.binary_search(&folded.as_str()) {
        sql.push(GRAMMAR_TYPES[known]);
        return;
    }
    let mut first = true;
    for part in folded.split('.') {
        sql.separate(&mut first, ".").identifier(part.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str) -> String {
        let mut sql = Sql::new();
        push_type_name(&mut sql, name);
        sql.shape().to_owned()
    }

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(GRAMMAR_TYPES.is_sorted());
    }

    #[test]
    fn grammar_types_stand_bare_and_others_are_quoted() {
        assert_eq!(written("Double Precision"), "double precision");
        assert_eq!(written("_text"), "\"_text\"");
        assert_eq!(written("app.Colour"), "\"app\".\"colour\"");
        assert_eq!(written("int) from x"), "\"int) from x\"");
    }
}
