//! Query strings: whatever is accepted prints to text that is parsed to the same tree.

#![no_main]

use goldenkey::request::ast::{Condition, Query};
use goldenkey::request::{Parameters, limits};
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Parses a parameter; `None` when it is longer or deeper than the limits.
fn parsed(name: &str, value: &str) -> Option<Query> {
    let query = format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    match Query::parse(&query, Parameters::Filters) {
        Ok(query) => Some(query),
        Err(error) if error.code() == limits::CODE_TOO_MUCH => None,
        Err(error) => panic!("{name}={value}: {error:?}"),
    }
}

fuzz_target!(|data: &str| {
    let _ = Query::parse(data, Parameters::FiltersOrArguments);
    let Ok(query) = Query::parse(data, Parameters::Filters) else { return };
    if !query.select.is_empty()
        && let Some(again) = parsed("select", &joined(&query.select))
    {
        assert_eq!(again.select, query.select);
    }
    for (_, terms) in &query.order {
        if let Some(again) = parsed("order", &joined(terms)) {
            assert_eq!(again.order, [(Vec::new(), terms.clone())]);
        }
    }
    for (_, condition) in query.filters {
        let Some(again) = parsed("and", &format!("({condition})")) else { continue };
        let [(_, Condition::Logic(logic))] = again.filters.as_slice() else {
            panic!("a logic tree is parsed to one")
        };
        assert_eq!(logic.operands, [condition]);
    }
});
