//! Loading what requests are answered with: the configuration with what the database adds
//! to it, the revoked claims, and the schema cache. What fails to load replaces nothing that
//! worked. When to load is the supervisor's business.

use super::App;
use super::configuration::{Configurations, Fresh};
use super::failure::{LoadError, StartError};
use super::live::{Lasting, Live};
use super::reloads::Wanted;
use crate::config::connection::{ConnectionSettings, Connector};
use crate::config::{Config, Environment, LogLevel};
use crate::observe::{Event, Observer};
use crate::pool::{self, Pool};
use crate::schema::{ExposedSchema, LoadOptions, RoleSettings, SchemaCache};
use postgres::Client;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The oldest PostgreSQL that has what the catalog queries read, as `server_version_num`.
const SERVER_VERSION_MIN: i32 = 140_000;

/// How long a load waits for a standby to follow its primary, and how often it looks.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(2);
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(10);

/// Where configurations come from, and where they go.
pub struct Loader {
    configurations: Configurations,
    lasting: Lasting,
}

impl Loader {
    /// A loader of the file, when there is one, and the environment.
    pub fn new(path: Option<PathBuf>, environment: Environment) -> Self {
        let configurations = Configurations::new(path, environment);
        Self { configurations, lasting: Lasting::default() }
    }

    /// What outlives reloads.
    pub fn lasting(&self) -> &Lasting {
        &self.lasting
    }

