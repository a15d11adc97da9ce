//! Describing: which description of the API a request at the root gets.
//!
//! <https://docs.postgrest.org/en/v16/references/api/openapi.html>

use super::{Settings, not_available};
use crate::config::OpenApiMode;
use crate::error::Result;
use crate::request::{ApiRequest, MediaType, Method};

/// A planned description of a schema.
#[derive(Debug)]
pub struct DescribePlan<'a> {
    /// The exposed schema.
    pub schema: &'a str,
    /// The description's language.
    pub language: Language,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Whether the database is asked what the role may use.
    pub by_privileges: bool,
}

/// The language of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Swagger 2.0, as in PostgREST.
    Swagger2,
    /// OpenAPI 3.1, for those who ask for it.
    OpenApi31,
}

/// Plans a description.
///
/// # Errors
/// PGRST107 when the client accepts no description.
pub fn plan<'a>(request: &'a ApiRequest, settings: &Settings) -> Result<DescribePlan<'a>> {
    let (language, media_type) = request.accept.iter().find_map(offer).ok_or_else(|| {
        let types: Vec<String> = request.accept.iter().map(MediaType::to_string).collect();
        not_available(&types.join(", "))
    })?;
    Ok(DescribePlan {
        schema: &request.schema,
        language,
        content_type: media_type.content_type(),
        // There is no body that it could decide for HEAD.
        by_privileges: settings.openapi_mode == OpenApiMode::FollowPrivileges
            && request.method != Method::Head,
    })
}

fn offer(accepted: &MediaType) -> Option<(Language, &MediaType)> {
    match accepted {
        MediaType::OpenApi | MediaType::ApplicationJson | MediaType::Any => {
            Some((Language::Swagger2, &MediaType::OpenApi))
        }
        MediaType::OpenApi31 { .. } => Some((Language::OpenApi31, accepted)),
        _ => None,
    }
}
