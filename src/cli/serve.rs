//! `goldenkey [CONFIG]`: the service, from start to the signal that ends it.

use super::Failure;
use crate::config::{Config, Environment};
use crate::server::{Listen, Server, Settings, Shutdown};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;

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
#[derive(Debug)]
pub struct Service {
    config: Config,
    server: Server,
}

impl Service {
    /// Reads the configuration and binds the address. From here on SIGINT and SIGTERM end the
    /// service instead of the process, also before it runs.
    ///
    /// # Errors
    /// When the configuration cannot be used or the address cannot be bound.
    pub fn bind(source: ConfigSource) -> Result<Service, Failure> {
        let config = source.load()?;
        let server =
            Server::bind(server_settings(&config)).map_err(|error| cannot_listen(&error))?;
        end_on_signal(server.shutdown_handle())?;
        Ok(Service { config, server })
    }

    /// The configuration at the start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Answers requests until SIGINT or SIGTERM ends it.
    ///
    /// # Errors
    /// When the service cannot be started.
    pub fn run(self) -> Result<(), Failure> {
        struct Unassembled;
        impl crate::server::Handler for Unassembled {
            fn handle(&self, _: crate::http::Request) -> crate::http::Response {
                crate::http::Response { status: 503, ..Default::default() }
            }
        }
        self.server
            .run(std::sync::Arc::new(Unassembled))
            .map_err(|error| Failure::io("cannot serve", error))
    }
}

fn end_on_signal(shutdown: Shutdown) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::io("cannot handle signals", error))?;
    thread::spawn(move || signals.forever().for_each(|_| shutdown.begin()));
    Ok(())
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
        body_max_bytes: usize::try_from(config.server_max_body_bytes).unwrap_or(usize::MAX),
        shutdown_timeout: config.server_shutdown_timeout,
    }
}

/// The server's error, which names the address, with what can be done about it.
fn cannot_listen(error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "; end the program that uses it, or choose another port",
        ErrorKind::PermissionDenied => "; a port below 1024 takes root or a capability",
        _ => "",
    };
    format!("{error}{hint}").into()
}
