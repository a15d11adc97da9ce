//! Answers to requests whose transaction succeeded.

use super::range::{ContentRange, not_satisfiable};
use super::{VARY, fault, from_sql, merges};
use crate::config::ErrorVerbosity;
use crate::error::{Error, Result};
use crate::http::{Body, Response};
use crate::plan::{CallPlan, MediaChoice, MutatePlan, Mutation, ReadPlan};
use crate::query::{Answer, BodyEncoding, Column, Statement};
use crate::request::{ApiRequest, Count, Method, Preferences, Representation};
use crate::schema::Returned;
use crate::transaction::Outcome;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use postgres::SimpleQueryRow;

/// What is left bare in the parts of a URL (RFC 3986, section 2.3).
pub(super) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A finished request.
pub struct Finished<'a> {
    /// What was asked.
    pub request: &'a ApiRequest,
    /// The preferences that were honoured.
    pub preferences: Preferences,
    /// The statement.
    pub statement: &'a Statement<'a>,
    /// Its result.
    pub outcome: Outcome,
    /// `db-max-rows`
    pub max_rows: Option<u64>,
    /// `client-error-verbosity`
    pub verbosity: ErrorVerbosity,
}

/// The answer to a read.
///
/// # Errors
/// PGRST116 when the result is not one row and should be, and what [`from_sql`] gives.
pub fn of_read(plan: &ReadPlan, finished: Finished) -> Result<Response> {
    if finished.statement.is_explain {
        return Ok(finished.explained(&plan.media));
    }
    check_singular(&plan.media, &finished.outcome)?;
    let range = finished.content_range(plan.root.offset);
    let mut response = finished.start(range.status());
    let location = content_location(finished.request);
    response.headers.push(("Content-Location".into(), location));
    finished.finish_range(response, range, Some(&plan.media))
}

/// The answer to a call.
///
/// # Errors
/// As for [`of_read`].
pub fn of_call(plan: &CallPlan, finished: Finished) -> Result<Response> {
    if finished.statement.is_explain {
        return Ok(finished.explained(&plan.media));
    }
    let returns = &plan.routine.returns;
    if returns.is_set {
        check_singular(&plan.media, &finished.outcome)?;
    }
    let mut range = finished.content_range(plan.result.offset);
    if !returns.is_set {
        // What is one value is there, whatever limits say.
        range = ContentRange { offset: 0, rows: 1, total: range.total.map(|_| 1) };
    }
    let is_void = returns.returned == Returned::Void;
    let response = finished.start(if is_void { 204 } else { range.status() });
    finished.finish_range(response, range, (!is_void).then_some(&plan.media))
}

/// The answer to a write. What could refuse it has been looked at in the transaction.
///
/// # Errors
/// What [`from_sql`] gives.
pub fn of_mutation(plan: &MutatePlan, finished: Finished) -> Result<Response> {
    if finished.statement.is_explain {
        return Ok(finished.explained(&plan.media));
    }
    let rows = finished.outcome.row_count();
    let updated = finished.outcome.number(Column::UPDATED).unwrap_or(0);
    let has_body = plan.returned.is_some();
    let all_were_there = merges(plan) && updated >= rows;
    let status = match &plan.mutation {
        Mutation::Insert(insert) if insert.is_put => match (has_body, all_were_there) {
            (false, _) => 204,
            (true, true) => 200,
            (true, false) => 201,
        },
        Mutation::Insert(_) if all_were_there => 200,
        Mutation::Insert(_) => 201,
        Mutation::Update { .. } | Mutation::Delete { .. } if has_body => 200,
        Mutation::Update { .. } | Mutation::Delete { .. } => 204,
    };
    let mut response = finished.start(status);
    if let Some(location) = location(plan, &finished) {
        response.headers.push(("Location".into(), location));
    }
    if finished.request.method != Method::Put {
        let shown = match plan.mutation {
            Mutation::Update { .. } => rows,
            Mutation::Insert(_) | Mutation::Delete { .. } => 0,
        };
        let total = finished.preferences.count.map(|_| rows);
        let range = ContentRange { offset: 0, rows: shown, total };
        response.headers.push(("Content-Range".into(), range.to_string()));
    }
    finished.finish(response, has_body.then_some(&plan.media))
}

/// Whether the rows are as many as the client wants: one.
pub fn check_singular(media: &MediaChoice, outcome: &Outcome) -> Result<()> {
    let rows = outcome.row_count();
    if !media.format.is_singular() || rows == 1 {
        return Ok(());
    }
    Err(Error::new(406, "PGRST116", "Cannot coerce the result to a single JSON object")
        .details(format!("The result contains {rows} rows")))
}

