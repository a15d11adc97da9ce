//! Keys from a URL (`jwt-jwks-url`): fetched in the background, refreshed, and kept when a
//! later fetch fails.
//!
//! No request ever waits for a fetch. A token with an unknown `kid` asks for a refresh and is
//! refused; its sender succeeds with the next attempt if the key was new.

use super::KeyError;
use super::key_set::KeySet;
use arc_swap::ArcSwapOption;
use serde_json::Value;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, http};

/// How often the keys are fetched anew.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// The least time between two fetches that unknown `kid`s ask for.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The wait after the first failure in a row; it doubles up to [`REFRESH_INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// How long one fetch may take in all.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a start waits for the first fetch, so that the first requests find keys.
const FIRST_FETCH_PATIENCE: Duration = Duration::from_secs(2);
/// The longest JWKS that is read.
const MAX_JWKS_BYTES: u64 = 1024 * 1024;

/// Where the certificates of authorities are on common systems, unless `SSL_CERT_FILE` says.
const CERTIFICATE_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The keys behind one URL. Dropping it ends its thread.
pub(super) struct RemoteKeys {
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    /// The last good set; `None` before the first one.
    keys: ArcSwapOption<KeySet>,
    /// Counts changes of the keys.
    generation: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    refresh_wanted: bool,
    attempts: u64,
    stopped: bool,
}

impl RemoteKeys {
    /// Starts fetching, and waits a moment for the first keys.
    ///
    /// # Errors
    ///
    /// When the URL is none of HTTP or HTTPS.
    pub fn start(url: &str) -> Result<Self, KeyError> {
        let parsed: http::Uri = url
            .parse()
            .map_err(|error| KeyError::new(format!("jwt-jwks-url: {url:?} is no URL: {error}")))?;
        let https = match parsed.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(KeyError::new(format!("jwt-jwks-url: {url:?} is not http or https"))),
        };
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            keys: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let fetcher = shared.clone();
        thread::Builder::new()
            .name("jwks".to_owned())
            .spawn(move || fetcher.run(&agent(https)))
            .map_err(|error| KeyError::new(format!("jwt-jwks-url: no thread: {error}")))?;
        shared.wait_for_first_fetch();
        Ok(RemoteKeys { shared })
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The last good set; `None` while there has been none.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.shared.keys.load_full()
    }

    /// How often the keys have changed.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Asks for a fetch, which happens when the cool-down is over.
    pub fn want_refresh(&self) {
        self.shared.lock().refresh_wanted = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_first_fetch(&self) {
        let pending = |state: &mut State| state.attempts == 0;
        let waited = self.changed.wait_timeout_while(self.lock(), FIRST_FETCH_PATIENCE, pending);
        // Whatever came of it: the start goes on.
        drop(waited);
    }

    /// The life of the thread.
    fn run(&self, agent: &Agent) {
        let mut text = Vec::new();
        let mut failures = 0;
        loop {
            match fetch(agent, &self.url).and_then(|new| self.accept(&mut text, new)) {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let kept = if self.keys.load().is_some() {
                        "the last ones stay"
                    } else {
                        "there are none"
                    };
                    log::warn!("no keys from {}: {error}; {kept}", self.url);
                }
            }
            self.lock().attempts += 1;
            self.changed.notify_all();
            if self.sleep(pause(failures)) {
                return;
            }
        }
    }

    /// Takes over what was fetched, if it is new and has a key.
    fn accept(&self, text: &mut Vec<u8>, new: Vec<u8>) -> Result<(), String> {
        if *text == new {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(&new).map_err(|e| format!("no JSON: {e}"))?;
        let (keys, warnings) = KeySet::from_public_jwks(&value).map_err(|e| e.to_string())?;
        if keys.keys.is_empty() {
            return Err("the JWKS has no keys".to_owned());
        }
        for warning in warnings {
            log::info!("keys from {}: {warning}", self.url);
        }
        log::info!("{} keys from {}", keys.keys.len(), self.url);
        self.keys.store(Some(Arc::new(keys)));
        self.generation.fetch_add(1, Ordering::Release);
        *text = new;
        Ok(())
    }

    /// Waits, at least for the cool-down when a refresh is wanted. Returns whether to stop.
    fn sleep(&self, pause: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let due = if state.refresh_wanted { pause.min(COOL_DOWN) } else { pause };
            let left = due.saturating_sub(start.elapsed());
            if state.stopped || left.is_zero() {
                state.refresh_wanted = false;
                return state.stopped;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => REFRESH_INTERVAL,
        n => FIRST_RETRY.saturating_mul(1 << (n - 1).min(16)).min(REFRESH_INTERVAL),
    }
}

fn agent(https_only: bool) -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(authorities())
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(FETCH_TIMEOUT))
        // A redirect must not lead from HTTPS to HTTP.
        .https_only(https_only)
        .user_agent(concat!("goldenkey/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// The system's certificate authorities, which may include private ones, or else Mozilla's.
fn authorities() -> RootCerts {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let files = named.as_deref().into_iter().chain(CERTIFICATE_FILES);
    for file in files {
        let Ok(pem) = std::fs::read(file) else { continue };
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !certificates.is_empty() {
            return RootCerts::new_with_certs(&certificates);
        }
    }
    RootCerts::WebPki
}

fn fetch(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    let response = agent.get(url).header("Accept", "application/json").call();
    let mut body = response.map_err(|error| error.to_string())?.into_body();
    let mut bytes = Vec::new();
    let mut reader = body.as_reader().take(MAX_JWKS_BYTES + 1);
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_JWKS_BYTES {
        return Err("the JWKS is longer than 1 MiB".to_owned());
    }
    Ok(bytes)
}
