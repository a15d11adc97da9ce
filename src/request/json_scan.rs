//! One pass over a JSON body that checks it and collects its keys, without building a tree.
//!
//! Only the outermost level matters: whether it is an object, or an array of objects that all
//! have the same keys. What is below is for [`Scanner`] to check.

use super::json_syntax::{Fault, Scanner};
use super::limits::MAX_BODY_NAMES;

/// What a JSON text is, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An object.
    Object,
    /// An array of objects, all with the same keys. It may be empty.
    Objects,
    /// An array whose elements are not all objects, or differ in their keys.
    Mixed,
    /// A string, number, boolean or null.
    Scalar,
}

/// What [`scan`] finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub shape: Shape,
    /// The keys of the object, or of the first object of the array: sorted, each once. `None`
    /// when there are more than [`MAX_BODY_NAMES`]: then they are not compared either.
    pub keys: Option<Vec<String>>,
}

/// Checks a JSON text and collects its keys.
pub fn scan(text: &str) -> Result<Scan, Fault> {
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    let scan = match scanner.peek() {
        Some(b'{') => {
            let mut keys = Keys::default();
            scanner.record(0, &mut keys, Keys::add_first)?;
            Scan { shape: Shape::Object, keys: keys.into_sorted() }
        }
        Some(b'[') => scanner.records()?,
        _ => {
            scanner.value(0)?;
            Scan { shape: Shape::Scalar, keys: Some(Vec::new()) }
        }
    };
    scanner.skip_space();
    if scanner.at_end() { Ok(scan) } else { Err(Fault::Invalid) }
}

/// The keys of the first object of an array, and how the keys of the others compare.
#[derive(Default)]
struct Keys<'a> {
    /// As written, in order.
    raw: Vec<&'a str>,
    /// Distinct and decoded, sorted; made when the fast comparison fails for the first time.
    sorted: Vec<String>,
    /// For each of `sorted`, whether the current object has it.
    seen: Vec<bool>,
    /// The number of keys of the current object that agreed with `raw`, in order.
    agreed: usize,
    /// The keys of the current object, once they do not agree any more: all but the agreed.
    others: Vec<&'a str>,
    /// Whether some object has more keys than are compared.
    too_many: bool,
}

impl<'a> Keys<'a> {
    fn add_first(&mut self, key: &'a str) {
        if self.raw.len() == MAX_BODY_NAMES {
            self.too_many = true;
            return;
        }
        self.raw.push(key);
        self.agreed += 1;
    }

    /// Begins another object.
    fn restart(&mut self) {
        self.agreed = 0;
        self.others.clear();
    }

    /// The key that comes next when the current object has the keys of the first one in their
    /// order; `None` in the first object, where all its keys agree.
    fn next_if_uniform(&self) -> Option<&'a str> {
        if self.others.is_empty() { self.raw.get(self.agreed).copied() } else { None }
    }

    /// Takes a key of another object.
    fn add(&mut self, key: &'a str) {
        if self.others.is_empty() && self.raw.get(self.agreed) == Some(&key) {
            self.agreed += 1;
        } else if self.others.len() < MAX_BODY_NAMES {
            self.others.push(key);
        } else {
            self.too_many = true;
        }
    }

    /// Whether the object that ends here has the same set of keys as the first one.
    fn are_the_same(&mut self) -> bool {
        if self.too_many || (self.others.is_empty() && self.agreed == self.raw.len()) {
            return true;
        }
        if self.sorted.is_empty() {
            self.sorted = sorted(&self.raw);
        }
        self.seen.clear();
        self.seen.resize(self.sorted.len(), false);
        for key in self.raw[..self.agreed].iter().chain(&self.others) {
            let found = match key.contains('\\') {
                true => self.sorted.binary_search(&unescape(key)),
                false => self.sorted.binary_search_by(|known| known.as_str().cmp(key)),
            };
            match found {
                Ok(index) => self.seen[index] = true,
                Err(_) => return false,
            }
        }
        self.seen.iter().all(|seen| *seen)
    }

    fn into_sorted(self) -> Option<Vec<String>> {
        if self.too_many {
            return None;
        }
        Some(if self.sorted.is_empty() { sorted(&self.raw) } else { self.sorted })
    }
}

