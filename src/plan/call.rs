//! Calling: which overload of a function a request means, and what it is given.

use super::Settings;
use super::media::{self, MediaChoice};
use super::read::{Planner, ReadNode};
use crate::error::{Error, Result};
use crate::request::{ApiRequest, MediaType, Method, Payload};
use crate::schema::{LOOSE, NameIndex, Parameter, Returned, Routine, STRICT, SchemaCache};

/// A planned call.
#[derive(Debug)]
pub struct CallPlan<'a> {
    /// The function.
    pub routine: &'a Routine,
    /// What it is given.
    pub arguments: ArgumentSource<'a>,
    /// How its result is read.
    pub result: ReadNode<'a>,
    /// The body.
    pub media: MediaChoice<'a>,
    /// Uses of a target's name where its alias was due: (target, alias).
    pub deprecated_names: Vec<(&'a str, &'a str)>,
}

/// Where the arguments come from.
#[derive(Debug)]
pub enum ArgumentSource<'a> {
    /// There are none.
    None,
    /// From the query string or a form: a parameter and its values; more than one only
    /// for a variadic parameter.
    Direct(Vec<(&'a Parameter, Vec<&'a str>)>),
    /// From the members of the JSON body's (first) object.
    Json(Vec<&'a Parameter>),
    /// The body as it is, for a single unnamed parameter.
    Body(&'a Parameter),
}

/// The alias of the function's rows.
pub const CALL_ALIAS: &str = "pgrst_call";

/// The name of the only column of a scalar result.
pub const SCALAR_COLUMN: &str = "pgrst_scalar";

/// Plans a call of the named function.
pub fn plan<'a>(
    name: &str,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
    settings: &Settings,
) -> Result<CallPlan<'a>> {
    let call = Invocation::new(name, request);
    let routine = call.find(schema)?;
    check_max_affected(routine, request)?;
    let relation = match &routine.returns.returned {
        Returned::Composite(Some(relation)) => schema.relation(&relation.schema, &relation.name),
        _ => None,
    };
    let row_type = match &routine.returns.returned {
        Returned::Composite(Some(name)) | Returned::Scalar(name) => &name.name,
        Returned::Composite(None) => "record",
        Returned::Void => "void",
    };
    let alias = match routine.returns.returned {
        Returned::Composite(_) => CALL_ALIAS,
        // Errors about a column of a scalar name the function.
        Returned::Scalar(_) | Returned::Void => &routine.name.name,
    };
    let (mut result, deprecated_names) =
        Planner::new(request, schema, settings).call_result(relation, alias, row_type)?;
    let subject = media::Subject::of_call(&routine.returns);
    let media = media::negotiate(request, schema, settings, subject)?;
    result.jsonb = media.format.shows_embeds_as_text();
    let arguments = call.arguments(routine);
    Ok(CallPlan { routine, arguments, result, media, deprecated_names })
}

/// The overload that `OPTIONS` means.
pub fn find_routine<'a>(
    name: &str,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
) -> Result<&'a Routine> {
    Invocation::new(name, request).find(schema)
}

fn check_max_affected(routine: &Routine, request: &ApiRequest) -> Result<()> {
    if request.preferences.enforced_max_affected().is_some() && !routine.returns.is_set {
        return Err(Error::new(
            400,
            "PGRST128",
            "Function must return SETOF or TABLE when max-affected preference is used with \
             handling=strict",
        ));
    }
    Ok(())
}

/// A call as the client made it.
struct Invocation<'a, 'n> {
    name: &'n str,
    request: &'a ApiRequest,
    /// The names of the arguments, sorted, each once.
    keys: Vec<&'a str>,
    /// Whether there are more names than any function has parameters.
    has_more_keys: bool,
    is_post: bool,
}

impl<'a, 'n> Invocation<'a, 'n> {
    fn new(name: &'n str, request: &'a ApiRequest) -> Self {
        let mut keys: Vec<&str> = match &request.payload {
            Some(payload) => payload.keys(),
            None => request.query.arguments.iter().map(|(key, _)| key.as_str()).collect(),
        };
        keys.sort_unstable();
        keys.dedup();
        let has_more_keys =
            matches!(&request.payload, Some(Payload::Json(json)) if json.has_more_keys);
        Self { name, request, keys, has_more_keys, is_post: request.method == Method::Post }
    }

