//! The application: what answers requests, whatever carries them.
//!
//! [`App::handle`] is a plain function from a request to a response. Configuration, keys
//! and schema cache are one immutable [`Live`] that reloads swap; a request keeps the one
//! that it began with.

mod backoff;
mod configuration;
mod failure;
mod live;
mod loader;
mod notifications;
mod record;
mod reloads;
mod revocations;
mod supervisor;
mod timing;

pub use failure::{LoadError, StartError};
pub use live::{Lasting, Live};
pub use loader::Loader;
pub use reloads::{Reloads, Wanted};
pub use supervisor::Supervisor;

use crate::cancel::Cancel;
use crate::config::TxEnd;
use crate::error::{Error, Result};
use crate::http::{Headers, Request, Response};
use crate::observe::{Event, Observer, Readings};
use crate::plan::{self, MutatePlan, Mutation, Plan};
use crate::pool::{Pool, Pooled, Unavailable};
use crate::query::{self, Statement};
use crate::request::{ApiRequest, Method, Preferences, Resource, Transaction as Wish};
use crate::response::{self, Finished};
use crate::schema::{Extent, IsolationLevel, Routine, SchemaCache, Volatility};
use crate::transaction::{Aborted, End, Outcome, Prelude, Transaction, client_left};
use arc_swap::ArcSwap;
use record::Record;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The application.
pub struct App {
    live: ArcSwap<Live>,
    pool: Pool,
    reloads: Reloads,
}

thread_local! {
    /// A worker's buffers, kept from request to request.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

#[derive(Default)]
struct Buffers {
    prelude: String,
    message: String,
    session_key: String,
}

impl App {
    /// An application that answers with `live` over the connections of `pool`.
    pub fn new(live: Live, pool: Pool) -> Self {
        pool.set_session_defaults(live.session_defaults());
        Self { live: ArcSwap::from_pointee(live), pool, reloads: Reloads::default() }
    }

    /// What requests are answered with now.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Answers the requests from now on with something else.
    pub fn swap(&self, live: Live) {
        self.pool.set_session_defaults(live.session_defaults());
        self.live.store(Arc::new(live));
    }

    /// The connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What is to be loaded anew.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// Where events go.
    pub fn observer(&self) -> &Arc<Observer> {
        self.pool.observer()
    }

    /// Whether requests can be answered: there is a schema cache, and the database is not
    /// known to be away.
    pub fn is_ready(&self) -> bool {
        self.live.load().schema.is_some() && !self.reloads.is_database_lost()
    }

    /// What the metrics say of the application now.
    pub fn readings(&self) -> Readings {
        let (live, pool) = (self.live.load(), self.pool.state());
        let tokens = &live.lasting.cache_counters;
        Readings {
            pool_max: pool.max,
            pool_open: pool.open,
            pool_available: pool.idle,
            pool_waiting: pool.waiting,
            token_cache_hits: tokens.hits(),
            token_cache_misses: tokens.misses(),
            token_cache_evictions: tokens.evictions(),
            token_cache_entries: live.authenticator.cached_tokens() as u64,
            denied_claims: live.lasting.revocations.deny_list().len() as u64,
            ready: self.is_ready(),
            dropped_log_lines: self.observer().dropped_log_lines(),
            ..Readings::default()
        }
    }

    /// Answers a request.
    pub fn handle(&self, mut request: Request) -> Response {
        let live = self.live.load();
        let mut record = Record::start(live.config.server_timing_enabled);
        let answered = match live.cors.preflight(&request.method, &request.headers) {
            Some(answer) => Ok(answer),
            None => self.answer(&live, &mut request, &mut record),
        };
        let failed = answered.is_err();
        let mut response = answered.unwrap_or_else(|error| {
            self.observer().observe(&Event::RequestFailed(&error));
            response::error_response(&error, live.config.client_error_verbosity)
        });
        if !failed && let Some(text) = record.timing.finish() {
            response.headers.push(("Server-Timing".into(), text));
        }
        if request.method == "HEAD" {
            response.body = crate::http::Body::Empty;
        }
        live.cors.apply(&mut response, &request.method, &request.headers);
        trace(&live, &request.headers, &mut response);
        record.tell(self.observer(), &mut response);
        response
    }

    fn answer(&self, live: &Live, request: &mut Request, record: &mut Record) -> Result<Response> {
        let identity = live.authenticator.authenticate(&request.headers, now())?;
        record.timing.jwt();
        record.identity = Some(identity.clone());
        let api = ApiRequest::parse(request, &live.request_settings())?;
        record.timing.parse();
        let schema = live.schema.as_deref().ok_or_else(no_schema_cache)?;
        if api.method == Method::Options {
            return options(&api, schema);
        }
        if api.resource != Resource::Root {
            api.preferences.refuse_invalid()?;
        }
        let exchange = Exchange { live, schema, identity: &identity, api: &api, http: request };
        let plan = plan::plan(&api, schema, &live.plan_settings)?;
        let options = exchange.options(&plan);
        let mut statement = query::write(&plan, &api, options);
        record.timing.plan();
        if live.config.log_query {
            record.sql = Some(loggable(live, &statement));
        }
        let mut outcome = exchange.run(self, &plan, &statement)?;
        if outcome.is_none() {
            // The relation is another since the schema was loaded, or has too many rows to be
            // held one by one: PostgreSQL makes the body.
            statement = query::write(&plan, &api, query::Options { rows: false, ..options });
            outcome = exchange.run(self, &plan, &statement)?;
        }
        let outcome = outcome.ok_or_else(no_schema_cache)?;
        record.timing.transaction();
        let mut response = exchange.present(&plan, &statement, outcome)?;
        warn_of_deprecated_names(&plan, &mut response);
        record.timing.response();
        Ok(response)
    }
}

impl App {
    /// A connection to the database.
    fn connection(&self, cancel: Option<&Cancel>) -> Result<Pooled> {
        self.pool.get(cancel).map_err(|error| {
            if error.is_loss() {
                self.reloads.database_lost();
            }
            unavailable(error)
        })
    }
}

/// The statements of a request as the log shows them: on their own, without values.
fn loggable(live: &Live, statement: &Statement) -> String {
    match &live.pre_request {
        Some(pre_request) => format!("{pre_request}; {}", statement.sql.shape()),
        None => statement.sql.shape().to_owned(),
    }
}

/// A request on its way through the floors.
struct Exchange<'e> {
    live: &'e Live,
    schema: &'e SchemaCache,
    identity: &'e crate::auth::Identity,
    api: &'e ApiRequest,
    http: &'e Request,
}

