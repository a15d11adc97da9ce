//! Keys from a URL (`jwt-jwks-url`): fetched in the background, refreshed, and kept when a
//! later fetch fails.
//!
//! No request ever waits for a fetch. A token with an unknown `kid` asks for a refresh and is
//! refused; its sender succeeds with the next attempt if the key was new.

use super::KeyError;
use super::fetch::Fetcher;
use super::key_set::KeySet;
use arc_swap::ArcSwapOption;
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// When keys are fetched.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    /// The time between fetches that succeed.
    refresh: Duration,
    /// The least time between two fetches that unknown `kid`s ask for.
    cool_down: Duration,
    /// The wait after the first failure in a row; it doubles up to `refresh`.
    first_retry: Duration,
}

const SCHEDULE: Schedule = Schedule {
    refresh: Duration::from_secs(10 * 60),
    cool_down: Duration::from_secs(30),
    first_retry: Duration::from_secs(2),
};

impl Schedule {
    /// How long to wait after so many failures in a row.
    fn pause(&self, failures: u32) -> Duration {
        match failures {
            0 => self.refresh,
            n => self.first_retry.saturating_mul(1 << (n - 1).min(16)).min(self.refresh),
        }
    }
}

/// How long a start waits for the first fetch, so that the first requests find keys.
const FIRST_FETCH_PATIENCE: Duration = Duration::from_secs(2);

/// The keys of all URLs in use. One value serves all generations of the configuration, so a
/// URL that stays is not fetched anew; one that no configuration uses any more is forgotten.
#[derive(Debug, Default)]
pub struct FetchedKeys(Mutex<Vec<Weak<RemoteKeys>>>);

impl FetchedKeys {
    /// The keys of a URL, fetched from now on if they were not before.
    pub(super) fn of(&self, url: &str) -> Result<Arc<RemoteKeys>, KeyError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|keys| keys.strong_count() > 0);
        if let Some(keys) = known.iter().filter_map(Weak::upgrade).find(|keys| keys.url() == url) {
            return Ok(keys);
        }
        let keys = Arc::new(RemoteKeys::start(url)?);
        known.push(Arc::downgrade(&keys));
        Ok(keys)
    }
}

