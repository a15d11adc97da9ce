//! A token under the magnifying glass: for `goldenkey token --inspect`.

use super::Authenticator;
use super::claims::{Claims, LEEWAY_SECONDS};
use super::refusal::Refusal;
use super::token::Token;
use super::trust::Trust;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// What there is to say about a token, and whether it would be accepted. `Display` prints it,
/// a line for each finding.
///
/// ```
/// use goldenkey::auth::{Authenticator, Settings, sign};
///
/// let secret = b"a secret of at least thirty-two bytes";
/// let settings = Settings { secret: Some(secret.to_vec()), ..Settings::default() };
/// let (authenticator, _) = Authenticator::new(settings)?;
/// let claims = serde_json::json!({"role": "todo_user", "exp": 1_700_000_000});
/// let token = sign(secret, claims.as_object().unwrap())?;
///
/// let report = authenticator.inspect(&token, 1_700_000_300).to_string();
/// assert!(report.contains("expired 5 minutes ago"), "{report}");
/// assert!(report.contains("refused: JWT expired"), "{report}");
/// # Ok::<(), goldenkey::auth::KeyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The role it would be accepted with, or why it would be refused.
    pub outcome: Result<String, Refusal>,
    findings: Vec<(&'static str, String)>,
}

impl Inspection {
    pub(super) fn of(authenticator: &Authenticator, token: &str, now: i64) -> Self {
        let outcome = authenticator.verify(token, now).map(|identity| identity.role);
        let mut inspection = Inspection { outcome, findings: Vec::new() };
        inspection.examine(authenticator, token, now);
        let verdict = match &inspection.outcome {
            Ok(role) => format!("accepted, with the role {role:?}"),
            Err(refusal) => format!("refused: {refusal} ({})", refusal.code()),
        };
        inspection.find("verdict", verdict);
        inspection
    }

    fn find(&mut self, subject: &'static str, text: impl Into<String>) {
        self.findings.push((subject, text.into()));
    }

    fn examine(&mut self, authenticator: &Authenticator, token: &str, now: i64) {
        let Ok(token) = Token::parse(token) else { return };
        self.find("header", token.header_text());
        match authenticator.trust_for(&token) {
            Ok(trust) => self.examine_signature(trust, &token),
            Err(_) => self.find("signature", "no keys are configured for its issuer"),
        }
        let Ok(payload) = token.payload() else { return };
        let Ok(claims) = Claims::parse(&payload) else { return };
        if let Ok(json) = claims.to_json(None) {
            self.find("claims", json);
        }
        for (name, past, future) in [
            ("exp", "expired", "expires"),
            ("nbf", "valid since", "valid"),
            ("iat", "issued", "issued"),
        ] {
            match claims.seconds(name, f64::floor) {
                Ok(None) if name == "exp" => self.find("exp", "none: it never expires"),
                Ok(None) => {}
                Ok(Some(at)) => self.find(name, when(at, now, past, future)),
                Err(refusal) => self.find(name, refusal.to_string()),
            }
        }
        if let Ok(trust) = authenticator.trust_for(&token) {
            self.examine_audience(trust, &claims);
        }
        match authenticator.role(&claims) {
            Ok(role) => self.find("role", format!("{role:?}")),
            Err(refusal) => self.find("role", refusal.to_string()),
        }
    }

    fn examine_signature(&mut self, trust: &Trust, token: &Token<'_>) {
        let remote = trust.remote.as_ref().and_then(|remote| remote.keys());
        for key in trust.keys.keys.iter().chain(remote.iter().flat_map(|keys| &keys.keys)) {
            let text = if token.header.kid.is_some() && token.header.kid != key.kid {
                "has another kid".to_owned()
            } else if !key.algorithms().any(|algorithm| algorithm == token.header.algorithm) {
                let algorithms: Vec<_> = key.algorithms().collect();
                format!("is for {algorithms:?}")
            } else if token.is_signed_with(key) {
                "has signed it".to_owned()
            } else {
                "has not signed it".to_owned()
            };
            self.find("signature", format!("{} {text}", key.name));
        }
        if trust.verify(token).is_err() {
            self.find("signature", "not good: all that follows is unproven");
        }
    }

    fn examine_audience(&mut self, trust: &Trust, claims: &Claims<'_>) {
        let given = claims.get("aud").unwrap_or("nobody in particular");
        let text = match trust.check_audience(claims) {
            Err(refusal) => format!("{given}: {refusal}"),
            Ok(()) if trust.audiences.is_empty() => format!("{given}; any will do"),
            Ok(()) => format!("{given}; {:?} is expected", trust.audiences),
        };
        self.find("aud", text);
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (subject, text) in &self.findings {
            writeln!(f, "{subject:<10} {}", Printable(text))?;
        }
        Ok(())
    }
}

/// Text of whoever made the token, on one line, without what a terminal would obey.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\'' | '\\' => write!(f, "{c}"),
            _ => write!(f, "{}", c.escape_debug()),
        })
    }
}

/// A time as a date and as its distance from now.
fn when(at: i64, now: i64, past: &str, future: &str) -> String {
    let leeway = format!("{LEEWAY_SECONDS} seconds of leeway");
    let distance = now.saturating_sub(at);
    let relation = if distance >= 0 {
        format!("{past} {} ago", span(distance))
    } else {
        format!("{future} in {}", span(distance.saturating_neg()))
    };
    match date(at) {
        Some(date) => format!("{at}, {date}: {relation} ({leeway})"),
        None => format!("{at}: {relation} ({leeway})"),
    }
}

/// The date of a Unix time, within the years that the format can write.
fn date(at: i64) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = u64::try_from(at).ok().filter(|seconds| *seconds < YEAR_10000)?;
    Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// A number of seconds in the largest unit that it fills twice.
fn span(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} seconds"),
        s if s < 2 * 3600 => format!("{} minutes", s / 60),
        s if s < 2 * 86_400 => format!("{} hours", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}
