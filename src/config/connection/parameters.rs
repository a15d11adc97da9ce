//! The parameters of a connection, from the connection string, the service file and the
//! environment.

use super::super::environment::Environment;
use super::super::nearest::nearest;
use super::error::ConnectionError;
use super::{keyword, service, uri};
use std::collections::BTreeMap;
use std::str::FromStr;

/// What becomes of a parameter.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// It is used.
    Honoured,
    /// It makes no difference here.
    Ignored,
    /// It asks for something that is not there; only these values ask for nothing.
    RefusedExcept(&'static [&'static str]),
}
use Use::{Honoured, Ignored, RefusedExcept};

/// libpq's parameters, their environment variables, and what becomes of them.
const PARAMETERS: &[(&str, &str, Use)] = &[
    ("application_name", "PGAPPNAME", Honoured),
    ("channel_binding", "PGCHANNELBINDING", Honoured),
    ("client_encoding", "PGCLIENTENCODING", RefusedExcept(&["utf8", "utf-8", "auto"])),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Honoured),
    ("dbname", "PGDATABASE", Honoured),
    ("fallback_application_name", "", Honoured),
    ("gssdelegation", "PGGSSDELEGATION", Ignored),
    ("gssencmode", "PGGSSENCMODE", RefusedExcept(&["disable", "prefer"])),
    ("gsslib", "PGGSSLIB", Ignored),
    ("host", "PGHOST", Honoured),
    ("hostaddr", "PGHOSTADDR", Honoured),
    ("keepalives", "", Honoured),
    ("keepalives_count", "", Honoured),
    ("keepalives_idle", "", Honoured),
    ("keepalives_interval", "", Honoured),
    ("krbsrvname", "PGKRBSRVNAME", Ignored),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Honoured),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Ignored),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", RefusedExcept(&["3.0"])),
    ("options", "PGOPTIONS", Honoured),
    ("passfile", "PGPASSFILE", Honoured),
    ("password", "PGPASSWORD", Honoured),
    ("port", "PGPORT", Honoured),
    ("replication", "", RefusedExcept(&["false", "off", "no", "0"])),
    ("require_auth", "PGREQUIREAUTH", RefusedExcept(&[])),
    ("requirepeer", "PGREQUIREPEER", RefusedExcept(&[])),
    ("service", "PGSERVICE", Honoured),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", RefusedExcept(&["TLSv1.3"])),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Honoured),
    ("sslcert", "PGSSLCERT", Honoured),
    ("sslcertmode", "PGSSLCERTMODE", RefusedExcept(&["allow"])),
    ("sslcompression", "PGSSLCOMPRESSION", Ignored),
    ("sslcrl", "PGSSLCRL", RefusedExcept(&[])),
    ("sslcrldir", "PGSSLCRLDIR", RefusedExcept(&[])),
    ("sslkey", "PGSSLKEY", Honoured),
    ("sslmode", "PGSSLMODE", Honoured),
    ("sslnegotiation", "PGSSLNEGOTIATION", Honoured),
    ("sslpassword", "", RefusedExcept(&[])),
    ("sslrootcert", "PGSSLROOTCERT", Honoured),
    ("sslsni", "PGSSLSNI", Honoured),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Honoured),
    ("tcp_user_timeout", "", Honoured),
    ("user", "PGUSER", Honoured),
];

/// Why a parameter cannot be set.
enum SetError {
    /// There is no such parameter.
    Unknown,
    /// Its value holds a NUL.
    Nul,
    /// It asks for something that is not there.
    Unsupported,
}

impl SetError {
    /// The error of the parameter `name`.
    fn of(self, name: &str) -> ConnectionError {
        ConnectionError::new(match self {
            SetError::Unknown => {
                let known = PARAMETERS.iter().map(|(known, ..)| *known);
                match nearest(name, known) {
                    Some(known) => {
                        format!("invalid connection option \"{name}\"; did you mean {known}?")
                    }
                    // It may be a part of something that must not be shown.
                    None => format!(
                        "invalid connection option of {} letters; libpq's are known, such as \
                         host, port, dbname, user, password and sslmode",
                        name.chars().count()
                    ),
                }
            }
            SetError::Nul => format!("{name} holds a NUL character"),
            SetError::Unsupported => format!("connection option \"{name}\" is not supported"),
        })
    }
}

/// Parameters by name. An empty value stands for the parameter's default.
#[derive(Default)]
pub(super) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Those of a connection string, completed from the service file, then from the
    /// environment.
    pub fn collect(text: &str, environment: &Environment) -> Result<Self, ConnectionError> {
        let mut parameters = Parameters::default();
        if text.starts_with(['"', '\'']) {
            return Err(ConnectionError::new(
                "it begins with a quote: in an environment variable quotes are a part of the \
                 value. In docker-compose's lists and in --env-file write PGRST_DB_URI=postgres://… \
                 without them",
            ));
        }
        let given = match uri::after_scheme(text) {
            Some(rest) => uri::parse(rest)?,
            None => keyword::parse(text)?,
        };
        let mut before = "";
        for (name, value) in &given {
            parameters.set(name, value.clone()).map_err(|error| match error {
                // The end of a password may look like a name.
                SetError::Unknown if before == "password" => ConnectionError::new(
                    "what follows the password is no connection option: in a URI write & in a \
                     password as %26, elsewhere put a password with spaces into single quotes",
                ),
                error => error.of(name),
            })?;
            before = name;
        }
        let service =
            parameters.given("service").or_else(|| environment.get("PGSERVICE")).map(str::to_owned);
        if let Some(service) = service.filter(|name| !name.is_empty()) {
            for (name, value) in service::read(&service, environment)? {
                if parameters.given(&name).is_none() {
                    parameters.set(&name, value).map_err(|error| error.of(&name))?;
                }
            }
        }
        for (name, variable, _) in PARAMETERS {
            if let (None, Some(value)) = (parameters.given(name), environment.get(variable)) {
                parameters.set(name, value.to_owned()).map_err(|error| error.of(name))?;
            }
        }
        Ok(parameters)
    }

    /// Sets a parameter; a later value replaces an earlier one.
    fn set(&mut self, name: &str, value: String) -> Result<(), SetError> {
        // The name that JDBC has for it.
        if name == "ssl" && value == "true" {
            return self.set("sslmode", "require".into());
        }
        let Some((name, _, used)) = PARAMETERS.iter().find(|(known, ..)| *known == name) else {
            return Err(SetError::Unknown);
        };
        if value.contains('\0') {
            return Err(SetError::Nul);
        }
        match used {
            RefusedExcept(fine)
                if !value.is_empty() && !fine.iter().any(|f| f.eq_ignore_ascii_case(&value)) =>
            {
                Err(SetError::Unsupported)
            }
            Honoured => {
                self.0.insert(name, value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a parameter, unless it is empty or missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// The value of a parameter as a number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ConnectionError> {
        self.get(name).map(|text| number(name, text)).transpose()
    }

    /// The items of a list separated by commas; one empty item when it is missing.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.given(name).unwrap_or_default().split(',').collect()
    }

    /// The value of a parameter as one of a few words.
    pub fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
        default: T,
    ) -> Result<T, ConnectionError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(*meaning),
            None => Err(ConnectionError::new(format!(
                "invalid {name} value: \"{text}\" (allowed: {})",
                words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

/// Reads the number of a parameter.
pub(super) fn number<T: FromStr>(name: &str, text: &str) -> Result<T, ConnectionError> {
    text.trim().parse().map_err(|_| {
        ConnectionError::new(format!("invalid value \"{text}\" for connection option \"{name}\""))
    })
}