impl Exchange<'_> {
    /// What decides the statement beside what is asked.
    fn options(&self, plan: &Plan) -> query::Options {
        query::Options {
            max_rows: self.live.plan_settings.max_rows,
            rows: true,
            response_is_set: self.live.pre_request.is_some() || self.schema.session_sets_response,
            read_only: is_read_only(self.api.method, routine(plan)),
        }
    }

    /// Runs the statement in the request's transaction; gives nothing when the relation is not
    /// what the statement was written for.
    fn run(&self, app: &App, plan: &Plan, statement: &Statement) -> Result<Option<Outcome>> {
        let routine = routine(plan);
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers { prelude, message, session_key } = buffers;
            let search_path = self.live.search_path(&self.api.schema);
            prelude.clear();
            let prelude_results = Prelude {
                settings: &self.live.prelude,
                identity: self.identity,
                request: self.api,
                headers: &self.http.headers,
                role_settings: self.live.role_settings(&self.identity.role),
                routine,
            }
            .write(prelude)?;
            session_key.clear();
            session_key.push_str(&self.identity.role);
            session_key.push('\0');
            session_key.push_str(search_path);
            let read_only = is_read_only(self.api.method, routine);
            let decide = |outcome: &Outcome| self.check(plan, outcome);
            let transaction = Transaction {
                isolation: self.isolation(routine),
                read_only,
                role: &self.identity.role,
                search_path,
                prelude,
                prelude_results,
                pre_request: self.live.pre_request.as_deref(),
                statement,
                session_key: self.live.config.db_prepared_statements.then_some(session_key),
                end: match (self.rolls_back(), read_only || !self.may_refuse(plan)) {
                    (true, _) => End::Rollback,
                    (false, true) => End::Commit,
                    (false, false) => End::Decide(&decide),
                },
                cancel: self.http.cancel.as_ref(),
            };
            self.run_on(app, plan, &transaction, message)
        })
    }

    /// Runs a transaction on a connection of the pool, which has it back before the answer
    /// is presented.
    fn run_on(
        &self,
        app: &App,
        plan: &Plan,
        transaction: &Transaction,
        message: &mut String,
    ) -> Result<Option<Outcome>> {
        let cancel = self.http.cancel.as_deref();
        let mut pooled = app.connection(cancel)?;
        let connection = pooled.connection().ok_or_else(|| unavailable(Unavailable::Exhausted))?;
        match transaction.run(connection, message) {
            Ok(outcome) => {
                if let (Some(extent), Some(bytes)) = (extent_of(plan), outcome.made_bytes()) {
                    extent.had_body(bytes);
                }
                Ok(Some(outcome))
            }
            Err(Aborted::Stale) => Ok(None),
            Err(Aborted::TooMany) => {
                if let Some(extent) = extent_of(plan) {
                    extent.is_long();
                }
                Ok(None)
            }
            Err(Aborted::Failed(failure)) => {
                if failure.ends_session() {
                    // Whatever ended this connection may have ended the others.
                    app.pool.doubt();
                    let cancelled = cancel.is_some_and(Cancel::is_cancelled);
                    if !self.live.config.db_pool_automatic_recovery && !cancelled {
                        app.reloads.give_up("a connection to the database was lost");
                    }
                }
                Err(failure.into_error(self.identity.authenticated))
            }
            Err(Aborted::Refused(error)) => Err(error),
        }
    }

    fn isolation(&self, routine: Option<&Routine>) -> IsolationLevel {
        let of_role = || self.live.role_settings(&self.identity.role).and_then(|s| s.isolation);
        routine.and_then(|r| r.isolation).or_else(of_role).unwrap_or(IsolationLevel::ReadCommitted)
    }

    /// Whether the effects go: by configuration, or by the client's wish where it counts.
    fn rolls_back(&self) -> bool {
        let wish = self.api.preferences.transaction;
        match self.live.config.db_tx_end {
            TxEnd::Commit => false,
            TxEnd::Rollback => true,
            TxEnd::CommitAllowOverride => wish == Some(Wish::Rollback),
            TxEnd::RollbackAllowOverride => wish != Some(Wish::Commit),
        }
    }

    /// Whether the result can undo a write.
    fn may_refuse(&self, plan: &Plan) -> bool {
        let media = match plan {
            Plan::Read(_) | Plan::Describe(_) => return false,
            Plan::Mutate(plan) if is_put(plan) => return true,
            Plan::Mutate(plan) => &plan.media,
            Plan::Call(plan) => &plan.media,
        };
        media.format.is_singular() || self.api.preferences.enforced_max_affected().is_some()
    }

    /// What a result must fulfil for its effects to stay.
    fn check(&self, plan: &Plan, outcome: &Outcome) -> Result<()> {
        match plan {
            Plan::Read(_) | Plan::Describe(_) => Ok(()),
            Plan::Mutate(mutation) => {
                if is_put(mutation) && outcome.row_count() != 1 {
                    return Err(plan::key_mismatch());
                }
                response::check_singular(&mutation.media, outcome)?;
                match self.api.method {
                    Method::Patch | Method::Delete => self.check_max_affected(outcome),
                    _ => Ok(()),
                }
            }
            Plan::Call(call) if call.routine.returns.is_set => {
                response::check_singular(&call.media, outcome)?;
                self.check_max_affected(outcome)
            }
            Plan::Call(_) => Ok(()),
        }
    }

    fn check_max_affected(&self, outcome: &Outcome) -> Result<()> {
        let rows = outcome.row_count();
        match self.api.preferences.enforced_max_affected() {
            Some(max) if i64::try_from(rows).is_ok_and(|rows| rows > max) => Err(Error::new(
                400,
                "PGRST124",
                "Query result exceeds max-affected preference constraint",
            )
            .details(format!("The query affects {rows} rows"))),
            _ => Ok(()),
        }
    }

    fn present(&self, plan: &Plan, statement: &Statement, outcome: Outcome) -> Result<Response> {
        if !statement.is_explain {
            self.check(plan, &outcome)?;
        }
        let finished = Finished {
            request: self.api,
            preferences: honoured(self.api, plan),
            statement,
            outcome,
            max_rows: self.live.plan_settings.max_rows,
            verbosity: self.live.config.client_error_verbosity,
        };
        match plan {
            Plan::Read(read) => response::of_read(read, finished),
            Plan::Mutate(mutation) => response::of_mutation(mutation, finished),
            Plan::Call(call) => response::of_call(call, finished),
            Plan::Describe(describe) => {
                let settings = &self.live.openapi;
                response::openapi::of_description(describe, finished, self.schema, settings)
            }
        }
    }
}

