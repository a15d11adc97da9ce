//! The claims of a verified token: what they say about time and audience, and their text.
//!
//! RFC 7519, section 4.1, with PostgREST's readings: times have 30 seconds of leeway, a
//! `null` counts as absent, an absent or empty `aud` is for everybody.

use super::audience::Audience;
use super::json;
use super::refusal::Refusal;
use std::borrow::Cow;

/// How far clocks may differ, in seconds.
pub(super) const LEEWAY_SECONDS: i64 = 30;

/// The claims of one token, sorted by name, each name once.
pub(super) struct Claims<'a> {
    members: json::Members<'a>,
}

impl<'a> Claims<'a> {
    /// Reads the payload of a token.
    pub fn parse(payload: &'a str) -> Result<Self, Refusal> {
        let members = json::members(payload).ok_or(Refusal::ClaimsUnreadable)?;
        Ok(Claims { members })
    }

    /// The JSON text of a top-level claim as it was written.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.members.binary_search_by(|(n, _)| n.as_ref().cmp(name)).ok()?;
        Some(self.members[found].1.get())
    }

    /// The text of a claim that is a string.
    pub fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).filter(|json| json.starts_with('"')).and_then(json::string)
    }

    /// The claims as normal JSON, with `role` as the claim of that name.
    pub fn to_json(&self, role: Option<&str>) -> Result<String, Refusal> {
        let mut role = role;
        let mut out = String::with_capacity(128);
        out.push('{');
        for (name, value) in &self.members {
            if let Some(text) = role.take_if(|_| name.as_ref() >= "role") {
                write_member("role", &mut out);
                json::write_string(text, &mut out);
                if name == "role" {
                    continue;
                }
            }
            write_member(name, &mut out);
            json::normalize(value.get(), json::MAX_DEPTH, &mut out)
                .ok_or(Refusal::ClaimsUnreadable)?;
        }
        if let Some(text) = role {
            write_member("role", &mut out);
            json::write_string(text, &mut out);
        }
        out.push('}');
        Ok(out)
    }

    /// Checks the audience: `expected` is among those of the token, or the token names none
    /// and none is `required`. Without an expected audience only the type is checked.
    pub fn check_audience(&self, expected: &[Audience], required: bool) -> Result<(), Refusal> {
        let json = match self.get("aud") {
            None | Some("null") => "[]",
            Some(json) => json,
        };
        let given: Vec<Cow<'_, str>> = if json.starts_with('"') {
            json::string(json).into_iter().collect()
        } else {
            serde_json::from_str::<Vec<String>>(json)
                .map_err(|_| Refusal::AudienceMalformed)?
                .into_iter()
                .map(Cow::Owned)
                .collect()
        };
        let holds = match (expected.is_empty(), given.is_empty()) {
            (true, _) => true,
            (false, true) => !required,
            (false, false) => given.iter().any(|g| expected.iter().any(|e| e.is(g))),
        };
        if holds { Ok(()) } else { Err(Refusal::NotInAudience) }
    }

    /// The time claim `name` in seconds, rounded with `round` when it has a fraction.
    pub fn seconds(
        &self,
        name: &'static str,
        round: fn(f64) -> f64,
    ) -> Result<Option<i64>, Refusal> {
        let json = match self.get(name) {
            None | Some("null") => return Ok(None),
            Some(json) => json,
        };
        let not_a_number = Refusal::NotANumber(name);
        // A string of digits counts as that number: tokens made in SQL often have one.
        let digits = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let number = match digits {
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text,
            Some(_) => return Err(not_a_number),
            None => json,
        };
        if let Ok(seconds) = number.parse::<i64>() {
            return Ok(Some(seconds));
        }
        match number.parse::<f64>() {
            // `as` saturates, which keeps a time beyond the range what it is: far away.
            Ok(seconds) if seconds.is_finite() => Ok(Some(round(seconds) as i64)),
            _ => Err(not_a_number),
        }
    }
}

fn write_member(name: &str, out: &mut String) {
    if out.len() > 1 {
        out.push(',');
    }
    json::write_string(name, out);
    out.push(':');
}

/// When a token holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub expires: i64,
    pub not_before: i64,
    pub issued: i64,
}

impl Validity {
    /// No bounds.
    pub const ALWAYS: Validity =
        Validity { expires: i64::MAX, not_before: i64::MIN, issued: i64::MIN };

    /// Reads and checks `exp`, `nbf` and `iat`, one after the other: the first that fails is
    /// the reason.
    pub fn of(claims: &Claims, now: i64) -> Result<Self, Refusal> {
        let mut validity = Validity::ALWAYS;
        // Rounded so that whole seconds compare as the fractions would.
        if let Some(exp) = claims.seconds("exp", f64::floor)? {
            validity.expires = exp;
        }
        validity.check(now)?;
        if let Some(nbf) = claims.seconds("nbf", f64::ceil)? {
            validity.not_before = nbf;
        }
        validity.check(now)?;
        if let Some(iat) = claims.seconds("iat", f64::ceil)? {
            validity.issued = iat;
        }
        validity.check(now)?;
        Ok(validity)
    }

    /// Checks the bounds against the clock.
    pub fn check(&self, now: i64) -> Result<(), Refusal> {
        if now.saturating_sub(LEEWAY_SECONDS) > self.expires {
            Err(Refusal::Expired)
        } else if now.saturating_add(LEEWAY_SECONDS) < self.not_before {
            Err(Refusal::NotYetValid)
        } else if now.saturating_add(LEEWAY_SECONDS) < self.issued {
            Err(Refusal::IssuedInFuture)
        } else {
            Ok(())
        }
    }
}
