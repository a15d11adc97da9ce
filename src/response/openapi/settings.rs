//! What of the configuration is in a description.

use crate::config::Config;

/// Where `server-host` means any address.
const ANY_ADDRESS: &str = "0.0.0.0";

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// What of the configuration is in a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `openapi-security-active`
    pub security_active: bool,
    /// Where clients reach the API.
    pub address: Address,
}

/// An address of the API, in the parts of a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `http` or `https`.
    pub scheme: String,
    /// The host; an IPv6 address is in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path in front of all others, at least `/`.
    pub base_path: String,
}

impl Settings {
    /// Takes what matters from a configuration.
    pub fn new(config: &Config) -> Self {
        let of_server = || Address::of_server(&config.server_host, config.server_port);
        let proxy = config.openapi_server_proxy_uri.as_deref().and_then(Address::parse);
        Self {
            security_active: config.openapi_security_active,
            address: proxy.unwrap_or_else(of_server),
        }
    }
}

impl Address {
    /// The address that the server listens on.
    fn of_server(host: &str, port: u16) -> Self {
        let host = match host {
            "*" | "*4" | "!4" | "*6" | "!6" => ANY_ADDRESS,
            host => host,
        };
        Self { scheme: "http".into(), host: host.into(), port, base_path: "/".into() }
    }

    /// Reads `openapi-server-proxy-uri`; `None` for what is no such URI.
    fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let path = rest.split(['?', '#']).next().filter(|path| !path.is_empty());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match host.rsplit_once(':') {
            // The colons of an IPv6 address are in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (host, None),
        };
        let port = match port {
            Some(port) => port.parse().unwrap_or(HTTP_PORT),
            None if scheme == "https" => HTTPS_PORT,
            None => HTTP_PORT,
        };
        let base_path = path.unwrap_or("/").into();
        Some(Self { scheme, host: host.into(), port, base_path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> (String, String, u16, String) {
        let address = Address::parse(uri).expect("it is a URI");
        (address.scheme, address.host, address.port, address.base_path)
    }

    #[test]
    fn a_proxy_uri_is_taken_apart() {
        assert_eq!(
            parts("https://example.com:8443/basePath"),
            ("https".into(), "example.com".into(), 8443, "/basePath".into())
        );
        assert_eq!(parts("HTTP://user@[::1]?x#y"), ("http".into(), "[::1]".into(), 80, "/".into()));
        assert_eq!(
            parts("https://example.com/"),
            ("https".into(), "example.com".into(), 443, "/".into())
        );
    }

    #[test]
    fn any_address_is_written_as_zeros() {
        for host in ["*", "*4", "!4", "*6", "!6"] {
            assert_eq!(Address::of_server(host, 3000).host, "0.0.0.0");
        }
        assert_eq!(Address::of_server("::1", 3000).host, "::1");
    }
}
