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
        let mut push = |name: &'static str, value| answer.headers.push((name.into(), value));
        push("Access-Control-Allow-Methods", METHODS.into());
        push("Access-Control-Max-Age", MAX_AGE_SECONDS.into());
        if let Some(asked) = headers.get("access-control-request-headers") {
            push("Access-Control-Allow-Headers", allowed_headers(asked));
        }
        Some(answer)
    }

    /// Adds what lets the requesting origin read the answer. `OPTIONS` is left as it is: what
    /// is no preflight is answered alike for all.
    pub fn apply(&self, response: &mut Response, method: &str, headers: &Headers) {
        let Some(origin) = headers.get("origin").filter(|_| method != "OPTIONS") else { return };
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

/// The headers that were asked for, beside those that may always be sent.
fn allowed_headers(asked: &str) -> String {
    let mut allowed = String::from("Authorization");
    let asked = asked.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in asked.chain([SAFE_HEADERS]) {
        allowed.push_str(", ");
        allowed.push_str(name);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "https://app.example.org";

    fn cors(origins: Option<&[&str]>) -> Cors {
        Cors { origins: origins.map(|all| all.iter().map(ToString::to_string).collect()) }
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect())
    }

    #[test]
    fn a_preflight_is_allowed_what_it_asks_for() {
        let asks = headers(&[
            ("Origin", APP),
            ("Access-Control-Request-Method", "PATCH"),
            ("Access-Control-Request-Headers", "prefer,content-type"),
        ]);
        let answer = cors(Some(&[APP])).preflight("OPTIONS", &asks).unwrap();
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(APP));
        assert_eq!(answer.header("Access-Control-Allow-Credentials"), Some("true"));
        assert_eq!(
            answer.header("Access-Control-Allow-Headers"),
            Some("Authorization, prefer, content-type, Accept, Accept-Language, Content-Language")
        );
    }

    #[test]
    fn an_unknown_origin_method_or_a_missing_one_makes_no_preflight() {
        let cors = cors(Some(&[APP]));
        for (origin, method) in [("https://evil.example.org", "GET"), (APP, "BREW")] {
            let asks = headers(&[("Origin", origin), ("Access-Control-Request-Method", method)]);
            assert!(cors.preflight("OPTIONS", &asks).is_none(), "{origin} {method}");
        }
        assert!(cors.preflight("OPTIONS", &headers(&[("Origin", APP)])).is_none());
    }

    #[test]
    fn only_an_allowed_origin_may_read_an_answer() {
        for (origins, origin, allowed) in [
            (None, APP, Some("*")),
            (Some(&[APP][..]), APP, Some(APP)),
            (Some(&[APP][..]), "https://evil.example.org", None),
        ] {
            let mut response = Response::default();
            cors(origins).apply(&mut response, "GET", &headers(&[("Origin", origin)]));
            assert_eq!(response.header("Access-Control-Allow-Origin"), allowed);
            assert_eq!(
                response.header("Access-Control-Expose-Headers").is_some(),
                allowed.is_some()
            );
        }
    }
}
