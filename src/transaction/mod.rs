//! A request's transaction: one message to the database, one answer back.
//!
//! The message begins the transaction, enters the role with its settings, runs the
//! pre-request function and the statement, and ends the transaction. Only where the end
//! depends on the result does a second message follow, and large bodies go ahead of their
//! statement in pieces.

mod failure;
mod outcome;
mod prelude;
mod statements;

pub use failure::{Failure, error_of};
pub use outcome::Outcome;
pub use prelude::{Prelude, PreludeSettings};
pub use statements::StatementCache;

use crate::cancel::{Cancel, CancelGuard};
use crate::error::{Error, Result};
use crate::pool::Connection;
use crate::query::quote::literal;
use crate::query::{Answer, Asked, Sql, Statement, response_settings};
use crate::schema::IsolationLevel;
use outcome::{Collector, Unusable};
use postgres::fallible_iterator::FallibleIterator;
use prelude::push_stored_setting;
use statements::Use;
use std::sync::Arc;
use std::time::Instant;

/// What is run in one transaction.
pub struct Transaction<'t> {
    /// The isolation level.
    pub isolation: IsolationLevel,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// The role that the prelude enters.
    pub role: &'t str,
    /// The search path, as SQL.
    pub search_path: &'t str,
    /// The text that enters the role and sets what the request brings.
    pub prelude: &'t str,
    /// How many results that text gives.
    pub prelude_results: usize,
    /// A call of the pre-request function.
    pub pre_request: Option<&'t str>,
    /// The statement.
    pub statement: &'t Statement<'t>,
    /// What a prepared statement depends on beside its text: role and search path.
    /// `None` when statements are not to be prepared.
    pub session_key: Option<&'t str>,
    /// How it ends.
    pub end: End<'t>,
    /// Where the request can be cancelled from.
    pub cancel: Option<&'t Arc<Cancel>>,
}

/// How a transaction ends.
pub enum End<'t> {
    /// Its effects stay.
    Commit,
    /// Its effects go.
    Rollback,
    /// The result decides: they stay unless this gives an error.
    Decide(&'t dyn Fn(&Outcome) -> Result<()>),
}

/// Why a transaction gave no outcome.
pub enum Aborted {
    /// The database said no, or went away.
    Failed(Failure),
    /// The result was not acceptable, and its effects are gone.
    Refused(Error),
    /// The relation is not what the statement was written for. Nothing was changed.
    Stale,
    /// There are more rows than are taken as rows. Nothing was changed.
    TooMany,
}

