//! Where HTTP/1 messages start and end in one direction of a connection (RFC 9112).
//!
//! The scanner reads heads, chunk sizes and trailers byte by byte, or by words where no byte matters, and skips content by arithmetic on stream offsets,
//! so it knows where the next head must be without looking at content. It hands out the bytes of heads only.
//! It keeps no bytes between segments: a head split over many segments is told in as many fragments.
//!
//! A byte that it needs but that went by out of order cannot be had any more (the kernel keeps no payload). It then
//! says so and looks for the next segment that starts like a message.

mod grammar;
mod scan;
mod words;

use crate::{event::Framing, frame::WINDOW};

pub use scan::{HttpSink, MAX_STEPS, Room, Scan, Steps};

/// Bytes of a head told to userspace; what follows is scanned, but not told.
pub const MAX_HEAD: u32 = 16 * 1024;

/// Bytes of one fragment that make the scanner tell it before it reads on. A power of two: offsets into the buffer
/// are masked with it.
pub const FRAGMENT: usize = 1024;

/// Bytes that the scanner looks ahead without asking how many are loaded.
const AHEAD: usize = 64;

/// Bytes of the buffer that heads are read in: a fragment, what is loaded behind it, and what may be looked at beyond.
pub const BUFFER: usize = FRAGMENT + WINDOW + AHEAD;

/// Whether a final response follows the one with this status (RFC 9110, 15.2). Not after 101, which ends HTTP; and servers
/// in the wild send numbers below 100, which mean nothing.
#[inline(always)]
#[must_use]
pub const fn is_interim(status: u16) -> bool {
    status >= 100 && status < 200 && status != 101
}

/// In place of a status code: a response whose status code is not a number of three digits (RFC 9110, 15).
pub const NO_STATUS: u16 = u16::MAX;

/// Bytes at the start of a stream that may belong to another protocol with HTTP behind it: the handshakes of SOCKS take
/// at most some 800, and what goes on in another protocol must not be looked at for ever.
pub const MAX_PREAMBLE: u64 = 4096;

/// What the scanner expects next. Plain numbers: the value lives in a BPF map.
pub mod state {
    /// The first byte of a message.
    pub const START: u8 = 0;
    /// The method, or "HTTP" of a status line.
    pub const FIRST_TOKEN: u8 = 1;
    /// The first byte of the target of a GET, which may be a request of HTTP/0.9.
    pub const TARGET_START: u8 = 2;
    /// The rest of a request line.
    pub const REQUEST_LINE: u8 = 3;
    /// The version in a status line.
    pub const STATUS_VERSION: u8 = 4;
    /// The status code.
    pub const STATUS_CODE: u8 = 5;
    /// The rest of a line that does not matter.
    pub const SKIP_LINE: u8 = 6;
    /// The first byte of a field line.
    pub const LINE_START: u8 = 7;
    /// The first byte of a field line, which may go on with the value of Content-Length (RFC 9112, 5.2).
    pub const LENGTH_FOLD: u8 = 8;
    /// The first byte of a field line, which may go on with the value of Transfer-Encoding (RFC 9112, 5.2).
    pub const ENCODING_FOLD: u8 = 9;
    /// The line feed of the empty line.
    pub const LINE_START_CR: u8 = 10;
    /// A field name that starts with C or T.
    pub const NAME: u8 = 11;
    /// Blanks between a field name and its colon.
    pub const NAME_END: u8 = 12;
    /// The value of Content-Length.
    pub const LENGTH: u8 = 13;
    /// The value of Transfer-Encoding.
    pub const ENCODING: u8 = 14;
    /// The last state in which bytes belong to a head.
    pub const LAST_OF_HEAD: u8 = ENCODING;
    /// Content of known length: nothing to read until its end.
    pub const CONTENT: u8 = 15;
    /// A chunk size.
    pub const CHUNK_SIZE: u8 = 16;
    /// A chunk extension.
    pub const CHUNK_EXTENSION: u8 = 17;
    /// The data of a chunk: nothing to read until its end.
    pub const CHUNK_DATA: u8 = 18;
    /// The line end after the data of a chunk.
    pub const CHUNK_END: u8 = 19;
    /// The first byte of a trailer field line.
    pub const TRAILER_START: u8 = 20;
    /// The rest of a trailer field line.
    pub const TRAILER_LINE: u8 = 21;
    /// The line feed of the empty line after the trailers.
    pub const TRAILER_CR: u8 = 22;
    /// Content until the connection closes.
    pub const UNTIL_CLOSE: u8 = 23;
    /// Not HTTP any more: CONNECT or Upgrade.
    pub const TUNNEL: u8 = 24;
    /// Lost: looking for a segment that starts like a message.
    pub const LOST: u8 = 25;
    /// Another protocol that HTTP may follow, as SOCKS: looking for a segment that starts like a message.
    pub const PREAMBLE: u8 = 26;
    /// Not HTTP.
    pub const NOT_HTTP: u8 = 27;
}