/// The keys behind one URL. Dropping it ends its thread.
#[derive(Debug)]
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
        Self::start_with(url, SCHEDULE)
    }

    fn start_with(url: &str, schedule: Schedule) -> Result<Self, KeyError> {
        let fetcher =
            Fetcher::new(url).map_err(|error| KeyError::new(format!("jwt-jwks-url: {error}")))?;
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            keys: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let life = shared.clone();
        thread::Builder::new()
            .name("jwks".to_owned())
            .spawn(move || life.run(&fetcher, schedule))
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
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
    fn run(&self, fetcher: &Fetcher, schedule: Schedule) {
        let mut text = Vec::new();
        let mut failures = 0;
        loop {
            match fetcher.fetch().and_then(|new| self.accept(fetcher, &mut text, new)) {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let kept = if self.keys.load().is_some() {
                        "the last ones stay"
                    } else {
                        "there are none"
                    };
                    log::warn!("no keys from {fetcher}: {error}; {kept}");
                }
            }
            self.lock().attempts += 1;
            self.changed.notify_all();
            if self.sleep(schedule.pause(failures), schedule.cool_down) {
                return;
            }
        }
    }

    /// Takes over what was fetched, if it is new and has a key.
    fn accept(&self, from: &Fetcher, text: &mut Vec<u8>, new: Vec<u8>) -> Result<(), String> {
        if *text == new {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(&new).map_err(|e| format!("no JSON: {e}"))?;
        let (keys, warnings) = KeySet::from_public_jwks(&value).map_err(|e| e.to_string())?;
        if keys.keys.is_empty() {
            return Err("the JWKS has no keys".to_owned());
        }
        for warning in warnings {
            log::info!("keys from {from}: {warning}");
        }
        log::info!("{} keys from {from}", keys.keys.len());
        self.keys.store(Some(Arc::new(keys)));
        self.generation.fetch_add(1, Ordering::Release);
        *text = new;
        Ok(())
    }

    /// Waits, at least for the cool-down when a refresh is wanted. Returns whether to stop.
    fn sleep(&self, pause: Duration, cool_down: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let due = if state.refresh_wanted { pause.min(cool_down) } else { pause };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::test_tokens::{message, refusal, settings, try_token};
    use crate::auth::{Authenticator, GeneratedKey, KeyKind, Settings, SigningKey, keygen};
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// Fetches come as fast as they are asked for.
    const EAGER: Schedule = Schedule {
        refresh: Duration::from_secs(3600),
        cool_down: Duration::from_millis(1),
        first_retry: Duration::from_millis(1),
    };
    /// How long a test waits for something that takes milliseconds.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server of one page, which the test may exchange: status and body.
    struct Server {
        url: String,
        page: Arc<Mutex<(u16, String)>>,
        requests: Arc<AtomicU64>,
    }

    impl Server {
        fn start(body: String) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let url = format!("http://{}/jwks", listener.local_addr().expect("it is bound"));
            let page = Arc::new(Mutex::new((200, body)));
            let requests = Arc::new(AtomicU64::new(0));
            let (served, counted) = (page.clone(), requests.clone());
            thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let head = BufReader::new(&stream).lines();
                    head.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                    let (status, body) = served.lock().unwrap().clone();
                    counted.fetch_add(1, Ordering::SeqCst);
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                    );
                }
            });
            Server { url, page, requests }
        }

        fn serve(&self, status: u16, body: String) {
            *self.page.lock().unwrap() = (status, body);
        }
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "it never happened");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn key(kid: &str) -> GeneratedKey {
        keygen(KeyKind::P256, Some(kid)).expect("there is randomness")
    }

    fn set(keys: &[&GeneratedKey]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| key.public.clone()).collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    fn token(key: &GeneratedKey) -> String {
        let key = SigningKey::parse(key.private.to_string().as_bytes(), None).expect("it signs");
        let claims = serde_json::json!({"role": "reader"});
        key.sign(claims.as_object().expect("it is one")).expect("it signs")
    }

    #[test]
    fn tokens_are_verified_with_keys_from_a_url() {
        let key = key("a");
        let server = Server::start(set(&[&key]));
        let settings = Settings { secret: None, jwks_url: Some(server.url.clone()), ..settings() };
        let (first, _) = Authenticator::new(settings.clone()).unwrap();
        assert_eq!(try_token(&first, &token(&key)).unwrap().role, "reader");
        // A reload while the server fails keeps the keys, and fetches nothing anew.
        server.serve(500, String::new());
        let (second, _) = Authenticator::new(settings).unwrap();
        drop(first);
        assert_eq!(try_token(&second, &token(&key)).unwrap().role, "reader");
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn before_the_first_keys_the_server_is_not_ready() {
        let server = Server::start("not JSON".to_owned());
        let url = Some(server.url.clone());
        let (only, _) =
            Authenticator::new(Settings { secret: None, jwks_url: url.clone(), ..settings() })
                .unwrap();
        let error = refusal(try_token(&only, &token(&key("a"))));
        assert_eq!((error.status(), error.code()), (503, "PGRST300"));
        assert!(error.headers().iter().any(|(name, _)| name == "Retry-After"));
        // Beside a secret the other tokens work.
        let (both, _) = Authenticator::new(Settings { jwks_url: url, ..settings() }).unwrap();
        let claims = serde_json::json!({"role": "reader"}).as_object().unwrap().clone();
        let good = crate::auth::sign(crate::auth::test_tokens::SECRET, &claims).unwrap();
        assert!(try_token(&both, &good).is_ok());
        assert_eq!(
            message(try_token(&both, &token(&key("a")))),
            "No suitable key or wrong key type"
        );
    }

    #[test]
    fn an_unknown_kid_brings_new_keys_and_failures_keep_the_old_ones() {
        let (old, new) = (key("old"), key("new"));
        let server = Server::start(set(&[&old]));
        let remote = RemoteKeys::start_with(&server.url, EAGER).unwrap();
        let names = || {
            let set = remote.keys();
            set.iter()
                .flat_map(|set| &set.keys)
                .filter_map(|key| key.kid.clone())
                .collect::<Vec<_>>()
        };
        wait_until(|| names() == ["old"]);
        for (status, body) in [
            (500, String::new()),
            (200, "{".to_owned()),
            (200, r#"{"keys":[]}"#.to_owned()),
            (200, r#"{"keys":[{"kty":"RSA"}]}"#.to_owned()),
            (
                200,
                r#"{"keys":[{"kty":"oct","k":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}]}"#
                    .to_owned(),
            ),
        ] {
            server.serve(status, body);
            let before = server.requests.load(Ordering::SeqCst);
            remote.want_refresh();
            wait_until(|| server.requests.load(Ordering::SeqCst) > before + 1);
            assert_eq!(names(), ["old"]);
            assert_eq!(remote.generation(), 1);
        }
        server.serve(200, set(&[&old, &new]));
        remote.want_refresh();
        wait_until(|| names() == ["old", "new"]);
        assert_eq!(remote.generation(), 2);
    }

    #[test]
    fn a_token_of_a_withdrawn_key_is_refused_also_from_the_cache() {
        let (old, new) = (key("old"), key("new"));
        let server = Server::start(set(&[&old]));
        let remote = Arc::new(RemoteKeys::start_with(&server.url, EAGER).unwrap());
        let settings = Settings { secret: None, jwks_url: Some(server.url.clone()), ..settings() };
        settings.fetched_keys.0.lock().unwrap().push(Arc::downgrade(&remote));
        let (authenticator, _) = Authenticator::new(settings).unwrap();
        wait_until(|| try_token(&authenticator, &token(&old)).is_ok());
        let cached = token(&old);
        assert!(try_token(&authenticator, &cached).is_ok());
        server.serve(200, set(&[&new]));
        // A token with an unknown kid makes the server look.
        wait_until(|| try_token(&authenticator, &token(&new)).is_ok());
        refusal(try_token(&authenticator, &cached));
    }

    #[test]
    fn failures_are_retried_later_and_later() {
        let pauses: Vec<_> = (0..12).map(|n| SCHEDULE.pause(n).as_secs()).collect();
        assert_eq!(pauses, [600, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(SCHEDULE.pause(u32::MAX), SCHEDULE.refresh);
    }

    #[test]
    fn only_http_and_https_are_fetched() {
        for url in ["", "keys.json", "file:///etc/passwd", "ftp://example.com/", "http//x"] {
            assert!(RemoteKeys::start(url).is_err(), "{url}");
        }
    }
}
