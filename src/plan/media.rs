//! Which body the client gets: the first of the media types that it accepts for which
//! there is a built-in format or a handler in the database.
//!
//! <https://docs.postgrest.org/en/v16/references/api/media_type_handlers.html>

use super::Settings;
use crate::error::{Error, Result};
use crate::request::ast::SelectItem;
use crate::request::{self, ApiRequest, MediaType};
use crate::schema::{MediaHandler, QualifiedName, Relation, ReturnType, Returned, SchemaCache};

/// Domains whose values are bodies of any media type.
const ANY: &str = "*/*";

/// The chosen body.
#[derive(Debug)]
pub struct MediaChoice<'a> {
    /// How the rows become a body.
    pub format: BodyFormat<'a>,
    /// The `Content-Type` of the response.
    pub content_type: String,
    /// Whether the execution plan is asked for instead of the body.
    pub plan: Option<&'a request::Plan>,
}

/// How rows become a body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BodyFormat<'a> {
    /// An array of objects; of a function that returns one value, that value.
    Json,
    /// The same without members that are null.
    JsonStripped,
    /// One object.
    Object,
    /// One object without members that are null.
    ObjectStripped,
    /// Comma-separated values with a header line.
    Csv,
    /// A GeoJSON feature collection, by PostGIS.
    GeoJson,
    /// What an aggregate makes of the rows.
    Handler(&'a MediaHandler),
    /// The value itself: a function returned a domain that is a media type.
    Scalar {
        /// Whether the domain is over `bytea`.
        binary: bool,
    },
}

impl BodyFormat<'_> {
    /// Whether the text of a row is shown, so that it matters how an embed is written.
    pub fn shows_embeds_as_text(&self) -> bool {
        matches!(self, BodyFormat::Csv | BodyFormat::Handler(_))
    }

    /// Whether the result must be one row.
    pub fn is_singular(&self) -> bool {
        matches!(self, BodyFormat::Object | BodyFormat::ObjectStripped)
    }
}

/// What a handler may apply to.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The relation whose rows are presented whole.
    pub relation: Option<&'a QualifiedName>,
    /// The domain that a function returns, when it is one value of a media type.
    pub scalar: Option<&'a QualifiedName>,
}

impl<'a> Subject<'a> {
    /// Rows of a relation.
    pub fn of_read(relation: &'a Relation) -> Self {
        Self { relation: Some(&relation.name), scalar: None }
    }

    /// The result of a function.
    pub fn of_call(returns: &'a ReturnType) -> Self {
        match &returns.returned {
            Returned::Composite(relation) => Self { relation: relation.as_ref(), scalar: None },
            Returned::Scalar(domain) if !returns.is_set && domain.name.contains('/') => {
                Self { relation: None, scalar: Some(domain) }
            }
            _ => Self { relation: None, scalar: None },
        }
    }
}

/// Chooses the body for a request.
///
/// # Errors
/// PGRST107 when nothing that the client accepts can be given.
pub fn negotiate<'a>(
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
    settings: &Settings,
    subject: Subject<'a>,
) -> Result<MediaChoice<'a>> {
    let negotiation = Negotiation { request, schema, settings, subject };
    request.accept.iter().find_map(|accepted| negotiation.offer(accepted)).ok_or_else(|| {
        let types: Vec<String> = request.accept.iter().map(|m| m.to_string()).collect();
        not_available(&types.join(", "))
    })
}

/// The error that nothing acceptable can be given.
pub fn not_available(types: &str) -> Error {
    Error::new(406, "PGRST107", format!("None of these media types are available: {types}"))
}

struct Negotiation<'a, 's> {
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
    settings: &'s Settings,
    subject: Subject<'a>,
}

impl<'a> Negotiation<'a, '_> {
    fn offer(&self, accepted: &'a MediaType) -> Option<MediaChoice<'a>> {
        if let MediaType::Plan(plan) = accepted {
            let (format, _) =
                self.settings.plan_enabled.then(|| self.body(&plan.target)).flatten()?;
            return Some(MediaChoice {
                format,
                content_type: accepted.content_type(),
                plan: Some(plan),
            });
        }
        let (format, content_type) = self.body(accepted)?;
        Some(MediaChoice { format, content_type, plan: None })
    }

    /// The format for a media type, and its `Content-Type`.
    fn body(&self, accepted: &MediaType) -> Option<(BodyFormat<'a>, String)> {
        let built_in = match accepted {
            MediaType::SingularJson { nulls_stripped: false } => BodyFormat::Object,
            MediaType::SingularJson { nulls_stripped: true } => BodyFormat::ObjectStripped,
            MediaType::ArrayJsonStrip => BodyFormat::JsonStripped,
            _ => return self.handler(accepted).or_else(|| built_in(accepted)),
        };
        Some((built_in, accepted.content_type()))
    }

    /// What the database has for a media type.
    fn handler(&self, accepted: &MediaType) -> Option<(BodyFormat<'a>, String)> {
        let name = accepted.to_string();
        if let Some(domain) = self.subject.scalar {
            let scalar = BodyFormat::Scalar { binary: self.schema.binary_domains.contains(domain) };
            if &*domain.name == ANY {
                return Some((scalar, MediaType::OctetStream.content_type()));
            }
            if *domain.name == *name {
                return Some((scalar, accepted.content_type()));
            }
        }
        let of_relation = |media_type: &str| {
            let relation = self.subject.relation.filter(|_| self.selects_whole_rows())?;
            self.handlers(media_type).iter().find(|h| h.target.as_ref() == Some(relation))
        };
        if let Some(handler) = of_relation(ANY) {
            return Some((BodyFormat::Handler(handler), MediaType::OctetStream.content_type()));
        }
        of_relation(&name)
            .or_else(|| self.handlers(&name).iter().find(|h| h.target.is_none()))
            .filter(|_| *accepted != MediaType::Any)
            .map(|handler| (BodyFormat::Handler(handler), accepted.content_type()))
    }

    fn handlers(&self, media_type: &str) -> &'a [MediaHandler] {
        self.schema.handlers.get(media_type).map_or(&[], Vec::as_slice)
    }

    /// An aggregate over a relation's row type needs all its columns, and no more.
    fn selects_whole_rows(&self) -> bool {
        match &self.request.query.select[..] {
            [] => true,
            [SelectItem::Field(field)] => field.field.column == "*" && field.aggregate.is_none(),
            _ => false,
        }
    }
}

fn built_in(accepted: &MediaType) -> Option<(BodyFormat<'static>, String)> {
    let format = match accepted {
        MediaType::Any | MediaType::ApplicationJson => {
            return Some((BodyFormat::Json, MediaType::ApplicationJson.content_type()));
        }
        MediaType::TextCsv => BodyFormat::Csv,
        MediaType::GeoJson => BodyFormat::GeoJson,
        _ => return None,
    };
    Some((format, accepted.content_type()))
}