/// The function that a plan calls.
fn routine<'a>(plan: &Plan<'a>) -> Option<&'a Routine> {
    match plan {
        Plan::Call(call) => Some(call.routine),
        Plan::Read(_) | Plan::Mutate(_) | Plan::Describe(_) => None,
    }
}

/// What is known of the size of what is read.
fn extent_of<'p>(plan: &'p Plan) -> Option<&'p Extent> {
    let node = match plan {
        Plan::Read(read) => &read.root,
        Plan::Call(call) => &call.result,
        Plan::Mutate(mutation) => mutation.returned.as_ref()?,
        Plan::Describe(_) => return None,
    };
    node.relation.map(|relation| &relation.extent)
}

fn is_put(plan: &MutatePlan) -> bool {
    matches!(&plan.mutation, Mutation::Insert(insert) if insert.is_put)
}

fn is_read_only(method: Method, routine: Option<&Routine>) -> bool {
    match (method, routine) {
        (Method::Get | Method::Head, _) => true,
        (_, Some(routine)) => routine.volatility != Volatility::Volatile,
        (_, None) => false,
    }
}

/// The preferences that the answer lives up to.
fn honoured(api: &ApiRequest, plan: &Plan) -> Preferences {
    let mut preferences = api.preferences.clone();
    match plan {
        Plan::Describe(_) => preferences = Preferences::default(),
        Plan::Read(_) => {
            preferences.representation = None;
            preferences.max_affected = None;
        }
        Plan::Call(_) => preferences.representation = None,
        Plan::Mutate(_) if matches!(api.method, Method::Post | Method::Put) => {
            preferences.max_affected = None;
        }
        Plan::Mutate(_) => {}
    }
    let merges = match plan {
        Plan::Mutate(plan) => {
            matches!(&plan.mutation, Mutation::Insert(i) if !i.is_put && i.conflict.is_some())
        }
        _ => false,
    };
    if !merges {
        preferences.resolution = None;
    }
    if !matches!(api.method, Method::Post | Method::Patch) || matches!(plan, Plan::Call(_)) {
        preferences.missing = None;
    }
    preferences
}