fn sorted(raw: &[&str]) -> Vec<String> {
    let mut keys: Vec<String> = raw.iter().map(|key| unescape(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The text of a string that was found valid.
fn unescape(raw: &str) -> String {
    if !raw.contains('\\') {
        return raw.to_owned();
    }
    serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.to_owned())
}

impl<'a> Scanner<'a> {
    /// An array at the outermost level; the cursor is at its bracket.
    fn records(&mut self) -> Result<Scan, Fault> {
        self.advance();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.advance();
            return Ok(Scan { shape: Shape::Objects, keys: Some(Vec::new()) });
        }
        let mut keys = Keys::default();
        let mut uniform = self.peek() == Some(b'{');
        if uniform {
            self.record(1, &mut keys, Keys::add_first)?;
        } else {
            self.value(1)?;
        }
        loop {
            self.skip_space();
            match self.peek() {
                Some(b',') => self.advance(),
                Some(b']') => break,
                _ => return Err(Fault::Invalid),
            }
            self.skip_space();
            if uniform && self.peek() == Some(b'{') {
                keys.restart();
                self.record(1, &mut keys, Keys::add)?;
                uniform = keys.are_the_same();
            } else {
                uniform = false;
                self.value(1)?;
            }
        }
        self.advance();
        let shape = if uniform { Shape::Objects } else { Shape::Mixed };
        Ok(Scan { shape, keys: keys.into_sorted() })
    }

    /// An object whose keys are wanted; the cursor is at its brace, below `depth` levels.
    fn record(
        &mut self,
        depth: usize,
        keys: &mut Keys<'a>,
        add: impl Fn(&mut Keys<'a>, &'a str),
    ) -> Result<(), Fault> {
        self.advance();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.advance();
            return Ok(());
        }
        loop {
            match keys.next_if_uniform() {
                Some(next) if self.skip_quoted(next) => {
                    self.colon()?;
                    keys.agreed += 1;
                }
                _ => add(keys, self.key()?),
            }
            self.value(depth + 1)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.advance(),
                Some(b'}') => break,
                _ => return Err(Fault::Invalid),
            }
            self.skip_space();
        }
        self.advance();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::limits::MAX_BODY_DEPTH;
    use proptest::prelude::*;

    fn keys(text: &str) -> (Shape, Vec<String>) {
        let scan = scan(text).unwrap();
        (scan.shape, scan.keys.unwrap())
    }

    #[test]
    fn an_object_gives_its_keys_sorted_and_once() {
        assert_eq!(
            keys(r#" {"b":1,"a":{"x":[1,{"y":2}]},"b":2,"\u00f8":null} "#),
            (Shape::Object, vec!["a".into(), "b".into(), "ø".into()])
        );
        assert_eq!(keys("{}"), (Shape::Object, vec![]));
    }

    #[test]
    fn objects_of_an_array_must_have_the_same_keys_in_any_order() {
        let same = |text: &str| keys(text).0 == Shape::Objects;
        assert!(same("[]"));
        assert!(same("[{},{}]"));
        assert!(same(r#"[{"a":1,"b":2},{"b":1,"a":2},{"a":1,"b":{"c":1}}]"#));
        assert!(same(r#"[{"a":1},{"\u0061":2},{"a":3,"a":4}]"#));
        assert!(same(r#"[{"a":1,"a":1,"b":1},{"a":1,"b":2}]"#));
        assert!(!same(r#"[{"a":1,"b":2},{"a":1}]"#));
        assert!(!same(r#"[{"a":1},{"a":1,"b":2}]"#));
        assert!(!same(r#"[{"a":1},{"b":2}]"#));
        assert!(!same(r#"[{"a":1},{}]"#));
        assert!(!same(r#"[{"a":1},2]"#));
        assert!(!same("[1,2]"));
        assert!(!same("[[]]"));
    }

    #[test]
    fn more_keys_than_can_be_used_are_not_kept() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"k{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(scan(&object(MAX_BODY_NAMES)).unwrap().keys.unwrap().len(), MAX_BODY_NAMES);
        let many = object(MAX_BODY_NAMES + 1);
        assert_eq!(scan(&many).unwrap(), Scan { shape: Shape::Object, keys: None });
        for array in [format!("[{many},{many}]"), format!("[{{\"a\":1}},{many}]")] {
            assert_eq!(scan(&array).unwrap(), Scan { shape: Shape::Objects, keys: None });
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "tru",
            "nul",
            r#""a"#,
            "\"a\nb\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            "1 2",
            r#"{"a":1}{"b":2}"#,
            "[1}",
            "{]",
            "'a'",
            "[1 2]",
            "\u{feff}1",
        ] {
            assert_eq!(scan(text), Err(Fault::Invalid), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(scan(&nested(MAX_BODY_DEPTH)).is_ok());
        assert_eq!(scan(&nested(MAX_BODY_DEPTH + 2)), Err(Fault::TooDeep));
        assert_eq!(scan(&"[".repeat(1_000_000)), Err(Fault::TooDeep));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec(("[a-c\u{e9}\"\\\\]{0,2}", inner), 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_serde_writes_is_valid(value in json()) {
            let scan = scan(&value.to_string()).unwrap();
            prop_assert_eq!(scan.shape == Shape::Object, value.is_object());
            if let Some(object) = value.as_object() {
                let mut keys: Vec<_> = object.keys().cloned().collect();
                keys.sort();
                prop_assert_eq!(scan.keys, Some(keys));
            }
        }

        #[test]
        fn the_verdict_is_that_of_serde(text in r#"[\[\]{}",:0-9a-c\\ue.+\- \n\t]{0,24}"#) {
            let serde = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_ok();
            // serde_json lets lone surrogates through in what it does not decode.
            if !text.contains("\\u") {
                prop_assert_eq!(scan(&text).is_ok(), serde, "{}", text);
            }
        }

        #[test]
        fn uniform_is_what_a_tree_would_say(value in prop::collection::vec(json(), 0..5)) {
            let sets: Option<Vec<std::collections::BTreeSet<&String>>> =
                value.iter().map(|v| v.as_object().map(|o| o.keys().collect())).collect();
            let uniform = sets.is_some_and(|sets| sets.windows(2).all(|pair| pair[0] == pair[1]));
            let text = serde_json::Value::Array(value.clone()).to_string();
            prop_assert_eq!(scan(&text).unwrap().shape == Shape::Objects, uniform);
        }
    }
}
