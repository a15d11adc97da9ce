//! The suites as files: what a case says, the request that it stands for, and the
//! placeholders in a suite's strings.

use crate::support::{Cluster, Request, Settings, jwt, port};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A suite, as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    #[serde(rename = "suite")]
    pub name: String,
    #[serde(rename = "about")]
    _about: Option<String>,
    pub fixture: Option<String>,
    #[serde(default)]
    pub setup_sql: OneOrMany,
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub config: Map<String, Value>,
    #[serde(default)]
    pub config_text: String,
    #[serde(default)]
    pub stateful: bool,
    pub expect_start_failure: Option<StartFailure>,
    #[serde(default)]
    pub cases: Vec<Case>,
}

/// What a server that must not start is to write.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartFailure {
    #[serde(default)]
    pub stderr_contains: OneOrMany,
}

/// A request with its recorded response.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    #[serde(rename = "about")]
    _about: Option<String>,
    pub skip: Option<String>,
    pub before_sql: Option<String>,
    /// Seconds for which the request is repeated until the response is the expected one.
    #[serde(default)]
    pub retry_s: f64,
    pub request: CaseRequest,
    #[serde(default)]
    pub response: Value,
}

/// The request of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRequest {
    pub method: Option<String>,
    path: String,
    #[serde(default)]
    encode: bool,
    /// The name of a `{port:NAME}` to send the request to.
    pub port: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    jwt: Option<Map<String, Value>>,
    #[serde(default)]
    jwt_header: Map<String, Value>,
    jwt_secret: Option<String>,
    #[serde(default)]
    jwt_secret_is_base64: bool,
    token: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
}

/// A string or a list of strings.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        match self {
            OneOrMany::None => [].iter(),
            OneOrMany::One(text) => std::slice::from_ref(text).iter(),
            OneOrMany::Many(texts) => texts.iter(),
        }
    }
}

/// The folder of the suites and fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

impl Suite {
    /// All suites, by the names of their files.
    pub fn load_all() -> Result<Vec<Suite>, String> {
        let entries = std::fs::read_dir(folder().join("cases")).map_err(|e| e.to_string())?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().map(|file| Suite::load(file)).collect()
    }

    fn load(file: &Path) -> Result<Suite, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// The names of the suite's tests: its cases, or the failure to start.
    pub fn case_names(&self) -> Vec<&str> {
        if self.expect_start_failure.is_some() {
            return vec!["(start-failure)"];
        }
        self.cases.iter().map(|case| case.name.as_str()).collect()
    }

    /// The file of the fixture.
    pub fn fixture_file(&self) -> Option<PathBuf> {
        Some(folder().join("fixtures").join(self.fixture.as_ref()?))
    }

    /// Runs the suite's own statements and writes its files.
    pub fn set_up(&self, fill: &mut Placeholders) -> Result<(), String> {
        for statement in self.setup_sql.iter() {
            fill.cluster.psql(fill.database, &["-c", &fill.fill(statement)])?;
        }
        for (file, text) in &self.files {
            std::fs::write(fill.folder.join(file), fill.fill(text))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What the suite's server is started with.
    pub fn settings(&self, fill: &mut Placeholders) -> Settings {
        let mut settings = Settings::bare().set("db-uri", fill.cluster.uri(fill.database));
        for (name, value) in default_settings() {
            settings = settings.set(name, value);
        }
        for (name, value) in &self.config {
            settings = settings.set(name, fill.fill_value(value));
        }
        for (name, value) in &self.env {
            settings.environment.push((name.clone(), fill.fill(value)));
        }
        settings.text(&self.config_text)
    }

    /// The suite's `jwt-secret`.
    pub fn secret(&self) -> Option<&str> {
        self.config.get("jwt-secret")?.as_str()
    }
}

/// Settings that every suite has unless it says otherwise. Writes are rolled back, so that
/// cases are independent.
fn default_settings() -> [(&'static str, Value); 4] {
    [
        ("db-anon-role", Value::from("web_anon")),
        ("db-tx-end", Value::from("rollback-allow-override")),
        ("db-pool", Value::from(4)),
        ("log-level", Value::from("crit")),
    ]
}

/// Everything outside ASCII is encoded by definition; of ASCII, nothing.
const NOTHING_IN_ASCII: &AsciiSet = &AsciiSet::EMPTY;

impl CaseRequest {
    /// The request exactly as the case spells it.
    pub fn build(&self, port: u16, suite_secret: Option<&str>) -> Result<Request, String> {
        let target = if self.encode {
            utf8_percent_encode(&self.path, NOTHING_IN_ASCII).to_string()
        } else {
            self.path.clone()
        };
        let mut request = Request::new(self.method.as_deref().unwrap_or("GET"), &target);
        for (name, default) in
            [("Host", format!("127.0.0.1:{port}")), ("Connection", "close".to_string())]
        {
            if !self.headers.keys().any(|given| given.eq_ignore_ascii_case(name)) {
                request = request.header(name, &default);
            }
        }
        for (name, value) in &self.headers {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let value = value.as_str().ok_or(format!("the header {name} is no string"))?;
                request = request.header(name, value);
            }
        }
        if let Some(token) = self.token(suite_secret)? {
            request = request.bearer(&token);
        }
        request.body = match (&self.body, &self.body_base64) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(text)) => Some(BASE64_STANDARD.decode(text).map_err(|e| e.to_string())?),
            (None, None) => None,
        };
        Ok(request)
    }

