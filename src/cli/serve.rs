//! `goldenkey [CONFIG]`: the service, from start to the signal that ends it.

use super::Failure;
use crate::app::{App, Loader, StartError, Supervisor, Wanted};
use crate::config::{Config, ConfigError, Environment, Given};
use crate::http::{Request, Response};
use crate::observe::{Access, Event, Observer};
use crate::server::{Admin, Exchange, Handler, Limits, Listen, Server, Settings, Shutdown};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long the first request may have to wait for the first load. A database that is away
/// mostly says so at once.
const FIRST_LOAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long the end waits for a log that is not read.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Stack of the thread that waits for signals.
const SIGNALS_STACK_BYTES: usize = 128 << 10;

/// Where the configuration comes from, at the start and at each reload.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// The configuration file, if there is one.
    pub path: Option<PathBuf>,
    /// The environment, whose values win over the file's.
    pub environment: Environment,
}

impl ConfigSource {
    /// A file, if there is one, and the environment of this process.
    pub fn of_process(path: Option<&Path>) -> Self {
        ConfigSource { path: path.map(Path::to_owned), environment: Environment::of_process() }
    }

    /// Reads the configuration, without what is in the database; what was passed over goes
    /// to standard error.
    ///
    /// # Errors
    /// When a value cannot be used; the text names it and what is allowed.
    pub fn load(&self) -> Result<Config, Failure> {
        let (config, warnings) = Config::load(self.path.as_deref(), &self.environment, &[])
            .map_err(|error| error.to_string())?;
        for warning in warnings {
            eprintln!("goldenkey: warning: {warning}");
        }
        Ok(config)
    }

    /// Reads the configuration again, with settings that the database holds; what was passed over
    /// of them goes to standard error.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when a setting in the database cannot be used.
    pub fn load_with(&self, in_database: &[(String, String)]) -> Result<Config, Failure> {
        let failed = |error: ConfigError| Failure::from(error.to_string());
        let given = Given::read(self.path.as_deref(), &self.environment).map_err(failed)?;
        let (_, told) = given.config(&[]).map_err(failed)?;
        let (config, warnings) = given.config(in_database).map_err(failed)?;
        for warning in warnings.iter().filter(|warning| !told.contains(warning)) {
            eprintln!("goldenkey: warning: {warning}");
        }
        Ok(config)
    }
}

/// Serves until SIGINT or SIGTERM ends it.
///
/// # Errors
/// When the configuration cannot be used or the address cannot be bound.
pub fn serve(path: Option<&Path>) -> Result<(), Failure> {
    Service::bind(ConfigSource::of_process(path))?.run()
}

/// A service that has its address, and does not answer yet.
pub struct Service {
    loader: Loader,
    app: App,
    server: Server,
    admin: Option<Admin>,
    signals: Signals,
}

impl Service {
    /// Reads the configuration and binds the addresses. From here on the signals are the
    /// service's: SIGINT and SIGTERM end it, also before it runs; and the log is.
    ///
    /// # Errors
    /// When the configuration cannot be used or an address cannot be bound.
    pub fn bind(source: ConfigSource) -> Result<Service, Failure> {
        let loader = Loader::new(source.path, source.environment);
        let (config, _) = loader.config().map_err(|error| error.to_string())?;
        let observer = Observer::logging(config.log_level)
            .map_err(|error| Failure::io("cannot start the log", error))?;
        observer.observe(&Event::Starting);
        let app = loader.start_observed(Arc::new(observer)).map_err(|error| error.to_string())?;
        let server =
            Server::bind(server_settings(&config)).map_err(|error| cannot_listen(&error))?;
        let admin = admin_address(&config)
            .map(|listen| Admin::bind(&listen, &server))
            .transpose()
            .map_err(|error| cannot_listen(&error))?;
        let signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2])
            .map_err(|error| Failure::io("cannot handle signals", error))?;
        Ok(Service { loader, app, server, admin, signals })
    }

    /// The configuration at the start.
    pub fn config(&self) -> Arc<Config> {
        self.app.live().config.clone()
    }

    /// Answers requests until SIGINT or SIGTERM ends it, or the database is lost for good.
    ///
    /// # Errors
    /// When the service cannot be started, or cannot go on without its database.
    pub fn run(self) -> Result<(), Failure> {
        let Service { loader, app, server, admin, signals } = self;
        let app = Arc::new(app);
        let observer = app.observer().clone();
        observer.observe(&Event::PoolInitialized(app.live().config.db_pool));
        let _admin = match admin {
            Some(admin) => {
                observer.observe(&Event::AdminListening(admin.address()));
                Some(admin.start(&app).map_err(|e| Failure::io("cannot start a thread", e))?)
            }
            None => None,
        };
        let shutdown = server.shutdown_handle();
        handle_signals(signals, app.clone(), shutdown.clone())
            .map_err(|error| Failure::io("cannot start a thread", error))?;
        let supervised = Supervised::start(loader, app.clone(), shutdown)
            .map_err(|error| Failure::io("cannot start a thread", error))?;
        // Clients that connect meanwhile wait for their answer instead of getting a 503.
        supervised.wait_for_first_load();
        observer.observe(&Event::Listening(server.address()));
        let served = server.run(Arc::new(Answers(app.clone())));
        app.reloads().end();
        observer.flush(FLUSH_PATIENCE);
        served.map_err(|error| Failure::io("cannot serve", error))?;
        supervised.outcome()
    }
}

