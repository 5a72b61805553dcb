//! The way of one segment through the scanner: what is loaded, what is told.

use core::ops::ControlFlow;

use crate::{
    event::{Framing, HttpEvent, mark},
    flow::{Half, half},
    frame::{FrameBytes, WINDOW},
};

use super::{
    FRAGMENT, MAX_HEAD, MAX_PREAMBLE, fact,
    grammar::{Byte, token},
    is_interim, state,
};

/// Bytes read in one step. More make fewer steps; each makes the program longer to verify.
const BYTES_AT_ONCE: usize = 8;
/// Lines, or parts of long ones, read in one step.
const PARTS_AT_ONCE: usize = 4;

/// Steps that the scanner may take in one segment: one for a few bytes, one for each window to load, and one
/// or two for each message. Enough for more than 64 KiB of heads.
pub const MAX_STEPS: u32 = 16_384;

/// Where the scanner sends its findings.
pub trait HttpSink {
    /// Takes one event with `event.facts.len` bytes of head behind it; false when it could not be told.
    fn tell(&self, event: &HttpEvent) -> bool;
}

/// What the scanner works on and in: too large for a BPF stack, so one for each CPU.
///
/// It is also the better place for what changes while scanning: the verifier follows every value that it can know, and
/// would check the scanner for each of them; of map memory it knows nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Room {
    /// The event being made, its header filled in.
    pub event: HttpEvent,
    /// Stream offset of the first payload byte of the segment.
    pub start: u64,
    /// Stream offset behind its last payload byte.
    pub end: u64,
    /// Offset of the payload in the frame.
    pub payload_offset: u32,
    /// 1: the payload is new, not sent before.
    pub fresh: u32,
    /// Bytes of the event's buffer that are read; in a head, they are its current fragment.
    at: u64,
    /// Bytes of the event's buffer that are loaded; those before `at` are read.
    loaded: u64,
}

impl Room {
    /// Nothing in it.
    pub const BLANK: Self =
        Self { event: HttpEvent::BLANK, start: 0, end: 0, payload_offset: 0, fresh: 0, at: 0, loaded: 0 };
}

/// Work done in steps: by a plain loop on the host, by `bpf_loop` in the kernel.
pub trait Steps {
    /// Does the next piece of work; breaks when there is none left.
    fn step(&mut self) -> ControlFlow<()>;
}

/// One segment on its way through the scanner: at most [`MAX_STEPS`] steps.
pub struct Scan<'a, F: ?Sized, S> {
    half: &'a mut Half,
    peer: &'a Half,
    frame: &'a F,
    sink: &'a S,
    room: &'a mut Room,
}

impl<'a, F: FrameBytes + ?Sized, S: HttpSink> Scan<'a, F, S> {
    /// Ready to scan the payload that `room` describes, sent by `half` to `peer`.
    #[inline(always)]
    pub fn new(frame: &'a F, sink: &'a S, half: &'a mut Half, peer: &'a Half, room: &'a mut Room) -> Self {
        room.at = 0;
        room.loaded = 0;
        Self { half, peer, frame, sink, room }
    }

    /// Gives up on a segment that took all its steps: where its messages start and end is not known any more.
    #[inline(always)]
    pub fn exhausted(&mut self) {
        self.lost();
    }
}

impl<F: FrameBytes + ?Sized, S: HttpSink> Steps for Scan<'_, F, S> {
    #[inline(always)]
    fn step(&mut self) -> ControlFlow<()> {
        match self.half.http.state {
            state::CONTENT => {
                if self.half.http.position > self.room.end {
                    return ControlFlow::Break(());
                }
                self.message_end();
                ControlFlow::Continue(())
            }
            state::CHUNK_DATA => {
                if self.half.http.position > self.room.end {
                    return ControlFlow::Break(());
                }
                self.half.http.state = state::CHUNK_END;
                ControlFlow::Continue(())
            }
            state::UNTIL_CLOSE | state::TUNNEL | state::NOT_HTTP => ControlFlow::Break(()),
            state::PREAMBLE if self.room.start >= MAX_PREAMBLE => {
                self.half.http.stop_at(state::NOT_HTTP);
                ControlFlow::Break(())
            }
            state::LOST | state::PREAMBLE => self.find_start(),
            _ => {
                if self.room.at >= self.room.loaded {
                    self.load()?;
                }
                self.read()
            }
        }
    }
}

