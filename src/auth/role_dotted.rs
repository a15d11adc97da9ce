//! The dotted form of `jwt-role-claim-key`: `.user."app role"[0]`, and at the end a filter
//! such as `[?(@ ^== "web_")]`.

use serde_json::Value;
use std::fmt::Write as _;

/// A path of names and indexes, with an optional filter at its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DottedPath {
    steps: Vec<Step>,
    filter: Option<(Operator, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    Differs,
    StartsWith,
    EndsWith,
    Contains,
}

/// `==^` comes before `==`, which it begins with.
const OPERATORS: [(&str, Operator); 5] = [
    ("==^", Operator::EndsWith),
    ("==", Operator::Equals),
    ("!=", Operator::Differs),
    ("^==", Operator::StartsWith),
    ("*==", Operator::Contains),
];

impl DottedPath {
    /// Parses the whole of `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut path = DottedPath { steps: Vec::new(), filter: None };
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(filter) = rest.strip_prefix("[?(@") {
                path.filter = Some(parse_filter(filter)?);
                rest = "";
            } else if let Some(index) = rest.strip_prefix('[') {
                let (digits, after) = index.split_once(']')?;
                let digits_only = digits.bytes().all(|b| b.is_ascii_digit());
                path.steps.push(Step::Index(digits.parse().ok().filter(|_| digits_only)?));
                rest = after;
            } else {
                let (name, after) = parse_name(rest.strip_prefix('.')?)?;
                path.steps.push(Step::Name(name.to_owned()));
                rest = after;
            }
        }
        (!path.steps.is_empty() || path.filter.is_some()).then_some(path)
    }

    /// The value that the path leads to.
    pub fn find<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        let mut value = claims;
        for step in &self.steps {
            value = match step {
                Step::Name(name) => value.as_object()?.get(name)?,
                Step::Index(index) => value.as_array()?.get(*index)?,
            };
        }
        let Some((operator, operand)) = &self.filter else { return Some(value) };
        value.as_array()?.iter().find(|item| {
            item.as_str().is_some_and(|text| match operator {
                Operator::Equals => text == operand,
                Operator::Differs => text != operand,
                Operator::StartsWith => text.starts_with(operand),
                Operator::EndsWith => text.ends_with(operand),
                Operator::Contains => text.contains(operand),
            })
        })
    }

    /// The JSONPath that means the same.
    pub fn to_json_path(&self) -> String {
        let mut out = String::from("$");
        for step in &self.steps {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Name(name) if is_shorthand(name) => write!(out, ".{name}"),
                Step::Name(name) => write!(out, "[{}]", quoted(name)),
                Step::Index(index) => write!(out, "[{index}]"),
            };
        }
        if let Some((operator, operand)) = &self.filter {
            let pattern = regex_lite::escape(operand);
            let test = match operator {
                Operator::Equals => format!("@ == {}", quoted(operand)),
                Operator::Differs => format!("@ != {}", quoted(operand)),
                Operator::StartsWith => format!("match(@, {})", quoted(&format!("{pattern}.*"))),
                Operator::EndsWith => format!("match(@, {})", quoted(&format!(".*{pattern}"))),
                Operator::Contains => format!("search(@, {})", quoted(&pattern)),
            };
            let _ = write!(out, "[?{test}]");
        }
        out
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Whether JSONPath takes the name without quotes (RFC 9535, section 2.5.1.1).
fn is_shorthand(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(word)
}

fn parse_name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"');
    }
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@');
    let rest = text.trim_start_matches(word);
    (rest.len() < text.len()).then(|| (&text[..text.len() - rest.len()], rest))
}

/// Parses what follows `[?(@` up to the end of the text.
fn parse_filter(text: &str) -> Option<(Operator, String)> {
    let text = text.trim_start();
    let (symbol, operator) = OPERATORS.iter().find(|(symbol, _)| text.starts_with(symbol))?;
    let operand = text[symbol.len()..].trim_start().strip_prefix('"')?;
    let (operand, end) = operand.split_once('"')?;
    (end == ")]").then(|| (*operator, operand.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, claims: Value) -> Option<Value> {
        DottedPath::parse(path).expect(path).find(&claims).cloned()
    }

    #[test]
    fn names_and_indexes_lead_to_a_value() {
        assert_eq!(find(".role", json!({"role": "r"})), Some(json!("r")));
        assert_eq!(find(".a.b[1]", json!({"a": {"b": [1, "r"]}})), Some(json!("r")));
        assert_eq!(
            find(".\"https://x/role\".key", json!({"https://x/role": {"key": 7}})),
            Some(json!(7))
        );
        assert_eq!(find(".a_$@é1", json!({"a_$@é1": "r"})), Some(json!("r")));
        assert_eq!(find(".a[0]", json!({"a": {"0": 1}})), None);
        assert_eq!(find(".a.b", json!({"a": "x"})), None);
    }

    #[test]
    fn a_filter_takes_the_first_text_that_fits() {
        let roles = || json!({"r": [7, "other", "author", "co-author"]});
        for (filter, found) in [
            ("== \"author\"", Some("author")),
            ("!= \"other\"", Some("author")),
            ("^== \"auth\"", Some("author")),
            ("==^ \"-author\"", Some("co-author")),
            ("*== \"utho\"", Some("author")),
            ("==\"nobody\"", None),
        ] {
            assert_eq!(
                find(&format!(".r[?(@ {filter})]"), roles()),
                found.map(Value::from),
                "{filter}"
            );
        }
    }

    #[test]
    fn other_texts_are_no_paths() {
        for text in [
            "",
            "role",
            ".",
            ".a.",
            ".a[",
            ".a[]",
            ".a[-1]",
            ".a[+1]",
            ".a[1",
            ".a b",
            ".\"a",
            ".a[?(@ == \"x\")].b",
            ".a[?(@ = \"x\")]",
            ".a[?(@ == 'x')]",
            ".a[?(@ == \"x\")",
            ".a[99999999999999999999]",
        ] {
            assert_eq!(DottedPath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_json_path_for_it_finds_the_same() {
        let claims = json!({"a": {"b c": ["x.y", "axby"], "d": ["w.a", "z"]}});
        for dotted in [
            ".a",
            ".a.\"b c\"[1]",
            ".a.d[?(@ ^== \"w.\")]",
            ".a.\"b c\"[?(@ ==^ \".y\")]",
            ".a.\"b c\"[?(@ *== \".\")]",
            ".a.d[?(@ != \"w.a\")]",
            ".a.d[?(@ == \"z\")]",
        ] {
            let path = DottedPath::parse(dotted).unwrap();
            let json_path = serde_json_path::JsonPath::parse(&path.to_json_path()).unwrap();
            assert!(path.find(&claims).is_some(), "{dotted}");
            assert_eq!(json_path.query(&claims).first(), path.find(&claims), "{dotted}");
        }
    }
}
