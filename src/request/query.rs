//! Parsing the query string into a [`Query`].
//!
//! Errors are `PGRST100`, in PostgREST's order: `order`, logic trees, `columns`, `select`,
//! filters, `on_conflict`, then the names of `limit` and `offset`.

use super::ast::{Condition, EmbedPath, Filter, Query};
use super::limits::{MAX_PARAMETERS, MAX_QUERY_BYTES, has_nul, too_much};
use super::parser::{Parsed, Parser, Stop};
use super::range;
use super::urlencoded::{self, Pair};
use crate::error::{Error, Result};

const PLACE: &str = "query string";

/// What a parameter is that is no reserved word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// A filter; anything else is an error.
    Filters,
    /// A filter when its value starts with an operator, and otherwise an argument of the
    /// function that is read.
    FiltersOrArguments,
}

/// What the last word of a parameter's name makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Select,
    Columns,
    OnConflict,
    Order,
    Limit,
    Offset,
    Logic,
    Filter,
}

impl Role {
    fn of(name: &str) -> Self {
        match name {
            "select" => return Role::Select,
            "columns" => return Role::Columns,
            "on_conflict" => return Role::OnConflict,
            _ => {}
        }
        match name.rsplit_once('.').map_or(name, |(_, last)| last) {
            "order" => Role::Order,
            "limit" => Role::Limit,
            "offset" => Role::Offset,
            "and" | "or" => Role::Logic,
            _ => Role::Filter,
        }
    }
}

impl Query {
    /// Parses a query string as it was sent, without the `?`.
    ///
    /// ```
    /// use goldenkey::request::ast::{Query, SelectItem};
    /// use goldenkey::request::Parameters;
    /// let query = Query::parse("select=id,films(title)&id=gt.7", Parameters::Filters).unwrap();
    /// assert!(matches!(query.select[1], SelectItem::Embed(_)));
    /// assert_eq!(query.canonical, "id=gt.7&select=id%2Cfilms%28title%29");
    /// ```
    pub fn parse(raw: &str, parameters: Parameters) -> Result<Query> {
        if raw.len() > MAX_QUERY_BYTES {
            return Err(Error::new(
                414,
                super::limits::CODE_TOO_MUCH,
                "The query string is too long",
            )
            .details(format!("At most {MAX_QUERY_BYTES} bytes are allowed.")));
        }
        if memchr::memchr2_iter(b'&', b';', raw.as_bytes()).nth(MAX_PARAMETERS).is_some() {
            return Err(too_much("parameters", MAX_PARAMETERS));
        }
        let pairs = urlencoded::pairs(raw.as_bytes(), PLACE)?;
        let query = parse_pairs(&pairs, parameters)?;
        let nul = |text: &str| memchr::memchr(0, text.as_bytes()).is_some();
        if pairs.iter().any(|(name, value)| nul(name) || value.as_deref().is_some_and(nul)) {
            return Err(has_nul(PLACE));
        }
        Ok(query)
    }
}

fn parse_pairs(pairs: &[Pair], parameters: Parameters) -> Result<Query> {
    let roles: Vec<Role> = pairs.iter().map(|(name, _)| Role::of(name)).collect();
    let of = |wanted: Role| {
        roles.iter().zip(pairs).filter_map(move |(role, (name, value))| {
            let value = value.as_deref()?;
            (*role == wanted).then_some((name.as_ref(), value))
        })
    };
    // Of these three only the first counts, and not even that one when it has no `=`.
    let single = |wanted: Role| {
        let first = roles.iter().position(|role| *role == wanted)?;
        pairs[first].1.as_deref()
    };
    let mut query = Query::default();
    for (name, value) in of(Role::Order) {
        query.order.push((embed_path(name)?, all("order", value, Parser::order)?));
    }
    let mut logic = Vec::new();
    for (name, value) in of(Role::Logic) {
        logic.push(logic_parameter(name, value)?);
    }
    if let Some(value) = single(Role::Columns) {
        query.columns = Some(all("columns parameter", value, Parser::names)?);
    }
    if let Some(value) = single(Role::Select) {
        query.select = all("select parameter", value, Parser::select)?;
    }
    let mut logic = logic.into_iter();
    for (role, (name, value)) in roles.iter().zip(pairs) {
        match (role, value) {
            (Role::Filter, Some(value)) => filter_parameter(&mut query, name, value, parameters)?,
            (Role::Logic, Some(_)) => query.filters.extend(logic.next()),
            _ => {}
        }
    }
    if let Some(value) = single(Role::OnConflict) {
        query.on_conflict = Some(all("on_conflict parameter", value, Parser::names)?);
    }
    for (name, value) in of(Role::Offset) {
        let offset = range::parse_bound(value)?.unwrap_or(0);
        set_bound(&mut query.offset, embed_path(name)?, offset);
    }
    for (name, value) in of(Role::Limit) {
        let path = embed_path(name)?;
        let beside_offset = query.offset.iter().any(|(other, _)| *other == path);
        // PostgREST ignores a limit that is no number, but beside an offset takes it for 0.
        if let Some(limit) = range::parse_bound(value)?.or(beside_offset.then_some(0)) {
            set_bound(&mut query.limit, path, limit);
        }
    }
    query.canonical = urlencoded::canonical(pairs);
    Ok(query)
}

/// Parses the value of a parameter.
fn all<'a, T>(
    what: &str,
    value: &'a str,
    parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>,
) -> Result<T> {
    let mut parser = Parser::new(value);
    parse(&mut parser).map_err(|stop| parser.error(stop, what, value))
}

/// The embeds in front of a parameter's reserved word: `films` of `films.order`.
fn embed_path(name: &str) -> Result<EmbedPath> {
    if !name.contains('.') {
        return Ok(Vec::new());
    }
    let (path, _) = all("tree path", name, Parser::filter_key)?;
    Ok(path)
}

/// Sets the limit or offset of an embed; of several the last one counts.
fn set_bound(bounds: &mut Vec<(EmbedPath, i64)>, path: EmbedPath, bound: i64) {
    match bounds.iter_mut().find(|(other, _)| *other == path) {
        Some((_, old)) => *old = bound,
        None => bounds.push((path, bound)),
    }
}

fn logic_parameter(name: &str, value: &str) -> Result<(EmbedPath, Condition)> {
    let mut path = all("logic path", name, Parser::dotted_names)?;
    let operator = path.pop().unwrap_or_default();
    let not = if path.iter().any(|name| name == "not") { "not." } else { "" };
    path.retain(|name| name != "not");
    let text = format!("{not}{operator}{value}");
    let mut parser = Parser::new(&text);
    let tree = parser.logic_tree().map_err(|stop| parser.error(stop, "logic tree", value))?;
    Ok((path, tree))
}

fn filter_parameter(
    query: &mut Query,
    name: &str,
    value: &str,
    parameters: Parameters,
) -> Result<()> {
    let (path, field) = all("tree path", name, Parser::filter_key)?;
    let mut parser = Parser::new(value);
    match parser.filter_value() {
        Ok((negated, operation)) => {
            let filter = Filter { field, negated, operation };
            query.filters.push((path, Condition::Filter(filter)));
        }
        Err(Stop::Mismatch)
            if parser.offset() == 0 && parameters == Parameters::FiltersOrArguments =>
        {
            query.arguments.push((field.column, value.to_owned()));
        }
        Err(stop) => return Err(parser.error(stop, "filter", value)),
    }
    Ok(())
}
