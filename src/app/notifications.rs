//! The listener: hears the database's notifications over a connection of its own, and passes
//! on what they ask for. Everybody who may log in to the database can send them, so none says
//! more than that something is to be read again. It connects again for as long as it is not
//! replaced.
//!
//! <https://docs.postgrest.org/en/v16/references/listener.html>

use super::App;
use super::backoff::Backoff;
use super::reloads::Wanted;
use super::revocations;
use crate::config::connection::{Connector, close_aside};
use crate::observe::Event;
use crate::query::quote::identifier;
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, Notification};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often a silent connection is tried: a peer that died without a word looks like one
/// that has nothing to say.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// How long that trial may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The waits between attempts to connect.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(32);

/// Stack of the thread; what connects has a thread of its own.
const STACK_BYTES: usize = 256 << 10;

/// What the thread works with.
pub struct Listener {
    pub connector: Connector,
    pub channel: String,
    pub app: Arc<App>,
    /// Its number among the listeners, see [`Reloads`](super::Reloads).
    pub number: u64,
}

impl Listener {
    /// Begins to listen, on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(self) -> io::Result<()> {
        let thread = thread::Builder::new().name("listener".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || self.run()).map(drop)
    }

    fn run(&self) {
        let (reloads, observer) = (self.app.reloads(), self.app.observer());
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        let mut was_connected = false;
        while !reloads.is_replaced(self.number) {
            let error = match self.connect() {
                Err(error) => error,
                Ok(mut client) => {
                    backoff.reset();
                    observer.observe(&Event::ListenerStarted(&self.channel));
                    reloads.listening(self.number);
                    let heard = self.hear(&mut client);
                    close_aside(client);
                    let Err(error) = heard else { return };
                    was_connected = true;
                    reloads.connecting(self.number);
                    // Whatever ended this connection may have ended the others.
                    self.app.pool().doubt();
                    observer.observe(&Event::ListenerFailed(&self.channel, &error));
                    if !self.app.live().config.db_pool_automatic_recovery {
                        reloads.give_up(error);
                    }
                    // The first attempt comes at once: often it was this connection only.
                    continue;
                }
            };
            if std::mem::take(&mut was_connected) {
                reloads.database_lost();
            }
            observer.observe(&Event::ListenerFailed(&self.channel, &error));
            let wait = backoff.after_failure();
            observer.observe(&Event::ListenerRetrying(wait));
            reloads.wait_to_connect(self.number, wait);
        }
    }

    /// A connection that listens.
    fn connect(&self) -> Result<Client, String> {
        let mut client = self.connector.connect().map_err(|error| error.to_string())?;
        let mut sql = String::new();
        for channel in [&self.channel, revocations::CHANNEL] {
            sql.push_str("LISTEN ");
            identifier(&mut sql, channel);
            sql.push(';');
        }
        client.batch_execute(&sql).map_err(|error| describe(&error))?;
        Ok(client)
    }

    /// Hears notifications until the connection is lost, which is the error, or until it is
    /// replaced.
    fn hear(&self, client: &mut Client) -> Result<(), String> {
        loop {
            self.hear_until_silent(client)?;
            if self.app.reloads().is_replaced(self.number) {
                return Ok(());
            }
            client.is_valid(PING_TIMEOUT).map_err(|error| describe(&error))?;
        }
    }

    /// Handles notifications until none has come for a while.
    fn hear_until_silent(&self, client: &mut Client) -> Result<(), String> {
        let mut notifications = client.notifications();
        let mut notifications = notifications.timeout_iter(PING_INTERVAL);
        while let Some(notification) = notifications.next().map_err(|e| describe(&e))? {
            if self.app.reloads().is_replaced(self.number) {
                break;
            }
            self.handle(&notification);
        }
        Ok(())
    }

    fn handle(&self, notification: &Notification) {
        let (reloads, observer) = (self.app.reloads(), self.app.observer());
        if notification.channel() == revocations::CHANNEL {
            return match self.app.live().config.jwt_revocation_source {
                Some(_) => reloads.want(Wanted::REVOCATIONS),
                None => observer.observe(&Event::RevocationUnheard(revocations::CHANNEL)),
            };
        }
        let channel = &self.channel;
        match notification.payload() {
            // The finer ones are PostgREST's; here a load is always of the whole cache.
            "reload schema" | "reload tables" | "reload relationships" => {
                observer.observe(&Event::SchemaNotified(channel));
                reloads.want(Wanted::SCHEMA);
            }
            "reload config" => {
                observer.observe(&Event::ConfigNotified(channel));
                reloads.want(Wanted::CONFIG);
            }
            "" => {
                observer.observe(&Event::SchemaNotified(channel));
                reloads.want(Wanted::ALL);
            }
            payload => observer.observe(&Event::UnknownNotified(channel, payload)),
        }
    }
}

/// The error in one line: the database's own words where it has some.
fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{}: {}", db.severity(), db.message()),
        None => error.to_string(),
    }
}
