//! The gate from outside: raw bytes over real sockets, against a handler that says what it
//! got.

mod framing;
mod lifecycle;
mod limits;
mod odd_requests;
mod rig;
