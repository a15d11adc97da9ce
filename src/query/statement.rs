//! The one statement of a request: the source, its presentation, and the counts.
//!
//! Where the types of all columns are known it gives the rows themselves, of which JSON is made
//! here. Any other gives one row with the columns of [`Column`], so that reading the result
//! does not depend on what was asked.

use super::body::{self, BodyEncoding, Presented, ROW};
use super::sql::Sql;
use super::{access, call, mutate, response_settings, rows, select};
use crate::json::Layout;
use crate::plan::{
    CallPlan, MediaChoice, MutatePlan, Mutation, Plan, ReadNode, ReadPlan, SCALAR_COLUMN,
};
use crate::request::{self, ApiRequest, Count, Method, PlanFormat, Representation};
use crate::schema::{QualifiedName, Returned};

/// The columns of a result, by index.
pub struct Column;

impl Column {
    /// How many rows there are without limits; null unless asked for.
    pub const TOTAL: usize = 0;
    /// How many rows are in the body, or were changed.
    pub const ROWS: usize = 1;
    /// The body; null when there is none.
    pub const BODY: usize = 2;
    /// `response.headers`, null when not set.
    pub const HEADERS: usize = 3;
    /// `response.status`, null when not set.
    pub const STATUS: usize = 4;
    /// The key of the first inserted row as a JSON array of texts.
    pub const KEY: usize = 5;
    /// How many rows of an upsert were there already.
    pub const UPDATED: usize = 6;
}

/// A request's statement.
#[derive(Debug)]
pub struct Statement<'a> {
    /// The statement.
    pub sql: Sql<'a>,
    /// A query whose planned row count is the total.
    pub estimate: Option<Sql<'a>>,
    /// What comes back.
    pub answer: Answer<'a>,
    /// Whether the statement is an `EXPLAIN`, whose rows are the body.
    pub is_explain: bool,
}

/// What a statement gives.
#[derive(Debug)]
pub enum Answer<'a> {
    /// One row, with the columns of [`Column`]. The body column becomes bytes in this way.
    Row(BodyEncoding),
    /// Rows that are counted, and nothing else.
    Count,
    /// The rows that the body is made of.
    Rows {
        /// What they look like.
        layout: Layout<'a>,
        /// Whether SQL is asked behind it what the response is to be.
        asked: Asked,
    },
}

/// How SQL is asked what the response is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Not at all: nothing can have said anything.
    Not,
    /// What it says is judged when it is applied.
    Plainly,
    /// What cannot be sent fails the transaction.
    Checked,
}

/// What decides a statement beside the plan and the request.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// `db-max-rows`
    pub max_rows: Option<u64>,
    /// Whether rows may come as rows.
    pub rows: bool,
    /// Whether something beside the statement itself may say what the response is to be.
    pub response_is_set: bool,
    /// Whether the transaction writes nothing, so that nothing has to be undone when its result
    /// cannot be used, and it can be run again.
    pub read_only: bool,
}

/// The result of a mutation, as a common table expression.
const SOURCE: &str = "pgrst_source";

/// Writes the statement of a plan.
pub fn write<'a>(plan: &Plan<'a>, request: &'a ApiRequest, options: Options) -> Statement<'a> {
    let writer = Writer { request, options };
    match plan {
        Plan::Read(read) => writer.read(read),
        Plan::Mutate(mutation) => writer.mutate(mutation),
        Plan::Call(call) => writer.call(call),
        Plan::Describe(describe) => access::write(describe),
    }
}

struct Writer<'a> {
    request: &'a ApiRequest,
    options: Options,
}

impl<'a> Writer<'a> {
    fn read(&self, plan: &ReadPlan<'a>) -> Statement<'a> {
        let root = &plan.root;
        let source = |sql: &mut Sql<'a>| push_relation(sql, root);
        if self.gives_rows(root, &plan.media) {
            return self.rows(root, &plan.media, &source);
        }
        let mut sql = start(&plan.media);
        sql.push("SELECT ");
        self.push_total(&mut sql, root, &source);
        let body = (!self.is_head()).then_some((&plan.media, Presented::Rows));
        let encoding = self.push_outputs(&mut sql, body, None);
        sql.push(" FROM (");
        select::push_root(&mut sql, root, &source);
        sql.push(") AS ").identifier(ROW);
        let estimate = self.estimate(root, &source, &plan.media);
        let answer = Answer::Row(encoding);
        Statement { sql, estimate, answer, is_explain: plan.media.plan.is_some() }
    }

    /// Whether JSON is made of the rows here.
    fn gives_rows(&self, root: &ReadNode<'a>, media: &MediaChoice<'a>) -> bool {
        // One statement counts and reads, or the two could disagree.
        let counts_apart =
            self.counts_apart(root) && self.request.preferences.count != Some(Count::Planned);
        self.options.rows
            && !self.is_head()
            && media.plan.is_none()
            && !counts_apart
            && rows::is_possible(root, media.format)
            && rows::are_few(root, self.options.read_only)
    }

    fn rows(
        &self,
        root: &ReadNode<'a>,
        media: &MediaChoice<'a>,
        source: select::PushSource<'_, 'a>,
    ) -> Statement<'a> {
        let mut sql = Sql::new();
        let layout = rows::push_rows(&mut sql, root, media.format, self.options.read_only, source);
        let asked = match self.options {
            Options { response_is_set: false, .. } if !root.may_run_functions() => Asked::Not,
            Options { read_only: true, .. } => Asked::Plainly,
            Options { read_only: false, .. } => Asked::Checked,
        };
        let estimate = self.estimate(root, source, media);
        Statement { sql, estimate, answer: Answer::Rows { layout, asked }, is_explain: false }
    }