    /// The configuration of file and environment alone; the texts are warnings.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn config(&self) -> Result<(Config, Vec<String>), StartError> {
        let fresh = self.configurations.read().map_err(StartError::new)?;
        let (config, _, warnings) = fresh.into_parts();
        Ok((config, warnings))
    }

    /// An application without a schema cache, which answers 503 until [`Loader::load`] has
    /// succeeded. It tells an observer that only counts.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn start(&self) -> Result<App, StartError> {
        self.start_observed(Arc::default())
    }

    /// The same, telling `observer`.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn start_observed(&self, observer: Arc<Observer>) -> Result<App, StartError> {
        let (config, warnings) = self.config()?;
        self.configurations.tell(warnings);
        self.configurations.accept(config.clone());
        let connector = self.connector(&config, ConnectionSettings::connector)?;
        let pool = Pool::new(
            connector,
            &pool::Settings {
                size: config.db_pool,
                acquisition_timeout: config.db_pool_acquisition_timeout,
                max_lifetime: config.db_pool_max_lifetime,
                max_idle_time: config.db_pool_max_idletime,
            },
            observer,
        );
        let (live, warnings) = Live::new(config, &self.lasting).map_err(StartError::new)?;
        self.configurations.tell(warnings);
        Ok(App::new(live, pool))
    }

    /// What connects to the server that takes writes, where notifications come from.
    ///
    /// # Errors
    /// When `db-uri` cannot be used.
    pub fn listener_connector(&self, config: &Config) -> Result<Connector, StartError> {
        self.connector(config, |settings| settings.for_listener().connector())
    }

    fn connector(
        &self,
        config: &Config,
        of: impl Fn(
            &ConnectionSettings,
        ) -> Result<Connector, crate::config::connection::ConnectionError>,
    ) -> Result<Connector, StartError> {
        ConnectionSettings::parse(&config.db_uri, &self.configurations.environment)
            .and_then(|settings| of(&settings))
            .map_err(|error| StartError::new(format_args!("db-uri: {error}")))
    }

    /// Whether reading the configuration anew takes the database.
    pub fn needs_database(&self, app: &App) -> bool {
        let live = app.live();
        let in_file = || {
            self.config().is_ok_and(|(config, _)| {
                reads_database(&config) || schema_differs(&config, &live.config)
            })
        };
        live.schema.is_none() || reads_database(&live.config) || in_file()
    }

    /// Connects for a load.
    ///
    /// # Errors
    /// When the database cannot be reached, or is too old.
    pub fn connect(&self, app: &App) -> Result<Client, LoadError> {
        let mut client = app.pool().connector().connect().map_err(LoadError::connecting)?;
        if app.live().schema.is_none() || app.reloads().is_database_lost() {
            let row = client
                .query_typed_one(
                    "select version(), current_setting('server_version_num')::int,
                            current_setting('server_encoding')",
                    &[],
                )
                .map_err(LoadError::reading)?;
            let (version, number, encoding): (String, i32, String) = (
                row.try_get(0).map_err(LoadError::reading)?,
                row.try_get(1).map_err(LoadError::reading)?,
                row.try_get(2).map_err(LoadError::reading)?,
            );
            if number < SERVER_VERSION_MIN {
                return Err(LoadError::too_old(&version, SERVER_VERSION_MIN / 10_000));
            }
            self.lasting.server_encoding.set(&encoding);
            app.observer().observe(&Event::DatabaseConnected(&version));
        }
        Ok(client)
    }

    /// Waits until a standby has what the primary had when this was called: a notification
    /// comes from the primary, often before the standby knows what it is about. A standby
    /// that does not get there in time, or whose primary is away, is read as it is.
    pub fn catch_up(&self, app: &App, standby: &mut Client) -> Result<(), LoadError> {
        if !is_true(standby, "select pg_is_in_recovery()").map_err(LoadError::reading)? {
            return Ok(());
        }
        let config = app.live().config.clone();
        let primary = self.listener_connector(&config).ok().and_then(|c| c.connect().ok());
        let position = primary.and_then(|mut primary| {
            let row =
                primary.query_typed_one("select pg_current_wal_insert_lsn()::text", &[]).ok()?;
            row.try_get::<_, String>(0).ok()
        });
        let Some(position) = position else { return Ok(()) };
        let caught_up = format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
        let begun = Instant::now();
        while begun.elapsed() < CATCH_UP_PATIENCE
            && !is_true(standby, &caught_up).map_err(LoadError::reading)?
        {
            thread::sleep(CATCH_UP_INTERVAL);
        }
        Ok(())
    }

    /// Loads everything, over a connection of its own.
    ///
    /// # Errors
    /// When the database cannot be read; what worked goes on.
    pub fn load(&self, app: &App) -> Result<(), LoadError> {
        let mut client = self.connect(app)?;
        self.reload(app, Wanted::ALL, Some(&mut client))
    }

    /// Loads what is wanted, and what depends on it. Without a client, only the file and the
    /// environment are read.
    ///
    /// # Errors
    /// When the database cannot be read; what worked goes on.
    pub fn reload(
        &self,
        app: &App,
        wanted: Wanted,
        client: Option<&mut Client>,
    ) -> Result<(), LoadError> {
        let running = app.live();
        if wanted.config && running.schema.is_some() {
            self.configurations.tell_again();
        }
        let Some(client) = client else {
            let (live, accepted) = self.succeed(app, &running, self.configurations.read());
            self.forget_revocations_without_source(&live);
            self.put_in_force(app, live, accepted);
            return Ok(());
        };
        let (mut live, accepted) = if wanted.config || (wanted.schema && running.config.db_config) {
            let starting = running.schema.is_none();
            let fresh = self.configurations.read_with_database(client, starting)?;
            self.succeed(app, &running, fresh)
        } else {
            (Live::clone(&running), None)
        };
        self.forget_revocations_without_source(&live);
        let source = &live.config.jwt_revocation_source;
        if let Some(source) = source
            && (wanted.revocations || running.config.jwt_revocation_source.as_ref() != Some(source))
        {
            let read = self.lasting.revocations.read(client, source, app.observer());
            if let Err(error) = read {
                let error = LoadError::reading(error).about("jwt-revocation-source");
                app.observer().observe(&Event::ConfigFailed(&error));
                // Tokens that were revoked must not be taken because the list is missing.
                if running.schema.is_none() || error.is_loss() {
                    return Err(error);
                }
            }
        }
        if wanted.schema || live.schema.is_none() || schema_differs(&live.config, &running.config) {
            let schema = load_schema(app, &live.config, client)?;
            live = live.with_schema(Some(Arc::new(schema)));
            // Sessions hold settings of the login role and the database as they were.
            app.pool().renew();
        } else if wanted.config {
            live = live.with_role_settings(load_role_settings(client)?);
        }
        self.put_in_force(app, live, accepted);
        Ok(())
    }

    fn forget_revocations_without_source(&self, live: &Live) {
        if live.config.jwt_revocation_source.is_none() {
            self.lasting.revocations.clear();
        }
    }

    /// Loads what roles bring along; what worked goes on where that is not possible.
    pub fn reload_role_settings(&self, app: &App) {
        let loaded = self.connect(app).and_then(|mut client| load_role_settings(&mut client));
        match loaded {
            Ok(settings) => app.swap(app.live().with_role_settings(settings)),
            Err(error) => app.observer().observe(&Event::ConfigFailed(&error)),
        }
    }

    /// What takes the place of the running configuration: the new one, and what file and
    /// environment alone make of it; or the running one itself when the new one cannot be used.
    fn succeed(
        &self,
        app: &App,
        running: &Live,
        fresh: Result<Fresh, String>,
    ) -> (Live, Option<Config>) {
        let observer = app.observer();
        let succeeded = fresh.and_then(|fresh| {
            let (mut config, alone, warnings) = fresh.into_parts();
            self.configurations.tell(warnings);
            let fixed = config.keep_fixed(&running.config);
            self.configurations.tell_fixed(observer, fixed);
            let (live, warnings) =
                running.succeeded_by(config, &self.lasting).map_err(|error| error.to_string())?;
            self.configurations.tell(warnings);
            Ok((live, Some(alone)))
        });
        succeeded.unwrap_or_else(|error| {
            observer.observe(&Event::ConfigFailed(&error));
            (running.clone(), None)
        })
    }

    /// Answers with `live` from now on; `accepted` is there when its configuration is a new one.
    fn put_in_force(&self, app: &App, live: Live, accepted: Option<Config>) {
        let (running, new) = (app.live().config.log_level, live.config.log_level);
        app.swap(live);
        if let Some(alone) = accepted {
            self.configurations.accept(alone);
            set_log_level(app.observer(), running, new);
            app.observer().observe(&Event::ConfigReloaded);
        }
    }
}

