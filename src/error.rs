//! The one error type: what a client may know of a failure, and what the operator needs.
//!
//! Each module makes its own errors with [`Error::new`] and the setters, next to the code
//! that can fail; the response floor turns any of them into a body and headers.
//! Codes `PGRSTgxx` are PostgREST's, five-character ones are SQLSTATEs
//! (<https://docs.postgrest.org/en/v16/references/errors.html>).

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// A failed request.
///
/// ```
/// use goldenkey::error::Error;
/// let error = Error::new(416, "PGRST103", "Requested range not satisfiable")
///     .details("An offset of 10 was requested, but there are only 3 rows.");
/// assert_eq!(error.status(), 416);
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    status: u16,
    reason: Option<String>,
    code: Cow<'static, str>,
    message: String,
    details: Option<Value>,
    hint: Option<String>,
    headers: Vec<(Cow<'static, str>, String)>,
    log: Option<String>,
}

/// A result whose failure is a whole answer to the client.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with an HTTP status, a code and a message.
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Error(Box::new(Inner {
            status,
            reason: None,
            code: code.into(),
            message: message.into(),
            details: None,
            hint: None,
            headers: Vec::new(),
            log: None,
        }))
    }

    /// Sets the reason phrase that follows the status, in place of the usual one.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.0.reason = Some(reason.into());
        self
    }

    /// Adds details: a text, or structured JSON where clients expect it.
    pub fn details(mut self, details: impl Into<Value>) -> Self {
        self.0.details = Some(details.into());
        self
    }

    /// Adds a hint for the client.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a header of the response.
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// Adds what only the operator may know; it goes to the log, never to the client.
    pub fn log(mut self, text: impl Into<String>) -> Self {
        self.0.log = Some(text.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The reason phrase, when it is not the usual one.
    pub fn reason_text(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The code of the error body.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The message of the error body.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details of the error body.
    pub fn details_value(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// The hint of the error body.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Headers that the response carries beside the general ones.
    pub fn headers(&self) -> &[(Cow<'static, str>, String)] {
        &self.0.headers
    }

    /// The operator's text.
    pub fn log_text(&self) -> Option<&str> {
        self.0.log.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())?;
        match self.log_text() {
            Some(log) => write!(f, " ({log})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("details", &self.0.details)
            .field("hint", &self.0.hint)
            .field("log", &self.0.log)
            .finish()
    }
}

impl std::error::Error for Error {}
