//! The query string as a tree.

/// Names of embedded resources on the way from the root: `films.actors` in
/// `films.actors.order=id`. Empty for the root.
pub type EmbedPath = Vec<String>;

/// All that a query string asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// `select`; empty when it was absent or empty, which means all columns.
    pub select: Vec<SelectItem>,
    /// Column filters and logic trees, in the order of the query string.
    pub filters: Vec<(EmbedPath, Condition)>,
    /// `order`.
    pub order: Vec<(EmbedPath, Vec<OrderTerm>)>,
    /// `limit`; sorted, each embed once.
    pub limit: Vec<(EmbedPath, i64)>,
    /// `offset`; sorted, each embed once.
    pub offset: Vec<(EmbedPath, i64)>,
    /// `columns`: the keys of the body to use.
    pub columns: Option<Vec<String>>,
    /// `on_conflict`: the columns of a unique constraint.
    pub on_conflict: Option<Vec<String>>,
    /// Parameters that are no reserved word and hold no filter: name and value, decoded.
    /// For a function these are its arguments.
    pub arguments: Vec<(String, String)>,
    /// The query as `Content-Location` repeats it: parameters sorted by name,
    /// percent-encoded anew.
    pub canonical: String,
}

/// One item of `select`.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectItem {
    /// A column, `*`, or an aggregate.
    Field(SelectField),
    /// An embedded resource: `alias:target!hint!inner(...)`.
    Embed(Embed),
    /// A spread one: `...target(...)`.
    Spread(Embed),
}

/// A selected field: `alias:column->path::cast.agg()::cast`.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectField {
    /// The field; its column is `*` for all columns, and empty for `count()` of rows.
    pub field: Field,
    /// The name in the result.
    pub alias: Option<String>,
    /// A cast of the field.
    pub cast: Option<String>,
    /// An aggregate over the field.
    pub aggregate: Option<Aggregate>,
    /// A cast of the aggregate.
    pub aggregate_cast: Option<String>,
}

/// An embedded resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Embed {
    /// The relation, foreign key, column or function that was named.
    pub target: String,
    /// The name in the result.
    pub alias: Option<String>,
    /// What tells relationships apart: a constraint, column or junction.
    pub hint: Option<String>,
    /// `!inner` or `!left`.
    pub join: Option<JoinType>,
    /// What is selected of it. Empty for `target()`.
    pub select: Vec<SelectItem>,
}

/// How an embed restricts the rows above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinType {
    Inner,
    Left,
}

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Sum,
    Avg,
    Count,
    Min,
    Max,
}

impl Aggregate {
    /// The name of the SQL function, which is also that of its result.
    pub fn function_name(self) -> &'static str {
        match self {
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
            Aggregate::Count => "count",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
        }
    }
}

/// A column, and a path into its JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Field {
    /// The column's name.
    pub column: String,
    /// The way into it.
    pub path: Vec<JsonStep>,
}

/// A step into a JSON value.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonStep {
    /// `->>` instead of `->`.
    pub as_text: bool,
    /// The key, or the index of an array element.
    pub operand: JsonOperand,
}

/// A key or an index.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonOperand {
    Key(String),
    /// The digits as written, with the sign.
    Index(String),
}

/// A condition on rows: a comparison, or a tree of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// One comparison.
    Filter(Filter),
    /// `and=(...)`, `or=(...)`, each with or without `not.`.
    Logic(Logic),
}

impl Condition {
    /// The number of comparisons.
    pub fn filters(&self) -> usize {
        match self {
            Condition::Filter(_) => 1,
            Condition::Logic(logic) => logic.operands.iter().map(Condition::filters).sum(),
        }
    }
}

/// A tree of conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Logic {
    /// Whether the whole is negated.
    pub negated: bool,
    /// What joins the operands.
    pub operator: LogicOperator,
    /// One operand or more.
    pub operands: Vec<Condition>,
}

/// What joins conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicOperator {
    And,
    Or,
}

/// A comparison of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The field.
    pub field: Field,
    /// `not.`
    pub negated: bool,
    /// The comparison.
    pub operation: Operation,
}

/// A comparison and its right side.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// An operator with one value, or with a quantifier over an array of values.
    Simple { operator: Operator, quantifier: Option<Quantifier>, value: String },
    /// `in.(a,b)`
    In(Vec<String>),
    /// `is.null`, `is.not_null`, `is.true`, `is.false`, `is.unknown`
    Is(IsValue),
    /// `isdistinct.value`
    IsDistinctFrom(String),
    /// `fts(config).query` and its kin.
    FullText { operator: FullTextOperator, language: Option<String>, value: String },
}

/// Operators that take one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `eq`
    Equal,
    /// `neq`
    NotEqual,
    /// `gt`
    GreaterThan,
    /// `gte`
    GreaterThanOrEqual,
    /// `lt`
    LessThan,
    /// `lte`
    LessThanOrEqual,
    /// `like`; `*` in the value is still a `*` here.
    Like,
    /// `ilike`
    ILike,
    /// `match`
    Match,
    /// `imatch`
    IMatch,
    /// `cs`
    Contains,
    /// `cd`
    ContainedIn,
    /// `ov`
    Overlap,
    /// `sl`
    StrictlyLeft,
    /// `sr`
    StrictlyRight,
    /// `nxr`
    NotExtendsRight,
    /// `nxl`
    NotExtendsLeft,
    /// `adj`
    Adjacent,
}

/// `(any)` or `(all)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    Any,
    All,
}

/// The right side of `is`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsValue {
    Null,
    NotNull,
    True,
    False,
    Unknown,
}

/// How the text of a full-text query becomes a tsquery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullTextOperator {
    /// `fts`: `to_tsquery`
    Plain,
    /// `plfts`: `plainto_tsquery`
    PlainTo,
    /// `phfts`: `phraseto_tsquery`
    Phrase,
    /// `wfts`: `websearch_to_tsquery`
    WebSearch,
}

/// One term of `order`.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderTerm {
    /// The embed whose field it is: `authors(name)`.
    pub relation: Option<String>,
    /// The field.
    pub field: Field,
    /// `asc` or `desc`, when given.
    pub direction: Option<Direction>,
    /// `nullsfirst` or `nullslast`, when given.
    pub nulls: Option<NullsOrder>,
}

/// Sort direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Asc,
    Desc,
}

/// Where NULLs sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullsOrder {
    First,
    Last,
}