/// The supervisor on its thread.
struct Supervised {
    first_load: Receiver<()>,
    failure: Receiver<StartError>,
}

impl Supervised {
    /// Starts it. When it fails, the shutdown begins.
    fn start(loader: Loader, app: Arc<App>, shutdown: Shutdown) -> io::Result<Supervised> {
        let (loaded, first_load) = mpsc::channel();
        let (failed, failure) = mpsc::channel();
        let life = move || {
            let supervisor = Supervisor::new(loader, app);
            if let Err(error) = supervisor.run(move || {
                // Nobody waits when it took too long.
                let _ = loaded.send(());
            }) {
                // The receiver is there for as long as the service runs.
                let _ = failed.send(error);
                shutdown.begin();
            }
        };
        thread::Builder::new().name("supervisor".to_owned()).spawn(life)?;
        Ok(Supervised { first_load, failure })
    }

    /// Waits until all was loaded for the first time, or could not be; but not for ever.
    fn wait_for_first_load(&self) {
        // Both outcomes are good to go on with, and so is a supervisor that has ended.
        let _ = self.first_load.recv_timeout(FIRST_LOAD_PATIENCE);
    }

    /// Why it ended, when it ended by itself.
    fn outcome(self) -> Result<(), Failure> {
        match self.failure.try_recv() {
            Ok(error) => Err(error.to_string().into()),
            Err(_) => Ok(()),
        }
    }
}

/// Turns signals into reloads and the shutdown, on a thread of its own.
fn handle_signals(mut signals: Signals, app: Arc<App>, shutdown: Shutdown) -> io::Result<()> {
    let life = move || {
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => app.reloads().want(Wanted::SCHEMA),
                SIGUSR2 => app.reloads().want(Wanted::CONFIG),
                _ => {
                    let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                    app.observer().observe(&Event::Terminating(name));
                    shutdown.begin();
                }
            }
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned()).stack_size(SIGNALS_STACK_BYTES);
    thread.spawn(life).map(drop)
}

/// The application as the server's handler.
struct Answers(Arc<App>);

impl Handler for Answers {
    fn handle(&self, request: Request) -> Response {
        let _in_flight = InFlight::begin(self.0.observer());
        self.0.handle(request)
    }

    fn finished(&self, exchange: &Exchange<'_>) {
        self.0.observer().observe(&Event::Answered(&Access {
            peer: exchange.peer,
            role: exchange.role,
            method: exchange.method,
            target: exchange.target,
            version: exchange.version,
            status: exchange.status,
            body_bytes: exchange.body_bytes,
            duration: exchange.duration,
            waited: exchange.waited,
            user_agent: exchange.user_agent,
        }));
    }
}

/// A request that is worked on, for as long as this lives; a panic ends it too.
struct InFlight<'o>(&'o Observer);

impl<'o> InFlight<'o> {
    fn begin(observer: &'o Observer) -> Self {
        observer.observe(&Event::RequestBegun);
        InFlight(observer)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.observe(&Event::RequestEnded);
    }
}

/// Where the admin server listens, when there is to be one.
fn admin_address(config: &Config) -> Option<Listen> {
    match (&config.admin_server_unix_socket, config.admin_server_port) {
        (Some(path), _) => {
            Some(Listen::Unix { path: path.into(), mode: config.admin_server_unix_socket_mode.0 })
        }
        (None, Some(port)) => Some(Listen::Tcp { host: config.admin_server_host.clone(), port }),
        (None, None) => None,
    }
}

fn server_settings(config: &Config) -> Settings {
    let listen = match &config.server_unix_socket {
        Some(path) => Listen::Unix { path: path.into(), mode: config.server_unix_socket_mode.0 },
        None => Listen::Tcp { host: config.server_host.clone(), port: config.server_port },
    };
    Settings {
        listen,
        socket_activation: true,
        reuse_port: config.server_reuseport,
        gate: config.server_gate,
        threads: config.server_threads,
        body_max_bytes: saturated(config.server_max_body_bytes),
        limits: Limits {
            connections_max: config.server_max_connections,
            connections_per_address_max: config.server_max_connections_per_address,
            head_max_bytes: config.server_max_head_bytes,
            head_timeout: config.server_head_timeout,
            idle_timeout: config.server_idle_timeout,
            rate_grace: Limits::default().rate_grace,
            body_min_bytes_per_second: config.server_body_min_bytes_per_second,
            response_min_bytes_per_second: config.server_response_min_bytes_per_second,
            queue_max: config.server_max_waiting,
            queue_timeout: config.server_max_waiting_seconds,
            buffer_max_bytes: saturated(config.server_max_buffer_bytes),
        },
        shutdown_timeout: config.server_shutdown_timeout,
    }
}

fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The server's error, which names the address, with what can be done about it.
fn cannot_listen(error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "; end the program that uses it, or choose another port or path",
        ErrorKind::AddrNotAvailable => "; this machine has no such address (!4 stands for all)",
        ErrorKind::NotFound => "; the folder of a socket must exist",
        ErrorKind::PermissionDenied => {
            "; a port below 1024 takes root or a capability, a socket a folder to write in"
        }
        _ => "",
    };
    format!("{error}{hint}").into()
}
