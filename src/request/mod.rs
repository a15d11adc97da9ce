//! What the client asked: parsed, typed, and not yet held against the schema.
//!
//! [`ApiRequest::parse`] is the way in. The grammar is that of
//! <https://docs.postgrest.org/en/v16/references/api/url_grammar.html>. Every parser here
//! takes client bytes and gives a value or an [`Error`]; none panics,
//! and what one request may ask for is bounded by [`limits`].

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod ast;
mod csv_body;
mod expected;
mod filter;
mod json_scan;
mod json_syntax;
mod json_text;
pub mod limits;
mod media_type;
mod names;
mod order;
mod parser;
mod payload;
mod preferences;
mod print;
mod query;
mod range;
mod resource;
mod select;
mod urlencoded;

pub use ast::Query;
pub use json_text::{cookies_json, headers_json};
pub use media_type::{MediaType, Plan, PlanFormat, PlanOptions, accepted};
pub use payload::{JsonPayload, Payload, PayloadShape};
pub use preferences::{
    Count, Handling, Missing, Preferences, Representation, Resolution, Transaction,
};
pub use query::Parameters;
pub use range::TopLevelRange;
pub use resource::{Method, Resource};

use crate::error::{Error, Result};
use crate::http;
use payload::Receiver;

/// The settings that a request is read with.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The exposed schemas, at least one; the first is the default.
    pub schemas: &'a [String],
    /// The function that answers at `/`, perhaps with a schema in front, which is ignored.
    pub root_spec: Option<&'a str>,
    /// Whether `/` answers at all.
    pub root_enabled: bool,
    /// Whether clients may choose how the transaction ends, with `Prefer: tx=`.
    pub tx_override: bool,
}

/// A request, read.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    pub method: Method,
    pub resource: Resource,
    /// The schema that the resource is looked for in.
    pub schema: String,
    /// The schema that `Content-Profile` of the response names: present when the client
    /// named one, or could have.
    pub profile: Option<String>,
    pub query: Query,
    pub preferences: Preferences,
    /// What the client accepts, the most wanted first. Empty when it accepts nothing.
    pub accept: Vec<MediaType>,
    /// The `Accept` header as it came.
    pub accept_text: Option<String>,
    /// The type of the body; JSON when the client does not say.
    pub content_type: MediaType,
    /// The rows that are wanted of the outermost level.
    pub range: TopLevelRange,
    /// The body, when the request is one that has a use for it.
    pub payload: Option<Payload>,
    /// The path, decoded; bytes that are no UTF-8 are replaced by U+FFFD.
    pub path: String,
}

impl ApiRequest {
    /// Reads a request, and takes its body over.
    ///
    /// Errors, in this order: `PGRST125` and `PGRST126` for the path, `PGRST106` for the
    /// schema, `PGRST101` and `PGRST117` for the method, `PGRST100` for the query string,
    /// `PGRST103` and `PGRST114` for the range, `PGRST102` for the body. Preferences that are
    /// not understood are no error yet: see [`Preferences::refuse_invalid`].
    ///
    /// ```
    /// use goldenkey::http::Request;
    /// use goldenkey::request::{ApiRequest, Resource, Settings};
    /// let schemas = ["api".to_owned()];
    /// let settings =
    ///     Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: false };
    /// let mut request = Request {
    ///     method: "GET".into(),
    ///     path: "/films".into(),
    ///     query: "year=gt.1990&limit=10".into(),
    ///     ..Request::default()
    /// };
    /// let api_request = ApiRequest::parse(&mut request, &settings).unwrap();
    /// assert_eq!(api_request.resource, Resource::Relation("films".into()));
    /// assert_eq!(api_request.range.limit, Some(10));
    /// ```
    pub fn parse(request: &mut http::Request, settings: &Settings) -> Result<ApiRequest> {
        let headers = &request.headers;
        let resource = Resource::parse(&request.path, settings)?;
        let (schema, profile) = negotiate_schema(request, settings)?;
        let method = resource.method(&request.method)?;
        let query = Query::parse(&request.query, parameters(method, &resource))?;
        let range = TopLevelRange::new(method, &query, headers)?;
        let content_type =
            headers.get("content-type").map_or(MediaType::ApplicationJson, MediaType::parse);
        let payload = match receiver(method, &resource) {
            Some(receiver) => {
                let body = std::mem::take(&mut request.body);
                Some(Payload::parse(body, &content_type, &query, receiver)?)
            }
            None => None,
        };
        let path = resource::decode_path(&request.path);
        if path.contains('\0') {
            return Err(limits::has_nul("path"));
        }
        let headers = &request.headers;
        Ok(ApiRequest {
            method,
            resource,
            schema,
            profile,
            query,
            preferences: Preferences::parse(headers, settings.tx_override),
            accept: accepted(headers.get("accept")),
            accept_text: headers.get("accept").map(str::to_owned),
            content_type,
            range,
            payload,
            path,
        })
    }
}

/// The schema of `Content-Profile` for a write or a `POST`, of `Accept-Profile` otherwise.
fn negotiate_schema(
    request: &http::Request,
    settings: &Settings,
) -> Result<(String, Option<String>)> {
    let header = match request.method.as_str() {
        "POST" | "PATCH" | "PUT" | "DELETE" => "content-profile",
        _ => "accept-profile",
    };
    let Some(wanted) = request.headers.get(header) else {
        let default = settings.schemas.first().cloned().unwrap_or_default();
        let profile = (settings.schemas.len() > 1).then(|| default.clone());
        return Ok((default, profile));
    };
    if settings.schemas.iter().any(|schema| schema == wanted) {
        return Ok((wanted.to_owned(), Some(wanted.to_owned())));
    }
    Err(Error::new(406, "PGRST106", format!("Invalid schema: {wanted}"))
        .hint(format!("Only the following schemas are exposed: {}", settings.schemas.join(", "))))
}