    fn find<'s>(&self, schema: &'s SchemaCache) -> Result<&'s Routine> {
        let overloads = schema.routines(&self.request.schema, self.name);
        let named: Vec<&Routine> = overloads.iter().filter(|r| self.takes_keys(r)).collect();
        let chosen = if named.is_empty() {
            overloads.iter().filter(|r| self.takes_body(r)).collect()
        } else {
            named
        };
        match &chosen[..] {
            [routine] => Ok(routine),
            [] => Err(self.not_found(overloads, schema)),
            several => Err(ambiguous(several)),
        }
    }

    /// Whether the arguments are all of the routine's required parameters and none that
    /// it does not have.
    fn takes_keys(&self, routine: &Routine) -> bool {
        let parameters = &routine.parameters;
        if self.has_more_keys {
            return false;
        }
        if parameters.is_empty() {
            return self.keys.is_empty() && !(self.is_post && self.has_raw_body());
        }
        // More names than parameters have one among them that is no parameter.
        self.keys.len() <= parameters.len()
            && self.keys.iter().all(|key| parameters.iter().any(|p| *p.name == **key))
            && parameters.iter().all(|p| !p.required || self.has_key(&p.name))
    }

    fn has_key(&self, name: &str) -> bool {
        self.keys.binary_search(&name).is_ok()
    }

    /// Whether the routine's only, unnamed parameter takes the body as it is.
    fn takes_body(&self, routine: &Routine) -> bool {
        let [parameter] = &routine.parameters[..] else { return false };
        let data_type = &*parameter.data_type;
        self.is_post
            && parameter.name.is_empty()
            && match self.request.content_type {
                MediaType::ApplicationJson => matches!(data_type, "json" | "jsonb"),
                MediaType::TextPlain => data_type == "text",
                MediaType::TextXml => data_type == "xml",
                MediaType::OctetStream => data_type == "bytea",
                _ => false,
            }
    }

    fn has_raw_body(&self) -> bool {
        self.raw_type().is_some()
    }

    /// The type of a single unnamed parameter that would take the raw body.
    fn raw_type(&self) -> Option<&'static str> {
        match self.request.content_type {
            MediaType::TextPlain => Some("text"),
            MediaType::TextXml => Some("xml"),
            MediaType::OctetStream => Some("bytea"),
            _ => None,
        }
    }

    fn arguments<'s>(&self, routine: &'s Routine) -> ArgumentSource<'a>
    where
        's: 'a,
    {
        if !self.takes_keys(routine) {
            // It was found by its single unnamed parameter.
            return ArgumentSource::Body(&routine.parameters[0]);
        }
        if self.keys.is_empty() {
            return ArgumentSource::None;
        }
        let given = routine.parameters.iter().filter(|p| self.has_key(&p.name));
        let pairs = match &self.request.payload {
            Some(Payload::Form(pairs)) => pairs,
            Some(_) => return ArgumentSource::Json(given.collect()),
            None => &self.request.query.arguments,
        };
        ArgumentSource::Direct(given.map(|p| (p, values_of(p, pairs))).collect())
    }

    /// The function of the schema whose name is nearest to the one given.
    fn nearest_routine<'s>(&self, schema: &'s SchemaCache) -> Option<&'s str> {
        schema.schemas.get(&*self.request.schema)?.nearest_routine(self.name, STRICT)
    }

    fn not_found(&self, overloads: &[Routine], schema: &SchemaCache) -> Error {
        let function = format!("{}.{}", self.request.schema, self.name);
        let raw_type = self.raw_type().filter(|_| self.is_post);
        let keys = &self.keys;
        let listed = keys.join(", ");
        let (called, searched) = match (raw_type, keys.len()) {
            (None, 0) if self.has_more_keys => ("(…)".into(), " with too many parameters".into()),
            (Some(raw), _) => (String::new(), format!(" with a single unnamed {raw} parameter")),
            (None, 0) => (" without parameters".into(), " without parameters".into()),
            (None, 1) => (format!("({listed})"), format!(" with parameter {listed}")),
            (None, _) => (format!("({listed})"), format!(" with parameters {listed}")),
        };
        let or_body = if self.is_post && self.request.content_type == MediaType::ApplicationJson {
            " or with a single unnamed json/jsonb parameter"
        } else {
            ""
        };
        let error = Error::new(
            404,
            "PGRST202",
            format!("Could not find the function {function}{called} in the schema cache"),
        )
        .details(format!(
            "Searched for the function {function}{searched}{or_body}, but no matches were found in \
             the schema cache."
        ));
        let near = match overloads {
            _ if raw_type.is_some() => None,
            [] => {
                self.nearest_routine(schema).map(|near| format!("{}.{near}", self.request.schema))
            }
            _ if keys.is_empty() => None,
            _ => {
                let signatures: Vec<String> = overloads.iter().map(signature).collect();
                NameIndex::new(signatures.iter().map(String::as_str))
                    .nearest(&format!("({listed})"), LOOSE)
                    .map(|near| format!("{function}{near}"))
            }
        };
        match near {
            Some(near) => error.hint(format!("Perhaps you meant to call the function {near}")),
            None => error,
        }
    }
}

/// The values for a parameter: of a repeated one the last counts, of a variadic one all.
fn values_of<'a>(parameter: &Parameter, pairs: &'a [(String, String)]) -> Vec<&'a str> {
    let mut values: Vec<&str> = pairs
        .iter()
        .filter(|(name, _)| **name == *parameter.name)
        .map(|(_, value)| value.as_str())
        .collect();
    if !parameter.variadic
        && let Some(last) = values.pop()
    {
        values = vec![last];
    }
    values
}

fn signature(routine: &Routine) -> String {
    let mut names: Vec<&str> = routine.parameters.iter().map(|p| &*p.name).collect();
    names.sort_unstable();
    format!("({})", names.join(", "))
}

fn ambiguous(candidates: &[&Routine]) -> Error {
    let described: Vec<String> = candidates
        .iter()
        .map(|r| {
            let parameters: Vec<String> =
                r.parameters.iter().map(|p| format!("{} => {}", p.name, p.data_type)).collect();
            format!("{}({})", r.name, parameters.join(", "))
        })
        .collect();
    Error::new(
        300,
        "PGRST203",
        format!("Could not choose the best candidate function between: {}", described.join(", ")),
    )
    .hint(
        "Try renaming the parameters or the function itself in the database so function \
         overloading can be resolved",
    )
}
