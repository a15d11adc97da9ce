//! Responses from results: status, headers and body. Everything here is pure; the
//! transaction has ended.

mod cors;
mod fault;
mod from_sql;
pub mod openapi;
mod range;
mod success;

pub use cors::Cors;
pub use fault::error_response;
pub use range::ContentRange;
pub use success::{Finished, check_singular, of_call, of_mutation, of_read};

use crate::http::Response;
use crate::plan::MutatePlan;
use crate::schema::{Relation, Routine, Volatility};

/// The parts of a request that make different answers
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5>).
const VARY: &str = "Accept, Prefer, Range";

/// The answer to `OPTIONS` for a relation.
pub fn options_of_relation(relation: &Relation) -> Response {
    let mut allow = String::from("OPTIONS,GET,HEAD");
    if relation.insertable {
        allow.push_str(",POST");
    }
    if relation.insertable && relation.updatable && !relation.primary_key.is_empty() {
        allow.push_str(",PUT");
    }
    if relation.updatable {
        allow.push_str(",PATCH");
    }
    if relation.deletable {
        allow.push_str(",DELETE");
    }
    options(allow)
}

/// The answer to `OPTIONS` for a function.
pub fn options_of_routine(routine: &Routine) -> Response {
    options(match routine.volatility {
        Volatility::Volatile => "OPTIONS,POST".into(),
        Volatility::Stable | Volatility::Immutable => "OPTIONS,GET,HEAD,POST".into(),
    })
}

/// The answer to `OPTIONS` for the root.
pub fn options_of_root() -> Response {
    options("OPTIONS,GET,HEAD".into())
}

fn options(allow: String) -> Response {
    Response {
        status: 200,
        headers: vec![
            ("Access-Control-Allow-Origin".into(), "*".into()),
            ("Allow".into(), allow),
            ("Vary".into(), VARY.into()),
        ],
        ..Response::default()
    }
}

/// Whether a mutation's status tells inserted rows from changed ones.
fn merges(plan: &MutatePlan) -> bool {
    use crate::plan::Mutation;
    match &plan.mutation {
        Mutation::Insert(insert) => insert.conflict.as_ref().is_some_and(|c| c.merge),
        Mutation::Update { .. } | Mutation::Delete { .. } => false,
    }
}
