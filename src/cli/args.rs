//! The command line's definition, and its translation into a [`Command`].
//!
//! What the user typed ends here: the commands get paths, numbers and claims. PostgREST's
//! own flags keep their meaning (<https://docs.postgrest.org/en/v16/references/cli.html>).

use super::{token, tutorial};
use crate::auth::KeyKind;
use crate::config::Secrets;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// What the command line asks for. `config` is the configuration file; without one the
/// environment and the defaults are the whole configuration.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Serve requests until a signal ends it.
    Serve { config: Option<PathBuf> },
    /// Print the configuration in force.
    DumpConfig { config: Option<PathBuf>, secrets: Secrets },
    /// Print the schema cache as JSON.
    DumpSchema { config: Option<PathBuf> },
    /// Print a commented configuration file.
    Example,
    /// Ask the admin server of a running instance whether it is ready.
    Ready { config: Option<PathBuf> },
    /// Serve the tutorial's database from a private cluster.
    Tutorial(tutorial::Options),
    /// Sign a token.
    SignToken(token::Sign),
    /// Show what a token says, and whether it would be accepted.
    InspectToken(token::Inspect),
    /// Print a new key.
    Keygen(token::Keygen),
}

/// Parses a whole command line, program name first.
///
/// # Errors
/// clap's, ready to be printed with [`clap::Error::exit`]; `--help` and `--version` come as
/// errors too.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let mut matches = definition().try_get_matches_from(args)?;
    Ok(match matches.remove_subcommand() {
        Some((name, mut matches)) => match name.as_str() {
            "tutorial" => Command::Tutorial(tutorial_options(&mut matches)),
            "token" => token_command(&mut matches),
            _ => Command::Keygen(token::Keygen {
                kind: matches.remove_one("kind"),
                kid: matches.remove_one("kid"),
            }),
        },
        None => {
            let config = matches.remove_one("config");
            if matches.get_flag("dump-config") {
                let hidden = matches.get_flag("hide-secrets");
                let secrets = if hidden { Secrets::Hidden } else { Secrets::Shown };
                Command::DumpConfig { config, secrets }
            } else if matches.get_flag("dump-schema") {
                Command::DumpSchema { config }
            } else if matches.get_flag("example") {
                Command::Example
            } else if matches.get_flag("ready") {
                Command::Ready { config }
            } else {
                Command::Serve { config }
            }
        }
    })
}

/// The definition that help, man page and shell completions are made from.
pub fn definition() -> clap::Command {
    clap::Command::new("goldenkey")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A REST API for a PostgreSQL schema, as PostgREST serves it")
        .after_help(
            "Without a subcommand goldenkey serves. Settings come from CONFIG, PGRST_* environment\n\
             variables and the database. A file named like a subcommand is reached as ./tutorial.",
        )
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
        .arg(config_arg())
        .args([
            flag("dump-config", "Print the configuration in force, with its secrets, and exit"),
            flag("hide-secrets", "Leave the secrets out of --dump-config")
                .requires("dump-config"),
            flag("dump-schema", "Print the schema cache as JSON and exit"),
            flag("example", "Print a commented configuration file and exit").short('e'),
            flag("ready", "Ask the admin server whether it is ready; exit 0 if so, else 1"),
        ])
        .group(clap::ArgGroup::new("print").args([
            "dump-config",
            "dump-schema",
            "example",
            "ready",
        ]))
        .arg(
            Arg::new("version")
                .short('v')
                .short_alias('V')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version"),
        )
        .subcommands([tutorial_definition(), token_definition(), keygen_definition()])
}

fn tutorial_definition() -> clap::Command {
    clap::Command::new("tutorial")
        .about("Serve the tutorial's todo list from a private PostgreSQL cluster")
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16).range(1..))
                .help("The port to serve on [default: 3000, or what the last run used]"),
        )
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help(
                    "The folder that keeps cluster, configuration and todos between runs \
                     [default: goldenkey/tutorial in the user's data folder]",
                ),
        )
}

fn token_definition() -> clap::Command {
    clap::Command::new("token")
        .about("Sign a token with the configured secret, or inspect one")
        .arg(config_arg())
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .help("The database role of the request"),
        )
        .arg(
            Arg::new("expires")
                .long("expires")
                .value_name("DURATION")
                .allow_hyphen_values(true)
                .value_parser(token::parse_duration)
                .help("Expire after so long: 90s, 5m, 12h or 30d [default: never]"),
        )
        .arg(
            Arg::new("claim")
                .long("claim")
                .value_name("NAME=TEXT")
                .action(ArgAction::Append)
                .value_parser(token::parse_text_claim)
                .help("Another claim, as text; may be repeated"),
        )
        .arg(
            Arg::new("claim-json")
                .long("claim-json")
                .value_name("NAME=JSON")
                .action(ArgAction::Append)
                .value_parser(token::parse_json_claim)
                .help("Another claim, as JSON; may be repeated"),
        )
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Sign with this private key instead of jwt-secret: a JWK, a JWKS or PEM"),
        )
        .arg(
            Arg::new("algorithm")
                .long("algorithm")
                .value_name("NAME")
                .help("The algorithm, such as PS256, where the key leaves a choice"),
        )
        .arg(
            Arg::new("inspect")
                .long("inspect")
                .value_name("TOKEN")
                .conflicts_with_all(["role", "expires", "claim", "claim-json", "key", "algorithm"])
                .help("Show what TOKEN says and whether CONFIG accepts it; - reads it from input"),
        )
}