/// Facts about the message being scanned, [`HttpHalf::facts`].
mod fact {
    pub(super) const RESPONSE: u8 = 1 << 0;
    pub(super) const HAS_LENGTH: u8 = 1 << 1;
    pub(super) const BAD_LENGTH: u8 = 1 << 2;
    pub(super) const HAS_ENCODING: u8 = 1 << 3;
    pub(super) const CHUNKED: u8 = 1 << 4;
    pub(super) const RESYNCED: u8 = 1 << 5;
    pub(super) const TOLD: u8 = 1 << 6;
    pub(super) const EMPTY_LINE: u8 = 1 << 7;
}

/// The scanner's memory of one direction.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct HttpHalf {
    /// Stream offset of the next byte to read; everything before it is done with.
    pub position: u64,
    /// The last 16 bytes of the token or line being read.
    token: [u64; 2],
    /// The number being read: content length or chunk size, in bytes.
    number: u64,
    /// Content-Length of the message, in bytes.
    length: u64,
    /// Content bytes of the message known so far.
    content: u64,
    /// Requests: bit n modulo 64 says that request n has the method HEAD.
    head_requests: u64,
    /// Requests, or final responses, so far.
    pub messages: u32,
    /// Heads so far, interim responses included.
    heads: u32,
    /// The exchange that the current message belongs to, from 0.
    exchange: u32,
    /// Requests: the number, from 1, of the last CONNECT; 0: none.
    connect: u32,
    /// Requests: the number, from 1, of the last one of HTTP/0.9; 0: none.
    simple: u32,
    /// Bytes of the current head so far.
    head_len: u32,
    /// Status code of the current response.
    status: u16,
    /// See [`state`].
    pub state: u8,
    facts: u8,
    /// Bytes of the token so far, saturating.
    token_len: u8,
    digits: u8,
    framing: u8,
    padding: [u8; 1],
}

impl HttpHalf {
    /// Nothing scanned yet.
    pub const BLANK: Self = Self {
        position: 0,
        token: [0; 2],
        number: 0,
        length: 0,
        content: 0,
        head_requests: 0,
        messages: 0,
        heads: 0,
        exchange: 0,
        connect: 0,
        simple: 0,
        head_len: 0,
        status: 0,
        state: state::START,
        facts: 0,
        token_len: 0,
        digits: 0,
        framing: 0,
        padding: [0; 1],
    };

    /// Gives up on the current position: the next head is found by its looks.
    #[inline(always)]
    pub fn lose_sync(&mut self) {
        self.state = state::LOST;
        self.position = 0;
    }

    /// Whether a segment that ends at stream offset `end` can hold anything to read.
    #[inline(always)]
    #[must_use]
    pub fn wants(&self, end: u64) -> bool {
        self.position <= end
    }

    #[inline(always)]
    fn has(&self, facts: u8) -> bool {
        self.facts & facts != 0
    }

    /// Appends one byte to the token.
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.token[1] = self.token[1] << 8 | self.token[0] >> 56;
        self.token[0] = self.token[0] << 8 | u64::from(byte);
        self.token_len = self.token_len.saturating_add(1);
    }

    #[inline(always)]
    fn clear_token(&mut self) {
        self.token = [0; 2];
        self.token_len = 0;
    }

    /// Nothing more will be read in this direction.
    #[inline(always)]
    fn stop_at(&mut self, state: u8) {
        self.state = state;
        self.position = u64::MAX;
    }

    /// Ready for the next message.
    #[inline(always)]
    fn start(&mut self) {
        self.state = state::START;
        self.facts = 0;
        self.head_len = 0;
        self.status = 0;
        self.content = 0;
        self.length = 0;
        self.framing = Framing::None as u8;
        self.clear_token();
    }
}

#[cfg(test)]
mod tests;
