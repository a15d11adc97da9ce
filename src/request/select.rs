//! The grammar of `select`: columns, JSON paths, casts, aggregates, embeds and spreads.
//! <https://docs.postgrest.org/en/v16/references/api/resource_embedding.html>

use super::ast::{Aggregate, Embed, Field, JoinType, SelectField, SelectItem};
use super::expected::Expected;
use super::limits::{MAX_COLUMNS, MAX_EMBED_DEPTH, MAX_EMBEDS};
use super::names::is_word;
use super::parser::{Parsed, Parser, Stop};

/// What of `select` was counted so far, over all its levels.
#[derive(Default)]
struct Counts {
    depth: usize,
    embeds: usize,
}

/// The head of an embed: all but what is selected of it.
struct Head {
    spread: bool,
    embed: Embed,
}

const AGGREGATES: [(&str, Aggregate); 5] = [
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("count", Aggregate::Count),
    ("max", Aggregate::Max),
    ("min", Aggregate::Min),
];

impl Parser<'_> {
    /// The items of `select`. As in PostgREST the text may go on after them.
    pub(super) fn select(&mut self) -> Parsed<Vec<SelectItem>> {
        self.select_items(&mut Counts::default())
    }

    fn select_items(&mut self, counts: &mut Counts) -> Parsed<Vec<SelectItem>> {
        let items = self.optional(|p| {
            p.separated(|p| p.select_item(counts), Self::comma, ("selected columns", MAX_COLUMNS))
        })?;
        Ok(items.unwrap_or_default())
    }

    fn select_item(&mut self, counts: &mut Counts) -> Parsed<SelectItem> {
        if let Some(item) = self.plain_column() {
            return Ok(item);
        }
        let head = match self.optional(|p| p.attempt(Self::spread_head))? {
            Some(head) => Some(head),
            None => self.optional(|p| p.attempt(Self::embed_head))?,
        };
        match head {
            Some(head) => self.embed_body(head, counts),
            None => self.spaced(Self::select_field),
        }
    }

    /// A column's bare name, which is what most items are: taken in one go.
    fn plain_column(&mut self) -> Option<SelectItem> {
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'$'))
            .unwrap_or(rest.len());
        if length == 0 || !matches!(rest.as_bytes().get(length), None | Some(b',' | b')')) {
            return None;
        }
        self.advance(length);
        Some(SelectItem::Field(SelectField {
            field: Field { column: rest[..length].to_owned(), path: Vec::new() },
            alias: None,
            cast: None,
            aggregate: None,
            aggregate_cast: None,
        }))
    }

    fn spread_head(&mut self) -> Parsed<Head> {
        self.spaced(|p| {
            p.word("...", Expected::DOTS)?;
            let target = p.name_text()?;
            p.embed_options(Embed {
                target,
                alias: None,
                hint: None,
                join: None,
                select: Vec::new(),
            })
            .map(|embed| Head { spread: true, embed })
        })
    }

    fn embed_head(&mut self) -> Parsed<Head> {
        self.spaced(|p| {
            let alias = p.alias()?;
            let name = p.name()?;
            if name.is("count") {
                return p.fail(Expected::NOTHING);
            }
            // Most names are those of columns: nothing is allocated for them here.
            if !matches!(p.peek(), Some(b'!' | b'(')) {
                return p.fail(Expected::OPEN);
            }
            let target = name.text();
            p.embed_options(Embed { target, alias, hint: None, join: None, select: Vec::new() })
                .map(|embed| Head { spread: false, embed })
        })
    }

    /// `!hint` and `!inner` or `!left`, in any order, up to the parenthesis.
    fn embed_options(&mut self, mut embed: Embed) -> Parsed<Embed> {
        for _ in 0..2 {
            if self.peek() != Some(b'!') {
                break;
            }
            self.advance(1);
            let join = match () {
                () if self.is_whole_option("inner") => Some((JoinType::Inner, "inner")),
                () if self.is_whole_option("left") => Some((JoinType::Left, "left")),
                () => None,
            };
            if let Some((join, word)) = join {
                self.advance(word.len());
                embed.join.get_or_insert(join);
            } else {
                let hint = self.attempt(Self::name_text)?;
                embed.hint.get_or_insert(hint);
            }
        }
        if self.peek() == Some(b'(') { Ok(embed) } else { self.fail(Expected::OPEN) }
    }

    /// Whether an option is this word, and not a hint that starts with it.
    fn is_whole_option(&self, word: &str) -> bool {
        self.rest()
            .strip_prefix(word)
            .is_some_and(|after| !after.starts_with(|c| is_word(c) || c == '-'))
    }

    /// The parenthesis of an embed.
    fn embed_body(&mut self, head: Head, counts: &mut Counts) -> Parsed<SelectItem> {
        counts.embeds += 1;
        if counts.embeds > MAX_EMBEDS {
            return Err(Stop::Limit("embedded resources", MAX_EMBEDS));
        }
        if counts.depth == MAX_EMBED_DEPTH {
            return Err(Stop::Limit("levels of embedding", MAX_EMBED_DEPTH));
        }
        let Head { spread, mut embed } = head;
        self.byte(b'(', Expected::OPEN)?;
        counts.depth += 1;
        embed.select = self.select_items(counts)?;
        counts.depth -= 1;
        self.byte(b')', Expected::CLOSE)?;
        Ok(if spread { SelectItem::Spread(embed) } else { SelectItem::Embed(embed) })
    }

    /// `alias:`, but not the `::` of a cast.
    fn alias(&mut self) -> Parsed<Option<String>> {
        self.optional(|p| {
            p.attempt(|p| {
                let name = p.name()?;
                if p.peek() != Some(b':') {
                    return p.fail(Expected::NOTHING);
                }
                if p.peek_second() == Some(b':') {
                    return p.fail_ahead(2, Expected::NOTHING);
                }
                p.advance(1);
                Ok(name.text())
            })
        })
    }

    /// A column, `*`, or an aggregate.
    fn select_field(&mut self) -> Parsed<SelectItem> {
        let star = self.optional(|p| p.attempt(Self::star))?;
        let field = match star {
            Some(field) => field,
            None => self.either(|p| p.attempt(Self::row_count), Self::column)?,
        };
        Ok(SelectItem::Field(field))
    }

    fn star(&mut self) -> Parsed<SelectField> {
        self.byte(b'*', Expected::STAR)?;
        self.select_field_end()?;
        Ok(SelectField {
            field: Field { column: "*".to_owned(), path: Vec::new() },
            alias: None,
            cast: None,
            aggregate: None,
            aggregate_cast: None,
        })
    }

    fn row_count(&mut self) -> Parsed<SelectField> {
        let alias = self.alias()?;
        self.word("count()", Expected::COUNT)?;
        let aggregate_cast = self.cast()?;
        self.select_field_end()?;
        Ok(SelectField {
            field: Field::default(),
            alias,
            cast: None,
            aggregate: Some(Aggregate::Count),
            aggregate_cast,
        })
    }

    fn column(&mut self) -> Parsed<SelectField> {
        let alias = self.alias()?;
        let field = self.field()?;
        let cast = self.cast()?;
        let aggregate = self.optional(|p| p.attempt(Self::aggregate))?;
        let aggregate_cast = self.cast()?;
        self.select_field_end()?;
        Ok(SelectField { field, alias, cast, aggregate, aggregate_cast })
    }

    /// `::type`.
    fn cast(&mut self) -> Parsed<Option<String>> {
        self.optional(|p| {
            p.word("::", Expected::CAST)?;
            p.type_name()
        })
    }

    /// `.sum()` and its like.
    fn aggregate(&mut self) -> Parsed<Aggregate> {
        self.byte(b'.', Expected::DOT)?;
        let rest = self.rest();
        let Some((name, aggregate)) = AGGREGATES.iter().find(|(name, _)| rest.starts_with(name))
        else {
            return self.fail(Expected::AGGREGATE);
        };
        self.advance(name.len());
        self.word("()", Expected::AGGREGATE)?;
        Ok(*aggregate)
    }

    fn select_field_end(&mut self) -> Parsed<()> {
        if matches!(self.peek(), None | Some(b',' | b')')) {
            Ok(())
        } else {
            self.fail(Expected::COMMA | Expected::CLOSE | Expected::END)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::request::{Parameters, Query};

    /// The items of a select, printed; or the message of the error.
    fn select(text: &str) -> String {
        let query = format!("select={}", text.replace('%', "%25").replace('&', "%26"));
        match Query::parse(&query, Parameters::Filters) {
            Ok(query) => query.select.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Err(error) => error.message().to_owned(),
        }
    }

    /// The column of the error.
    fn column(text: &str) -> usize {
        let message = select(text);
        let (_, column) = message.rsplit_once("column ").unwrap_or_else(|| panic!("{message}"));
        column.trim_end_matches(')').parse().unwrap()
    }

    #[test]
    fn columns_have_aliases_paths_casts_and_aggregates() {
        assert_eq!(select("id , no:id::text"), "id,no:id::text");
        assert_eq!(select("kind:a->b->>c"), r#"kind:a->"b"->>"c""#);
        assert_eq!(select("a->0->>-1,a->1st"), r#"a->0->>-1,a->"1st""#);
        assert_eq!(select("n:price::int.sum()::text"), "n:price::int.sum()::text");
        assert_eq!(select("n:count()::int,*"), "n:count()::int,*");
        assert_eq!(select("dash-ed,Room No,żółw"), r#""dash-ed","Room No","żółw""#);
    }

    #[test]
    fn embeds_have_aliases_hints_and_joins_in_any_order() {
        assert_eq!(select("a:films!fk!inner(id)"), r#"a:films!"fk"!inner(id)"#);
        assert_eq!(select("films!left!fk(id,actors())"), r#"films!"fk"!left(id,actors())"#);
        assert_eq!(select("films!inner_fk(id)"), r#"films!"inner_fk"(id)"#);
        assert_eq!(select("...films!inner( id )"), "...films!inner(id)");
        assert_eq!(select("films(a->0)"), "films(a->0)");
        assert_eq!(select("films(count)"), "films(count)");
    }

    #[test]
    fn what_follows_the_items_is_not_looked_at() {
        assert_eq!(select("id)"), "id");
        assert_eq!(select("films(id)x"), "films(id)");
        assert_eq!(select("("), "");
        assert_eq!(select("*(id)"), "");
        assert_eq!(select(",id"), "");
    }

    #[test]
    fn errors_name_the_column_of_the_longest_alternative() {
        assert_eq!(column("id,clients(name[])"), 16);
        assert_eq!(column("data->>-78xy"), 11);
        assert_eq!(column("name!hint"), 5);
        assert_eq!(column("name::"), 7);
        assert_eq!(column("name:: "), 8);
        assert_eq!(column("id,authors("), 12);
        assert_eq!(column("id,authors!(name)"), 11);
        assert_eq!(column("id.name"), 4);
        assert_eq!(column("id:"), 4);
        assert_eq!(column("a:b:id"), 4);
        assert_eq!(column("id,authors->name(x)"), 17);
        assert_eq!(column("\"id"), 4);
        assert_eq!(column("\"id\"\" x"), 5);
        assert_eq!(column("pages.sum"), 10);
        assert_eq!(column("id,...title"), 12);
        assert_eq!(column("count(id)"), 6);
        assert_eq!(column(" *(id)"), 3);
        assert_eq!(column("a-"), 3);
    }

    #[test]
    fn depth_and_number_of_embeds_are_bounded() {
        let deep = |levels: usize| "a(".repeat(levels) + &")".repeat(levels);
        assert_eq!(select(&deep(32)), deep(32));
        assert_eq!(select(&deep(33)), "The request has too many levels of embedding");
        assert_eq!(select(&"a(".repeat(100_000)), "The request has too many levels of embedding");
        let wide = vec!["a()"; 101].join(",");
        assert_eq!(select(&wide), "The request has too many embedded resources");
    }
}
