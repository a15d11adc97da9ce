//! CSV bodies as JSON: the first line has the names, `NULL` is null, all else is text.
//! <https://docs.postgrest.org/en/v16/references/api/tables_views.html#bulk-insert-with-csv>

use super::json_text::push_string;
use super::payload::invalid;
use crate::error::Result;
use csv::StringRecord;

/// The text of an array of objects, and their keys, sorted.
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
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body.as_slice());
    let names = reader.headers().map_err(|_| not_text())?.clone();
    let mut text = String::with_capacity(body.len() * 2);
    let mut record = StringRecord::new();
    let mut width = None;
    text.push('[');
    while reader.read_record(&mut record).map_err(|_| not_text())? {
        let fields = record.len().min(names.len());
        if *width.get_or_insert(fields) != fields {
            return Err(invalid("All lines must have same number of fields"));
        }
        if text.len() > 1 {
            text.push(',');
        }
        push_object(&mut text, &names, &record);
    }
    text.push(']');
    let mut keys: Vec<String> = names.iter().take(width.unwrap_or(0)).map(str::to_owned).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok((text, keys))
}

fn not_text() -> crate::error::Error {
    invalid("The CSV body is not valid UTF-8")
}

fn push_object(text: &mut String, names: &StringRecord, record: &StringRecord) {
    text.push('{');
    for (index, (name, field)) in names.iter().zip(record).enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_string(text, name);
        text.push(':');
        match field {
            "NULL" => text.push_str("null"),
            field => push_string(text, field),
        }
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(csv: &str) -> (String, Vec<String>) {
        to_json(csv.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn lines_become_objects_of_text_and_null() {
        let (text, keys) = convert("b,a\r\n1,NULL\r\n\"x,\"\"y\"\"\", z \r\n\r\n,\"NULL\"\r\n");
        assert_eq!(text, r#"[{"b":"1","a":null},{"b":"x,\"y\"","a":" z "},{"b":"","a":null}]"#);
        assert_eq!(keys, ["a", "b"]);
    }

    #[test]
    fn a_header_alone_is_no_rows() {
        assert_eq!(convert("a,b\n"), ("[]".to_owned(), vec![]));
    }

    #[test]
    fn lines_may_be_shorter_or_longer_than_the_header_when_all_are() {
        assert_eq!(
            convert("a,b\n1\n2\n"),
            (r#"[{"a":"1"},{"a":"2"}]"#.to_owned(), vec!["a".into()])
        );
        assert_eq!(convert("a\n1,2\n3,4\n").0, r#"[{"a":"1"},{"a":"3"}]"#);
        let error = to_json(b"a,b\n1,2\n3\n".to_vec()).unwrap_err();
        assert_eq!(error.message(), "All lines must have same number of fields");
    }

    #[test]
    fn an_open_quote_is_refused() {
        let error = to_json(b"a\n\"x\n".to_vec()).unwrap_err();
        assert_eq!((error.status(), error.code()), (400, "PGRST102"));
    }
}
