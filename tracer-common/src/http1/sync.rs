//! Where messages start when the stream does not say so: after missed bytes, after bytes that are no message, and where only
//! the other direction shows that a message is over.

use core::ops::ControlFlow;

use crate::{event::Marks, frame::FrameBytes};

use super::{
    Facts, Framing, HttpHalf, HttpSink, MAX_PREAMBLE, NO_STATUS, Payload, Role, Scan, grammar::token,
    scan::window_at, state,
};

/// Bytes that suffice to recognize a start line.
const START_LINE: usize = 8;

/// Bytes of another protocol that are emitted, to recognize it.
const GUESS: u64 = 3;

impl<F: FrameBytes + ?Sized, S: HttpSink> Scan<'_, F, S> {
    /// Whether the segment starts with a start line that the sender may send. A retransmission must not bring an old one back.
    #[inline(always)]
    pub(super) fn starts_message(&mut self) -> bool {
        let Payload { start, end, frame_offset, is_new, .. } = self.buffer.payload;
        if is_new == 0 || start + START_LINE as u64 > end {
            return false;
        }
        let Some(window) = window_at(&mut self.buffer.event, 0) else { return false };
        let copied = self.frame.copy(frame_offset as usize, window, START_LINE);
        let start = window.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        copied == START_LINE && is_start_line(start, self.half)
    }

    /// Gives the segment to the next message if it starts one, and the message in progress may be over.
    #[inline(always)]
    pub(super) fn abandon(&mut self) {
        if self.half.may_be_abandoned(self.peer, self.buffer.payload.start) && self.starts_message() {
            self.half.start();
            self.half.facts = Facts::ABANDONS;
            self.half.position = self.buffer.payload.start;
        }
    }

    /// Resynchronizes if the segment starts with a start line.
    #[inline(always)]
    pub(super) fn resync(&mut self) -> ControlFlow<()> {
        if !self.starts_message() {
            return ControlFlow::Break(());
        }
        let (http, peer) = (&mut *self.half, self.peer);
        http.start();
        http.facts = Facts::RESYNCED;
        http.position = self.buffer.payload.start;
        // Requests were missed, and some of them were answered: what came before this one is not its response.
        let is_request = !self.buffer.event.bytes.starts_with(b"HTTP");
        if is_request && peer.messages > http.messages {
            let early = u32::from(peer.turn >= self.buffer.payload.peer_acked);
            http.messages = http.messages.max(peer.messages - early);
        }
        ControlFlow::Continue(())
    }

    /// What follows a request whose end only its response shows: a tunnel, or the next request.
    #[inline(always)]
    pub(super) fn on_answered(&mut self) -> ControlFlow<()> {
        if self.peer.state == state::TUNNEL {
            self.half.stop_at(state::TUNNEL);
            return ControlFlow::Break(());
        }
        if self.peer.messages <= self.half.exchange {
            return ControlFlow::Break(());
        }
        if self.buffer.payload.start > self.half.position {
            return self.resync();
        }
        self.half.start();
        self.half.facts = Facts::ABANDONS;
        ControlFlow::Continue(())
    }

    /// The byte at `position` is not in this segment: it may still come, or it never will.
    #[inline(always)]
    pub(super) fn missed(&mut self, position: u64) -> ControlFlow<()> {
        if self.buffer.payload.acked <= position {
            return ControlFlow::Break(());
        }
        // The receiver has it, so it will not be sent again: it was not captured, or came out of order.
        self.lost();
        ControlFlow::Continue(())
    }

    /// Loses sync. Emits an event between messages, too: whole messages may be missed before the scanner resynchronizes.
    #[inline(always)]
    pub(super) fn lost(&mut self) {
        self.drop_loaded();
        if self.half.state != state::LOST {
            self.emit(Marks::LOST_SYNC);
        }
        self.half.lose_sync();
    }

    /// The bytes of a head are none: a message of another protocol, bytes after the end of a message, or nonsense.
    #[inline(always)]
    pub(super) fn not_http(&mut self) -> ControlFlow<()> {
        let (http, peer) = (&mut *self.half, self.peer);
        let junk_at = http.position - u64::from(http.head_len);
        let payload = self.buffer.payload;
        // Enough of another protocol to recognize it.
        if self.buffer.at < GUESS && self.buffer.loaded > self.buffer.at {
            let more = self.buffer.loaded.min(GUESS) - self.buffer.at;
            self.buffer.at += more;
            http.position += more;
            http.head_len = http.head_len.wrapping_add(more as u32);
        }
        let mut marks = Marks::NOT_HTTP;
        // What a server sends when a request waits for its response is a response, unless it comes right after another one.
        let resynced = http.has(Facts::RESYNCED);
        let waits = peer.messages > http.messages && !http.is(Role::Client);
        let answers = waits && !resynced && !http.has(Facts::BEHIND);
        if answers {
            http.facts |= Facts::RESPONSE;
            http.exchange = http.messages;
            http.messages += 1;
            http.turn = junk_at;
            if peer.simple == http.messages {
                // A response of HTTP/0.9 has no head (RFC 1945, 6).
                http.status = NO_STATUS;
                http.framing = Framing::Close as u8;
                marks |= Marks::HEAD_END;
            }
        } else {
            marks |= Marks::UNSOLICITED;
        }
        // After a search, what looked like a start line was none; and what a server says first is of no exchange.
        let is_known = resynced || http.messages > 0;
        if http.has(Facts::EMITTED) || !resynced && (is_known || !http.is(Role::Server)) {
            self.emit(marks);
        }
        self.drop_loaded();
        let http = &mut *self.half;
        if marks.contains(Marks::HEAD_END) {
            http.stop_at(state::UNTIL_CLOSE);
            return ControlFlow::Break(());
        }
        let position = http.position;
        http.lose_sync();
        // Before the first message, none was missed.
        http.lost_at = if is_known { junk_at } else { u64::MAX };
        http.missed_start = 0;
        if !is_known && position < MAX_PREAMBLE {
            http.state = state::PREAMBLE;
        } else if !is_known {
            http.stop_at(state::NOT_HTTP);
        }
        if junk_at < payload.start { self.resync() } else { ControlFlow::Break(()) }
    }
}