fn options(api: &ApiRequest, schema: &SchemaCache) -> Result<Response> {
    Ok(match &api.resource {
        Resource::Root => response::options_of_root(),
        Resource::Relation(name) => {
            response::options_of_relation(plan::find_relation(schema, &api.schema, name)?)
        }
        Resource::Routine(name) => {
            response::options_of_routine(plan::find_routine(name, api, schema)?)
        }
    })
}

/// Bytes of a `Warning` field at most; what would make it longer is only logged.
const WARNING_MAX_BYTES: usize = 4 << 10;

/// `Warning` for names that stand in the way of embedding a relation twice: one field, in which
/// the warnings are a list.
fn warn_of_deprecated_names(plan: &Plan, response: &mut Response) {
    let names = match plan {
        Plan::Read(plan) => &plan.deprecated_names,
        Plan::Mutate(plan) => &plan.deprecated_names,
        Plan::Call(plan) => &plan.deprecated_names,
        Plan::Describe(_) => return,
    };
    let mut warning = String::new();
    for (target, alias) in names {
        let text = format!(
            "Embedded resource was referenced by relation name even though it has an alias. This is \
             deprecated and will stop working in a future release. Update `{target}` to `{alias}` in \
             query string filters, orders or limits."
        );
        log::warn!("{text}");
        if warning.len() + text.len() < WARNING_MAX_BYTES {
            let separator = if warning.is_empty() { "" } else { ", " };
            warning.push_str(&format!("{separator}299 PostgREST \"{text}\""));
        }
    }
    if !warning.is_empty() {
        response.headers.push(("Warning".into(), warning));
    }
}

/// Repeats `server-trace-header`.
fn trace(live: &Live, headers: &Headers, response: &mut Response) {
    if let Some(name) = &live.config.server_trace_header {
        let value = headers.get(name).unwrap_or_default().to_owned();
        response.headers.push((name.clone().into(), value));
    }
}

fn no_schema_cache() -> Error {
    Error::new(503, "PGRST002", "Could not query the database for the schema cache. Retrying.")
        .header("Retry-After", "1")
}

fn unavailable(unavailable: Unavailable) -> Error {
    match unavailable {
        Unavailable::Exhausted => {
            Error::new(504, "PGRST003", "Timed out acquiring connection from connection pool.")
        }
        Unavailable::Cancelled => client_left(),
        Unavailable::Unreachable(error) => {
            Error::new(503, "PGRST000", "Database connection error. Retrying the connection.")
                .details(error.for_clients())
                .header("Retry-After", "1")
        }
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}
