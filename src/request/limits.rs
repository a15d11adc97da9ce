//! How much of everything one request may ask for, and the errors when it asks for more.
//!
//! The limits are far above what clients need; they keep parsing, planning and the SQL
//! text small whatever is sent. PostgREST has none of them, so their error codes are our own.

use crate::error::Error;

/// Bytes of the query string, as sent.
pub const MAX_QUERY_BYTES: usize = 256 * 1024;
/// Parameters of the query string.
pub const MAX_PARAMETERS: usize = 2_048;
/// Levels of embedding in `select`.
pub const MAX_EMBED_DEPTH: usize = 32;
/// Embedded resources in `select`, on all levels together.
pub const MAX_EMBEDS: usize = 100;
/// Items of one level of `select`; also names in `columns` and `on_conflict`.
/// PostgreSQL's own limit is 1,600 columns a table.
pub const MAX_COLUMNS: usize = 4_096;
/// Levels of `and` and `or`.
pub const MAX_LOGIC_DEPTH: usize = 64;
/// Comparisons, in column filters and logic trees together.
pub const MAX_FILTERS: usize = 4_096;
/// Terms of all `order` parameters together.
pub const MAX_ORDER_TERMS: usize = 256;
/// Steps of one JSON path.
pub const MAX_JSON_STEPS: usize = 64;
/// Names that a body can give values for: the columns of a CSV body, the members of an object
/// for a table. An object for a function with a single unnamed parameter may have more.
pub const MAX_BODY_NAMES: usize = 4_096;
/// Fields of a form.
pub const MAX_FORM_FIELDS: usize = 16_384;
/// Levels of arrays and objects in a JSON body.
pub const MAX_BODY_DEPTH: usize = 1_024;
/// Media types in one `Accept` header; those after are not considered.
pub const MAX_ACCEPTED_TYPES: usize = 64;

/// The code of a request that goes beyond one of the limits of this module.
pub const CODE_TOO_MUCH: &str = "GK110";
/// The code of text that PostgreSQL could not hold: it is not UTF-8, or it has a NUL.
pub const CODE_BAD_TEXT: &str = "GK111";

/// A request has more than `max` of `what`.
pub(super) fn too_much(what: &str, max: usize) -> Error {
    Error::new(400, CODE_TOO_MUCH, format!("The request has too many {what}"))
        .details(format!("At most {max} {what} are allowed."))
}

/// `place` holds bytes that are no UTF-8.
pub(super) fn not_utf8(place: &str) -> Error {
    Error::new(400, CODE_BAD_TEXT, format!("The {place} is not valid UTF-8"))
        .details("Percent-encoded bytes must form UTF-8 text.")
}

/// `place` holds a NUL character, which no PostgreSQL text can hold.
pub(super) fn has_nul(place: &str) -> Error {
    Error::new(400, CODE_BAD_TEXT, format!("The {place} has a NUL character"))
        .details("PostgreSQL cannot store or compare text with a NUL character.")
}
