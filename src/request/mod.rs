//! What the client asked: parsed, typed, and not yet held against the schema.
//!
//! [`ApiRequest::parse`] is the way in. The grammar is that of
//! <https://docs.postgrest.org/en/v16/references/api/url_grammar.html>. Every parser here
//! takes client bytes and gives a value or an [`Error`]; none panics,
//! and what one request may ask for is bounded by [`limits`].

pub mod ast;
mod csv_body;
mod expected;
mod filter;
mod json_scan;
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
