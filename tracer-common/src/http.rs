//! Where HTTP/1 messages start and end in one direction of a connection (RFC 9112).
//!
//! The scanner reads heads, chunk sizes and trailers byte by byte and skips content by arithmetic on stream offsets,
//! so it knows where the next head must be without looking at content. It hands out the bytes of heads only.
//! It keeps no bytes between segments: a head split over many segments is told in as many fragments.
//!
//! A byte that it needs but that went by out of order cannot be had any more (the kernel keeps no payload). It then
//! says so and looks for the next segment that starts like a message.

use core::ops::ControlFlow;

use crate::{
    event::{Framing, HttpEvent, mark},
    flow::{Half, half},
    frame::{FrameBytes, WINDOW},
};

/// Bytes of a head told to userspace; what follows is scanned, but not told.
pub const MAX_HEAD: u32 = 16 * 1024;

/// Bytes of one fragment that make the scanner tell it before it reads on. A power of two: offsets into the buffer
/// are masked with it.
pub const FRAGMENT: usize = 1024;

/// The most characters of a method; no registered one has more than 17 (UPDATEREDIRECTREF).
const MAX_METHOD: u8 = 24;

/// Bytes read in one step. More make fewer steps; each makes the program longer to verify.
const BYTES_AT_ONCE: usize = 8;

/// Steps that the scanner may take in one segment: one for a few bytes, one for each window to load, and one
/// or two for each message. Enough for more than 64 KiB of heads.
pub const MAX_STEPS: u32 = 16_384;

