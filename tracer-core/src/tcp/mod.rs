//! TCP as an observer on the path sees it (RFC 9293): the two endpoints' states, what each direction sent, and how the
//! connection went.
//!
//! Plain synchronous code: events in, facts out; time is an argument.

mod analysis;
mod completeness;
mod conn_state;
mod connection;
mod direction;
mod endpoints;
mod gaps;
mod history;
mod known;
mod purpose;
mod state;
pub mod untold;

pub use connection::{Connection, Phase, Wanted};