fn keygen_definition() -> clap::Command {
    clap::Command::new("keygen")
        .about("Print a new key that signs tokens: a secret, or a JWK with --kind")
        .arg(
            Arg::new("kind")
                .long("kind")
                .value_name("KIND")
                .value_parser(KeyKind::from_str)
                .help("secret, rsa, ec (P-256), p384, p521 or ed25519, as a JWK"),
        )
        .arg(
            Arg::new("kid")
                .long("kid")
                .value_name("ID")
                .help("The key's identifier [default: the thumbprint of its public part]"),
        )
}

fn config_arg() -> Arg {
    Arg::new("config")
        .value_name("CONFIG")
        .value_parser(value_parser!(PathBuf))
        .help("The configuration file; without one the environment alone configures")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn tutorial_options(matches: &mut ArgMatches) -> tutorial::Options {
    tutorial::Options { port: matches.remove_one("port"), data: matches.remove_one("data") }
}

fn token_command(matches: &mut ArgMatches) -> Command {
    let config = matches.remove_one("config");
    match matches.remove_one("inspect") {
        Some(token) => Command::InspectToken(token::Inspect { config, token }),
        None => Command::SignToken(token::Sign {
            config,
            key: matches.remove_one("key"),
            algorithm: matches.remove_one("algorithm"),
            role: matches.remove_one("role"),
            expires_seconds: matches.remove_one("expires"),
            claims: ["claim", "claim-json"]
                .into_iter()
                .filter_map(|name| matches.remove_many(name))
                .flatten()
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        let args = line.split_whitespace().map(OsString::from);
        parse(args).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn refused(line: &str) -> String {
        let args = line.split_whitespace().map(OsString::from);
        parse(args).expect_err(line).to_string()
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_serves() {
        assert_eq!(parsed("goldenkey"), Command::Serve { config: None });
        let config = Some(PathBuf::from("api.conf"));
        assert_eq!(parsed("goldenkey api.conf"), Command::Serve { config });
    }

    #[test]
    fn a_file_named_like_a_subcommand_is_reached_with_its_path() {
        let config = Some(PathBuf::from("./tutorial"));
        assert_eq!(parsed("goldenkey ./tutorial"), Command::Serve { config });
        assert!(matches!(parsed("goldenkey tutorial"), Command::Tutorial(_)));
    }

    #[test]
    fn the_flags_of_postgrest_stand_before_or_after_the_file() {
        let config = Some(PathBuf::from("a.conf"));
        for line in ["goldenkey --dump-config a.conf", "goldenkey a.conf --dump-config"] {
            let secrets = Secrets::Shown;
            assert_eq!(parsed(line), Command::DumpConfig { config: config.clone(), secrets });
        }
        assert_eq!(parsed("goldenkey --dump-schema a.conf"), Command::DumpSchema { config });
        assert_eq!(parsed("goldenkey -e"), Command::Example);
        assert_eq!(parsed("goldenkey --ready"), Command::Ready { config: None });
        let hidden = Command::DumpConfig { config: None, secrets: Secrets::Hidden };
        assert_eq!(parsed("goldenkey --dump-config --hide-secrets"), hidden);
        assert!(refused("goldenkey --hide-secrets").contains("--dump-config"));
        assert!(refused("goldenkey --ready --example").contains("cannot be used with"));
    }

    #[test]
    fn a_token_gets_its_claims_from_the_options() {
        let line = "goldenkey token a.conf --role me --expires 5m --claim a=b=c --claim-json n=[1]";
        let Command::SignToken(sign) = parsed(line) else { panic!("not a token command") };
        assert_eq!(sign.role.as_deref(), Some("me"));
        assert_eq!(sign.expires_seconds, Some(300));
        assert_eq!(sign.claims, [("a".into(), "b=c".into()), ("n".into(), serde_json::json!([1]))]);
    }

    #[test]
    fn a_claim_without_a_value_and_a_bad_duration_are_refused() {
        assert!(refused("goldenkey token --claim email").contains("NAME=VALUE"));
        assert!(refused("goldenkey token --claim-json n={").contains("JSON"));
        assert!(refused("goldenkey token --expires soon").contains("5m"));
    }

    #[test]
    fn inspecting_excludes_signing() {
        assert!(refused("goldenkey token --inspect a.b.c --role me").contains("cannot be used"));
    }
}
