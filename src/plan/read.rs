//! Reading: the tree of `select` joined with the filters, orders and limits that the rest
//! of the query string puts on its nodes.

use super::fence::{self, Fence};
use super::filter::{self, ResolvedCondition, ResolvedField};
use super::{Settings, relationship, spread};
use crate::error::{Error, Result};
use crate::request::ApiRequest;
use crate::request::ast::{
    Aggregate, Condition, Direction, Embed, EmbedPath, JoinType, JsonOperand, NullsOrder,
    OrderTerm, Query, SelectField, SelectItem,
};
use crate::schema::{MAX_IDENTIFIER_BYTES, QualifiedName, Relation, Relationship, SchemaCache};
use std::borrow::Cow;

/// One `SELECT`: a relation, what is taken of it, and what is embedded in it.
#[derive(Debug)]
pub struct ReadNode<'a> {
    /// The relation that is read; `None` for the named result of a mutation or call.
    pub from: Option<&'a QualifiedName>,
    /// What qualifies its columns.
    pub alias: Cow<'a, str>,
    /// What is known of its columns.
    pub relation: Option<&'a Relation>,
    /// The fields in order.
    pub fields: Vec<SelectedField<'a>>,
    /// Conditions that all hold.
    pub conditions: Vec<ResolvedCondition<'a>>,
    /// The order.
    pub order: Vec<ResolvedOrder<'a>>,
    /// At most so many rows.
    pub limit: Option<u64>,
    /// So many rows are skipped.
    pub offset: u64,
    /// Embedded resources in order.
    pub embeds: Vec<EmbedNode<'a>>,
    /// Whether embeds are given as jsonb: it has equality, and one way to be written.
    pub jsonb: bool,
}

/// A field of a `SELECT`.
#[derive(Debug, Clone)]
pub struct SelectedField<'a> {
    /// What is taken.
    pub value: SelectedValue<'a>,
    /// A function that presents it as JSON: a domain representation.
    pub to_json: Option<&'a QualifiedName>,
    /// A cast of the value.
    pub cast: Option<&'a str>,
    /// An aggregate of it.
    pub aggregate: Option<Aggregate>,
    /// A cast of the aggregate.
    pub aggregate_cast: Option<&'a str>,
    /// Its name in the result.
    pub name: Cow<'a, str>,
}

/// What a field takes.
#[derive(Debug, Clone)]
pub enum SelectedValue<'a> {
    /// All columns.
    All,
    /// A column or a part of one.
    Field(ResolvedField<'a>),
    /// The rows themselves, for `count()`.
    Rows,
}

/// An embedded resource.
#[derive(Debug)]
pub struct EmbedNode<'a> {
    /// What is read of it.
    pub node: ReadNode<'a>,
    /// The way to it.
    pub relationship: &'a Relationship,
    /// Its alias, or the target's name when it has none.
    pub name: &'a str,
    /// The target as it was named.
    pub target: &'a str,
    /// Whether it has an alias.
    pub aliased: bool,
    /// The name of its lateral subquery.
    pub lateral: String,
    /// How it shows in the parent's rows.
    pub role: EmbedRole<'a>,
    /// Whether the parent's row needs it.
    pub inner: bool,
    /// Whether a condition needs rows of it.
    pub tested: bool,
    /// What of it PostgreSQL plans on its own.
    pub fence: Fence,
}

/// How an embed shows in its parent's rows.
#[derive(Debug, PartialEq)]
pub enum EmbedRole<'a> {
    /// Not at all: `authors()`.
    Hidden,
    /// As an object or null.
    Object,
    /// As an array.
    Array,
    /// Its columns stand among the parent's.
    SpreadObject(Vec<OutputColumn<'a>>),
    /// Its columns stand among the parent's, each an array.
    SpreadArray(Vec<OutputColumn<'a>>),
}

/// A column that a spread gives to its parent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputColumn<'a> {
    /// Its name in the lateral subquery; `None` for all columns of a relation that the
    /// schema cache does not know.
    pub source: Option<Cow<'a, str>>,
    /// Its name in the parent.
    pub name: Cow<'a, str>,
    /// An aggregate that the parent applies.
    pub aggregate: Option<Aggregate>,
    /// A cast of that aggregate.
    pub aggregate_cast: Option<&'a str>,
}

/// A term of an order.
#[derive(Debug, Clone)]
pub struct ResolvedOrder<'a> {
    /// The embed (by index) whose column it is.
    pub embed: Option<usize>,
    /// The field.
    pub field: ResolvedField<'a>,
    /// `asc` or `desc`
    pub direction: Option<Direction>,
    /// Where nulls go.
    pub nulls: Option<NullsOrder>,
}

