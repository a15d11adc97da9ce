//! What the path names, and which methods it has.

use super::Settings;
use super::urlencoded::{Plus, decode_bytes};
use crate::error::{Error, Result};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `/`: the description of the API.
    Root,
    /// `/NAME`: a table or view.
    Relation(String),
    /// `/rpc/NAME`: a function; also `/` when one is configured for it.
    Routine(String),
}

/// A method of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Patch,
    Put,
    Delete,
    Options,
}

impl Method {
    /// The method of that name; names are case-sensitive.
    pub fn parse(name: &str) -> Option<Method> {
        Some(match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PATCH" => Method::Patch,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => return None,
        })
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }
}

impl Resource {
    /// Reads a path as it was sent.
    ///
    /// Errors: `PGRST125` for a path of another shape, `PGRST126` when `/` is disabled.
    pub(super) fn parse(path: &str, settings: &Settings) -> Result<Resource> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.is_empty() {
            return root(settings);
        }
        let mut segments = path.split('/').map(decode_path);
        match (segments.next(), segments.next(), segments.next()) {
            (Some(name), None, None) => Ok(Resource::Relation(name)),
            (Some(rpc), Some(name), None) if rpc == "rpc" => Ok(Resource::Routine(name)),
            _ => Err(Error::new(404, "PGRST125", "Invalid path specified in request URL")),
        }
    }

    /// The method of that name, when the resource has it.
    ///
    /// Errors: `PGRST101` for a function, `PGRST117` for anything else.
    pub(super) fn method(&self, name: &str) -> Result<Method> {
        let method = Method::parse(name);
        match (self, method) {
            (_, Some(method @ (Method::Get | Method::Head | Method::Options))) => Ok(method),
            (Resource::Routine(_), Some(Method::Post)) => Ok(Method::Post),
            (Resource::Relation(_), Some(method)) => Ok(method),
            (Resource::Routine(_), _) => {
                let message = format!("Cannot use the {name} method on RPC");
                Err(Error::new(405, "PGRST101", message))
            }
            _ => Err(Error::new(405, "PGRST117", format!("Unsupported HTTP method: {name}"))),
        }
    }
}

fn root(settings: &Settings) -> Result<Resource> {
    if !settings.root_enabled {
        return Err(Error::new(404, "PGRST126", "Root endpoint metadata is disabled"));
    }
    Ok(settings.root_spec.map_or(Resource::Root, |spec| {
        let name = spec.split_once('.').map_or(spec, |(_, name)| name);
        Resource::Routine(name.to_owned())
    }))
}

/// A path or a segment of one, decoded; bytes that are no UTF-8 are replaced by U+FFFD.
pub(super) fn decode_path(encoded: &str) -> String {
    String::from_utf8_lossy(&decode_bytes(encoded.as_bytes(), Plus::IsPlus)).into_owned()
}