    fn token(&self, suite_secret: Option<&str>) -> Result<Option<String>, String> {
        let Some(claims) = &self.jwt else { return Ok(self.token.clone()) };
        let secret = self.jwt_secret.as_deref().or(suite_secret);
        let secret = secret.ok_or("the case has a jwt, but its suite has no jwt-secret")?;
        let key = if self.jwt_secret_is_base64 {
            BASE64_STANDARD.decode(secret).map_err(|error| error.to_string())?
        } else {
            secret.as_bytes().to_vec()
        };
        let mut header = Map::from_iter([
            ("alg".to_string(), Value::from("HS256")),
            ("typ".to_string(), Value::from("JWT")),
        ]);
        header.extend(self.jwt_header.clone());
        let claims = claims.iter().map(|(name, value)| (name.clone(), with_time(value)));
        Ok(Some(jwt::sign(&Value::Object(header), &Value::Object(claims.collect()), &key)))
    }
}

/// A claim's value; `now`, `now+300` and `now-300` are Unix times.
fn with_time(value: &Value) -> Value {
    let Some(offset) = value.as_str().and_then(|text| text.strip_prefix("now")) else {
        return value.clone();
    };
    if offset.is_empty() {
        return Value::from(jwt::now());
    }
    match offset.parse::<i64>() {
        Ok(seconds) if offset.starts_with(['+', '-']) => Value::from(jwt::now() + seconds),
        _ => value.clone(),
    }
}

/// Fills `{db}`, `{dir}`, `{socket}` and `{port:NAME}` in a suite's strings.
pub struct Placeholders<'a> {
    pub database: &'a str,
    pub folder: &'a Path,
    pub cluster: &'a Cluster,
    ports: BTreeMap<String, u16>,
}

impl<'a> Placeholders<'a> {
    pub fn new(database: &'a str, folder: &'a Path, cluster: &'a Cluster) -> Placeholders<'a> {
        Placeholders { database, folder, cluster, ports: BTreeMap::new() }
    }

    /// The text with its placeholders filled in.
    pub fn fill(&mut self, text: &str) -> String {
        let pattern = regex_lite::Regex::new(r"\{(?:db|dir|socket|port:(\w+))\}");
        let pattern = pattern.expect("a valid expression");
        let replace = |captures: &regex_lite::Captures| match &captures[0] {
            "{db}" => self.database.to_string(),
            "{dir}" => self.folder.display().to_string(),
            "{socket}" => self.cluster.socket_folder().display().to_string(),
            _ => self.port(&captures[1]).to_string(),
        };
        pattern.replace_all(text, replace).into_owned()
    }

    /// A setting's value, filled in; one that is just a port becomes a number.
    pub fn fill_value(&mut self, value: &Value) -> Value {
        let Some(text) = value.as_str() else { return value.clone() };
        match text.strip_prefix("{port:").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !name.contains(['{', '}']) => Value::from(self.port(name)),
            _ => Value::from(self.fill(text)),
        }
    }

    /// The port of that name, the same one every time.
    pub fn port(&mut self, name: &str) -> u16 {
        *self.ports.entry(name.to_string()).or_insert_with(port::free)
    }
}