impl<'a> ReadNode<'a> {
    /// Whether rows are grouped: something is aggregated.
    pub fn is_grouped(&self) -> bool {
        self.fields.iter().any(|f| f.aggregate.is_some())
            || self.embeds.iter().any(|e| match &e.role {
                EmbedRole::SpreadObject(columns) => columns.iter().any(|c| c.aggregate.is_some()),
                _ => false,
            })
    }
}

/// Builds the tree of a request.
pub struct Planner<'a, 's> {
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
    settings: &'s Settings,
    deprecated_names: Vec<(&'a str, &'a str)>,
    embeds_so_far: usize,
    /// What a root of no known relation is called in messages.
    root_name: Option<&'a str>,
}

impl<'a, 's> Planner<'a, 's> {
    /// A planner of that request's query string.
    pub fn new(request: &'a ApiRequest, schema: &'a SchemaCache, settings: &'s Settings) -> Self {
        Self {
            request,
            schema,
            settings,
            deprecated_names: Vec::new(),
            embeds_so_far: 0,
            root_name: None,
        }
    }

    /// Plans the reading of a relation with everything that the query string says.
    pub fn relation(
        mut self,
        relation: &'a Relation,
    ) -> Result<(ReadNode<'a>, Vec<(&'a str, &'a str)>)> {
        let alias = Cow::Borrowed(&*relation.name.name);
        let mut root = self.root(Some(&relation.name), alias, Some(relation))?;
        self.place_conditions(&mut root, &self.request.query.filters)?;
        self.place_order_and_limits(&mut root)?;
        self.place_range(&mut root);
        restrict(&mut root, self.settings.max_rows, true);
        fence::put_up(&mut root);
        Ok((root, self.deprecated_names))
    }

    /// Plans the presentation of rows that a mutation gives: no limit of the configuration
    /// applies, and the filters of the root have decided the mutation already.
    pub fn mutation_result(
        mut self,
        relation: &'a Relation,
    ) -> Result<(ReadNode<'a>, Vec<(&'a str, &'a str)>)> {
        let mut root = self.root(None, Cow::Borrowed(&*relation.name.name), Some(relation))?;
        let below: Vec<_> =
            self.request.query.filters.iter().filter(|(p, _)| !p.is_empty()).collect();
        for (path, condition) in below {
            self.place_condition(&mut root, path, condition)?;
        }
        self.place_order_and_limits(&mut root)?;
        restrict(&mut root, self.settings.max_rows, false);
        fence::put_up(&mut root);
        Ok((root, self.deprecated_names))
    }

    /// Plans the presentation of the rows that a function gives.
    pub fn call_result(
        mut self,
        relation: Option<&'a Relation>,
        alias: &'a str,
        row_type: &'a str,
    ) -> Result<(ReadNode<'a>, Vec<(&'a str, &'a str)>)> {
        self.root_name = Some(row_type);
        let mut root = self.root(None, Cow::Borrowed(alias), relation)?;
        self.place_conditions(&mut root, &self.request.query.filters)?;
        self.place_order_and_limits(&mut root)?;
        self.place_range(&mut root);
        restrict(&mut root, self.settings.max_rows, true);
        fence::put_up(&mut root);
        Ok((root, self.deprecated_names))
    }

    fn place_range(&self, root: &mut ReadNode<'a>) {
        root.limit = self.request.range.limit.map(count_of_rows);
        root.offset = count_of_rows(self.request.range.offset);
    }

