//! What the client asked: parsed, typed, and not yet held against the schema.
//!
//! The grammar is that of
//! <https://docs.postgrest.org/en/v16/references/api/url_grammar.html>. Every parser here
//! takes client bytes and gives a value or an [`Error`](crate::error::Error); none panics.

pub mod ast;
