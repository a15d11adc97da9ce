//! Rows as JSON, written while they arrive.

use super::{Form, push_string, push_value};

/// How rows become a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout<'a> {
    /// More rows than these are not taken.
    pub max_rows: u64,
    /// How the values of each column are written.
    pub forms: Vec<Form>,
    /// The names that the columns must have, when the statement does not name them: another
    /// name means that the relation is not what it was when the schema was loaded.
    pub names: Option<Vec<&'a str>>,
    /// Whether the body is the first row, rather than an array of all.
    pub is_object: bool,
    /// Whether members that are null are left out.
    pub is_stripped: bool,
}

/// Writes rows, byte for byte as `json_agg` does.
pub struct RowWriter<'l> {
    layout: &'l Layout<'l>,
    /// What stands before the values, `"name":`, one after the other.
    keys: Vec<u8>,
    /// Where that of each column ends.
    ends: Vec<usize>,
    out: Vec<u8>,
    rows: u64,
}

impl<'l> RowWriter<'l> {
    /// A writer for columns of these names; `None` when they are not those of the layout.
    pub fn new<'n>(
        layout: &'l Layout<'l>,
        names: impl ExactSizeIterator<Item = &'n str>,
    ) -> Option<Self> {
        if names.len() != layout.forms.len() {
            return None;
        }
        let mut keys = Vec::with_capacity(16 * names.len());
        let mut ends = Vec::with_capacity(names.len());
        for (index, name) in names.enumerate() {
            if layout.names.as_ref().is_some_and(|expected| expected[index] != name) {
                return None;
            }
            push_string(&mut keys, name);
            keys.push(b':');
            ends.push(keys.len());
        }
        Some(Self { layout, keys, ends, out: Vec::new(), rows: 0 })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The first one of `value`, which gives the text of a column.
    pub fn push<'v, E>(
        &mut self,
        mut value: impl FnMut(usize) -> Result<Option<&'v str>, E>,
    ) -> Result<(), E> {
        self.rows += 1;
        if self.layout.is_object && self.rows > 1 {
            return Ok(());
        }
        if !self.layout.is_object {
            // `json_agg` begins a line for each row; rows that were stripped are no rows to it.
            self.out.extend_from_slice(match (self.rows, self.layout.is_stripped) {
                (1, _) => b"[",
                (_, true) => b", ",
                (_, false) => b", \n ",
            });
        }
        self.out.push(b'{');
        let mut is_first = true;
        let mut start = 0;
        for (index, (end, form)) in self.ends.iter().zip(&self.layout.forms).enumerate() {
            let key = &self.keys[start..*end];
            start = *end;
            let text = value(index)?;
            if self.layout.is_stripped && is_null(*form, text) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(key);
            match text {
                Some(text) => push_value(&mut self.out, *form, text),
                None => self.out.extend_from_slice(b"null"),
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Whether there were more rows than the layout has room for.
    pub fn is_full(&self) -> bool {
        self.rows > self.layout.max_rows
    }

    /// The body, and how many rows there were.
    pub fn finish(mut self) -> (Vec<u8>, u64) {
        match (self.layout.is_object, self.rows) {
            (true, 0) => self.out.extend_from_slice(b"null"),
            (true, _) => {}
            (false, 0) => self.out.extend_from_slice(b"[]"),
            (false, _) => self.out.push(b']'),
        }
        (self.out, self.rows)
    }
}

/// Whether a member has no value, or the value null.
fn is_null(form: Form, text: Option<&str>) -> bool {
    text.is_none_or(|text| !form.holds_for_any_text() && text == "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(is_object: bool, is_stripped: bool, rows: &[[Option<&str>; 2]]) -> String {
        let forms = vec![Form::Number, Form::Json];
        let layout = Layout { max_rows: 10, forms, names: None, is_object, is_stripped };
        let mut writer = RowWriter::new(&layout, ["a", "b\""].into_iter()).expect("two columns");
        for row in rows {
            writer.push(|index| Ok::<_, ()>(row[index])).expect("there are no errors");
        }
        let (body, count) = writer.finish();
        assert_eq!(count, rows.len() as u64);
        String::from_utf8(body).expect("text")
    }

    const ROWS: [[Option<&str>; 2]; 2] = [[Some("1"), None], [Some("NaN"), Some("null")]];

    #[test]
    fn arrays_look_like_those_of_json_agg() {
        let expected = "[{\"a\":1,\"b\\\"\":null}, \n {\"a\":\"NaN\",\"b\\\"\":null}]";
        assert_eq!(body(false, false, &ROWS), expected);
        assert_eq!(body(false, true, &ROWS), "[{\"a\":1}, {\"a\":\"NaN\"}]");
        assert_eq!(body(false, false, &[]), "[]");
    }

    #[test]
    fn an_object_is_the_first_row() {
        assert_eq!(body(true, false, &ROWS), "{\"a\":1,\"b\\\"\":null}");
        assert_eq!(body(true, false, &[]), "null");
    }

    #[test]
    fn columns_that_are_not_expected_are_refused() {
        let names = Some(vec!["a"]);
        let layout = Layout {
            max_rows: 10,
            forms: vec![Form::Text],
            names,
            is_object: false,
            is_stripped: false,
        };
        assert!(RowWriter::new(&layout, ["a"].into_iter()).is_some());
        assert!(RowWriter::new(&layout, ["b"].into_iter()).is_none());
        assert!(RowWriter::new(&layout, ["a", "b"].into_iter()).is_none());
    }
}
