//! Media types that the API knows, and the `Accept` header.
//! <https://docs.postgrest.org/en/v16/references/api/resource_representation.html>

use super::limits::MAX_ACCEPTED_TYPES;
use std::fmt;

/// A media type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/json`
    ApplicationJson,
    /// `application/vnd.pgrst.array+json;nulls=stripped`; without the parameter it is
    /// [`ApplicationJson`](Self::ApplicationJson).
    ArrayJsonStrip,
    /// `application/vnd.pgrst.object+json`, with or without `;nulls=stripped`
    SingularJson { nulls_stripped: bool },
    /// `application/geo+json`
    GeoJson,
    /// `text/csv`
    TextCsv,
    /// `text/plain`
    TextPlain,
    /// `text/xml`
    TextXml,
    /// `application/openapi+json`: Swagger 2.0
    OpenApi,
    /// `application/openapi+json;version=3.1`, or in the vendor tree
    /// `application/vnd.oai.openapi+json;version=3.1`
    OpenApi31 { vendor: bool },
    /// `application/x-www-form-urlencoded`
    UrlEncoded,
    /// `application/octet-stream`
    OctetStream,
    /// `*/*`
    Any,
    /// `application/vnd.pgrst.plan+json; for="..."; options=...`
    Plan(Box<Plan>),
    /// Any other, as it was given.
    Other(String),
}

/// An execution plan instead of the result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The media type whose statement is explained.
    pub target: MediaType,
    pub format: PlanFormat,
    pub options: PlanOptions,
}

/// The format of an execution plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanFormat {
    Text,
    Json,
}

/// The options of `EXPLAIN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PlanOptions {
    pub analyze: bool,
    pub verbose: bool,
    pub settings: bool,
    pub buffers: bool,
    pub wal: bool,
}

impl PlanOptions {
    /// The options that are on, by the names of the header and of `EXPLAIN`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.analyze, "analyze"),
            (self.verbose, "verbose"),
            (self.settings, "settings"),
            (self.buffers, "buffers"),
            (self.wal, "wal"),
        ]
        .into_iter()
        .filter_map(|(on, name)| on.then_some(name))
    }
}

impl MediaType {
    /// Reads a media type with its parameters. What is unknown is [`Other`](Self::Other).
    ///
    /// ```
    /// use goldenkey::request::MediaType;
    /// assert_eq!(MediaType::parse("Application/JSON; charset=utf-8"), MediaType::ApplicationJson);
    /// ```
    pub fn parse(text: &str) -> MediaType {
        let essence = text.split_once(';').map_or(text, |(essence, _)| essence).trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        let nulls_stripped = || parameter(text, "nulls") == Some("stripped");
        let version31 = || parameter(text, "version").is_some_and(|v| v.starts_with("3.1"));
        match () {
            () if is("application/json") => MediaType::ApplicationJson,
            () if is("*/*") => MediaType::Any,
            () if is("text/csv") => MediaType::TextCsv,
            () if is("application/vnd.pgrst.object+json") || is("application/vnd.pgrst.object") => {
                MediaType::SingularJson { nulls_stripped: nulls_stripped() }
            }
            () if is("application/vnd.pgrst.array+json") || is("application/vnd.pgrst.array") => {
                if nulls_stripped() {
                    MediaType::ArrayJsonStrip
                } else {
                    MediaType::ApplicationJson
                }
            }
            () if is("application/geo+json") => MediaType::GeoJson,
            () if is("text/plain") => MediaType::TextPlain,
            () if is("text/xml") => MediaType::TextXml,
            () if is("application/openapi+json") && version31() => {
                MediaType::OpenApi31 { vendor: false }
            }
            () if is("application/vnd.oai.openapi+json") && version31() => {
                MediaType::OpenApi31 { vendor: true }
            }
            () if is("application/openapi+json") => MediaType::OpenApi,
            () if is("application/x-www-form-urlencoded") => MediaType::UrlEncoded,
            () if is("application/octet-stream") => MediaType::OctetStream,
            () if is("application/vnd.pgrst.plan+json") => plan(text, PlanFormat::Json),
            () if is("application/vnd.pgrst.plan") || is("application/vnd.pgrst.plan+text") => {
                plan(text, PlanFormat::Text)
            }
            () => MediaType::Other(text.to_owned()),
        }
    }

    /// The value of a `Content-Type` header: with a charset, except for
    /// `application/octet-stream` and types that are not built in.
    pub fn content_type(&self) -> String {
        match self {
            MediaType::OctetStream | MediaType::Other(_) => self.to_string(),
            _ => format!("{self}; charset=utf-8"),
        }
    }
}

/// The value of a parameter, without quotes. As in PostgREST a `;` ends it even in quotes.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let parameters = text.split(';').skip(1).filter_map(|p| p.split_once('='));
    let named = parameters.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    named.last().map(|(_, value)| value.trim().trim_matches('"'))
}

