//! What is noted of a request on its way: for `Server-Timing`, and for the log.

use super::timing::Timing;
use crate::auth::Identity;
use crate::http::Response;
use crate::observe::{Event, Observer};
use std::sync::Arc;

/// The notes of one request.
pub struct Record {
    /// The stopwatch for `Server-Timing`.
    pub timing: Timing,
    /// Who sent it, once that is known.
    pub identity: Option<Arc<Identity>>,
    /// The SQL that it runs, without its values, when that is to be logged.
    pub sql: Option<String>,
}

impl Record {
    /// Begins; `timed` is whether the client is told the durations.
    pub fn start(timed: bool) -> Self {
        Record { timing: Timing::start(timed), identity: None, sql: None }
    }

    /// Tells what the log wants to know of the request that `response` answers.
    pub fn tell(self, observer: &Observer, response: &mut Response) {
        if !observer.logs_status(response.status) {
            return;
        }
        if let Some(sql) = &self.sql {
            observer.observe(&Event::Query(response.status, sql));
        }
        response.role = self.identity.map(|identity| identity.role.as_str().into());
    }
}
