//! What a transaction's message brought back, taken in while it arrives.

use crate::json::RowWriter;
use crate::query::{Answer, Column, Statement};
use postgres::{Error, SimpleQueryMessage, SimpleQueryRow};

/// The result of a transaction.
#[derive(Default)]
pub struct Outcome {
    /// The rows of a statement that presents its result itself: one, or the lines of an
    /// execution plan.
    pub rows: Vec<SimpleQueryRow>,
    /// The body that was made of rows, and how many they were.
    made: Option<(Vec<u8>, u64)>,
    /// What SQL says of the response, when it was asked apart: headers and status.
    response: Option<SimpleQueryRow>,
    /// The row count that the planner expects, when it was asked for.
    pub estimate: Option<u64>,
}

impl Outcome {
    /// A column of the only row.
    pub fn text(&self, column: usize) -> Option<&str> {
        let row = self.rows.first().filter(|row| column < row.len())?;
        row.get(column)
    }

    /// A column of the only row as a number.
    pub fn number(&self, column: usize) -> Option<u64> {
        self.text(column)?.parse().ok()
    }

    /// How many rows are in the body, or were changed.
    pub fn row_count(&self) -> u64 {
        match &self.made {
            Some((_, rows)) => *rows,
            None => self.number(Column::ROWS).unwrap_or(0),
        }
    }

    /// How many rows there are without limits, when it was counted.
    pub fn total(&self) -> Option<u64> {
        match &self.made {
            // Rows come as rows only where there are no others.
            Some((_, rows)) => Some(*rows),
            None => self.number(Column::TOTAL),
        }
    }

    /// `response.headers`
    pub fn response_headers(&self) -> Option<&str> {
        self.of_response(0, Column::HEADERS)
    }

    /// `response.status`
    pub fn response_status(&self) -> Option<&str> {
        self.of_response(1, Column::STATUS)
    }

    fn of_response(&self, apart: usize, within: usize) -> Option<&str> {
        match (&self.response, &self.made) {
            (Some(row), _) => row.get(apart).filter(|text| !text.is_empty()),
            (None, Some(_)) => None,
            (None, None) => self.text(within),
        }
    }

    /// How many bytes the body has that was made of rows.
    pub fn made_bytes(&self) -> Option<usize> {
        self.made.as_ref().map(|(body, _)| body.len())
    }

    /// How many bytes came back, more or less.
    pub fn bytes(&self) -> usize {
        let of = |row: &SimpleQueryRow| {
            (0..row.len()).map(|column| row.get(column).map_or(0, str::len)).sum::<usize>()
        };
        self.made_bytes().unwrap_or_else(|| self.rows.iter().map(of).sum())
    }

    /// The body that was made of rows.
    pub fn take_made(&mut self) -> Option<Vec<u8>> {
        self.made.take().map(|(body, _)| body)
    }
}

/// Takes what comes back, message by message, so that rows are not held beside the body that is
/// made of them.
pub(super) struct Collector<'s> {
    statement: &'s Statement<'s>,
    /// How many results come before those of the statement and its estimate.
    before: usize,
    /// How many results have begun.
    begun: usize,
    writer: Option<RowWriter<'s>>,
    /// How many rows there are, where they are only counted.
    counted: u64,
    /// Why the result cannot be used.
    unusable: Option<Unusable>,
    estimate: Option<SimpleQueryRow>,
    outcome: Outcome,
}

/// Why a result cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The columns are not those that the statement was written for.
    Stale,
    /// There are more rows than are taken as rows.
    TooMany,
    /// A value is not UTF-8: a function has changed `client_encoding`, or the database has no
    /// encoding.
    NotText,
}

/// What a result is.
#[derive(PartialEq)]
enum Part {
    Ahead,
    Estimate,
    Statement,
    Response,
}

impl<'s> Collector<'s> {
    pub(super) fn new(statement: &'s Statement<'s>, before: usize) -> Self {
        Self {
            statement,
            before,
            begun: 0,
            writer: None,
            counted: 0,
            unusable: None,
            estimate: None,
            outcome: Outcome::default(),
        }
    }

    /// Takes a message.
    pub(super) fn take(&mut self, message: SimpleQueryMessage) {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                self.begun += 1;
                if let (Part::Statement, Answer::Rows { layout, .. }) =
                    (self.part(), &self.statement.answer)
                {
                    self.writer =
                        RowWriter::new(layout, columns.iter().map(|column| column.name()));
                    if self.writer.is_none() {
                        self.unusable = Some(Unusable::Stale);
                    }
                }
            }
            SimpleQueryMessage::Row(row) if self.unusable.is_none() => {
                if self.take_row(row).is_err() {
                    self.unusable = Some(Unusable::NotText);
                } else if self.writer.as_ref().is_some_and(RowWriter::is_full) {
                    self.unusable = Some(Unusable::TooMany);
                }
            }
            _ => {}
        }
    }

    fn take_row(&mut self, row: SimpleQueryRow) -> Result<(), Error> {
        let part = self.part();
        if part == Part::Ahead {
            return Ok(());
        }
        if let (Part::Statement, Some(writer)) = (&part, &mut self.writer) {
            return writer.push(|index| row.try_get(index));
        }
        if let (Part::Statement, Answer::Count) = (&part, &self.statement.answer) {
            self.counted += 1;
            return Ok(());
        }
        // Whoever reads them relies on it.
        (0..row.len()).try_for_each(|index| row.try_get(index).map(drop))?;
        match part {
            Part::Ahead => {}
            Part::Estimate => self.estimate = Some(row),
            Part::Response => self.outcome.response = Some(row),
            Part::Statement => self.outcome.rows.push(row),
        }
        Ok(())
    }

    /// What the result is that has begun last.
    fn part(&self) -> Part {
        let estimates = usize::from(self.statement.estimate.is_some());
        match self.begun.checked_sub(self.before + 1) {
            None => Part::Ahead,
            Some(0) if estimates == 1 => Part::Estimate,
            Some(number) if number == estimates => Part::Statement,
            Some(_) => Part::Response,
        }
    }

    /// The outcome.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) fn finish(mut self) -> Result<Outcome, Unusable> {
        if let Some(unusable) = self.unusable {
            return Err(unusable);
        }
        self.outcome.made = match self.statement.answer {
            Answer::Count => Some((Vec::new(), self.counted)),
            Answer::Row(_) | Answer::Rows { .. } => self.writer.map(RowWriter::finish),
        };
        self.outcome.estimate = self.estimate.and_then(|row| planned_rows(row.get(0)?));
        Ok(self.outcome)
    }
}

/// `Plan Rows` of the topmost node of a plan in JSON.
fn planned_rows(plan: &str) -> Option<u64> {
    let plan: serde_json::Value = serde_json::from_str(plan).ok()?;
    plan.get(0)?.get("Plan")?.get("Plan Rows")?.as_u64()
}
