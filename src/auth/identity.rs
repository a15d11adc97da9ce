//! Who a request runs as, once its token has been verified.

use super::claims::Validity;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

/// The outcome of authentication: a role and the claims behind it.
///
/// One value is shared by all requests with the same token, and by all anonymous ones.
#[derive(Debug)]
pub struct Identity {
    /// The database role to enter.
    pub role: String,
    /// The claims as compact JSON, ready for `request.jwt.claims`: members sorted by name,
    /// each name once, and `role` set to the role above.
    pub claims_json: String,
    /// Whether the role differs from the anonymous one; decides between 401 and 403 when
    /// the role lacks a privilege.
    pub authenticated: bool,
    /// The claims as SQL text; the transaction writes it once and finds it here afterwards.
    pub sql: OnceLock<Box<str>>,
    /// When the token holds, checked again on each use of a cached identity.
    pub(super) validity: Validity,
    /// The generation of the remote keys that verified the token.
    pub(super) keys_generation: u64,
    /// The version of the deny list that the claims have passed.
    pub(super) deny_version: AtomicU64,
}

impl Identity {
    /// The identity of requests without a token.
    pub(super) fn anonymous(role: &str) -> Self {
        Identity {
            role: role.to_owned(),
            claims_json: serde_json::json!({ "role": role }).to_string(),
            authenticated: false,
            sql: OnceLock::new(),
            validity: Validity::ALWAYS,
            keys_generation: 0,
            deny_version: AtomicU64::new(0),
        }
    }

    /// The top-level claims as name and text, for one setting each: strings without their
    /// quotes and escapes, anything else as JSON. Text with a NUL, which no setting can
    /// hold, is left out.
    pub fn claims(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let members = super::json::members(&self.claims_json).unwrap_or_default();
        members.into_iter().filter_map(|(name, value)| {
            let text = setting_text(value)?;
            (!name.contains('\0') && !text.contains('\0')).then_some((name, text))
        })
    }

    /// The text of one top-level claim, as in [`claims`](Self::claims).
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.claims().find(|(n, _)| n == name).map(|(_, text)| text)
    }
}

fn setting_text(value: &RawValue) -> Option<Cow<'_, str>> {
    if value.get().starts_with('"') {
        super::json::string(value.get())
    } else {
        Some(Cow::Borrowed(value.get()))
    }
}
