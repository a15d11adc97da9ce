//! The `goldenkey` program: parses the command line, runs the command, sets the exit code.

use goldenkey::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::args::parse(std::env::args_os()) {
        Ok(command) => command,
        // Also how `--help` and `--version` end: clap prints them and knows the exit code.
        Err(error) => error.exit(),
    };
    match cli::run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("goldenkey: {failure}");
            ExitCode::FAILURE
        }
    }
}
