//! The two sides of the demo's conversation, and the handshake that nobody confirms.
//!
//! These are actors on real sockets, for the tracer to watch. They share nothing with its parser, so that the demo
//! and the tests compare two independent accounts of the same bytes.
//!
//! ```text
//!   browser                                     server
//!      │ ───── SYN ─────────────────────────────► │
//!      │ ◄──── SYN, ACK ───────────────────────── │
//!      │ ───── ACK ─────────────────────────────► │
//!      │ ───── GET / ───────────────────────────► │
//!      │ ◄──── ACK ─ (thinks) ─ 200, the page ─── │  ACKs of the page go back
//!      │ ───── GET /logo.png, If-None-Match ────► │
//!      │ ◄──── 304 ────────────────────────────── │
//!      │ ───── GET /photo.jpg, If-None-Match ───► │
//!      │ ◄──── 304, Connection: close ─────────── │
//!      │ ───── ACK ─────────────────────────────► │
//!      │ ◄──── FIN ─ (lingers first) ──────────── │
//!      │ ───── ACK ─────────────────────────────► │
//!      │ ───── FIN ─ (pauses first) ────────────► │
//!      │ ◄──── ACK ────────────────────────────── │
//! ```
//!
//! The pauses keep apart what the kernels would otherwise merge into one segment.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

pub mod browser;
mod content;
pub mod half_open;
mod run;
pub mod server;
mod wire;

pub use run::run;

/// What one side knows of one connection once it is over, to be compared with the tracer's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// This side's address and port.
    pub local: SocketAddr,
    /// The other side's address and port.
    pub peer: SocketAddr,
    /// Bytes written to the socket.
    pub bytes_sent: u64,
    /// Bytes read from the socket.
    pub bytes_received: u64,
    /// Status codes of the answers, in order.
    pub statuses: Vec<u16>,
}