    fn call(&self, plan: &CallPlan<'a>) -> Statement<'a> {
        let root = &plan.result;
        let function = |sql: &mut Sql<'a>| call::push_call(sql, plan, &self.request.payload);
        let alias = root.alias.clone();
        let result = move |sql: &mut Sql<'a>| {
            sql.push(SOURCE).push(" AS ").identifier(&alias);
        };
        let is_set_of_rows = presented(plan) == Presented::Rows;
        if is_set_of_rows && self.gives_rows(root, &plan.media) {
            return Statement { estimate: None, ..self.rows(root, &plan.media, &function) };
        }
        // A count beside a limit reads the result twice: the function must run once.
        let twice = self.counts_apart(root);
        let mut sql = start(&plan.media);
        if twice {
            // The arguments stand beside the result, and are no part of it.
            sql.push("WITH ").push(SOURCE).push(" AS MATERIALIZED (SELECT ");
            sql.identifier(&root.alias).push(".* FROM ");
            function(&mut sql);
            sql.push(") ");
        }
        let source: select::PushSource = if twice { &result } else { &function };
        sql.push("SELECT ");
        self.push_total(&mut sql, root, source);
        let presented = presented(plan);
        let is_void = plan.routine.returns.returned == Returned::Void;
        let body = (!self.is_head() && !is_void).then_some((&plan.media, presented));
        let encoding = self.push_outputs(&mut sql, body, None);
        sql.push(" FROM (");
        select::push_root(&mut sql, root, source);
        sql.push(") AS ").identifier(ROW);
        // What the planner expects of a function is a declaration, not an estimate.
        let answer = Answer::Row(encoding);
        Statement { sql, estimate: None, answer, is_explain: plan.media.plan.is_some() }
    }

    fn mutate(&self, plan: &MutatePlan<'a>) -> Statement<'a> {
        if let Some(statement) = self.change_of_values(plan) {
            return statement;
        }
        let with_key = self.wants_key(plan);
        let mut sql = start(&plan.media);
        sql.push("WITH ").push(SOURCE).push(" AS (");
        mutate::push_mutation(&mut sql, plan, &self.request.payload, with_key);
        sql.push(") SELECT ");
        sql.push(match self.request.preferences.count {
            Some(_) => "count(*)",
            None => "NULL",
        });
        let body = plan.returned.as_ref().map(|_| (&plan.media, Presented::Rows));
        let encoding = self.push_outputs(&mut sql, body, with_key.then_some(plan));
        sql.push(" FROM ");
        match &plan.returned {
            None => {
                sql.push(SOURCE);
            }
            Some(node) => {
                let source = |sql: &mut Sql<'a>| {
                    sql.push(SOURCE).push(" AS ").identifier(&node.alias);
                };
                sql.push("(");
                select::push_root(&mut sql, node, &source);
                sql.push(") AS ").identifier(ROW);
            }
        }
        let answer = Answer::Row(encoding);
        Statement { sql, estimate: None, answer, is_explain: plan.media.plan.is_some() }
    }