    fn query(&self) -> &'a Query {
        &self.request.query
    }

    fn root(
        &mut self,
        from: Option<&'a QualifiedName>,
        alias: Cow<'a, str>,
        relation: Option<&'a Relation>,
    ) -> Result<ReadNode<'a>> {
        let select = &self.query().select;
        let mut root = self.node(from, alias, relation, select, 0)?;
        if select.is_empty() {
            self.select_all(&mut root);
        }
        Ok(root)
    }

    fn node(
        &mut self,
        from: Option<&'a QualifiedName>,
        alias: Cow<'a, str>,
        relation: Option<&'a Relation>,
        select: &'a [SelectItem],
        depth: usize,
    ) -> Result<ReadNode<'a>> {
        let mut node = ReadNode {
            from,
            alias,
            relation,
            fields: Vec::with_capacity(select.len()),
            conditions: Vec::new(),
            order: Vec::new(),
            limit: None,
            offset: 0,
            embeds: Vec::new(),
            jsonb: false,
        };
        for item in select {
            match item {
                SelectItem::Field(field) => self.select_field(&mut node, field)?,
                SelectItem::Embed(embed) => self.embed(&mut node, embed, false, depth + 1)?,
                SelectItem::Spread(embed) => self.embed(&mut node, embed, true, depth + 1)?,
            }
        }
        if node.is_grouped() {
            spread::give_equality(&mut node);
        }
        Ok(node)
    }

    fn select_field(&self, node: &mut ReadNode<'a>, selected: &'a SelectField) -> Result<()> {
        if selected.aggregate.is_some() && !self.settings.aggregates_enabled {
            return Err(Error::new(400, "PGRST123", "Use of aggregate functions is not allowed"));
        }
        if selected.field.column == "*" && selected.aggregate.is_none() {
            self.select_all(node);
            return Ok(());
        }
        let field = ResolvedField::new(&selected.field, node.relation);
        let value = match selected.field.column.as_str() {
            // `count()`; a column of that name without an aggregate is PostgreSQL's to refuse.
            "" | "*" if selected.aggregate.is_some() => SelectedValue::Rows,
            _ => SelectedValue::Field(field.clone()),
        };
        node.fields.push(SelectedField {
            to_json: self.representation(&field),
            value,
            cast: selected.cast.as_deref(),
            aggregate: selected.aggregate,
            aggregate_cast: selected.aggregate_cast.as_deref(),
            name: Cow::Borrowed(output_name(selected)),
        });
        Ok(())
    }

    /// All columns; one by one where some have a representation of their own.
    fn select_all(&self, node: &mut ReadNode<'a>) {
        let columns = node.relation.map_or(&[][..], |r| &r.columns);
        let to_json = &self.schema.representations.to_json;
        if to_json.is_empty() || !columns.iter().any(|c| to_json.contains_key(&c.nominal_type)) {
            node.fields.push(SelectedField {
                value: SelectedValue::All,
                to_json: None,
                cast: None,
                aggregate: None,
                aggregate_cast: None,
                name: Cow::Borrowed("*"),
            });
            return;
        }
        for column in columns {
            let field = ResolvedField { column: &column.name, path: &[], info: Some(column) };
            node.fields.push(SelectedField {
                to_json: self.representation(&field),
                value: SelectedValue::Field(field),
                cast: None,
                aggregate: None,
                aggregate_cast: None,
                name: Cow::Borrowed(&column.name),
            });
        }
    }

    fn representation(&self, field: &ResolvedField<'a>) -> Option<&'a QualifiedName> {
        let column = field.info.filter(|_| field.path.is_empty())?;
        self.schema.representations.to_json.get(&column.nominal_type)
    }

    fn embed(
        &mut self,
        parent: &mut ReadNode<'a>,
        embed: &'a Embed,
        is_spread: bool,
        depth: usize,
    ) -> Result<()> {
        let of_root = self.root_name.unwrap_or(&parent.alias);
        let parent_name = parent.relation.map_or(of_root, |r| &*r.name.name).to_owned();
        let relationship = relationship::find(
            &parent_name,
            parent.relation,
            embed,
            self.schema,
            &self.request.schema,
        )?;
        let target = &relationship.target;
        let relation = self.schema.relation(&target.schema, &target.name);
        self.embeds_so_far += 1;
        let number = self.embeds_so_far;
        let alias = bounded(format!("{}_{depth}", target.name), number);
        let mut node =
            self.node(Some(target), Cow::Owned(alias), relation, &embed.select, depth)?;
        let name = embed.alias.as_deref().unwrap_or(&embed.target);
        let lateral = bounded(format!("{parent_name}_{name}_{depth}"), number);
        let shows_nothing = shows_nothing(&node);
        if shows_nothing {
            self.select_all(&mut node);
        }
        let role = match (shows_nothing, is_spread, relationship.is_to_one()) {
            (true, ..) => EmbedRole::Hidden,
            (_, false, true) => EmbedRole::Object,
            (_, false, false) => EmbedRole::Array,
            (_, true, true) => EmbedRole::SpreadObject(spread::columns_of(&mut node)),
            (_, true, false) => EmbedRole::SpreadArray(spread::array_columns_of(&mut node)?),
        };
        parent.embeds.push(EmbedNode {
            node,
            relationship,
            name,
            target: &embed.target,
            aliased: embed.alias.is_some(),
            lateral,
            role,
            inner: embed.join == Some(JoinType::Inner),
            tested: false,
            fence: Fence::default(),
        });
        Ok(())
    }

    fn place_conditions(
        &mut self,
        root: &mut ReadNode<'a>,
        conditions: &'a [(EmbedPath, Condition)],
    ) -> Result<()> {
        conditions.iter().try_for_each(|(path, c)| self.place_condition(root, path, c))
    }

    fn place_condition(
        &mut self,
        root: &mut ReadNode<'a>,
        path: &'a EmbedPath,
        condition: &'a Condition,
    ) -> Result<()> {
        let schema = self.schema;
        let node = self.node_at(root, path)?;
        let resolved = filter::resolve(condition, node.relation, &node.embeds, schema);
        node.conditions.push(resolved);
        Ok(())
    }

    fn place_order_and_limits(&mut self, root: &mut ReadNode<'a>) -> Result<()> {
        let query = self.query();
        for (path, terms) in &query.order {
            let node = self.node_at(root, path)?;
            for term in terms {
                let resolved = resolve_order(term, node)?;
                node.order.push(resolved);
            }
        }
        for (path, limit) in query.limit.iter().filter(|(path, _)| !path.is_empty()) {
            self.node_at(root, path)?.limit = Some(count_of_rows(*limit));
        }
        for (path, offset) in query.offset.iter().filter(|(path, _)| !path.is_empty()) {
            self.node_at(root, path)?.offset = count_of_rows(*offset);
        }
        Ok(())
    }

    /// The node that a path of embeds leads to.
    ///
    /// # Errors
    /// PGRST108 when a step is not in `select`.
    fn node_at<'t>(
        &mut self,
        mut node: &'t mut ReadNode<'a>,
        path: &'a EmbedPath,
    ) -> Result<&'t mut ReadNode<'a>> {
        for step in path {
            let index = match node.embeds.iter().position(|e| e.name == step) {
                Some(index) => index,
                None => self.deprecated_step(node, step)?,
            };
            node = &mut node.embeds[index].node;
        }
        Ok(node)
    }

    /// A step that uses the target's name although the embed has an alias.
    fn deprecated_step(&mut self, node: &ReadNode<'a>, step: &'a str) -> Result<usize> {
        let Some(index) = node.embeds.iter().position(|e| e.target == step) else {
            return Err(not_embedded(step));
        };
        let alias = node.embeds[index].name;
        if !self.settings.legacy_target_names {
            return Err(not_embedded(step)
                .details("Target names are not allowed in filters if they have an alias")
                .hint(format!("Change '{step}' to '{alias}' in filters, orders or limits.")));
        }
        if !self.deprecated_names.contains(&(step, alias)) {
            self.deprecated_names.push((step, alias));
        }
        Ok(index)
    }
}