/// What the scanner expects next. Plain numbers: the value lives in a BPF map.
pub mod state {
    /// The first byte of a message.
    pub const START: u8 = 0;
    /// The method, or "HTTP" of a status line.
    pub const FIRST_TOKEN: u8 = 1;
    /// The rest of a request line.
    pub const REQUEST_LINE: u8 = 2;
    /// The version in a status line.
    pub const STATUS_VERSION: u8 = 3;
    /// The status code.
    pub const STATUS_CODE: u8 = 4;
    /// The rest of a line that does not matter.
    pub const SKIP_LINE: u8 = 5;
    /// The first byte of a field line.
    pub const LINE_START: u8 = 6;
    /// The line feed of the empty line.
    pub const LINE_START_CR: u8 = 7;
    /// A field name that starts with C.
    pub const NAME_C: u8 = 8;
    /// A field name that starts with T.
    pub const NAME_T: u8 = 9;
    /// The value of Content-Length.
    pub const LENGTH: u8 = 10;
    /// The value of Transfer-Encoding.
    pub const ENCODING: u8 = 11;
    /// The last state in which bytes belong to a head.
    pub const LAST_OF_HEAD: u8 = ENCODING;
    /// Content of known length: nothing to read until its end.
    pub const CONTENT: u8 = 12;
    /// A chunk size.
    pub const CHUNK_SIZE: u8 = 13;
    /// A chunk extension.
    pub const CHUNK_EXTENSION: u8 = 14;
    /// The data of a chunk: nothing to read until its end.
    pub const CHUNK_DATA: u8 = 15;
    /// The line end after the data of a chunk.
    pub const CHUNK_END: u8 = 16;
    /// The first byte of a trailer field line.
    pub const TRAILER_START: u8 = 17;
    /// The rest of a trailer field line.
    pub const TRAILER_LINE: u8 = 18;
    /// The line feed of the empty line after the trailers.
    pub const TRAILER_CR: u8 = 19;
    /// Content until the connection closes.
    pub const UNTIL_CLOSE: u8 = 20;
    /// Not HTTP any more: CONNECT or Upgrade.
    pub const TUNNEL: u8 = 21;
    /// Lost: looking for a segment that starts like a message.
    pub const LOST: u8 = 22;
    /// Not HTTP.
    pub const NOT_HTTP: u8 = 23;
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

/// Up to 16 characters as [`HttpHalf::push`] collects them.
const fn token(text: &str) -> [u64; 2] {
    let bytes = text.as_bytes();
    let mut words = [0u64; 2];
    let mut i = 0;
    while i < bytes.len() {
        words[1] = words[1] << 8 | words[0] >> 56;
        words[0] = words[0] << 8 | bytes[i] as u64;
        i += 1;
    }
    words
}

const HTTP: [u64; 2] = token("HTTP");
const HEAD: [u64; 2] = token("HEAD");
const CONNECT: [u64; 2] = token("CONNECT");
const CONTENT_LENGTH: [u64; 2] = token("content-length");
/// Only its last 16 characters: the first is known from the state.
const TRANSFER_ENCODING: [u64; 2] = token("transfer-encoding");
const CHUNKED: [u64; 2] = token("chunked");
/// The end of a request line, but for the last digit.
const VERSION: u64 = token("HTTP/1.0")[0];

/// What to do after a byte.
#[derive(PartialEq, Eq)]
enum Byte {
    /// Read the next one.
    Next,
    /// The bytes so far do not belong to a head; look again from here.
    Again,
    /// The head is complete.
    HeadEnd,
    /// The message is complete.
    MessageEnd,
    /// This is not HTTP.
    NotHttp,
    /// This is not where a message can be in its framing.
    Lost,
}

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
            state::LOST => self.find_start(),
            _ if self.room.at < self.room.loaded => self.read(),
            _ => self.load(),
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
        if !self.frame.copy(self.room.payload_offset as usize, window, WINDOW_OF_START)
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
            None => false,
        };
        if !copied {
            // A captured frame may be shorter than it was on the wire.
            self.lost();
            return ControlFlow::Break(());
        }
        self.room.loaded = self.room.at + len as u64;
        ControlFlow::Continue(())
    }

    /// Reads a few of the bytes loaded.
    #[inline(always)]
    fn read(&mut self) -> ControlFlow<()> {
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
            if outcome != Byte::Next {
                break;
            }
        }
        match outcome {
            Byte::Next => return ControlFlow::Continue(()),
            Byte::Again => {}
            Byte::HeadEnd => self.head_end(),
            Byte::MessageEnd => self.message_end(),
            Byte::NotHttp => {
                self.not_http();
                return ControlFlow::Break(());
            }
            Byte::Lost => {
                self.lost();
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
        self.half.http.stop_at(state::NOT_HTTP);
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
                if http.status >= 200 || http.status == 101 {
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

impl HttpHalf {
    /// How the content of the message is delimited (RFC 9112, 6.3, rules 1 to 8).
    #[inline(always)]
    fn body_framing(&self, head_requested: bool, connected: bool) -> Framing {
        let response = self.has(fact::RESPONSE);
        if response {
            // 101 ends HTTP (RFC 9110, 15.2.2).
            if self.status == 101 {
                return Framing::Tunnel;
            }
            // 1. Responses to HEAD, and 1xx, 204 and 304.
            if head_requested || self.status < 200 || self.status == 204 || self.status == 304 {
                return Framing::None;
            }
            // 2. 2xx to CONNECT.
            if connected && self.status < 300 {
                return Framing::Tunnel;
            }
        }
        // 3. and 4. Transfer-Encoding overrides Content-Length.
        if self.has(fact::HAS_ENCODING) {
            return if self.has(fact::CHUNKED) { Framing::Chunked } else { Framing::Close };
        }
        // 5. An invalid Content-Length is an error; what follows can only be content until the close.
        if self.has(fact::BAD_LENGTH) {
            return Framing::Close;
        }
        // 6. A valid one.
        if self.has(fact::HAS_LENGTH) {
            return if self.length == 0 { Framing::None } else { Framing::Length };
        }
        // 7. A request without either has no content. 8. A response without either ends with the connection.
        if response { Framing::Close } else { Framing::None }
    }

    /// Takes in one byte.
    #[inline(always)]
    fn on_byte(&mut self, byte: u8) -> Byte {
        if self.state <= state::LAST_OF_HEAD {
            self.head_len = self.head_len.wrapping_add(1);
        }
        match self.state {
            state::START => self.on_start(byte),
            state::FIRST_TOKEN => self.on_first_token(byte),
            state::REQUEST_LINE => self.on_request_line(byte),
            state::STATUS_VERSION => self.on_status_version(byte),
            state::STATUS_CODE => self.on_status_code(byte),
            state::SKIP_LINE => self.next_at(byte == b'\n', state::LINE_START),
            state::LINE_START => self.on_line_start(byte),
            state::LINE_START_CR if byte == b'\n' => Byte::HeadEnd,
            state::LINE_START_CR => self.next_at(true, state::SKIP_LINE),
            state::NAME_C | state::NAME_T => self.on_name(byte),
            state::LENGTH => self.on_length(byte),
            state::ENCODING => self.on_encoding(byte),
            state::CHUNK_SIZE => self.on_chunk_size(byte),
            state::CHUNK_EXTENSION => self.on_chunk_extension(byte),
            state::CHUNK_END => self.on_chunk_end(byte),
            state::TRAILER_START => self.on_trailer_start(byte),
            state::TRAILER_LINE => self.next_at(byte == b'\n', state::TRAILER_START),
            state::TRAILER_CR if byte == b'\n' => Byte::MessageEnd,
            _ => self.next_at(true, state::TRAILER_LINE),
        }
    }

    /// Goes to `state` if `condition` holds, and on to the next byte in any case.
    #[inline(always)]
    fn next_at(&mut self, condition: bool, state: u8) -> Byte {
        if condition {
            self.state = state;
        }
        Byte::Next
    }

    #[inline(always)]
    fn on_start(&mut self, byte: u8) -> Byte {
        // RFC 9112, 2.2: empty lines before a request line are ignored.
        if byte == b'\r' || byte == b'\n' {
            self.head_len = 0;
            return Byte::Again;
        }
        self.heads += 1;
        self.state = state::FIRST_TOKEN;
        self.on_first_token(byte)
    }

    #[inline(always)]
    fn on_first_token(&mut self, byte: u8) -> Byte {
        if byte == b' ' && self.token_len > 0 {
            self.on_method();
            return Byte::Next;
        }
        if byte == b'/' && self.token == HTTP {
            self.facts |= fact::RESPONSE;
            self.state = state::STATUS_VERSION;
            return Byte::Next;
        }
        if !is_method_character(byte) || self.token_len >= MAX_METHOD {
            return Byte::NotHttp;
        }
        self.push(byte);
        Byte::Next
    }

    /// The method is complete: the request counts from here on.
    #[inline(always)]
    fn on_method(&mut self) {
        let bit = 1u64 << (self.messages & 63);
        if self.token == HEAD {
            self.head_requests |= bit;
        } else {
            self.head_requests &= !bit;
        }
        self.exchange = self.messages;
        self.messages += 1;
        if self.token == CONNECT {
            self.connect = self.messages;
        }
        self.clear_token();
        self.state = state::REQUEST_LINE;
    }

    #[inline(always)]
    fn on_request_line(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' if self.token[0] & !0xff | 0x30 == VERSION => {
                self.state = state::LINE_START;
                Byte::Next
            }
            b'\n' => {
                self.messages -= 1;
                Byte::NotHttp
            }
            // The carriage return at the end is not part of the version.
            b'\r' => Byte::Next,
            _ => {
                self.push(byte);
                Byte::Next
            }
        }
    }

    #[inline(always)]
    fn on_status_version(&mut self, byte: u8) -> Byte {
        match byte {
            b' ' => {
                self.state = state::STATUS_CODE;
                self.digits = 0;
                Byte::Next
            }
            b'0'..=b'9' | b'.' => Byte::Next,
            _ => Byte::NotHttp,
        }
    }

    #[inline(always)]
    fn on_status_code(&mut self, byte: u8) -> Byte {
        match byte {
            b'0'..=b'9' if self.digits < 3 => {
                self.status = self.status.wrapping_mul(10).wrapping_add(u16::from(byte - b'0'));
                self.digits += 1;
                Byte::Next
            }
            b' ' if self.digits == 0 => Byte::Next,
            _ if self.digits != 3 => Byte::NotHttp,
            b'\n' => self.next_at(true, state::LINE_START),
            b' ' | b'\r' => self.next_at(true, state::SKIP_LINE),
            _ => Byte::NotHttp,
        }
    }

    #[inline(always)]
    fn on_line_start(&mut self, byte: u8) -> Byte {
        let state = match byte | 0x20 {
            _ if byte == b'\n' => return Byte::HeadEnd,
            _ if byte == b'\r' => state::LINE_START_CR,
            b'c' => state::NAME_C,
            b't' => state::NAME_T,
            _ => state::SKIP_LINE,
        };
        self.clear_token();
        self.push(byte | 0x20);
        self.next_at(true, state)
    }

    #[inline(always)]
    fn on_name(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => return self.next_at(true, state::LINE_START),
            b':' => {}
            b'A'..=b'Z' => {
                self.push(byte | 0x20);
                return Byte::Next;
            }
            _ => {
                self.push(byte);
                return Byte::Next;
            }
        }
        self.number = 0;
        self.digits = 0;
        // The lengths, because zero bytes in front of a name do not show in the token.
        self.state = if self.token == CONTENT_LENGTH && self.token_len == 14 {
            state::LENGTH
        } else if self.token == TRANSFER_ENCODING && self.token_len == 17 && self.state == state::NAME_T {
            self.clear_token();
            state::ENCODING
        } else {
            state::SKIP_LINE
        };
        Byte::Next
    }

    #[inline(always)]
    fn on_length(&mut self, byte: u8) -> Byte {
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                if self.number > (u64::MAX - 9) / 10 {
                    self.facts |= fact::BAD_LENGTH;
                }
                self.number = self.number.wrapping_mul(10).wrapping_add(digit);
                self.digits = 1;
            }
            b' ' | b'\t' | b'\r' => {}
            // A list of equal values counts as one value (RFC 9112, 6.3, 5).
            b',' | b'\n' => {
                let conflict = self.has(fact::HAS_LENGTH) && self.length != self.number;
                if self.digits == 0 || conflict {
                    self.facts |= fact::BAD_LENGTH;
                }
                self.facts |= fact::HAS_LENGTH;
                self.length = self.number;
                self.number = 0;
                self.digits = 0;
                return self.next_at(byte == b'\n', state::LINE_START);
            }
            _ => self.facts |= fact::BAD_LENGTH,
        }
        Byte::Next
    }

    #[inline(always)]
    fn on_encoding(&mut self, byte: u8) -> Byte {
        match byte {
            b' ' | b'\t' | b'\r' => {}
            b',' => self.clear_token(),
            b'\n' => {
                self.facts |= fact::HAS_ENCODING;
                // Only the last transfer coding delimits the message (RFC 9112, 6.3, 4).
                if self.token == CHUNKED {
                    self.facts |= fact::CHUNKED;
                } else {
                    self.facts &= !fact::CHUNKED;
                }
                return self.next_at(true, state::LINE_START);
            }
            b'A'..=b'Z' => self.push(byte | 0x20),
            _ => self.push(byte),
        }
        Byte::Next
    }

    #[inline(always)]
    fn on_chunk_size(&mut self, byte: u8) -> Byte {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\n' if self.digits > 0 => return self.on_chunk(),
            b'\r' | b' ' | b'\t' if self.digits > 0 => return Byte::Next,
            b';' if self.digits > 0 => return self.next_at(true, state::CHUNK_EXTENSION),
            _ => return Byte::Lost,
        };
        if self.number >> 56 != 0 {
            return Byte::Lost;
        }
        self.number = self.number << 4 | u64::from(digit);
        self.digits = 1;
        Byte::Next
    }

    /// A chunk size line is complete.
    #[inline(always)]
    fn on_chunk(&mut self) -> Byte {
        if self.number == 0 {
            self.state = state::TRAILER_START;
            return Byte::Again;
        }
        self.content = self.content.saturating_add(self.number);
        self.position = self.position.saturating_add(self.number);
        self.number = 0;
        self.digits = 0;
        self.state = state::CHUNK_DATA;
        Byte::Again
    }

    #[inline(always)]
    fn on_chunk_extension(&mut self, byte: u8) -> Byte {
        if byte == b'\n' { self.on_chunk() } else { Byte::Next }
    }

    #[inline(always)]
    fn on_chunk_end(&mut self, byte: u8) -> Byte {
        match byte {
            b'\r' => Byte::Next,
            b'\n' => self.next_at(true, state::CHUNK_SIZE),
            _ => Byte::Lost,
        }
    }

    #[inline(always)]
    fn on_trailer_start(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => Byte::MessageEnd,
            b'\r' => self.next_at(true, state::TRAILER_CR),
            _ => self.next_at(true, state::TRAILER_LINE),
        }
    }
}

/// A token character (RFC 9110, 5.6.2) that occurs in methods.
#[inline(always)]
const fn is_method_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
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
        || starts(const { token("OPTIONS ") }, 8)
        || starts(const { token("CONNECT ") }, 8)
}

#[cfg(test)]
mod tests;