fn parameters(method: Method, resource: &Resource) -> Parameters {
    match (resource, method) {
        (Resource::Routine(_), Method::Get | Method::Head) => Parameters::FiltersOrArguments,
        _ => Parameters::Filters,
    }
}

/// Whom the body is for; `None` when it is not looked at.
fn receiver(method: Method, resource: &Resource) -> Option<Receiver> {
    match (resource, method) {
        (Resource::Routine(_), Method::Post) => Some(Receiver::Routine),
        (Resource::Relation(_), Method::Post | Method::Patch) => {
            Some(Receiver::Relation { takes_columns: true })
        }
        (Resource::Relation(_), Method::Put) => Some(Receiver::Relation { takes_columns: false }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMAS: [&str; 2] = ["north", "south"];

    fn parse_with(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<ApiRequest> {
        let schemas = SCHEMAS.map(str::to_owned);
        let settings =
            Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: true };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fields = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let mut request = http::Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: http::Headers(fields.collect()),
            body: body.as_bytes().to_vec(),
            ..http::Request::default()
        };
        ApiRequest::parse(&mut request, &settings)
    }

    fn parse(method: &str, target: &str) -> Result<ApiRequest> {
        parse_with(method, target, &[], "")
    }

    fn code(method: &str, target: &str) -> (u16, String) {
        let error = parse(method, target).unwrap_err();
        (error.status(), error.code().to_owned())
    }

    #[test]
    fn paths_name_a_relation_a_function_or_the_root() {
        let resource = |path| parse("GET", path).unwrap().resource;
        assert_eq!(resource("/"), Resource::Root);
        assert_eq!(resource("/goods%2F1"), Resource::Relation("goods/1".to_owned()));
        assert_eq!(resource("/a+b"), Resource::Relation("a+b".to_owned()));
        assert_eq!(resource("/rpc"), Resource::Relation("rpc".to_owned()));
        assert_eq!(resource("/rpc/"), Resource::Routine(String::new()));
        assert_eq!(resource("/%ff%fe"), Resource::Relation("\u{fffd}\u{fffd}".to_owned()));
        for path in ["/a/", "//a", "/a/b", "/rpc/a/b", "/x/../a"] {
            assert_eq!(code("BREW", path), (404, "PGRST125".to_owned()), "{path}");
        }
    }

    #[test]
    fn the_root_may_be_a_function_or_nothing() {
        let schemas = ["api".to_owned()];
        let root = |root_spec, root_enabled| {
            let settings =
                Settings { schemas: &schemas, root_spec, root_enabled, tx_override: false };
            Resource::parse("/", &settings)
        };
        assert_eq!(root(Some("docs.root"), true).unwrap(), Resource::Routine("root".to_owned()));
        assert_eq!(root(Some("root"), false).unwrap_err().code(), "PGRST126");
    }

    #[test]
    fn methods_depend_on_the_resource() {
        assert_eq!(code("get", "/a"), (405, "PGRST117".to_owned()));
        assert_eq!(code("PUT", "/"), (405, "PGRST117".to_owned()));
        assert_eq!(code("DELETE", "/rpc/a"), (405, "PGRST101".to_owned()));
        assert_eq!(parse("OPTIONS", "/rpc/a").unwrap().method, Method::Options);
    }

    #[test]
    fn the_schema_is_that_of_the_profile_for_the_method() {
        let fields = [("Accept-Profile", "south"), ("Content-Profile", "north")];
        let get = parse_with("GET", "/a", &fields, "").unwrap();
        assert_eq!((get.schema.as_str(), get.profile.as_deref()), ("south", Some("south")));
        let post = parse_with("POST", "/a", &fields, "{}").unwrap();
        assert_eq!((post.schema.as_str(), post.profile.as_deref()), ("north", Some("north")));
        let error = parse_with("GET", "/a", &[("accept-profile", "west")], "").unwrap_err();
        assert_eq!(error.message(), "Invalid schema: west");
        assert_eq!(error.hint_text(), Some("Only the following schemas are exposed: north, south"));
    }

    #[test]
    fn a_body_is_read_only_where_it_is_of_use() {
        assert!(parse_with("DELETE", "/a", &[], "not json").unwrap().payload.is_none());
        assert!(parse_with("GET", "/rpc/a", &[], "not json").unwrap().payload.is_none());
        assert!(parse_with("POST", "/rpc/a", &[], "{}").unwrap().payload.is_some());
        assert_eq!(parse_with("PATCH", "/a", &[], "").unwrap_err().code(), "PGRST102");
    }

    #[test]
    fn arguments_are_those_of_reading_calls() {
        assert_eq!(parse("GET", "/rpc/f?a=1").unwrap().query.arguments.len(), 1);
        assert_eq!(code("POST", "/rpc/f?a=1"), (400, "PGRST100".to_owned()));
        assert_eq!(code("GET", "/f?a=1"), (400, "PGRST100".to_owned()));
    }

    #[test]
    fn a_nul_in_the_path_is_refused() {
        assert_eq!(code("GET", "/a%00b"), (400, "GK111".to_owned()));
    }
}