impl<F: FrameBytes + ?Sized, S: HttpSink> Scan<'_, F, S> {
    /// Looks whether the segment starts like a message.
    #[inline(always)]
    fn find_start(&mut self) -> ControlFlow<()> {
        // A retransmission must not bring an old head back.
        if self.room.fresh == 0 || self.room.start + WINDOW_OF_START as u64 > self.room.end {
            return ControlFlow::Break(());
        }
        let Some(window) = window_at(&mut self.room.event, 0) else { return ControlFlow::Break(()) };
        if self.frame.copy(self.room.payload_offset as usize, window, WINDOW_OF_START) < WINDOW_OF_START
            || !starts_like_a_message(window)
        {
            return ControlFlow::Break(());
        }
        self.half.http.start();
        self.half.http.facts = fact::RESYNCED;
        self.half.http.position = self.room.start;
        ControlFlow::Continue(())
    }

    /// Loads the next bytes behind those already read.
    #[inline(always)]
    fn load(&mut self) -> ControlFlow<()> {
        let http = &self.half.http;
        let position = http.position;
        if position >= self.room.end {
            self.tell_fragment(0);
            return ControlFlow::Break(());
        }
        if position < self.room.start {
            return self.missed(position);
        }
        if http.state == state::START && self.peer.http.state == state::TUNNEL {
            self.half.http.stop_at(state::TUNNEL);
            return ControlFlow::Break(());
        }
        if http.state > state::LAST_OF_HEAD || http.head_len > MAX_HEAD {
            self.room.at = 0;
        } else if self.room.at >= FRAGMENT as u64 {
            self.tell_fragment(0);
        }
        let left = self.room.end - position;
        let len = if left < WINDOW as u64 { left as usize } else { WINDOW };
        let offset = self.room.payload_offset as usize + (position - self.room.start) as usize;
        let copied = match window_at(&mut self.room.event, self.room.at as usize) {
            Some(window) => self.frame.copy(offset, window, len),
            None => 0,
        };
        if copied == 0 {
            // A captured frame may be shorter than it was on the wire.
            self.tell_fragment(0);
            self.lost();
            return ControlFlow::Break(());
        }
        self.room.loaded = self.room.at + copied as u64;
        ControlFlow::Continue(())
    }

    /// Reads some of the bytes loaded by words; false where the next one must be read byte by byte.
    #[inline(always)]
    fn read_words(&mut self) -> bool {
        let http = &mut self.half.http;
        for _ in 0..PARTS_AT_ONCE {
            let (at, loaded) = (self.room.at, self.room.loaded);
            if at >= loaded {
                break;
            }
            let taken = http.on_words(&self.room.event.bytes, at, loaded);
            if taken == 0 {
                return false;
            }
            self.room.at = at + taken;
            http.position += taken;
        }
        true
    }

    /// Reads a few of the bytes loaded.
    #[inline(always)]
    fn read(&mut self) -> ControlFlow<()> {
        if self.read_words() {
            return ControlFlow::Continue(());
        }
        let http = &mut self.half.http;
        let mut outcome = Byte::Next;
        for _ in 0..BYTES_AT_ONCE {
            if self.room.at >= self.room.loaded {
                break;
            }
            let Some(byte) = self.room.event.bytes.get(self.room.at as usize) else { break };
            self.room.at += 1;
            http.position += 1;
            outcome = http.on_byte(*byte);
            if outcome != Byte::Next || http.reads_words() {
                break;
            }
        }
        if outcome == Byte::RequestLine {
            outcome = self.half.http.on_request_line_end();
        }
        match outcome {
            Byte::Next | Byte::RequestLine => return ControlFlow::Continue(()),
            Byte::Again => {}
            Byte::HeadEnd => {
                self.head_end();
                if self.half.http.position >= self.room.end {
                    // As most segments are.
                    return ControlFlow::Break(());
                }
            }
            Byte::MessageEnd => self.message_end(),
            Byte::NotHttp => {
                self.not_http();
                return ControlFlow::Break(());
            }
            Byte::Lost => {
                self.drop_loaded();
                self.tell(mark::LOST_SYNC | mark::BAD_CHUNK);
                self.half.http.lose_sync();
                return ControlFlow::Break(());
            }
        }
        self.drop_loaded();
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn drop_loaded(&mut self) {
        self.room.at = 0;
        self.room.loaded = 0;
    }

    /// The byte at `position` is not in this segment: it may still come, or it never will.
    #[inline(always)]
    fn missed(&mut self, position: u64) -> ControlFlow<()> {
        // Without acknowledgments to go by (a capture of one direction) there is nothing to wait for.
        if self.peer.counters.flags & half::ACKED != 0
            && self.half.offset_of(self.peer.counters.ack) <= position
        {
            return ControlFlow::Break(());
        }
        // The receiver has it, so it will not be sent again: it went by unseen or out of order.
        self.lost();
        ControlFlow::Continue(())
    }

    /// The framing is lost. Says so between messages, too: whole messages may go by until it is found again.
    #[inline(always)]
    fn lost(&mut self) {
        self.drop_loaded();
        if self.half.http.state != state::LOST {
            self.tell(mark::LOST_SYNC);
        }
        self.half.http.lose_sync();
    }

    /// This is not HTTP: says so where userspace has heard of the message.
    #[inline(always)]
    fn not_http(&mut self) {
        self.drop_loaded();
        if self.half.http.has(fact::TOLD) {
            self.tell(mark::NOT_HTTP);
        }
        let http = &mut self.half.http;
        if http.has(fact::RESYNCED) {
            // It only looked like a message.
            http.lose_sync();
        } else if http.position < MAX_PREAMBLE {
            http.lose_sync();
            http.state = state::PREAMBLE;
        } else {
            http.stop_at(state::NOT_HTTP);
        }
    }

    /// The head is complete: what follows is decided in the order of RFC 9112, 6.3.
    #[inline(always)]
    fn head_end(&mut self) {
        let http = &mut self.half.http;
        let mut marks = mark::HEAD_END;
        let mut head_requested = false;
        let mut connected = false;
        if http.has(fact::RESPONSE) {
            if http.has(fact::RESYNCED) && self.peer.http.messages > http.messages {
                http.messages = self.peer.http.messages - 1;
            }
            http.exchange = http.messages;
            let unsolicited = http.messages >= self.peer.http.messages;
            if unsolicited {
                marks |= mark::UNSOLICITED;
            } else {
                head_requested = self.peer.http.head_requests >> (http.messages & 63) & 1 != 0;
                connected = self.peer.http.connect == http.messages.wrapping_add(1);
                if !is_interim(http.status) {
                    http.messages += 1;
                }
            }
        }
        let framing = http.body_framing(head_requested, connected);
        http.framing = framing as u8;
        match framing {
            Framing::None => marks |= mark::MESSAGE_END,
            Framing::Length => {
                http.content = http.length;
                if http.position.saturating_add(http.length) <= self.room.end {
                    marks |= mark::MESSAGE_END;
                }
            }
            Framing::Chunked | Framing::Close | Framing::Tunnel => {}
        }
        let position = http.position;
        let content_end = position.saturating_add(http.content);
        self.tell_fragment(marks);
        let http = &mut self.half.http;
        match framing {
            Framing::None => http.start(),
            Framing::Length if marks & mark::MESSAGE_END != 0 => {
                http.start();
                http.position = content_end;
            }
            Framing::Length => {
                http.state = state::CONTENT;
                http.position = content_end;
            }
            Framing::Chunked => {
                http.number = 0;
                http.digits = 0;
                http.state = state::CHUNK_SIZE;
            }
            Framing::Close => http.stop_at(state::UNTIL_CLOSE),
            Framing::Tunnel => http.stop_at(state::TUNNEL),
        }
    }

    /// The message is complete at the position.
    #[inline(always)]
    fn message_end(&mut self) {
        self.room.at = 0;
        self.tell(mark::MESSAGE_END);
        self.half.http.start();
    }

    /// Tells the bytes of the head collected from this segment.
    #[inline(always)]
    fn tell_fragment(&mut self, marks: u16) {
        let in_head = self.half.http.state <= state::LAST_OF_HEAD && self.half.http.head_len <= MAX_HEAD;
        if !in_head {
            self.room.at = 0;
        }
        if self.room.at > 0 || marks != 0 {
            self.tell(marks);
        }
        self.drop_loaded();
    }

    #[inline(always)]
    fn tell(&mut self, marks: u16) {
        let http = &mut self.half.http;
        let event = &mut self.room.event.facts;
        let mut marks = marks;
        if !http.has(fact::TOLD) && self.room.at > 0 {
            marks |= mark::HEAD_START;
        }
        if http.has(fact::RESPONSE) {
            marks |= mark::RESPONSE;
        }
        if http.has(fact::RESYNCED) {
            marks |= mark::RESYNCED;
        }
        if http.has(fact::EMPTY_LINE) {
            marks |= mark::EMPTY_LINE;
        }
        if http.has(fact::BAD_LENGTH) {
            marks |= mark::BAD_LENGTH;
        }
        if http.head_len > MAX_HEAD {
            marks |= mark::TRUNCATED;
        }
        http.facts |= fact::TOLD;
        event.marks = marks;
        event.offset = http.position - self.room.at;
        event.content = http.content;
        event.exchange = http.exchange;
        event.head = http.heads;
        event.head_len = http.head_len;
        event.status = http.status;
        event.framing = http.framing;
        event.len = self.room.at as u16;
        event.header.lost = self.half.counters.lost;
        if !self.sink.tell(&self.room.event) {
            self.half.counters.lost += 1;
        }
    }
}

/// The window of the event's buffer that starts at `fill`.
#[inline(always)]
fn window_at(event: &mut HttpEvent, fill: usize) -> Option<&mut [u8; WINDOW]> {
    event.bytes.get_mut(fill..)?.first_chunk_mut()
}

/// Bytes that are enough to tell a message by its looks.
const WINDOW_OF_START: usize = 8;

/// Whether `window` starts with a status line or the request line of a common method.
#[inline(always)]
fn starts_like_a_message(window: &[u8; WINDOW]) -> bool {
    let [a, b, c, d, e, f, g, h, ..] = *window;
    let word = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let starts = |text: [u64; 2], len: u32| word >> (64 - 8 * len) == text[0];
    starts(const { token("HTTP/1.") }, 7)
        || starts(const { token("GET ") }, 4)
        || starts(const { token("POST ") }, 5)
        || starts(const { token("HEAD ") }, 5)
        || starts(const { token("PUT ") }, 4)
        || starts(const { token("DELETE ") }, 7)
        || starts(const { token("PATCH ") }, 6)
        || starts(const { token("TRACE ") }, 6)
        || starts(const { token("OPTIONS ") }, 8)
        || starts(const { token("CONNECT ") }, 8)
}
