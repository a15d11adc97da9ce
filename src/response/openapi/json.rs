//! JSON that is made while it is written: maps whose entries come one at a time, and
//! objects without the members that are not there.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A map of the entries that the function gives.
pub struct Entries<F>(pub F);

impl<F, I, K, V> Serialize for Entries<F>
where
    F: Fn() -> I,
    I: Iterator<Item = (K, V)>,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0())
    }
}

/// An object of the members that are there.
pub fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// An array, when there is something in it.
pub fn some_array(items: impl Iterator<Item = Value>) -> Option<Value> {
    let items: Vec<Value> = items.collect();
    (!items.is_empty()).then_some(Value::Array(items))
}

/// An object, when there is something in it.
pub fn some_object(members: impl Iterator<Item = (String, Value)>) -> Option<Value> {
    let members: Map<String, Value> = members.collect();
    (!members.is_empty()).then_some(Value::Object(members))
}
