//! `goldenkey [CONFIG]`: the service, from start to the signal that ends it.

use super::{Failure, logger};
use crate::app::{App, Loader};
use crate::config::{Config, Environment};
use crate::http::{Request, Response};
use crate::server::{Exchange, Handler, Limits, Listen, Server, Settings, Shutdown};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    signals: Signals,
}

impl Service {
    /// Reads the configuration and binds the address. From here on the signals are the
    /// service's: SIGINT and SIGTERM end it, also before it runs.
    ///
    /// # Errors
    /// When the configuration cannot be used or the address cannot be bound.
    pub fn bind(source: ConfigSource) -> Result<Service, Failure> {
        let loader = Loader::new(source.path, source.environment);
        let (config, _) = loader.config().map_err(|error| error.to_string())?;
        logger::init(config.log_level);
        let app = loader.start().map_err(|error| error.to_string())?;
        let server =
            Server::bind(server_settings(&config)).map_err(|error| cannot_listen(&error))?;
        let signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2])
            .map_err(|error| Failure::io("cannot handle signals", error))?;
        Ok(Service { loader, app, server, signals })
    }

    /// The configuration at the start.
    pub fn config(&self) -> Arc<Config> {
        self.app.live().config.clone()
    }

    /// Answers requests until SIGINT or SIGTERM ends it.
    ///
    /// # Errors
    /// When the service cannot be started.
    pub fn run(self) -> Result<(), Failure> {
        let Service { loader, app, server, signals } = self;
        let app = Arc::new(app);
        let shutdown = server.shutdown_handle();
        log::info!("listening on {}", server.address());
        // Clients that connect meanwhile wait for their answer instead of getting a 503.
        let loaded = loader.load(&app);
        if let Err(error) = &loaded {
            log::error!("{error}");
        }
        let kept = app.clone();
        std::thread::spawn(move || {
            keep_loaded(&loader, &kept, loaded.is_ok(), signals, &shutdown);
        });
        server.run(Arc::new(Answers(app))).map_err(|error| Failure::io("cannot serve", error))
    }
}

/// Loads what requests are answered with, at the start and whenever a signal asks for it.
fn keep_loaded(
    loader: &Loader,
    app: &App,
    is_loaded: bool,
    mut signals: Signals,
    shutdown: &Shutdown,
) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if !is_loaded && let Err(error) = loader.load_until_loaded(app) {
                eprintln!("goldenkey: {error}");
                std::process::exit(1);
            }
        });
        for signal in signals.forever() {
            let loaded = match signal {
                SIGUSR1 => loader.load_schema(app),
                SIGUSR2 => loader.load(app),
                _ => {
                    shutdown.begin();
                    continue;
                }
            };
            if let Err(error) = loaded {
                log::error!("{error}; what worked is kept");
            }
        }
    });
}

/// The application as the server's handler.
struct Answers(Arc<App>);

impl Handler for Answers {
    fn handle(&self, request: Request) -> Response {
        self.0.handle(request)
    }

    fn finished(&self, exchange: &Exchange<'_>) {
        logger::access(exchange);
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
            body_min_bytes_per_second: config.server_body_min_bytes_per_second,
            response_min_bytes_per_second: config.server_response_min_bytes_per_second,
            queue_max: config.server_max_waiting,
            queue_timeout: config.server_max_waiting_seconds,
            buffer_max_bytes: saturated(config.server_max_buffer_bytes),
        },
        shutdown_timeout: config.server_shutdown_timeout,
    }
}

/// The server's error, which names the address, with what can be done about it.
fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn cannot_listen(error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "; end the program that uses it, or choose another port",
        ErrorKind::PermissionDenied => "; a port below 1024 takes root or a capability",
        _ => "",
    };
    format!("{error}{hint}").into()
}
