//! Reading JSON without losing what was written: numbers keep their digits, and of a
//! repeated name the first member counts, at every depth.
//!
//! `serde_json::Value` would round large numbers, and keeps the last of repeated members,
//! where PostgREST keeps the first. PostgreSQL's `json` type finds the last one too, so
//! text that is handed to it must hold each name once.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// How deeply arrays and objects may be nested.
pub(super) const MAX_DEPTH: usize = 64;

/// The members of an object: decoded names, and values as they were written.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The members of the object in `text`, sorted by name, each name once (its first member).
pub(super) fn members(text: &str) -> Option<Members<'_>> {
    let mut members = serde_json::from_str::<Object>(text).ok()?.0;
    // Stable, so that the first of equal names stays the first.
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.dedup_by(|later, first| later.0 == first.0);
    Some(members)
}

/// The text of a JSON string, borrowed where it has no escapes.
pub(super) fn string(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text>(json).ok().map(|text| text.0)
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(text: &str, out: &mut String) {
    let plain = |b: &u8| *b >= b' ' && *b != b'"' && *b != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Appends a valid JSON value in its normal form: no white space, members sorted and
/// unique, escapes only where they are needed, numbers digit for digit.
///
/// Returns `None` when it is nested too deeply or has an escape of half a character.
pub(super) fn normalize(json: &str, depth: usize, out: &mut String) -> Option<()> {
    match json.as_bytes().first()? {
        b'{' | b'[' if depth == 0 => None,
        b'{' => {
            out.push('{');
            for (i, (name, value)) in members(json)?.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(&name, out);
                out.push(':');
                normalize(value.get(), depth - 1, out)?;
            }
            out.push('}');
            Some(())
        }
        b'[' => {
            out.push('[');
            for (i, value) in
                serde_json::from_str::<Vec<&RawValue>>(json).ok()?.into_iter().enumerate()
            {
                if i > 0 {
                    out.push(',');
                }
                normalize(value.get(), depth - 1, out)?;
            }
            out.push(']');
            Some(())
        }
        b'"' if json.contains('\\') => {
            write_string(&string(json)?, out);
            Some(())
        }
        _ => {
            out.push_str(json);
            Some(())
        }
    }
}

struct Object<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Text(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A string that borrows from the input where it can.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn normal(json: &str) -> Option<String> {
        let mut out = String::new();
        normalize(json, MAX_DEPTH, &mut out).map(|()| out)
    }

    #[test]
    fn normal_json_is_compact_sorted_and_unique() {
        for (json, expected) in [
            (r#"{"b": 1, "a": [ ], "b": 2}"#, r#"{"a":[],"b":1}"#),
            (r#"[{"k" : "\u00e9\/"}, 1.0, -0, 1E5]"#, r#"[{"k":"é/"},1.0,-0,1E5]"#),
            (r#""a\u0000\"\n""#, r#""a\u0000\"\n""#),
            ("{}", "{}"),
        ] {
            assert_eq!(normal(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn half_a_character_is_refused() {
        assert_eq!(normal(r#""\ud800""#), None);
        assert_eq!(normal(r#"["\udc00x"]"#), None);
        assert_eq!(normal(r#""\ud83d\udcbe""#).as_deref(), Some("\"💾\""));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(normal(&nested(MAX_DEPTH)).is_some());
        assert_eq!(normal(&nested(MAX_DEPTH + 1)), None);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-c\"\\\\é\u{0}]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn normal_json_means_the_same(value in values()) {
            let json = normal(&value.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
            prop_assert_eq!(normal(&json), Some(json.clone()));
        }
    }
}