fn is_true(client: &mut Client, query: &str) -> Result<bool, postgres::Error> {
    client.query_typed_one(query, &[])?.try_get(0)
}

/// Whether the configuration takes something from the database beside the schema cache.
fn reads_database(config: &Config) -> bool {
    config.db_config || config.jwt_revocation_source.is_some()
}

/// Whether the schema cache depends on what differs.
fn schema_differs(new: &Config, running: &Config) -> bool {
    let inputs = |config: &Config| {
        (
            config.db_schemas.clone(),
            config.db_extra_search_path.clone(),
            config.db_hoisted_tx_settings.clone(),
        )
    };
    inputs(new) != inputs(running)
}

fn set_log_level(observer: &Observer, running: LogLevel, new: LogLevel) {
    if running != new {
        observer.set_log_level(new);
    }
}

fn load_role_settings(client: &mut Client) -> Result<HashMap<Box<str>, RoleSettings>, LoadError> {
    RoleSettings::load(client).map_err(|error| LoadError::reading(error).about("role settings"))
}

fn load_schema(app: &App, config: &Config, client: &mut Client) -> Result<SchemaCache, LoadError> {
    let started = Instant::now();
    let options = LoadOptions {
        schemas: &config.db_schemas,
        extra_search_path: &config.db_extra_search_path,
        hoisted_settings: &config.db_hoisted_tx_settings,
    };
    let schema = SchemaCache::load(client, &options).map_err(|error| {
        let error = LoadError::reading(error);
        if !error.is_query() {
            return error;
        }
        error.about(&format!(
            "db-schemas={}, db-extra-search-path={}",
            options.schemas.join(","),
            options.extra_search_path.join(","),
        ))
    });
    let observer = app.observer();
    match &schema {
        Ok(schema) => {
            observer.observe(&Event::SchemaCacheQueried(started.elapsed()));
            observer.observe(&Event::SchemaCacheLoaded(&Summary(schema)));
        }
        Err(error) => observer.observe(&Event::SchemaCacheFailed(error)),
    }
    schema
}

/// What a schema cache holds, in numbers.
struct Summary<'s>(&'s SchemaCache);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |of: fn(&ExposedSchema) -> usize| -> usize { self.0.schemas.values().map(of).sum() };
        let representations = &self.0.representations;
        write!(
            f,
            "{} Relations, {} Relationships, {} Functions, {} Domain Representations, \
             {} Media Type Handlers",
            count(|schema| schema.relations.len()),
            count(|schema| schema.relations.values().map(|r| r.relationships.len()).sum()),
            count(|schema| schema.routines.values().map(Vec::len).sum()),
            representations.to_json.len()
                + representations.from_json.len()
                + representations.from_text.len(),
            self.0.handlers.values().map(Vec::len).sum::<usize>(),
        )
    }
}
