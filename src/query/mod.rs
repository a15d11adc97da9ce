//! SQL text. The two functions of [`quote`] are the only way for client text into it.

pub mod quote;