/// Whether nothing of a node shows in its parent: `authors()`, `books(reviews())`.
fn shows_nothing(node: &ReadNode) -> bool {
    node.fields.is_empty() && node.embeds.iter().all(|e| e.role == EmbedRole::Hidden)
}

fn not_embedded(name: &str) -> Error {
    Error::new(400, "PGRST108", format!("'{name}' is not an embedded resource in this request"))
        .hint(format!("Verify that '{name}' is included in the 'select' query parameter."))
}

fn resolve_order<'a>(term: &'a OrderTerm, node: &ReadNode<'a>) -> Result<ResolvedOrder<'a>> {
    let Some(name) = &term.relation else {
        return Ok(ResolvedOrder {
            embed: None,
            field: ResolvedField::new(&term.field, node.relation),
            direction: term.direction,
            nulls: term.nulls,
        });
    };
    let index =
        node.embeds.iter().position(|e| e.name == name).ok_or_else(|| not_embedded(name))?;
    let embed = &node.embeds[index];
    if !embed.relationship.is_to_one() {
        let source = node.relation.map_or(&*node.alias, |r| &*r.name.name);
        return Err(Error::new(
            400,
            "PGRST118",
            format!("A related order on '{name}' is not possible"),
        )
        .details(format!(
            "'{source}' and '{name}' do not form a many-to-one or one-to-one relationship"
        )));
    }
    Ok(ResolvedOrder {
        embed: Some(index),
        field: ResolvedField::new(&term.field, embed.node.relation),
        direction: term.direction,
        nulls: term.nulls,
    })
}

/// Puts `db-max-rows` on every level that may return several rows.
fn restrict(node: &mut ReadNode, max_rows: Option<u64>, this_level: bool) {
    let Some(max) = max_rows else { return };
    if this_level {
        node.limit = Some(node.limit.map_or(max, |limit| limit.min(max)));
    }
    for embed in &mut node.embeds {
        restrict(&mut embed.node, max_rows, !embed.relationship.is_to_one());
    }
}

/// A number of rows; parsing has refused negative ones.
fn count_of_rows(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The name of a field in the result.
fn output_name(selected: &SelectField) -> &str {
    if let Some(alias) = &selected.alias {
        return alias;
    }
    if let Some(aggregate) = selected.aggregate {
        return aggregate.function_name();
    }
    // `details->cover->0` is named after the last key.
    selected
        .field
        .path
        .iter()
        .rev()
        .find_map(|step| match &step.operand {
            JsonOperand::Key(key) => Some(key.as_str()),
            JsonOperand::Index(_) => None,
        })
        .unwrap_or(&selected.field.column)
}

/// A name of ours, short enough to stay distinct after PostgreSQL has cut it.
fn bounded(name: String, number: usize) -> String {
    if name.len() <= MAX_IDENTIFIER_BYTES {
        return name;
    }
    let suffix = format!("_{number}");
    let mut end = MAX_IDENTIFIER_BYTES - suffix.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}