    /// A change whose values are parameters and whose rows come as rows. Nothing that it runs
    /// can say what the response is to be, so nobody is asked.
    fn change_of_values(&self, plan: &MutatePlan<'a>) -> Option<Statement<'a>> {
        if !self.options.rows
            || self.options.response_is_set
            || plan.media.plan.is_some()
            || self.wants_key(plan)
            || !changes_one_row(plan)
            || plan.may_run_functions()
        {
            return None;
        }
        let mut sql = Sql::new();
        mutate::push_plain(&mut sql, plan, &self.request.payload)?;
        sql.push(" RETURNING ");
        let answer = match &plan.returned {
            None => {
                sql.push("1");
                Answer::Count
            }
            Some(node) => {
                let is_whole = node.order.is_empty()
                    && node.conditions.is_empty()
                    && node.limit.is_none()
                    && node.offset == 0;
                if !is_whole || !rows::is_possible(node, plan.media.format) {
                    return None;
                }
                let layout = rows::push_list(&mut sql, node, plan.media.format, false);
                Answer::Rows { layout, asked: Asked::Not }
            }
        };
        Some(Statement { sql, estimate: None, answer, is_explain: false })
    }

    /// Appends everything behind the total: see [`Column`].
    fn push_outputs(
        &self,
        sql: &mut Sql<'a>,
        body: Option<(&MediaChoice<'a>, Presented)>,
        keyed: Option<&MutatePlan<'a>>,
    ) -> BodyEncoding {
        sql.push(", count(*), ");
        let encoding = match body {
            Some((media, presented)) => body::push_body(sql, media.format, presented),
            None => {
                sql.push("NULL");
                BodyEncoding::Text
            }
        };
        sql.push(", ").push(&response_settings::HEADERS);
        sql.push(", ").push(&response_settings::STATUS);
        if self.is_upsert() || keyed.is_some() {
            sql.push(", ");
            match keyed {
                Some(plan) => {
                    let source = QualifiedName::new("", SOURCE);
                    mutate::push_first_key(sql, &plan.relation.primary_key, &source);
                }
                None => {
                    sql.push("NULL");
                }
            }
            sql.push(", current_setting('").push(mutate::UPDATED_SETTING).push("', true)");
        }
        encoding
    }

    fn push_total(
        &self,
        sql: &mut Sql<'a>,
        root: &ReadNode<'a>,
        source: select::PushSource<'_, 'a>,
    ) {
        match self.request.preferences.count {
            None | Some(Count::Planned) => {
                sql.push("NULL");
            }
            Some(Count::Exact | Count::Estimated) if !self.counts_apart(root) => {
                sql.push("count(*)");
            }
            Some(count) => {
                // An estimate is only wanted where counting would take too long.
                let at_most = match count {
                    Count::Estimated => self.options.max_rows.map(|max| max.saturating_add(1)),
                    Count::Exact | Count::Planned => None,
                };
                sql.push("(SELECT count(*) FROM (");
                select::push_count(sql, root, source, at_most);
                sql.push(") AS pgrst_count)");
            }
        }
    }

    /// Whether the total is not the number of rows in the body.
    fn counts_apart(&self, root: &ReadNode) -> bool {
        self.request.preferences.count.is_some() && (root.limit.is_some() || root.offset > 0)
    }

    /// A query of which the planner says how many rows there are.
    fn estimate(
        &self,
        root: &ReadNode<'a>,
        source: select::PushSource<'_, 'a>,
        media: &MediaChoice<'a>,
    ) -> Option<Sql<'a>> {
        let estimated =
            matches!(self.request.preferences.count, Some(Count::Planned | Count::Estimated));
        (estimated && media.plan.is_none()).then(|| {
            let mut sql = Sql::new();
            sql.push("EXPLAIN (FORMAT JSON) ");
            select::push_count(&mut sql, root, source, None);
            sql
        })
    }

    fn is_head(&self) -> bool {
        self.request.method == Method::Head
    }

    fn is_upsert(&self) -> bool {
        matches!(self.request.method, Method::Post | Method::Put)
    }

    fn wants_key(&self, plan: &MutatePlan) -> bool {
        matches!(&plan.mutation, Mutation::Insert(insert) if !insert.is_put)
            && self.request.preferences.representation == Some(Representation::HeadersOnly)
            && !plan.relation.primary_key.is_empty()
    }
}

/// Whether a change is of one row at most, which is not too much to be taken as a row.
fn changes_one_row(plan: &MutatePlan) -> bool {
    let is_one = match &plan.mutation {
        // Of more than one object no values are made.
        Mutation::Insert(_) => true,
        Mutation::Update { conditions, .. } | Mutation::Delete { conditions } => {
            rows::name_key(conditions, plan.relation)
        }
    };
    is_one && plan.relation.extent.are_few(1)
}

fn push_relation<'a>(sql: &mut Sql<'a>, root: &ReadNode<'a>) {
    if let Some(relation) = root.from {
        sql.qualified(relation);
    }
}

/// A statement, or the explanation of one.
fn start<'a>(media: &MediaChoice<'a>) -> Sql<'a> {
    let mut sql = Sql::new();
    if let Some(plan) = media.plan {
        push_explain(&mut sql, plan);
    }
    sql
}

fn push_explain(sql: &mut Sql, plan: &request::Plan) {
    sql.push("EXPLAIN (FORMAT ").push(match plan.format {
        PlanFormat::Json => "JSON",
        PlanFormat::Text => "TEXT",
    });
    let options = [
        (plan.options.analyze, ", ANALYZE"),
        (plan.options.verbose, ", VERBOSE"),
        (plan.options.settings, ", SETTINGS"),
        (plan.options.buffers, ", BUFFERS"),
        (plan.options.wal, ", WAL"),
    ];
    for (_, text) in options.iter().filter(|(on, _)| *on) {
        sql.push(text);
    }
    sql.push(") ");
}

fn presented(plan: &CallPlan) -> Presented {
    let returns = &plan.routine.returns;
    match (&returns.returned, returns.is_set) {
        (Returned::Composite(_), true) => Presented::Rows,
        (Returned::Composite(_), false) => Presented::OneRow,
        (_, true) => Presented::Values(SCALAR_COLUMN),
        (_, false) => Presented::OneValue(SCALAR_COLUMN),
    }
}
