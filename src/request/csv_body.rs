//! CSV bodies as JSON: the first line has the names, `NULL` is null, all else is text.
//! <https://docs.postgrest.org/en/v16/references/api/tables_views.html#bulk-insert-with-csv>
//!
//! A line becomes an array, so that no name is repeated: what is made of a body is at most a
//! small multiple of it.

use super::json_text::push_string;
use super::limits::{MAX_BODY_NAMES, too_much};
use super::payload::invalid;
use crate::error::Result;
use csv_core::{ReadRecordResult, Reader};

/// First size of the buffer for a line; it grows up to the size of the body.
const LINE_BYTES: usize = 4 << 10;

/// The text of an array of arrays, and the names of their elements.
///
/// Fields beyond the names of the first line are left out, and so are the names beyond the
/// fields of a line, as long as that is so in every line.
pub(super) fn to_json(body: Vec<u8>) -> Result<(String, Vec<String>)> {
    if body.is_empty() {
        return Err(invalid("parse error (not enough input) at \"\""));
    }
    // Within a field a quote is doubled, so only an open quote makes their number odd.
    if memchr::memchr_iter(b'"', &body).count() % 2 == 1 {
        return Err(invalid("A quote in the CSV body is never closed"));
    }
    let body =
        std::str::from_utf8(&body).map_err(|_| invalid("The CSV body is not valid UTF-8"))?;
    let mut lines = Lines::new(body);
    let mut names: Vec<String> = match lines.next()? {
        Some(line) => line.fields().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let mut text = String::with_capacity(body.len() + body.len() / 2);
    let mut width = None;
    text.push('[');
    while let Some(line) = lines.next()? {
        let fields = line.len().min(names.len());
        if *width.get_or_insert(fields) != fields {
            return Err(invalid("All lines must have same number of fields"));
        }
        if text.len() > 1 {
            text.push(',');
        }
        push_array(&mut text, line.fields().take(fields));
    }
    text.push(']');
    names.truncate(width.unwrap_or(0));
    Ok((text, names))
}

fn push_array<'l>(text: &mut String, fields: impl Iterator<Item = &'l str>) {
    text.push('[');
    for (index, field) in fields.enumerate() {
        if index > 0 {
            text.push(',');
        }
        match field {
            "NULL" => text.push_str("null"),
            field => push_string(text, field),
        }
    }
    text.push(']');
}

/// The lines of a CSV text, each in the same buffers.
struct Lines<'b> {
    reader: Reader,
    rest: &'b [u8],
    line: Vec<u8>,
    /// Where the fields end.
    ends: Vec<usize>,
}

/// The fields of a line.
struct Line<'l> {
    text: &'l str,
    ends: &'l [usize],
}

impl<'b> Lines<'b> {
    fn new(body: &'b str) -> Self {
        Self {
            reader: Reader::new(),
            rest: body.as_bytes(),
            line: vec![0; LINE_BYTES],
            ends: vec![0; MAX_BODY_NAMES],
        }
    }

    fn next(&mut self) -> Result<Option<Line<'_>>> {
        let (mut length, mut fields) = (0, 0);
        loop {
            let (line, ends) = (&mut self.line[length..], &mut self.ends[fields..]);
            let (read, taken, written, ended) = self.reader.read_record(self.rest, line, ends);
            self.rest = &self.rest[taken..];
            length += written;
            fields += ended;
            match read {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.line.resize(self.line.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => {
                    return Err(too_much("fields in a line of the body", MAX_BODY_NAMES));
                }
                ReadRecordResult::Record => {
                    let text = std::str::from_utf8(&self.line[..length])
                        .map_err(|_| invalid("The CSV body is not valid UTF-8"))?;
                    return Ok(Some(Line { text, ends: &self.ends[..fields] }));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }
}

impl<'l> Line<'l> {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn fields(&self) -> impl Iterator<Item = &'l str> {
        let text = self.text;
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        // Fields are cut at ASCII, so the ends lie between characters.
        starts.zip(self.ends).map(move |(start, end)| text.get(start..*end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(csv: &str) -> (String, Vec<String>) {
        to_json(csv.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn lines_may_be_long_and_have_many_fields_within_bounds() {
        let long = "x".repeat(3 * LINE_BYTES);
        assert_eq!(convert(&format!("a\n{long}\n")).0, format!("[[\"{long}\"]]"));
        let names = |count: usize| vec!["a"; count].join(",");
        assert_eq!(convert(&names(MAX_BODY_NAMES)).0, "[]");
        for body in [names(MAX_BODY_NAMES + 1), format!("a\n{}", names(MAX_BODY_NAMES + 1))] {
            assert_eq!(to_json(body.into_bytes()).unwrap_err().code(), "GK110");
        }
    }

    #[test]
    fn lines_become_arrays_of_text_and_null() {
        let (text, names) = convert("b,a\r\n1,NULL\r\n\"x,\"\"y\"\"\", z \r\n\r\n,\"NULL\"\r\n");
        assert_eq!(text, r#"[["1",null],["x,\"y\""," z "],["",null]]"#);
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn a_header_alone_is_no_rows() {
        assert_eq!(convert("a,b\n"), ("[]".to_owned(), vec![]));
    }

    #[test]
    fn lines_may_be_shorter_or_longer_than_the_header_when_all_are() {
        assert_eq!(convert("a,b\n1\n2\n"), (r#"[["1"],["2"]]"#.to_owned(), vec!["a".into()]));
        assert_eq!(convert("a\n1,2\n3,4\n").0, r#"[["1"],["3"]]"#);
        let error = to_json(b"a,b\n1,2\n3\n".to_vec()).unwrap_err();
        assert_eq!(error.message(), "All lines must have same number of fields");
    }

    #[test]
    fn an_open_quote_is_refused() {
        let error = to_json(b"a\n\"x\n".to_vec()).unwrap_err();
        assert_eq!((error.status(), error.code()), (400, "PGRST102"));
    }
}
