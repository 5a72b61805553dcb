//! The scanner's state for one direction.

use super::{Framing, state};
use crate::{event::ScanAnomalies, flags::flags};

flags! {
    /// What is known of the message being scanned.
    Facts: u16;
    /// It is a response.
    RESPONSE = 1 << 0;
    /// It has a Content-Length.
    HAS_LENGTH = 1 << 1;
    /// Its Content-Length is not a number, or there are several that differ.
    BAD_LENGTH = 1 << 2;
    /// It has a Transfer-Encoding.
    HAS_ENCODING = 1 << 3;
    /// Its last transfer coding is chunked.
    CHUNKED = 1 << 4;
    /// Its head was found by resynchronization.
    RESYNCED = 1 << 5;
    /// An event about it was emitted.
    EMITTED = 1 << 6;
    /// Empty lines came before it.
    EMPTY_LINE = 1 << 7;
    /// Whitespace came before it.
    LEADING_SPACE = 1 << 8;
    /// Its request line is malformed.
    MALFORMED = 1 << 9;
    /// Its method is a registered one that is common.
    KNOWN_METHOD = 1 << 10;
    /// The message before it ends in the segment in which it starts.
    BEHIND = 1 << 11;
    /// A segment of its content starts with a start line: its length may be wrong.
    SUSPECT = 1 << 12;
    /// Its sender has not completed the message before it.
    ABANDONS = 1 << 13;
}

/// The scanner's state for one direction.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct HttpHalf {
    /// Stream offset of the next byte to read; everything before it is done.
    pub position: u64,
    /// The last 16 bytes of the current token or line.
    pub(super) token: [u64; 2],
    /// The number being read: content length or chunk size, in bytes.
    pub(super) number: u64,
    /// Content-Length of the message, in bytes.
    pub(super) length: u64,
    /// Content bytes of the message known so far.
    pub(super) content: u64,
    /// Requests: bit n modulo 64 is set if request n has the method HEAD.
    pub(super) head_requests: u64,
    /// Requests, or final responses, so far.
    pub messages: u32,
    /// Heads so far, interim responses included.
    pub(super) heads: u32,
    /// The exchange that the current message belongs to, from 0.
    pub(super) exchange: u32,
    /// Requests: the number, from 1, of the last CONNECT; 0: none.
    pub(super) connect: u32,
    /// Requests: the number, from 1, of the last one of HTTP/0.9; 0: none.
    pub(super) simple: u32,
    /// Bytes of the current head so far.
    pub(super) head_len: u32,
    /// Requests: the stream offset of the other direction up to which the last one acknowledges. Responses: the stream
    /// offset at which the last final one starts.
    pub(super) turn: u64,
    /// The stream offset at which sync was lost last; `u64::MAX` if no message can have been missed.
    pub(super) lost_at: u64,
    /// Status code of the current response.
    pub(super) status: u16,
    /// What is known of the current message.
    pub(super) facts: Facts,
    /// See [`state`].
    pub state: u8,
    /// Who sends this direction, as [`Role`].
    pub(super) role: u8,
    /// Bytes of the token so far, saturating.
    pub(super) token_len: u8,
    /// Digits of the current number so far, or a note of the current line; see the states that use it.
    pub(super) digits: u8,
    /// See [`Framing`].
    pub(super) framing: u8,
    /// 1: sync was lost between two messages, so that the start of one was missed.
    pub(super) missed_start: u8,
    /// The byte before, in the lines that it matters in: values of framing fields, chunk sizes and trailers.
    pub(super) previous: u8,
    /// Departures of the current message.
    pub(super) anomalies: ScanAnomalies,
    padding: [u8; 4],
}

const _: () = assert!(size_of::<HttpHalf>() == 112);

/// Who sends a direction, as its SYN shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// No SYN was seen.
    #[default]
    Unknown = 0,
    /// It requests.
    Client = 1,
    /// It responds.
    Server = 2,
}

impl HttpHalf {
    /// Nothing scanned yet.
    pub const NEW: Self = Self {
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
        turn: 0,
        lost_at: 0,
        status: 0,
        facts: Facts::EMPTY,
        state: state::START,
        role: Role::Unknown as u8,
        token_len: 0,
        digits: 0,
        framing: 0,
        missed_start: 0,
        previous: 0,
        anomalies: ScanAnomalies::EMPTY,
        padding: [0; 4],
    };

    /// Discards the current position: parsing resumes at the next start line.
    #[inline(always)]
    pub fn lose_sync(&mut self) {
        if self.state != state::LOST {
            self.lost_at = self.position;
            self.missed_start = u8::from(self.state == state::START);
        }
        self.state = state::LOST;
        self.position = 0;
    }

    /// Who sends this direction.
    #[inline(always)]
    pub fn set_role(&mut self, role: Role) {
        self.role = role as u8;
    }

    #[inline(always)]
    pub(super) fn is(&self, role: Role) -> bool {
        self.role == role as u8
    }

    /// Whether a segment with the bytes from stream offset `start` to `end` can hold anything to read. `peer`: the other
    /// direction.
    #[inline(always)]
    #[must_use]
    pub fn wants(&self, peer: &Self, start: u64, end: u64) -> bool {
        self.position <= end || self.state == state::CONTENT && self.may_be_abandoned(peer, start)
    }

    /// Whether the message in progress may be over although it is not complete, if another one starts at stream offset
    /// `start`: nothing of its content was sent, and it was answered. RFC 9110, 10.1.1 has the case of a client that gets a
    /// final response in place of 100; RFC 9112, 2.2 that of a malformed request.
    #[inline(always)]
    pub(super) fn may_be_abandoned(&self, peer: &Self, start: u64) -> bool {
        let response = self.has(Facts::RESPONSE);
        // Of a response, the next request shows that its receiver expected no content.
        let answered = if response { peer.messages > self.messages } else { peer.messages > self.exchange };
        let content_at = self.position.wrapping_sub(self.content);
        let unsent = match self.state {
            state::CONTENT => content_at == start,
            state::CHUNK_SIZE => self.content == 0 && self.digits == 0 && self.position == start,
            state::TARGET_START..=state::ENCODING => !response && self.position == start,
            _ => false,
        };
        answered && unsent
    }

    #[inline(always)]
    pub(super) fn has(&self, facts: Facts) -> bool {
        self.facts.contains(facts)
    }

    /// Appends one byte to the token.
    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        self.token[1] = self.token[1] << 8 | self.token[0] >> 56;
        self.token[0] = self.token[0] << 8 | u64::from(byte);
        self.token_len = self.token_len.saturating_add(1);
    }

    #[inline(always)]
    pub(super) fn clear_token(&mut self) {
        self.token = [0; 2];
        self.token_len = 0;
    }

    /// Ends the scan of this direction.
    #[inline(always)]
    pub(super) fn stop_at(&mut self, state: u8) {
        self.state = state;
        self.position = u64::MAX;
    }

    /// Prepares for the next message.
    #[inline(always)]
    pub(super) fn start(&mut self) {
        self.state = state::START;
        self.facts = Facts::EMPTY;
        self.head_len = 0;
        self.status = 0;
        self.content = 0;
        self.length = 0;
        self.framing = Framing::None as u8;
        self.previous = 0;
        self.anomalies = ScanAnomalies::EMPTY;
        self.clear_token();
    }
}
