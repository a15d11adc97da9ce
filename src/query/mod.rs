//! SQL text from plans. The two functions of [`quote`] are the only way for client text
//! into it.

mod access;
mod body;
mod call;
mod condition;
#[cfg(test)]
mod confinement;
mod mutate;
mod payload;
pub mod quote;
pub mod response_settings;
mod rows;
mod select;
mod sql;
mod statement;
mod types;
mod values;

pub use body::BodyEncoding;
pub use sql::Sql;
pub use statement::{Answer, Asked, Column, Options, Statement, write};
