//! What a failed transaction means to the client.
//!
//! The status for each SQLSTATE is that of
//! <https://docs.postgrest.org/en/v16/references/errors.html>.

use crate::error::Error;
use crate::query::response_settings;
use postgres::error::DbError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The setting that is asked for, and does not exist, when a prepared statement would run as
/// another role than the one that it was prepared for. Its name stands in the error, and
/// nobody outside can know it, so that no text of a client's is taken for it.
pub(super) static OTHER_ROLE: LazyLock<String> = LazyLock::new(|| {
    let mut random = [0; 16];
    // Without randomness the name can be guessed, which costs a session its statements.
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("goldenkey.other_role_{:032x}", u128::from_ne_bytes(random))
});

/// A failed message to the database.
pub struct Failure {
    error: postgres::Error,
    may_have_written: bool,
}

impl Failure {
    /// The failure of a message that may have written something.
    pub fn new(error: postgres::Error, may_have_written: bool) -> Self {
        Self { error, may_have_written }
    }

    /// Whether the session is gone: the connection broke, or the server ended it.
    pub fn ends_session(&self) -> bool {
        match self.error.as_db_error() {
            None => true,
            Some(error) => matches!(error.severity(), "FATAL" | "PANIC"),
        }
    }

    /// Whether the session's prepared statements are not what they were taken for: they are
    /// gone, because a function has dropped them or taken their names, or the pre-request
    /// function has changed the role.
    pub fn is_of_prepared_statements(&self) -> bool {
        self.error.as_db_error().is_some_and(|error| match error.code().code() {
            "26000" | "42P05" => error.message().starts_with("prepared statement \"k"),
            "42704" => error.message().contains(&*OTHER_ROLE),
            _ => false,
        })
    }

    /// Whether the longer statement may do without it, or fail in another way: a column is gone,
    /// a prepared statement would give other columns than it did, or a value was refused before
    /// a privilege was asked for.
    pub fn may_be_of_short_cut(&self, is_prepared: bool) -> bool {
        self.code().is_some_and(|code| {
            code == "42703"
                || matches!(code, "0A000" | "42804") && is_prepared
                || code.starts_with("22") && self.may_have_written
        })
    }

    /// Whether the columns may not be those that statements were prepared for.
    pub fn is_of_changed_columns(&self) -> bool {
        matches!(self.code(), Some("0A000" | "42804"))
    }

    fn code(&self) -> Option<&str> {
        self.error.as_db_error().map(|error| error.code().code())
    }

    /// The answer to the client.
    pub fn into_error(self, authenticated: bool) -> Error {
        match self.error.as_db_error() {
            Some(error) if self.ends_session() && self.may_have_written => {
                outcome_unknown(error.message())
            }
            Some(error) => error_of(error, authenticated),
            None if self.may_have_written => outcome_unknown(&self.error.to_string()),
            None => Error::new(503, "PGRST001", "Database client error. Retrying the connection.")
                .details(describe(&self.error))
                .header("Retry-After", "1"),
        }
    }
}

/// The connection was lost between the message and its answer: the change may have been
/// committed or not.
fn outcome_unknown(cause: &str) -> Error {
    Error::new(
        503,
        "08007",
        "The connection to the database was lost before it confirmed the change",
    )
    .details("Whether the change was made is unknown.")
    .hint("Read the rows before you try again.")
    .header("Retry-After", "1")
    .log(cause)
}

