//! Parsing the query string into a [`Query`].
//!
//! Errors are `PGRST100`, in PostgREST's order: `order`, logic trees, `columns`, `select`,
//! filters, `on_conflict`, then the names of `limit` and `offset`.

use super::ast::{Condition, EmbedPath, Filter, Query};
use super::limits::{
    MAX_FILTERS, MAX_ORDER_TERMS, MAX_PARAMETERS, MAX_QUERY_BYTES, has_nul, too_much,
};
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
    let mut order_terms = 0;
    for (name, value) in of(Role::Order) {
        let terms = all("order", value, Parser::order)?;
        order_terms += terms.len();
        if order_terms > MAX_ORDER_TERMS {
            return Err(too_much("order terms", MAX_ORDER_TERMS));
        }
        query.order.push((embed_path(name)?, terms));
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
    let filters: usize = query.filters.iter().map(|(_, condition)| condition.filters()).sum();
    if filters > MAX_FILTERS {
        return Err(too_much("filters", MAX_FILTERS));
    }
    if let Some(value) = single(Role::OnConflict) {
        query.on_conflict = Some(all("on_conflict parameter", value, Parser::names)?);
    }
    let mut offsets = Vec::new();
    for (name, value) in of(Role::Offset) {
        offsets.push((embed_path(name)?, range::parse_bound(value)?.unwrap_or(0)));
    }
    query.offset = last_of_each(offsets);
    let mut limits = Vec::new();
    for (name, value) in of(Role::Limit) {
        let path = embed_path(name)?;
        // PostgREST ignores a limit that is no number, but beside an offset takes it for 0.
        let beside_offset = query.offset.binary_search_by(|(other, _)| other.cmp(&path)).is_ok();
        if let Some(limit) = range::parse_bound(value)?.or(beside_offset.then_some(0)) {
            limits.push((path, limit));
        }
    }
    query.limit = last_of_each(limits);
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

/// The bounds of embeds, sorted by path; of several for one embed the last one counts.
fn last_of_each(mut bounds: Vec<(EmbedPath, i64)>) -> Vec<(EmbedPath, i64)> {
    bounds.sort_by(|(a, _), (b, _)| a.cmp(b));
    bounds.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
    bounds
}

fn logic_parameter(name: &str, value: &str) -> Result<(EmbedPath, Condition)> {
    let (mut path, operator) = all("logic path", name, Parser::dotted_names)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Query {
        Query::parse(raw, Parameters::Filters).unwrap()
    }

    /// The filters as parameters, in order.
    fn filters(raw: &str) -> Vec<String> {
        let one = |(path, condition): &(EmbedPath, Condition)| {
            let path: String = path.iter().map(|name| format!("{name}.")).collect();
            match condition {
                Condition::Filter(filter) => {
                    format!("{path}{}={}", filter.field, filter.parameter_value())
                }
                Condition::Logic(logic) => format!("{path}{logic}"),
            }
        };
        parse(raw).filters.iter().map(one).collect()
    }

    fn message(raw: &str) -> String {
        Query::parse(raw, Parameters::Filters).unwrap_err().message().to_owned()
    }

    #[test]
    fn filters_know_every_operator() {
        for value in [
            "eq.1",
            "neq.",
            "gt.a",
            "gte.a",
            "lt.a",
            "lte.a",
            "like.*a*",
            "ilike.a",
            "match.%5Ea",
            "imatch.a",
            "cs.{1}",
            "cd.{1}",
            "ov.[1,2)",
            "sl.a",
            "sr.a",
            "nxr.a",
            "nxl.a",
            "adj.a",
            "isdistinct.1",
            "is.null",
            "is.not_null",
            "is.true",
            "is.false",
            "is.unknown",
            "fts.a",
            "plfts(english).a",
            "phfts.a",
            "wfts(a b).c",
            "eq(any).{1,2}",
            "like(all).{a*}",
            "not.eq.1",
            "not.is.null",
            "in.()",
            "not.fts(simple).x",
        ] {
            let decoded = value.replace("%5E", "^");
            assert_eq!(filters(&format!("a={value}")), [format!("a={decoded}")]);
        }
    }

    #[test]
    fn values_are_taken_as_they_are_and_lists_are_unquoted() {
        assert_eq!(filters("a=eq.%22x%22,(y)"), ["a=eq.\"x\",(y)"]);
        assert_eq!(filters("a=in.(1,,%22b,%5C%22c%22,d%22e)"), [r#"a=in.("1","","b,\"c","d\"e")"#]);
        assert_eq!(filters("a=in.(%22%22)"), ["a=in.()"]);
        assert_eq!(filters("a=is.NULLish"), ["a=is.null"]);
        assert_eq!(filters("a=in.(%22Sur)"), [r#"a=in.("\"Sur")"#]);
    }

    #[test]
    fn keys_have_embeds_and_paths() {
        assert_eq!(filters("a.b.c->d=eq.1"), [r#"a.b.c->"d"=eq.1"#]);
        assert_eq!(filters("%22a.b%22=eq.1"), [r#""a.b"=eq.1"#]);
        assert_eq!(filters("quo%22te=eq.1"), ["quo=eq.1"]);
    }

    #[test]
    fn logic_trees_nest_and_are_negated() {
        assert_eq!(
            filters("or=(a.eq.1,not.and(b.not.is.null,c.in.(1,2)))"),
            [r#"or(a.eq."1",not.and(b.not.is.null,c.in.("1","2")))"#]
        );
        assert_eq!(filters("films.not.or=(a.eq.1)"), [r#"films.not.or(a.eq."1")"#]);
        assert_eq!(filters("not.not.or=(a.eq.1)"), [r#"not.or(a.eq."1")"#]);
        assert_eq!(
            filters("and=(+a.cs.{1,2}+,+b.eq.%22x,y%22,c.eq.%22x%22y)"),
            [r#"and(a.cs."{1,2}",b.eq."x,y",c.eq."\"x\"y")"#]
        );
        assert_eq!(filters("or=(orbit.eq.1,and.eq.2,not.eq.3)").len(), 1);
    }

    #[test]
    fn filters_keep_the_order_of_the_query_string() {
        assert_eq!(filters("b=eq.1&or=(c.eq.1)&a=eq.2"), ["b=eq.1", r#"or(c.eq."1")"#, "a=eq.2"]);
    }

    #[test]
    fn errors_name_the_column_of_the_longest_alternative() {
        for (value, column) in [
            ("", 1),
            ("eq", 3),
            ("1", 1),
            ("equals.1", 3),
            ("not.1", 5),
            ("not.not.eq.1", 5),
            ("in.1,2", 4),
            ("in.(1,2", 8),
            ("in(any).(1,2)", 3),
            ("is.", 4),
            ("is.maybe", 4),
            ("is.nul", 7),
            ("fts(english.x", 12),
            ("fts().x", 5),
            ("eq().x", 4),
            ("eq(any)x", 8),
            ("notx", 4),
        ] {
            let wanted = format!("\"failed to parse filter ({value})\" (line 1, column {column})");
            assert_eq!(message(&format!("a={value}")), wanted);
        }
        for (value, column) in [
            ("()", 4),
            ("(id.eq.1,id.foo.2)", 15),
            ("(id.1)", 7),
            ("(id.eq.1,id.eq.2", 19),
            ("(xor(id.eq.1,id.eq.2))", 7),
            ("(a.is.x)", 9),
            ("(on.foo.1)", 4),
            ("(order.foo.1)", 6),
        ] {
            let wanted =
                format!("\"failed to parse logic tree ({value})\" (line 1, column {column})");
            assert_eq!(message(&format!("or={value}")), wanted);
        }
        assert_eq!(message("=eq.1"), "\"failed to parse tree path ()\" (line 1, column 1)");
        assert_eq!(
            message("columns=a,&select=("),
            "\"failed to parse columns parameter (a,)\" (line 1, column 3)"
        );
    }

    #[test]
    fn a_reading_call_takes_what_is_no_filter_for_arguments() {
        let parse = |raw| Query::parse(raw, Parameters::FiltersOrArguments);
        let query = parse("a=1&b=eq.2&a=not&%22c.d%22=x").unwrap();
        let argument = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            query.arguments,
            [argument("a", "1"), argument("a", "not"), argument("c.d", "x")]
        );
        assert_eq!(query.filters.len(), 1);
        for started in ["a=not.x", "a=in.x", "a=is.x"] {
            assert_eq!(parse(started).unwrap_err().code(), "PGRST100");
        }
    }

    #[test]
    fn only_the_first_select_counts_and_only_with_a_value() {
        assert_eq!(parse("select=a&select=b").select.len(), 1);
        assert_eq!(parse("select&select=b").select, []);
        assert_eq!(parse("id&a=eq.1").filters.len(), 1);
    }

    #[test]
    fn bounds_belong_to_their_embed() {
        let query = parse("a.limit=2&a.b.offset=3&limit=x&a.offset=&a.limit=4");
        assert_eq!(query.limit, [(vec!["a".to_owned()], 4)]);
        assert_eq!(
            query.offset,
            [(vec!["a".to_owned()], 0), (vec!["a".to_owned(), "b".to_owned()], 3)]
        );
    }

    #[test]
    fn text_that_postgresql_cannot_hold_is_refused() {
        assert_eq!(message("a=eq.%00"), "The query string has a NUL character");
        assert_eq!(message("a=eq.%ff"), "The query string is not valid UTF-8");
        assert_eq!(
            message("select=a%00"),
            "\"failed to parse select parameter (a\0)\" (line 1, column 2)"
        );
    }

    #[test]
    fn length_number_and_depth_are_bounded() {
        let error = Query::parse(&"x".repeat(300_000), Parameters::Filters).unwrap_err();
        assert_eq!((error.status(), error.code()), (414, "GK110"));
        assert_eq!(message(&"a=eq.1&".repeat(3_000)), "The request has too many parameters");
        let deep = |levels: usize| "and(".repeat(levels) + "a.eq.1" + &")".repeat(levels);
        assert_eq!(filters(&format!("or=({})", deep(63))).len(), 1);
        assert_eq!(
            message(&format!("or=({})", deep(64))),
            "The request has too many levels of logic"
        );
        let wide = vec!["a.is.null"; 5_000].join(",");
        assert_eq!(message(&format!("or=({wide})")), "The request has too many filters");
        let (half, terms) = (vec!["a.is.null"; 2_049].join(","), vec!["a"; 129].join(","));
        let twice = |parameter: &str| message(&format!("{parameter}&{parameter}"));
        assert_eq!(twice(&format!("and=({half})")), "The request has too many filters");
        assert_eq!(twice(&format!("order={terms}")), "The request has too many order terms");
        assert_eq!(
            message(&format!("a{}=eq.1", "->b".repeat(65))),
            "The request has too many steps in a JSON path"
        );
        assert_eq!(
            message(&format!("{}x=eq.1", "a.".repeat(40))),
            "The request has too many names in a path"
        );
    }
}
