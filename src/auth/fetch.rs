//! Fetching a document over HTTP or HTTPS, within bounds of time, size and trust.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, http};

/// How long one fetch may take in all.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest document that is read.
const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024;

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Where the certificates of authorities are on common systems, unless `SSL_CERT_FILE` says.
const CERTIFICATE_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What fetches one URL. `Display` gives the URL without a password in it.
pub(super) struct Fetcher {
    url: Uri,
    agent: Agent,
}

impl Fetcher {
    /// # Errors
    /// A text, when the URL is none of HTTP or HTTPS.
    pub fn new(url: &str) -> Result<Self, String> {
        let parsed: Uri = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
        if !matches!(parsed.scheme_str(), Some("https" | "http")) {
            return Err(format!("{url:?} is not http or https"));
        }
        Ok(Fetcher { url: parsed, agent: agent() })
    }

    /// Fetches the document.
    ///
    /// # Errors
    /// A text for the log.
    pub fn fetch(&self) -> Result<Vec<u8>, String> {
        let begun = Instant::now();
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get(&url, begun)?;
            let status = response.status();
            if !status.is_redirection() {
                return read(response.into_body());
            }
            let location = response.headers().get(http::header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| resolve(&url, location));
            let Some(target) = target else {
                return Err(format!("it answered {status} without saying where to go"));
            };
            if !may_follow(&url, &target) {
                return Err(format!(
                    "it redirects to {}, which is neither the same host nor https to https",
                    target.host().unwrap_or_default()
                ));
            }
            url = target;
        }
        Err(format!("it redirects more than {MAX_REDIRECTS} times"))
    }

    fn get(&self, url: &Uri, begun: Instant) -> Result<http::Response<Body>, String> {
        let left = FETCH_TIMEOUT.saturating_sub(begun.elapsed());
        let request = self.agent.get(url).config().timeout_global(Some(left)).build();
        request.header("Accept", "application/json").call().map_err(|error| error.to_string())
    }
}

impl fmt::Display for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}", self.url.host().unwrap_or_default())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.url.path())
    }
}

/// Whether a redirect may be followed: whoever answers for one host must not choose whom to
/// believe instead, unless certificates vouch for both.
fn may_follow(from: &Uri, to: &Uri) -> bool {
    let https = |url: &Uri| url.scheme_str() == Some("https");
    let same_host = from.host().is_some_and(|host| to.host() == Some(host));
    match (https(from), https(to)) {
        (true, to) => to,
        (false, true) => same_host,
        (false, false) => same_host && to.scheme_str() == Some("http"),
    }
}

/// What a `Location` stands for (RFC 9110, section 10.2.2).
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let text = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    text.split('#').next()?.parse().ok()
}

fn read(mut body: Body) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = body.as_reader().take(MAX_DOCUMENT_BYTES + 1);
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err("the JWKS is longer than 1 MiB".to_owned());
    }
    Ok(bytes)
}

fn agent() -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(authorities())
        .build();
    Agent::config_builder()
        .tls_config(tls)
        // Which ones are followed is decided here.
        .max_redirects(0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_leads_to_the_same_host_or_from_https_to_https() {
        for (from, to, follows) in [
            ("http://a/keys", "http://a/other", true),
            ("http://a/keys", "http://a:8080/keys", true),
            ("http://a/keys", "https://a/keys", true),
            ("http://a/keys", "http://b/keys", false),
            ("http://a/keys", "https://b/keys", false),
            ("https://a/keys", "https://b/keys", true),
            ("https://a/keys", "http://a/keys", false),
            ("http://a/keys", "ftp://a/keys", false),
        ] {
            assert_eq!(may_follow(&uri(from), &uri(to)), follows, "{from} to {to}");
        }
    }

    #[test]
    fn a_location_may_be_relative() {
        let base = uri("http://a:81/well/known");
        for (location, target) in [
            ("/keys", "http://a:81/keys"),
            ("keys?x=1", "http://a:81/well/keys?x=1"),
            ("//b/keys", "http://b/keys"),
            ("https://c/keys#top", "https://c/keys"),
        ] {
            assert_eq!(resolve(&base, location), Some(uri(target)), "{location}");
        }
    }

    #[test]
    fn what_redirects_to_another_host_gives_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut first = String::new();
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                first.push_str(&lines.next().unwrap_or_default());
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let location = match first.split(' ').nth(1).unwrap_or_default() {
                    "/same" => "keys".to_owned(),
                    "/other" => format!("http://localhost:{port}/keys"),
                    "/loop" => "/loop".to_owned(),
                    _ => String::new(),
                };
                let status = if location.is_empty() { 200 } else { 302 };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nLocation: {location}\r\n\
                     Content-Length: 4\r\n\r\nkeys"
                );
            }
        });
        let fetch =
            |path: &str| Fetcher::new(&format!("http://127.0.0.1:{port}{path}")).unwrap().fetch();
        assert_eq!(fetch("/same").unwrap(), b"keys");
        assert!(fetch("/other").unwrap_err().contains("redirects to localhost"));
        assert!(fetch("/loop").unwrap_err().contains("more than 5 times"));
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let fetcher = Fetcher::new("https://user:pass@example.com:8443/keys?token=x").unwrap();
        assert_eq!(fetcher.to_string(), "https://example.com:8443/keys");
    }
}
