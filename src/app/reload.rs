//! Loading what requests are answered with: the configuration with what the database adds
//! to it, and the schema cache. What fails to load replaces nothing that worked.

use super::App;
use super::live::{Lasting, Live};
use crate::config::connection::ConnectionSettings;
use crate::config::{Config, Environment, Source, read_in_database};
use crate::pool::{self, Pool};
use crate::schema::{LoadOptions, SchemaCache};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between attempts to load from a database that is away.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Where configurations come from, and where they go.
pub struct Loader {
    path: Option<PathBuf>,
    environment: Environment,
    lasting: Lasting,
}

/// What stops the start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl StartError {
    fn new(error: impl fmt::Display) -> Self {
        StartError(error.to_string())
    }
}

impl Loader {
    /// A loader of the file, when there is one, and the environment.
    pub fn new(path: Option<PathBuf>, environment: Environment) -> Self {
        Self { path, environment, lasting: Lasting::default() }
    }

    /// The configuration of file and environment alone; the texts are warnings.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn config(&self) -> Result<(Config, Vec<String>), StartError> {
        let (config, warnings) = Config::load(self.path.as_deref(), &self.environment, &[])
            .map_err(StartError::new)?;
        Ok((config, warnings.iter().map(ToString::to_string).collect()))
    }

    /// An application without a schema cache: it answers 503 until [`Loader::load`] has
    /// succeeded.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn start(&self) -> Result<App, StartError> {
        let (config, warnings) = self.config()?;
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        let connection = ConnectionSettings::parse(&config.db_uri, &self.environment)
            .map_err(|error| StartError(format!("db-uri: {error}")))?;
        let connector = connection.connector().map_err(|e| StartError(format!("db-uri: {e}")))?;
        let pool = Pool::new(connector, &pool::Settings {
            size: config.db_pool,
            acquisition_timeout: config.db_pool_acquisition_timeout,
            max_lifetime: config.db_pool_max_lifetime,
            max_idle_time: config.db_pool_max_idletime,
        });
        let (live, warnings) = Live::new(config, &self.lasting).map_err(StartError::new)?;
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        Ok(App::new(live, pool))
    }

    /// Loads configuration and schema cache until it succeeds.
    ///
    /// # Errors
    /// When `db-pool-automatic-recovery` is off and the database cannot be reached, or it
    /// refuses for good: the user, the password or the database do not exist.
    pub fn load_until_loaded(&self, app: &App) -> Result<(), StartError> {
        let mut wait = RETRY_FIRST;
        loop {
            let error = match self.load(app) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.fatal || !app.live().config.db_pool_automatic_recovery {
                return Err(StartError(error.text));
            }
            log::error!("{}; trying again in {} ms", error.text, wait.as_millis());
            std::thread::sleep(wait);
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Loads the configuration anew with what the database adds, and the schema cache.
    ///
    /// # Errors
    /// When the database cannot be read; what worked goes on.
    pub fn load(&self, app: &App) -> Result<(), LoadError> {
        let mut client = app.pool().connector().connect().map_err(LoadError::connecting)?;
        let running = app.live();
        let live = self.live_with_database(&mut client, &running);
        self.finish(app, live, &mut client)
    }

    /// Loads the schema cache anew.
    ///
    /// # Errors
    /// When the database cannot be read; what worked goes on.
    pub fn load_schema(&self, app: &App) -> Result<(), LoadError> {
        let mut client = app.pool().connector().connect().map_err(LoadError::connecting)?;
        let live = Live::clone(&app.live());
        self.finish(app, live, &mut client)
    }

    fn finish(&self, app: &App, live: Live, client: &mut postgres::Client) -> Result<(), LoadError> {
        let started = Instant::now();
        let schema = SchemaCache::load(client, &LoadOptions {
            schemas: &live.config.db_schemas,
            extra_search_path: &live.config.db_extra_search_path,
            hoisted_settings: &live.config.db_hoisted_tx_settings,
        })
        .map_err(LoadError::reading)?;
        let relations: usize = schema.schemas.values().map(|s| s.relations.len()).sum();
        let routines: usize = schema.schemas.values().map(|s| s.routines.len()).sum();
        log::info!(
            "schema cache loaded in {} ms: {relations} relations, {routines} functions",
            started.elapsed().as_millis()
        );
        app.swap(live.with_schema(Some(Arc::new(schema))));
        Ok(())
    }

    /// The configuration with what the database adds. Where that cannot be used, the
    /// configuration without it; where the file cannot be used any more, the running one.
    fn live_with_database(&self, client: &mut postgres::Client, running: &Live) -> Live {
        let (mut config, _) = match self.config() {
            Ok(loaded) => loaded,
            Err(error) => {
                log::error!("the configuration is kept: {error}");
                return running.clone();
            }
        };
        if config.db_config {
            match self.database_rows(client, &config) {
                Ok(rows) => match Config::load(self.path.as_deref(), &self.environment, &rows) {
                    Ok((with_rows, _)) => config = with_rows,
                    Err(error) if error.source() == Source::Database => {
                        log::error!("settings in the database are passed over: {error}");
                    }
                    Err(error) => log::error!("{error}"),
                },
                Err(error) => {
                    log::error!("settings in the database could not be read: {error}");
                }
            }
        }
        for name in config.keep_fixed(&running.config) {
            log::debug!("{name} changes only with a restart");
        }
        match Live::new(config, &self.lasting) {
            Ok((live, warnings)) => {
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                live
            }
            Err(error) => {
                log::error!("the configuration is kept: {error}");
                running.clone()
            }
        }
    }

    fn database_rows(
        &self,
        client: &mut postgres::Client,
        config: &Config,
    ) -> Result<Vec<(String, String)>, postgres::Error> {
        read_in_database(client, config.db_pre_config.as_ref())
    }
}

/// Why something could not be loaded.
pub struct LoadError {
    text: String,
    /// Whether trying again is of no use.
    fatal: bool,
}

impl LoadError {
    fn connecting(error: crate::config::connection::ConnectError) -> Self {
        use postgres::error::SqlState;
        let fatal = matches!(
            error.code(),
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
        );
        LoadError { text: error.to_string(), fatal }
    }

    fn reading(error: postgres::Error) -> Self {
        let text = match error.as_db_error() {
            Some(db) => format!("the schema cache could not be loaded: {}", db.message()),
            None => format!("the schema cache could not be loaded: {error}"),
        };
        LoadError { text, fatal: false }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
