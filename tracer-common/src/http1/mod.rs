//! Where HTTP/1 messages start and end in one direction of a connection (RFC 9112).
//!
//! The scanner reads heads, chunk sizes and trailers byte by byte, or word by word where no single byte matters. It
//! skips content by arithmetic on stream offsets, so it knows where the next head starts without reading the content.
//! It emits the bytes of heads only, and keeps no bytes between segments: a head in many segments becomes as many fragments.
//!
//! The kernel keeps no payload, so bytes that arrive out of order cannot be read later. The scanner then emits an event
//! about it and resynchronizes at the next segment that starts with a start line.
//!
//! It knows nothing of TCP but what [`Payload`] says.

mod bytes;
mod chunked;
mod framing;
mod grammar;
mod half;
mod scan;
pub mod state;
mod sync;
mod words;

use crate::frame::WINDOW;

pub use self::{
    bytes::{is_control, is_token_character, is_whitespace},
    framing::Framing,
    half::{Facts, HttpHalf, Role},
    scan::{HttpEvent, HttpSink, MAX_STEPS, Payload, Scan, ScanBuffer, Steps},
    sync::look_at_content,
};

/// Bytes of a head that are emitted; the rest is scanned, but not emitted.
pub const MAX_HEAD: u32 = 16 * 1024;

/// Bytes of a fragment at which the scanner emits it before it reads on. A power of two: offsets into the buffer
/// are masked with it.
pub const FRAGMENT: usize = 1024;

/// Bytes that the scanner reads ahead without checking how many are loaded.
const AHEAD: usize = 64;

/// Bytes of the buffer that heads are read in: a fragment, the next window loaded after it, and the read-ahead.
pub const BUFFER: usize = FRAGMENT + WINDOW + AHEAD;

/// Whether a final response follows the one with this status (RFC 9110, 15.2). Not after 101, which ends HTTP, nor after a
/// number below 100, which some servers send and which means nothing.
#[inline(always)]
#[must_use]
pub const fn is_interim(status: u16) -> bool {
    status >= 100 && status < 200 && status != 101
}

/// In place of a status code: a response whose status code is not a number of three digits (RFC 9110, 15).
pub const NO_STATUS: u16 = u16::MAX;

/// Bytes at the start of a stream that may belong to another protocol before HTTP: a SOCKS handshake takes up to about
/// 800. The bound ends the search in other protocols.
pub const MAX_PREAMBLE: u64 = 4096;

#[cfg(test)]
mod tests;
