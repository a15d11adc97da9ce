//! Cross-origin requests: who may read an answer, and the answer to a preflight.
//!
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>

use crate::http::{Headers, Response};

const METHODS: &str = "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD";
const MAX_AGE_SECONDS: &str = "86400";
const SAFE_HEADERS: &str = "Accept, Accept-Language, Content-Language";
const EXPOSED: &str = "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, \
                       Location, Server, Transfer-Encoding, Range-Unit";

/// `server-cors-allowed-origins`
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// The origins that may read answers; `None` for all.
    pub origins: Option<Vec<String>>,
}

impl Cors {
    /// The answer to a preflight; `None` when the request is none, or from an origin that
    /// is not allowed.
    pub fn preflight(&self, method: &str, headers: &Headers) -> Option<Response> {
        let origin = headers.get("origin").filter(|_| method == "OPTIONS")?;
        let wanted = headers.get("access-control-request-method")?;
        if !METHODS.split(", ").any(|m| m == wanted) {
            return None;
        }
        let mut answer = Response { status: 200, ..Response::default() };
        self.push_origin(&mut answer, origin)?;
        let asked = headers.get("access-control-request-headers").unwrap_or("");
        let allowed = match asked.split(',').map(str::trim).filter(|h| !h.is_empty()) {
            mut names if names.clone().next().is_some() => {
                let first = names.next().unwrap_or_default();
                let names = names.fold(first.to_owned(), |all, name| all + ", " + name);
                format!("Authorization, {names}, {SAFE_HEADERS}")
            }
            _ => format!("Authorization, {SAFE_HEADERS}"),
        };
        for (name, value) in [
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", &allowed),
            ("Access-Control-Max-Age", MAX_AGE_SECONDS),
        ] {
            answer.headers.push((name.into(), value.to_owned()));
        }
        Some(answer)
    }

    /// Adds what lets the requesting origin read the answer.
    pub fn apply(&self, response: &mut Response, headers: &Headers) {
        let Some(origin) = headers.get("origin") else { return };
        response.headers.retain(|(name, _)| name != "Access-Control-Allow-Origin");
        if self.push_origin(response, origin).is_some() {
            response.headers.push(("Access-Control-Expose-Headers".into(), EXPOSED.into()));
        }
    }

    fn push_origin(&self, response: &mut Response, origin: &str) -> Option<()> {
        let mut push = |name: &'static str, value: &str| {
            response.headers.push((name.into(), value.to_owned()));
        };
        match &self.origins {
            None => push("Access-Control-Allow-Origin", "*"),
            Some(origins) if origins.iter().any(|o| o == origin) => {
                push("Access-Control-Allow-Origin", origin);
                push("Access-Control-Allow-Credentials", "true");
            }
            Some(_) => return None,
        }
        Some(())
    }
}
