//! The demo: a browser, a server, and a half-open handshake.
//!
//! The browser and the server use real sockets. They share no code with the tracer's parser, so
//! that tests compare two independent views of the same bytes.
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
//! The pauses keep the kernels from merging an ACK with the segment after it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

pub mod browser;
mod content;
pub mod half_open;
mod run;
pub mod server;
mod wire;

pub use run::run;

/// One side's view of a finished connection, to compare with the tracer's records.
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
    /// Status codes of the responses, in order.
    pub statuses: Vec<u16>,
}