impl Finished<'_> {
    fn content_range(&self, offset: u64) -> ContentRange {
        let counted = self.outcome.total();
        let estimate = self.outcome.estimate;
        let total = match self.preferences.count {
            None => None,
            Some(Count::Exact) => counted,
            Some(Count::Planned) => estimate,
            // Counting stopped behind the limit: then the planner knows better.
            Some(Count::Estimated) => match (counted, self.max_rows) {
                (Some(counted), Some(max)) if counted <= max => Some(counted),
                _ => counted.max(estimate),
            },
        };
        ContentRange { offset, rows: self.outcome.row_count(), total }
    }

    /// Says which rows are in the body, or that there are none to be had.
    fn finish_range(
        self,
        mut response: Response,
        range: ContentRange,
        media: Option<&MediaChoice>,
    ) -> Result<Response> {
        response.headers.push(("Content-Range".into(), range.to_string()));
        let Some(total) = range.total.filter(|_| range.is_not_satisfiable()) else {
            return self.finish(response, media);
        };
        response.status = 416;
        response.headers.push(("Vary".into(), VARY.into()));
        response.headers.push(("Content-Type".into(), fault::JSON.into()));
        response.body = fault::error_body(&not_satisfiable(range.offset, total), self.verbosity);
        Ok(response)
    }

    fn start(&self, status: u16) -> Response {
        let mut response =
            Response { status, headers: Vec::with_capacity(10), ..Response::default() };
        if let Some(applied) = self.preferences.applied() {
            response.headers.push(("Preference-Applied".into(), applied));
        }
        response
    }

    /// Adds what all answers have, the body, and what SQL says.
    fn finish(self, mut response: Response, media: Option<&MediaChoice>) -> Result<Response> {
        response.headers.push(("Vary".into(), VARY.into()));
        if let Some(media) = media {
            if let Some(profile) = &self.request.profile {
                response.headers.push(("Content-Profile".into(), profile.clone()));
            }
            response.headers.push(("Content-Type".into(), media.content_type.clone()));
        }
        from_sql::apply(&mut response, &self.outcome)?;
        let bodyless = media.is_none() || self.request.method == Method::Head;
        if !bodyless && response.status != 204 {
            response.body = body(self.outcome, &self.statement.answer);
        }
        Ok(response)
    }

    /// The answer that is an execution plan: the lines of `EXPLAIN`.
    fn explained(mut self, media: &MediaChoice) -> Response {
        // Nothing was counted.
        self.preferences.count = None;
        let mut text = String::new();
        for row in &self.outcome.rows {
            text.push_str(row.get(0).unwrap_or_default());
            text.push('\n');
        }
        text.pop();
        let mut response = self.start(200);
        response.headers.push(("Content-Type".into(), media.content_type.clone()));
        response.headers.push(("Vary".into(), VARY.into()));
        if self.request.method != Method::Head {
            response.body = text.into();
        }
        response
    }
}

/// The body that was made of rows, or the body column, left in the buffer that it arrived in.
fn body(mut outcome: Outcome, answer: &Answer) -> Body {
    let encoding = match answer {
        Answer::Row(encoding) => encoding,
        Answer::Rows { .. } | Answer::Count => {
            return outcome.take_made().map_or(Body::Empty, Body::Bytes);
        }
    };
    let Some(row) = outcome.rows.into_iter().next() else { return Body::Empty };
    let row = Box::new(BodyRow(row));
    match encoding {
        BodyEncoding::Text => Body::Shared(row),
        BodyEncoding::Hex => Body::Hex(row),
    }
}

/// A result row whose body column is the response's body.
struct BodyRow(SimpleQueryRow);

impl AsRef<[u8]> for BodyRow {
    fn as_ref(&self) -> &[u8] {
        self.0.get(Column::BODY).unwrap_or_default().as_bytes()
    }
}

/// The path and the query in a canonical form.
fn content_location(request: &ApiRequest) -> String {
    let path = &request.path;
    match request.query.canonical.as_str() {
        "" => path.clone(),
        query => format!("{path}?{query}"),
    }
}

/// Where the inserted row is, by its key; several rows have no one place.
fn location(plan: &MutatePlan, finished: &Finished) -> Option<String> {
    let is_wanted = finished.preferences.representation == Some(Representation::HeadersOnly);
    if !is_wanted || finished.outcome.row_count() != 1 {
        return None;
    }
    let values: Vec<Option<String>> =
        serde_json::from_str(finished.outcome.text(Column::KEY)?).ok()?;
    let mut text = format!("/{}", plan.relation.name.name);
    for (index, (column, value)) in plan.relation.primary_key.iter().zip(values).enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.extend(utf8_percent_encode(column, UNRESERVED));
        match value {
            Some(value) => {
                text.push_str("=eq.");
                text.extend(utf8_percent_encode(&value, UNRESERVED));
            }
            None => text.push_str("=is.null"),
        }
    }
    Some(text)
}