/// Notes if a segment of the content of a message, whose payload lies at `offset`, starts with a start line: the message may
/// be shorter than it says. `peer`: the other direction.
#[inline(never)]
pub fn look_at_content<F: FrameBytes + ?Sized>(
    http: &mut HttpHalf,
    peer: &HttpHalf,
    frame: &F,
    offset: usize,
) {
    let in_content = http.state == state::CONTENT || http.state == state::CHUNK_DATA;
    // After a response, another one only follows if it was requested.
    if !in_content || http.has(Facts::RESPONSE) && peer.messages <= http.messages {
        return;
    }
    let start = frame.read::<START_LINE>(offset).map_or(0, u64::from_be_bytes);
    if is_start_line(start, http) {
        http.facts |= Facts::SUSPECT;
    }
}

/// Whether `word`, the first eight bytes of a segment, starts a status line or the request line of a common method, whichever
/// the sender may send.
#[inline(always)]
fn is_start_line(word: u64, http: &HttpHalf) -> bool {
    let starts = |text: [u64; 2], len: u32| word >> (64 - 8 * len) == text[0];
    if starts(const { token("HTTP/1.") }, 7) {
        return !http.is(Role::Client);
    }
    let is_request = starts(const { token("GET ") }, 4)
        || starts(const { token("POST ") }, 5)
        || starts(const { token("HEAD ") }, 5)
        || starts(const { token("PUT ") }, 4)
        || starts(const { token("DELETE ") }, 7)
        || starts(const { token("PATCH ") }, 6)
        || starts(const { token("TRACE ") }, 6)
        || starts(const { token("OPTIONS ") }, 8)
        || starts(const { token("CONNECT ") }, 8);
    is_request && !http.is(Role::Server)
}
