//! TCP as a passive observer sees it (RFC 9293): facts from events, and nothing of the application protocol.
//!
//! [`Session`] joins what each direction sent (`direction`, `gaps`, `stats`), the states of both endpoints
//! (`endpoints`, `state`), and Zeek's view (`zeek`, `conn_state`, `history`). [`Handshake`] measures the
//! handshake. [`unreported`] rebuilds the segments of a handshake from counters.
//!
//! Plain synchronous code: time is an argument.

mod completeness;
mod conn_state;
mod direction;
mod endpoints;
mod gaps;
mod handshake;
mod history;
mod optional_ns;
mod session;
mod state;
mod stats;
pub(crate) mod unreported;
mod zeek;

pub(crate) use self::{
    completeness::completeness,
    handshake::Handshake,
    session::{Fin, SegmentContext, Session, Update},
};