fn describe(error: &postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The answer for an error that PostgreSQL raised.
pub fn error_of(error: &DbError, authenticated: bool) -> Error {
    let code = error.code().code();
    if code == "PGRST" {
        return custom_response(error);
    }
    if let Some(refusal) = response_settings::refusal(code, error.message()) {
        return refusal;
    }
    let status = status_of(code, error.message(), authenticated);
    let mut answer = Error::new(status, code.to_owned(), error.message());
    if let Some(detail) = error.detail() {
        answer = answer.details(detail);
    }
    if let Some(hint) = error.hint() {
        answer = answer.hint(hint);
    }
    match status {
        401 => answer.header("WWW-Authenticate", "Bearer"),
        503 => at_once(answer),
        _ => answer,
    }
}

/// When to try again: the connection is there, or will be opened anew at once.
fn at_once(answer: Error) -> Error {
    answer.header("Retry-After", "0")
}

fn status_of(code: &str, message: &str, authenticated: bool) -> u16 {
    if let Some(status) = code.strip_prefix("PT") {
        // Anything else that a function raises as PTxyz is its own fault.
        return status.parse().ok().filter(|s| (200..=999).contains(s)).unwrap_or(500);
    }
    match code {
        "23503" | "23505" => 409,
        "25006" => 405,
        // The same on a standby, where the transaction is not even begun.
        "0A000" if message.starts_with("cannot set transaction read-write mode") => 405,
        "21000" if message.ends_with("requires a WHERE clause") => 400,
        "21000" => 500,
        "22023" if is_unknown_role(message) => 401,
        "42883" if message.starts_with("function xmlagg(") => 406,
        "42883" | "42P01" => 404,
        "42P17" => 500,
        "42501" if authenticated => 403,
        "42501" => 401,
        "53400" => 500,
        // The server ended the session: an administrator, or because it was idle.
        "57P01" | "57P05" => 503,
        "P0001" => 400,
        _ => match &code.as_bytes()[..code.len().min(2)] {
            b"08" | b"53" => 503,
            b"0L" | b"0P" | b"28" => 403,
            b"09" | b"25" | b"2D" | b"38" | b"39" | b"3B" | b"40" | b"54" | b"55" | b"57"
            | b"58" | b"F0" | b"HV" | b"P0" | b"XX" => 500,
            _ => 400,
        },
    }
}

fn is_unknown_role(message: &str) -> bool {
    message.starts_with("role ") && message.ends_with(" does not exist")
}

// RAISE SQLSTATE 'PGRST' -----------------------------------------------------------------

/// The `MESSAGE` of a custom response.
#[derive(Deserialize)]
struct CustomMessage {
    code: String,
    message: String,
    details: Option<String>,
    hint: Option<String>,
}

/// The `DETAIL` of a custom response.
#[derive(Deserialize)]
struct CustomDetail {
    status: u16,
    headers: BTreeMap<String, String>,
    status_text: Option<String>,
}

/// The answer that a function raises with JSON in message and detail.
fn custom_response(error: &DbError) -> Error {
    let Ok(message) = serde_json::from_str::<CustomMessage>(error.message()) else {
        return malformed(format!("Invalid JSON value for MESSAGE: '{}'", error.message())).hint(
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional \
             keys: 'details', 'hint'.",
        );
    };
    let detail_hint = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and \
                       optional key: 'status_text'.";
    let Some(detail) = error.detail() else {
        return malformed("DETAIL is missing in the RAISE statement".into()).hint(detail_hint);
    };
    let parsed = serde_json::from_str::<CustomDetail>(detail)
        .ok()
        .filter(|d| (200..=999).contains(&d.status));
    let Some(parsed) = parsed else {
        return malformed(format!("Invalid JSON value for DETAIL: '{detail}'")).hint(detail_hint);
    };
    let mut answer = Error::new(parsed.status, message.code, message.message);
    if let Some(details) = message.details {
        answer = answer.details(details);
    }
    if let Some(hint) = message.hint {
        answer = answer.hint(hint);
    }
    if let Some(reason) = parsed.status_text {
        answer = answer.reason(reason);
    }
    for (name, value) in parsed.headers {
        answer = answer.header(name, value);
    }
    if answer.status() == 503 { at_once(answer) } else { answer }
}

fn malformed(details: String) -> Error {
    Error::new(500, "PGRST121", "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error")
        .details(details)
}
