//! The commands of the program, each in its own module. Parsing the command line is the
//! job of [`args`]; nothing here answers a request.

pub mod args;
pub mod ready;
pub mod serve;
pub mod show;
pub mod token;
pub mod tutorial;

use args::Command;
use std::fmt;
use std::io::{self, Write};

/// Runs a command to its end.
///
/// # Errors
/// A text for the person at the terminal.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve { config } => serve::serve(config.as_deref()),
        Command::DumpConfig { config, secrets } => show::config(config.as_deref(), secrets),
        Command::DumpSchema { config } => show::schema(config.as_deref()),
        Command::Example => show::example(),
        Command::Ready { config } => ready::ready(config.as_deref()),
        Command::Tutorial(options) => tutorial::run(options),
        Command::SignToken(options) => token::sign(options),
        Command::InspectToken(options) => token::inspect(options),
        Command::Keygen(options) => token::keygen(options),
    }
}

/// Why a command did not do its work: a text for the person at the terminal.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure of something outside, such as a file, with what was attempted.
    fn io(attempt: impl fmt::Display, error: io::Error) -> Self {
        Failure(format!("{attempt}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure(text)
    }
}

/// Writes to standard output. A reader that has gone away, as in `goldenkey -e | head`,
/// is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}
