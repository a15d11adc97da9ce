//! One pass over a JSON body that checks it and collects its keys, without building a tree.
//!
//! The grammar is RFC 8259. Nothing is recursive: the open arrays and objects are bits in a
//! stack of fixed size, so depth costs no memory and cannot overflow. Lone surrogates are
//! refused, as PostgreSQL would refuse them; `\u0000` is let through, for only some types
//! refuse it, and PostgreSQL says so.

use super::limits::MAX_BODY_DEPTH;

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

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no JSON, or there is none.
    Invalid,
    /// It is nested more deeply than [`MAX_BODY_DEPTH`] levels.
    TooDeep,
}

/// What [`scan`] finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub shape: Shape,
    /// The keys of the object, or of the first object of the array: sorted, each once.
    pub keys: Vec<String>,
}

/// Checks a JSON text and collects its keys.
pub fn scan(text: &str) -> Result<Scan, Fault> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0 };
    scanner.skip_space();
    let scan = match scanner.peek() {
        Some(b'{') => {
            let mut keys = Keys::default();
            scanner.record(0, |key| keys.add_first(key))?;
            Scan { shape: Shape::Object, keys: keys.into_sorted() }
        }
        Some(b'[') => scanner.records()?,
        _ => {
            scanner.value(0)?;
            Scan { shape: Shape::Scalar, keys: Vec::new() }
        }
    };
    scanner.skip_space();
    if scanner.at == scanner.bytes.len() { Ok(scan) } else { Err(Fault::Invalid) }
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
}

impl<'a> Keys<'a> {
    fn add_first(&mut self, key: &'a str) {
        self.raw.push(key);
    }

    /// Begins another object.
    fn restart(&mut self) {
        self.agreed = 0;
        self.others.clear();
    }

    /// Takes a key of another object.
    fn add(&mut self, key: &'a str) {
        if self.others.is_empty() && self.raw.get(self.agreed) == Some(&key) {
            self.agreed += 1;
        } else {
            self.others.push(key);
        }
    }

    /// Whether the object that ends here has the same set of keys as the first one.
    fn are_the_same(&mut self) -> bool {
        if self.others.is_empty() && self.agreed == self.raw.len() {
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

    fn into_sorted(self) -> Vec<String> {
        if self.sorted.is_empty() { sorted(&self.raw) } else { self.sorted }
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

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Fault::Invalid)
        }
    }

    /// An array at the outermost level; the cursor is at its bracket.
    fn records(&mut self) -> Result<Scan, Fault> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Scan { shape: Shape::Objects, keys: Vec::new() });
        }
        let mut keys = Keys::default();
        let mut uniform = self.peek() == Some(b'{');
        if uniform {
            self.record(1, |key| keys.add_first(key))?;
        } else {
            self.value(1)?;
        }
        loop {
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(Fault::Invalid),
            }
            self.skip_space();
            if uniform && self.peek() == Some(b'{') {
                keys.restart();
                self.record(1, |key| keys.add(key))?;
                uniform = keys.are_the_same();
            } else {
                uniform = false;
                self.value(1)?;
            }
        }
        self.at += 1;
        let shape = if uniform { Shape::Objects } else { Shape::Mixed };
        Ok(Scan { shape, keys: keys.into_sorted() })
    }

    /// An object whose keys are wanted; the cursor is at its brace, below `depth` levels.
    fn record(&mut self, depth: usize, mut key: impl FnMut(&'a str)) -> Result<(), Fault> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            key(self.key()?);
            self.value(depth + 1)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(Fault::Invalid),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(())
    }

    /// A key with its colon; returned as written between the quotes.
    fn key(&mut self) -> Result<&'a str, Fault> {
        let start = self.at + 1;
        self.string()?;
        let key = &self.text[start..self.at - 1];
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(key)
    }

    /// Any value below `depth` levels, with all that is in it.
    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{' | b'[') => self.nested(depth),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(Fault::Invalid),
        }
    }

    /// An array or object below `depth` levels.
    fn nested(&mut self, depth: usize) -> Result<(), Fault> {
        let mut open = Open::below(depth);
        loop {
            self.skip_space();
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.skip_space();
                    let object = bracket == b'{';
                    let closing = if object { b'}' } else { b']' };
                    if self.peek() != Some(closing) {
                        open.push(object)?;
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            if !self.after_value(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends after a value. Whether another value has to follow.
    fn after_value(&mut self, open: &mut Open) -> Result<bool, Fault> {
        while let Some(in_object) = open.last() {
            self.skip_space();
            match (self.peek(), in_object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.skip_space();
                    self.key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.pop();
                }
                _ => return Err(Fault::Invalid),
            }
        }
        Ok(false)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Fault::Invalid)
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(Fault::Invalid) } else { Ok(()) }
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<(), Fault> {
        self.expect(b'"')?;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Fault::Invalid),
            }
        }
    }

    /// An escape; `\u` surrogates have to come in pairs.
    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unicode_escape()? {
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    match self.unicode_escape()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Fault::Invalid),
                    }
                }
                0xDC00..=0xDFFF => Err(Fault::Invalid),
                _ => Ok(()),
            },
            _ => Err(Fault::Invalid),
        }
    }

    /// `u` and four hexadecimal digits.
    fn unicode_escape(&mut self) -> Result<u32, Fault> {
        self.expect(b'u')?;
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Fault::Invalid)?;
        let mut code = 0;
        for digit in digits {
            code = code << 4 | char::from(*digit).to_digit(16).ok_or(Fault::Invalid)?;
        }
        self.at += 4;
        Ok(code)
    }
}

/// The number of bytes before the first quote, backslash or control character.
/// Eight at a time: each test leaves the high bit of the bytes it is true for.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut done = 0;
    for chunk in bytes.chunks_exact(8) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = quote | backslash | control;
        if special != 0 {
            // A borrow can mark a byte after the first special one, never one before it.
            return done + special.trailing_zeros() as usize / 8;
        }
        done += 8;
    }
    let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
    bytes[done..].iter().position(special).map_or(bytes.len(), |at| done + at)
}

/// The arrays and objects that are open, as bits.
struct Open {
    /// A bit a level: whether it is an object.
    objects: [u64; MAX_BODY_DEPTH / 64],
    depth: usize,
    /// The levels that somebody else opened.
    below: usize,
}

impl Open {
    fn below(depth: usize) -> Self {
        Open { objects: [0; MAX_BODY_DEPTH / 64], depth, below: depth }
    }

    fn push(&mut self, object: bool) -> Result<(), Fault> {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        let word = self.objects.get_mut(word).ok_or(Fault::TooDeep)?;
        *word = *word & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    /// Whether the innermost one is an object; `None` when none is open.
    fn last(&self) -> Option<bool> {
        if self.depth == self.below {
            return None;
        }
        let last = self.depth - 1;
        Some(self.objects[last / 64] >> (last % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> (Shape, Vec<String>) {
        let scan = scan(text).unwrap();
        (scan.shape, scan.keys)
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
                prop_assert_eq!(scan.keys, keys);
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