fn plan(text: &str, format: PlanFormat) -> MediaType {
    let target = match parameter(text, "for") {
        // A plan of a plan would let clients build types of any depth.
        Some(name) => match MediaType::parse(name) {
            MediaType::Plan(_) => MediaType::Other(name.to_owned()),
            other => other,
        },
        None => MediaType::ApplicationJson,
    };
    let mut options = PlanOptions::default();
    for option in parameter(text, "options").unwrap_or_default().split('|') {
        match option {
            "analyze" => options.analyze = true,
            "verbose" => options.verbose = true,
            "settings" => options.settings = true,
            "buffers" => options.buffers = true,
            "wal" => options.wal = true,
            _ => {}
        }
    }
    MediaType::Plan(Box::new(Plan { target, format, options }))
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MediaType::ApplicationJson => "application/json",
            MediaType::ArrayJsonStrip => "application/vnd.pgrst.array+json;nulls=stripped",
            MediaType::SingularJson { nulls_stripped: false } => {
                "application/vnd.pgrst.object+json"
            }
            MediaType::SingularJson { nulls_stripped: true } => {
                "application/vnd.pgrst.object+json;nulls=stripped"
            }
            MediaType::GeoJson => "application/geo+json",
            MediaType::TextCsv => "text/csv",
            MediaType::TextPlain => "text/plain",
            MediaType::TextXml => "text/xml",
            MediaType::OpenApi => "application/openapi+json",
            MediaType::OpenApi31 { vendor: false } => "application/openapi+json;version=3.1",
            MediaType::OpenApi31 { vendor: true } => "application/vnd.oai.openapi+json;version=3.1",
            MediaType::UrlEncoded => "application/x-www-form-urlencoded",
            MediaType::OctetStream => "application/octet-stream",
            MediaType::Any => "*/*",
            MediaType::Other(text) => text,
            MediaType::Plan(plan) => return plan.fmt(f),
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            PlanFormat::Text => "text",
            PlanFormat::Json => "json",
        };
        write!(f, "application/vnd.pgrst.plan+{format}; for=\"{}\"", self.target)?;
        for (index, option) in self.options.names().enumerate() {
            write!(f, "{}{option}", if index == 0 { "; options=" } else { "|" })?;
        }
        Ok(())
    }
}

/// The media types of an `Accept` header, the most wanted first: by quality, then by how
/// specific they are (more parameters, fewer `*`), then by position. Without the header
/// anything is accepted; an empty one accepts nothing.
pub fn accepted(header: Option<&str>) -> Vec<MediaType> {
    let Some(header) = header else {
        return vec![MediaType::Any];
    };
    if header.is_empty() {
        return Vec::new();
    }
    let mut ranges: Vec<(Preference, MediaType)> =
        header.split(',').take(MAX_ACCEPTED_TYPES).map(accepted_type).collect();
    ranges.sort_by(|(a, _), (b, _)| {
        b.quality.total_cmp(&a.quality).then(b.specific.cmp(&a.specific))
    });
    ranges.into_iter().map(|(_, media_type)| media_type).collect()
}

/// How much a media type is wanted.
struct Preference {
    quality: f64,
    specific: i32,
}

fn accepted_type(element: &str) -> (Preference, MediaType) {
    let compact: String = element.chars().filter(|c| *c != ' ').collect();
    let (media_type, quality) = match compact.split_once(";q=") {
        Some((media_type, parameters)) => {
            let number = parameters.split(';').next().unwrap_or_default();
            (media_type, number.parse().ok().filter(|q: &f64| q.is_finite()).unwrap_or(1.0))
        }
        None => (compact.as_str(), 1.0),
    };
    let specific = media_type.bytes().map(|b| i32::from(b == b';') - i32::from(b == b'*')).sum();
    (Preference { quality, specific }, MediaType::parse(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted_texts(header: &str) -> Vec<String> {
        accepted(Some(header)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn qualities_then_specificity_then_position_decide() {
        assert_eq!(accepted_texts("text/csv, application/json"), ["text/csv", "application/json"]);
        assert_eq!(
            accepted_texts("text/csv;q=0, application/json"),
            ["application/json", "text/csv"]
        );
        assert_eq!(accepted_texts("*/*;q=0.1, text/csv"), ["text/csv", "*/*"]);
        assert_eq!(accepted_texts("*/*, image/png"), ["image/png", "*/*"]);
        assert_eq!(accepted_texts("text/odd; version=2"), ["text/odd;version=2"]);
    }

    #[test]
    fn no_header_accepts_anything_and_an_empty_one_nothing() {
        assert_eq!(accepted(None), [MediaType::Any]);
        assert_eq!(accepted(Some("")), []);
    }

    #[test]
    fn vendor_types_are_read_with_their_parameters() {
        assert_eq!(
            MediaType::parse("application/vnd.pgrst.object;nulls=stripped"),
            MediaType::SingularJson { nulls_stripped: true }
        );
        assert_eq!(
            MediaType::parse("application/vnd.pgrst.array+json"),
            MediaType::ApplicationJson
        );
        for name in
            ["application/openapi+json;version=3.1", "application/vnd.oai.openapi+json;version=3.1"]
        {
            assert_eq!(MediaType::parse(name).to_string(), name);
        }
        assert_eq!(
            MediaType::parse("application/vnd.pgrst.plan+json; options=verbose|slowly|analyze")
                .content_type(),
            "application/vnd.pgrst.plan+json; for=\"application/json\"; options=analyze|verbose; charset=utf-8"
        );
    }

    #[test]
    fn types_that_are_not_built_in_have_no_charset() {
        assert_eq!(MediaType::parse("image/png").content_type(), "image/png");
        assert_eq!(MediaType::TextCsv.content_type(), "text/csv; charset=utf-8");
    }
}