impl Transaction<'_> {
    /// Runs the transaction.
    ///
    /// The connection is clean afterwards, or marked as in doubt.
    ///
    /// # Errors
    /// See [`Aborted`].
    pub fn run(
        &self,
        connection: &mut Connection,
        message: &mut String,
    ) -> Result<Outcome, Aborted> {
        match self.attempt(connection, message) {
            Err(Aborted::Failed(failure))
                if failure.is_of_prepared_statements() && !connection.in_doubt =>
            {
                // All of it was rolled back, and without prepared statements it cannot fail
                // in this way again.
                connection.statements.retire();
                self.attempt(connection, message)
            }
            result => result,
        }
    }

    fn attempt(
        &self,
        connection: &mut Connection,
        message: &mut String,
    ) -> Result<Outcome, Aborted> {
        if self.cancel.is_some_and(|cancel| cancel.is_cancelled()) {
            return Err(Aborted::Refused(client_left()));
        }
        message.clear();
        // Before anything of the session is used: it may take what would be used away.
        if let Some(upkeep) = connection.statements.upkeep() {
            message.push_str(&upkeep);
            message.push(';');
        }
        let (session_use, key) = self.plan_use(connection);
        let cleaning = self.cleaning(connection);
        let before = self.write_beginning(connection, session_use, message);
        // They come with the pieces, if there are any.
        let before = if self.statement.sql.has_pieces() { 0 } else { before };
        connection.in_doubt = true;
        let guard = self.cancel.map(|cancel| cancel.on_cancel(connection.canceller()));
        let ahead = self.statement.sql.send_pieces(message, |piece| {
            let sent = connection.client.batch_execute(piece);
            piece.clear();
            sent
        });
        let may_commit = ahead.is_ok() && !self.read_only;
        let mut preparing = None;
        let mut collector = Collector::new(self.statement, before);
        let answer = ahead.and_then(|()| {
            preparing = self.write_statement(session_use, key, cleaning, message);
            let parts = connection.client.simple_query(message)?;
            parts.into_iter().for_each(|part| collector.take(part));
            Ok(())
        });
        let cancelled = guard.is_some_and(CancelGuard::finish);
        // Bodies can be large; they need not be held while the answer is presented.
        message.clear();
        message.shrink_to(KEPT_MESSAGE_BYTES);
        let result = match answer {
            Ok(()) => {
                if let Some((key, number)) = preparing {
                    connection.statements.prepared(&key, number);
                }
                self.settle(connection, collector.finish())
            }
            Err(error) => {
                if preparing.is_some() {
                    connection.statements.failed();
                }
                let failure = Failure::new(error, may_commit);
                let is_prepared = session_use != Use::Inline;
                let go_the_long_way = self.is_short_cut()
                    && failure.may_be_of_short_cut(is_prepared)
                    && (self.read_only || is_in_transaction(connection));
                if !failure.ends_session() {
                    roll_back(connection);
                }
                if go_the_long_way && !connection.in_doubt {
                    if failure.is_of_changed_columns() {
                        connection.statements.renew();
                    }
                    Err(Aborted::Stale)
                } else {
                    Err(Aborted::Failed(failure))
                }
            }
        };
        // A cancellation may still be on its way, and would hit the next request; also when it
        // has hit, since PostgreSQL signals a session and its process group, which is the same.
        connection.in_doubt |= cancelled;
        result
    }

    /// What cleans the session behind the commit.
    fn cleaning(&self, connection: &Connection) -> &'static str {
        match &self.statement.answer {
            // Nothing has run that could leave something.
            Answer::Rows { asked: Asked::Not, .. } | Answer::Count => "",
            // Only a session of our own has kept the search path that it began with.
            _ if connection.search_path.is_some() => CLEANING,
            _ => CLEANING_BEHIND_POOLER,
        }
    }

    /// Whether there is a longer statement that relies on less.
    fn is_short_cut(&self) -> bool {
        matches!(self.statement.answer, Answer::Rows { .. } | Answer::Count)
    }

    /// Writes what comes before the statement; gives the number of its results.
    fn write_beginning(
        &self,
        connection: &Connection,
        session_use: Use,
        out: &mut String,
    ) -> usize {
        let mut results = self.prelude_results;
        out.push_str(match (self.isolation, self.read_only) {
            (IsolationLevel::ReadCommitted, true) => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;"
            }
            (IsolationLevel::ReadCommitted, false) => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
            }
            (IsolationLevel::RepeatableRead, true) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
            }
            (IsolationLevel::RepeatableRead, false) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;"
            }
            (IsolationLevel::Serializable, true) => "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;",
            (IsolationLevel::Serializable, false) => {
                "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;"
            }
        });
        if connection.search_path.as_deref() == Some(self.search_path) {
            out.push_str("SET LOCAL search_path TO DEFAULT;");
        } else {
            push_stored_setting(out, "search_path", self.search_path);
            results += 1;
        }
        out.push_str(self.prelude);
        if let Some(pre_request) = self.pre_request {
            out.push_str(pre_request);
            out.push(';');
            results += 1;
            if session_use != Use::Inline {
                push_role_check(out, self.role);
                results += 1;
            }
        }
        results
    }

    /// How the statement is to be run in this session, and its key there.
    fn plan_use(&self, connection: &mut Connection) -> (Use, String) {
        let is_inline = self.statement.is_explain || self.statement.sql.has_pieces();
        match self.session_key.filter(|_| !is_inline) {
            None => (Use::Inline, String::new()),
            Some(session) => {
                let key = format!("{session}\0{}", self.statement.sql.shape());
                (connection.statements.plan_use(&key), key)
            }
        }
    }

    /// Writes the statement and the end; gives the key and number of a statement that it
    /// prepares.
    fn write_statement(
        &self,
        session_use: Use,
        key: String,
        cleaning: &str,
        out: &mut String,
    ) -> Option<(String, u64)> {
        if let Some(estimate) = &self.statement.estimate {
            estimate.write_inline(out);
            out.push(';');
        }
        let sql: &Sql = &self.statement.sql;
        let preparing = match session_use {
            Use::Inline => {
                sql.write_inline(out);
                None
            }
            Use::Execute(number) => {
                write_execute(out, number, sql);
                None
            }
            Use::Prepare(number) => {
                out.push_str("PREPARE k");
                out.push_str(&number.to_string());
                out.push_str(" AS ");
                out.push_str(sql.shape());
                out.push(';');
                write_execute(out, number, sql);
                Some((key, number))
            }
        };
        if let Answer::Rows { asked, .. } = self.statement.answer {
            push_question(out, asked);
        }
        out.push_str(match self.end {
            End::Commit => ";COMMIT",
            // Deferred constraints are checked although nothing stays.
            End::Rollback => ";SET CONSTRAINTS ALL IMMEDIATE;ROLLBACK",
            End::Decide(_) => "",
        });
        if matches!(self.end, End::Commit) {
            out.push_str(cleaning);
        }
        preparing
    }

    /// Ends the transaction where its message has not, and takes the connection out of doubt.
    fn settle(
        &self,
        connection: &mut Connection,
        outcome: Result<Outcome, Unusable>,
    ) -> Result<Outcome, Aborted> {
        if let End::Decide(decide) = self.end {
            let refused = match &outcome {
                Ok(outcome) => decide(outcome).err().map(Aborted::Refused),
                Err(unusable) => Some((*unusable).into()),
            };
            if let Some(aborted) = refused {
                roll_back(connection);
                return Err(aborted);
            }
            let message = format!("COMMIT{}", self.cleaning(connection));
            if let Err(error) = connection.client.batch_execute(&message) {
                let failure = Failure::new(error, !self.read_only);
                if !failure.ends_session() {
                    roll_back(connection);
                }
                return Err(Aborted::Failed(failure));
            }
        }
        clean(connection);
        // The connection keeps a buffer of its largest result for as long as it lives.
        connection.is_swollen |=
            outcome.as_ref().is_ok_and(|outcome| outcome.bytes() > KEPT_RESULT_BYTES);
        outcome.map_err(Aborted::from)
    }
}

