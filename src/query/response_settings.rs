//! What SQL says of the response, `response.headers` and `response.status`, as expressions that
//! a statement selects.
//!
//! They are checked where they are read, in the transaction: an answer that could not be sent
//! is an error before the COMMIT and undoes what was done, without a second message.
//! <https://docs.postgrest.org/en/v16/references/transactions.html#response-headers>

use super::quote::literal;
use crate::error::Error;
use std::sync::LazyLock;

/// Header fields that SQL may add at most.
pub const MAX_FIELDS: usize = 200;
/// Bytes of `response.headers` at most.
pub const MAX_HEADERS_BYTES: usize = 512 << 10;

/// The settings that are asked for, and do not exist, when there is something wrong. No
/// function can set them, since this is no name of a setting.
const BAD_HEADERS: &str = "goldenkey: response.headers";
const BAD_STATUS: &str = "goldenkey: response.status";

/// An expression that gives `response.headers`, or NULL when it is not set.
///
/// It fails for what [`refusal`] explains.
pub static HEADERS: LazyLock<String> = LazyLock::new(|| {
    // White space, and the parts of `[{"name": "value"}]`. Escapes that stand for a control
    // byte, and halves of surrogate pairs, are none.
    let ws = "[ \\n\\r\\t]*";
    let name = "\"[!#-'*+.0-9A-Z^-z|~-]+\"";
    let value = "\"(?:[^\"\\\\\\u0001-\\u001f\\u007f]|\\\\[\"/\\\\t]\
                 |\\\\u(?!00[01]|007[fF]|[dD][89a-fA-F])[0-9a-fA-F]{4}\
                 |\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2})*\"";
    let object = format!("\\{{{ws}{name}{ws}:{ws}{value}{ws}\\}}");
    let array = format!("^{ws}\\[{ws}(?:{object}(?:{ws},{ws}{object})*)?{ws}\\]{ws}$");
    // Without its strings and spaces a field is `{:},`.
    let strings = r#""(?:[^"\\]|\\.)*"|[ \n\r\t]"#;
    let skeleton_max = 4 * MAX_FIELDS + 1;
    checked(
        "response.headers",
        &format!(
            "octet_length(current_setting('response.headers')) <= {MAX_HEADERS_BYTES} \
             AND current_setting('response.headers') ~ {} \
             AND length(regexp_replace(current_setting('response.headers'), {}, '', 'g')) \
             <= {skeleton_max}",
            quoted(&array),
            quoted(strings),
        ),
        BAD_HEADERS,
    )
});

/// An expression that gives `response.status`, or NULL when it is not set.
///
/// It fails for what [`refusal`] explains.
pub static STATUS: LazyLock<String> = LazyLock::new(|| {
    checked(
        "response.status",
        "current_setting('response.status') ~ '^ *[2-9][0-9]{2} *$'",
        BAD_STATUS,
    )
});

/// The setting when it is set and `valid`; asking for `bad` when it is not valid.
fn checked(setting: &str, valid: &str, bad: &str) -> String {
    format!(
        "CASE WHEN current_setting('{setting}', true) <> '' THEN CASE WHEN {valid} \
         THEN current_setting('{setting}') ELSE current_setting('{bad}') END END"
    )
}

fn quoted(text: &str) -> String {
    let mut sql = String::new();
    literal(&mut sql, text);
    sql
}

/// The answer for an error that one of the expressions raised; `None` for any other.
pub fn refusal(code: &str, message: &str) -> Option<Error> {
    match code {
        "42704" if message.contains(BAD_HEADERS) => Some(invalid_headers()),
        "42704" if message.contains(BAD_STATUS) => Some(invalid_status()),
        _ => None,
    }
}

/// The error for `response.headers` that cannot be sent.
pub fn invalid_headers() -> Error {
    Error::new(
        500,
        "PGRST111",
        "response.headers guc must be a JSON array composed of objects with a single key and a \
         string value",
    )
}

/// The error for a `response.status` that cannot be sent.
pub fn invalid_status() -> Error {
    Error::new(500, "PGRST112", "response.status guc must be a valid status code")
}
