//! The client of the pool's sessions: what the `postgres` crate's client is, and rows as they arrive.
//!
//! That client collects all rows of a query before it gives the first away; a large result would
//! be held twice, as rows and as the body made of them. So this drives `tokio-postgres` itself,
//! in the way that the crate does: the connection makes progress while somebody waits for it.

use futures_core::Stream;
use postgres::error::DbError;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use postgres::{Error, SimpleQueryMessage};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Socket};

/// A session. Dropping it ends it on the server, which may block.
pub struct StreamingClient {
    // Dropped before the link, which then has nothing more to wait for.
    client: Client,
    link: Link,
}

/// What a connection gives when it is asked to go on.
type Polled = Poll<Option<Result<AsyncMessage, Error>>>;

/// The connection, and the runtime that its socket waits in.
struct Link {
    poll: Box<dyn FnMut(&mut Context<'_>) -> Polled + Send>,
    /// Whether it has ended, and is not to be polled again.
    ended: bool,
    runtime: Runtime,
}

/// A runtime for one connection; it has no thread of its own.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Asks the server to cancel what a session is doing.
pub(super) fn cancel<T>(token: &CancelToken, tls: T) -> Result<(), Error>
where
    T: MakeTlsConnect<Socket>,
{
    match runtime() {
        Ok(runtime) => runtime.block_on(token.cancel_query(tls)),
        Err(error) => {
            log::warn!("could not cancel a query: {error}");
            Ok(())
        }
    }
}

/// Notices are for those who look for faults.
pub(super) fn log_notice(notice: &DbError) {
    log::debug!("{}: {}", notice.severity(), notice.message());
}

impl StreamingClient {
    pub(super) fn open<T>(runtime: Runtime, config: &Config, tls: T) -> Result<Self, Error>
    where
        T: MakeTlsConnect<Socket> + 'static + Send,
        T::TlsConnect: Send,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let (client, mut connection) = runtime.block_on(config.connect(tls))?;
        let poll = Box::new(move |cx: &mut Context<'_>| connection.poll_message(cx));
        Ok(Self { client, link: Link { poll, ended: false, runtime } })
    }

    /// Runs statements in one message, and gives what comes back to `take`, one by one.
    ///
    /// # Errors
    /// The first one of the server or the connection.
    pub fn stream(
        &mut self,
        sql: &str,
        mut take: impl FnMut(SimpleQueryMessage),
    ) -> Result<(), Error> {
        let Self { client, link } = self;
        link.block_on(async {
            let mut answers = pin!(client.simple_query_raw(sql).await?);
            while let Some(message) = poll_fn(|cx| answers.as_mut().poll_next(cx)).await {
                take(message?);
            }
            Ok(())
        })
    }

    /// Runs statements in one message, and collects what comes back.
    ///
    /// # Errors
    /// The first one of the server or the connection.
    pub fn simple_query(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        let mut messages = Vec::new();
        self.stream(sql, |message| messages.push(message))?;
        Ok(messages)
    }

    /// Runs statements in one message that give nothing back of interest.
    ///
    /// # Errors
    /// The first one of the server or the connection.
    pub fn batch_execute(&mut self, sql: &str) -> Result<(), Error> {
        self.link.block_on(self.client.batch_execute(sql))
    }

    /// Whether the server answers within that time.
    pub fn is_valid(&mut self, timeout: Duration) -> bool {
        let Self { client, link } = self;
        link.block_on(async {
            let answer = tokio::time::timeout(timeout, client.batch_execute("")).await;
            Ok(matches!(answer, Ok(Ok(()))))
        })
        .unwrap_or(false)
    }

    /// Whether the connection is known to be closed.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What cancels a statement of this session, from another connection.
    pub fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }
}

impl Link {
    /// Waits for `future`, while the connection makes progress.
    fn block_on<T>(&mut self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Self { poll, ended, runtime } = self;
        let mut future = pin!(future);
        runtime.block_on(poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = advance(poll, ended, cx) {
                return Poll::Ready(Err(error));
            }
            // Of a connection that has ended it learns so.
            future.as_mut().poll(cx)
        }))
    }
}

/// Lets the connection do what it can do now; ready when it has ended.
fn advance(
    poll: &mut impl FnMut(&mut Context<'_>) -> Polled,
    ended: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    while !*ended {
        match poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => log_notice(&notice),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => {
                *ended = true;
                return Poll::Ready(Err(error));
            }
            Poll::Ready(None) => *ended = true,
        }
    }
    Poll::Ready(Ok(()))
}

impl Drop for Link {
    fn drop(&mut self) {
        let Self { poll, ended, runtime } = self;
        // The client is gone: what is left is the farewell to the server, which may have gone.
        let _ = runtime.block_on(poll_fn(|cx| advance(poll, ended, cx)));
    }
}
