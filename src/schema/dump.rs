//! Writes the cache as JSON in an order of its own, so that two dumps can be compared.

use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};

/// Writes a map sorted by key, for `#[serde(serialize_with)]`.
pub(super) fn sorted<V: Serialize, S: Serializer>(
    map: &HashMap<Box<str>, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().collect::<BTreeMap<_, _>>())
}