impl From<Unusable> for Aborted {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            // Where something is written, the statement names its columns.
            Unusable::Stale => Aborted::Stale,
            Unusable::TooMany => Aborted::TooMany,
            Unusable::NotText => Aborted::Refused(crate::error::Error::new(
                500,
                "GK510",
                "The database sent text that is not UTF-8",
            )),
        }
    }
}

/// Asks SQL what the response is to be.
fn push_question(out: &mut String, asked: Asked) {
    match asked {
        Asked::Not => {}
        Asked::Plainly => out.push_str(
            ";SELECT current_setting('response.headers',true),\
             current_setting('response.status',true)",
        ),
        Asked::Checked => {
            out.push_str(";SELECT ");
            out.push_str(&response_settings::HEADERS);
            out.push(',');
            out.push_str(&response_settings::STATUS);
        }
    }
}

/// What takes out of a session what functions may have left in it beyond their transaction. What a transaction does to
/// settings goes with it when it fails, so only a commit is followed by this.
///
/// The encoding is said and not reset: a pooler's sessions may begin with another one.
const CLEANING: &str = ";RESET ALL;SET client_encoding='UTF8';UNLISTEN *;CLOSE ALL;DISCARD TEMP";

/// The same in a session of a pooler, whose own settings are the pooler's business.
const CLEANING_BEHIND_POOLER: &str = ";SET client_encoding='UTF8'";

/// After a larger result a connection is not kept for the next request.
const KEPT_RESULT_BYTES: usize = 8 << 20;

/// A message buffer larger than this is not kept for the next request.
const KEPT_MESSAGE_BYTES: usize = 64 * 1024;

/// Fails when the pre-request function has changed the role: a statement that was prepared
/// for one role must not run as another, since PostgreSQL checks some privileges only when
/// it makes a plan.
fn push_role_check(out: &mut String, role: &str) {
    out.push_str("SELECT CASE WHEN current_user <> ");
    literal(out, role);
    // There is no such setting: asking for it is an error that can be told from others.
    out.push_str(" THEN current_setting(");
    literal(out, &failure::OTHER_ROLE);
    out.push_str(") END;");
}

/// The client has left before its request was run: what PostgreSQL says of a cancelled query.
pub fn client_left() -> Error {
    Error::new(500, "57014", "canceling statement due to user request")
}

fn write_execute(out: &mut String, number: u64, sql: &Sql) {
    out.push_str("EXECUTE k");
    out.push_str(&number.to_string());
    sql.write_arguments(out);
}

/// Whether the transaction that failed is still there: then it was not committed, and nothing of
/// it stays. Outside of one this is an error.
fn is_in_transaction(connection: &mut Connection) -> bool {
    connection.client.batch_execute("ROLLBACK AND CHAIN").is_ok()
}

/// Ends a transaction that failed. The connection stays in doubt when even that fails.
fn roll_back(connection: &mut Connection) {
    if connection.client.batch_execute("ROLLBACK").is_ok() {
        clean(connection);
    }
}

fn clean(connection: &mut Connection) {
    // What a function listened to for the length of its transaction; nobody reads it.
    if !connection.client.notifications().is_empty() {
        let mut notifications = connection.client.notifications();
        let mut unread = notifications.iter();
        while let Ok(Some(_)) = unread.next() {}
    }
    connection.in_doubt = false;
    connection.used_at = Instant::now();
}
