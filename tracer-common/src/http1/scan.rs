//! The path of one segment through the scanner: what is loaded, what is emitted.

use core::ops::ControlFlow;

use crate::{
    event::{HttpFacts, Marks, ScanAnomalies},
    frame::{FrameBytes, WINDOW},
};

use super::{
    BUFFER, FRAGMENT, Facts, Framing, HttpHalf, MAX_HEAD, MAX_PREAMBLE, Role, grammar::Byte, is_interim,
    state,
};

/// Bytes read in one step. More make fewer steps; each makes the program longer to verify.
const BYTES_AT_ONCE: usize = 8;
/// Lines, or parts of long ones, read in one step.
const PARTS_AT_ONCE: usize = 4;

/// Steps that the scanner may take in one segment: one for a few bytes, one for each window to load, and one
/// or two for each message or chunk. Enough for 512 KiB, the most that GRO makes of one (Big TCP), of the smallest chunks.
pub const MAX_STEPS: u32 = 1 << 18;

/// Where the scanner sends its events.
pub trait HttpSink {
    /// Emits one event with the first `event.facts.len` bytes of the buffer; false when it was lost.
    fn emit(&self, event: &HttpEvent) -> bool;
}

/// [`HttpFacts`] with the buffer that heads are read in. Only `facts.len` of the bytes are emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct HttpEvent {
    /// The facts.
    pub facts: HttpFacts,
    /// Bytes of the head; one window longer than a fragment, so that a window can always be loaded after it.
    pub bytes: [u8; BUFFER],
}

/// The payload of one segment, as a part of the stream of its direction.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Payload {
    /// Stream offset of its first byte.
    pub start: u64,
    /// Stream offset after its last byte.
    pub end: u64,
    /// Stream offset up to which the receiver has acknowledged; [`NOTHING_ACKED`](Self::NOTHING_ACKED) without
    /// acknowledgments.
    pub acked: u64,
    /// Stream offset of the other direction up to which this segment acknowledges; [`NOTHING_ACKED`](Self::NOTHING_ACKED) if
    /// that is not known.
    pub peer_acked: u64,
    /// Offset of its first byte in the frame.
    pub frame_offset: u32,
    /// 1: it starts with new data, 0: with data that was sent before.
    pub is_new: u16,
    /// 1: bytes before it are missing so far.
    pub after_gap: u16,
}

impl Payload {
    /// No acknowledgment was seen, as in a capture of one direction: there is no point in waiting for missing bytes.
    pub const NOTHING_ACKED: u64 = u64::MAX;
}

/// The scratch buffer of the scanner, one per CPU: it is too large for a BPF stack.
///
/// It is also where the changing values of a scan belong: the verifier tracks every value on the stack and would verify the
/// scanner for each of them; of map memory it knows nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ScanBuffer {
    /// The next event, its header filled in. `header.lost` grows with each event that is lost.
    pub event: HttpEvent,
    /// The payload to scan.
    pub payload: Payload,
    /// Bytes of the event's buffer that were read; in a head, they are its current fragment.
    pub(super) at: u64,
    /// Bytes of the event's buffer that are loaded; those before `at` were read.
    pub(super) loaded: u64,
    /// 1: nothing of the payload was looked at yet.
    is_fresh: u64,
}

const _: () = assert!(size_of::<HttpEvent>() == size_of::<HttpFacts>() + BUFFER);
const _: () = assert!(size_of::<ScanBuffer>() == size_of::<HttpEvent>() + 64);

impl ScanBuffer {
    /// Nothing in it.
    pub const EMPTY: Self = Self {
        event: HttpEvent { facts: HttpFacts::ZERO, bytes: [0; BUFFER] },
        payload: Payload {
            start: 0,
            end: 0,
            acked: 0,
            peer_acked: 0,
            frame_offset: 0,
            is_new: 0,
            after_gap: 0,
        },
        at: 0,
        loaded: 0,
        is_fresh: 0,
    };
}

/// Work done in steps: by a plain loop on the host, by `bpf_loop` in the kernel.
pub trait Steps {
    /// Does the next piece of work; breaks when there is none left.
    fn step(&mut self) -> ControlFlow<()>;
}

/// The scan of one segment: at most [`MAX_STEPS`] steps.
pub struct Scan<'a, F: ?Sized, S> {
    pub(super) half: &'a mut HttpHalf,
    pub(super) peer: &'a HttpHalf,
    pub(super) frame: &'a F,
    sink: &'a S,
    pub(super) buffer: &'a mut ScanBuffer,
}

impl<'a, F: FrameBytes + ?Sized, S: HttpSink> Scan<'a, F, S> {
    /// Starts a scan of `buffer.payload`, sent by `half` to `peer`.
    #[inline(always)]
    pub fn new(
        frame: &'a F,
        sink: &'a S,
        half: &'a mut HttpHalf,
        peer: &'a HttpHalf,
        buffer: &'a mut ScanBuffer,
    ) -> Self {
        buffer.at = 0;
        buffer.loaded = 0;
        buffer.is_fresh = 1;
        Self { half, peer, frame, sink, buffer }
    }

    /// Loses sync, because the segment took all its steps.
    #[inline(always)]
    pub fn exhausted(&mut self) {
        self.lost();
    }
}

impl<F: FrameBytes + ?Sized, S: HttpSink> Steps for Scan<'_, F, S> {
    #[inline(always)]
    fn step(&mut self) -> ControlFlow<()> {
        if self.buffer.is_fresh != 0 {
            self.buffer.is_fresh = 0;
            self.abandon();
        }
        match self.half.state {
            state::CONTENT => {
                if self.half.position > self.buffer.payload.end {
                    return ControlFlow::Break(());
                }
                self.message_end();
                ControlFlow::Continue(())
            }
            state::CHUNK_DATA => {
                if self.half.position > self.buffer.payload.end {
                    return ControlFlow::Break(());
                }
                self.half.state = state::CHUNK_END;
                ControlFlow::Continue(())
            }
            state::UNTIL_CLOSE | state::TUNNEL | state::NOT_HTTP => ControlFlow::Break(()),
            state::PREAMBLE if self.buffer.payload.start >= MAX_PREAMBLE => {
                self.half.stop_at(state::NOT_HTTP);
                ControlFlow::Break(())
            }
            state::LOST | state::PREAMBLE => self.resync(),
            state::AWAIT_ANSWER => self.on_answered(),
            _ => {
                if self.buffer.at >= self.buffer.loaded {
                    self.load()?;
                }
                self.read()
            }
        }
    }
}

impl<F: FrameBytes + ?Sized, S: HttpSink> Scan<'_, F, S> {
    /// Loads the next bytes after those already read.
    #[inline(always)]
    fn load(&mut self) -> ControlFlow<()> {
        let http = &*self.half;
        let position = http.position;
        if position >= self.buffer.payload.end {
            self.emit_fragment(Marks::EMPTY);
            self.emit_excess();
            return ControlFlow::Break(());
        }
        if position < self.buffer.payload.start {
            return self.missed(position);
        }
        if http.state == state::START && self.peer.state == state::TUNNEL {
            self.half.stop_at(state::TUNNEL);
            return ControlFlow::Break(());
        }
        if http.has(Facts::MALFORMED) && http.head_len > MAX_HEAD {
            return self.not_http();
        }
        if http.state > state::LAST_OF_HEAD || http.head_len > MAX_HEAD {
            self.buffer.at = 0;
        } else if self.buffer.at >= FRAGMENT as u64 {
            self.emit_fragment(Marks::EMPTY);
        }
        let left = self.buffer.payload.end - position;
        let len = if left < WINDOW as u64 { left as usize } else { WINDOW };
        let offset =
            self.buffer.payload.frame_offset as usize + (position - self.buffer.payload.start) as usize;
        let copied = match window_at(&mut self.buffer.event, self.buffer.at as usize) {
            Some(window) => self.frame.copy(offset, window, len),
            None => 0,
        };
        if copied == 0 {
            // A captured frame may be shorter than it was on the wire.
            self.emit_fragment(Marks::EMPTY);
            self.lost();
            return ControlFlow::Break(());
        }
        self.buffer.loaded = self.buffer.at + copied as u64;
        ControlFlow::Continue(())
    }

    /// Reads some of the loaded bytes word by word; false where the next one must be read byte by byte.
    #[inline(always)]
    fn read_words(&mut self) -> bool {
        let http = &mut *self.half;
        for _ in 0..PARTS_AT_ONCE {
            let (at, loaded) = (self.buffer.at, self.buffer.loaded);
            if at >= loaded {
                break;
            }
            let taken = http.on_words(&self.buffer.event.bytes, at, loaded);
            if taken == 0 {
                return false;
            }
            self.buffer.at = at + taken;
            http.position += taken;
        }
        true
    }

    /// Reads a few of the loaded bytes.
    #[inline(always)]
    fn read(&mut self) -> ControlFlow<()> {
        if self.read_words() {
            return ControlFlow::Continue(());
        }
        let http = &mut *self.half;
        let buffer_at = http.position.wrapping_sub(self.buffer.at);
        let mut outcome = Byte::Next;
        let mut skipped = false;
        for _ in 0..BYTES_AT_ONCE {
            if self.buffer.at >= self.buffer.loaded {
                break;
            }
            let Some(byte) = self.buffer.event.bytes.get(self.buffer.at as usize) else { break };
            let skips = http.skips(*byte);
            if skipped && !skips {
                break;
            }
            self.buffer.at += 1;
            http.position += 1;
            skipped = skips;
            if skips {
                continue;
            }
            outcome = http.on_byte(*byte);
            if outcome != Byte::Next || http.reads_words() {
                break;
            }
        }
        if skipped {
            self.drop_loaded();
            return ControlFlow::Continue(());
        }
        if outcome == Byte::RequestLine {
            outcome = self.half.on_request_line_end();
        }
        match outcome {
            Byte::Next | Byte::RequestLine => return ControlFlow::Continue(()),
            Byte::TrailerName => {
                self.half.on_trailer_name_end();
                return ControlFlow::Continue(());
            }
            Byte::Again => {
                // Small chunks lie within the loaded bytes.
                let at = self.half.position.wrapping_sub(buffer_at);
                if at < self.buffer.loaded {
                    self.buffer.at = at;
                    return ControlFlow::Continue(());
                }
            }
            Byte::ProxyEnd => {
                self.emit_fragment(Marks::PROXY);
                self.half.start();
            }
            Byte::HeadEnd => {
                self.head_end();
                if self.half.position >= self.buffer.payload.end {
                    // As at the end of most segments.
                    return ControlFlow::Break(());
                }
            }
            Byte::MessageEnd => self.message_end(),
            Byte::NotHttp => return self.not_http(),
            Byte::Lost => {
                self.drop_loaded();
                self.emit(Marks::LOST_SYNC | Marks::BAD_CHUNK);
                self.half.lose_sync();
                return ControlFlow::Break(());
            }
        }
        self.drop_loaded();
        ControlFlow::Continue(())
    }

    #[inline(always)]
    pub(super) fn drop_loaded(&mut self) {
        self.buffer.at = 0;
        self.buffer.loaded = 0;
    }

    /// The head is complete: what follows is decided in the order of RFC 9112, 6.3.
    #[inline(always)]
    fn head_end(&mut self) {
        let http = &mut *self.half;
        let mut marks = Marks::HEAD_END;
        let mut head_requested = false;
        let mut connected = false;
        let peer_acked = self.buffer.payload.peer_acked;
        // After a CONNECT, what the client sends is not read.
        if peer_acked != Payload::NOTHING_ACKED
            && peer_acked > self.peer.position
            && self.peer.state != state::AWAIT_ANSWER
        {
            marks |= Marks::ACKS_UNSEEN;
        }
        if http.has(Facts::RESPONSE) {
            let waiting = self.peer.messages.saturating_sub(http.messages);
            if http.has(Facts::RESYNCED) && waiting > 1 {
                if self.peer.turn > http.lost_at {
                    // The client had received what was missed here when it sent its last request.
                    http.messages = self.peer.messages - 1;
                } else if http.missed_start != 0 {
                    http.messages += 1;
                }
            }
            http.exchange = http.messages;
            if waiting > 0 {
                head_requested = self.peer.head_requests >> (http.messages & 63) & 1 != 0;
                connected = self.peer.connect == http.messages.wrapping_add(1);
            } else if !marks.contains(Marks::ACKS_UNSEEN) {
                marks |= Marks::UNSOLICITED;
            }
            if !marks.contains(Marks::UNSOLICITED) && !is_interim(http.status) {
                http.messages += 1;
                http.turn = http.position - u64::from(http.head_len);
            }
        } else {
            http.turn = if peer_acked == Payload::NOTHING_ACKED { 0 } else { peer_acked };
        }
        let framing = http.body_framing(head_requested, connected);
        http.framing = framing as u8;
        match framing {
            Framing::None => marks |= Marks::MESSAGE_END,
            Framing::Length => {
                http.content = http.length;
                if http.position.saturating_add(http.length) <= self.buffer.payload.end {
                    marks |= Marks::MESSAGE_END;
                }
            }
            Framing::Chunked | Framing::Close | Framing::Tunnel => {}
        }
        let position = http.position;
        let content_end = position.saturating_add(http.content);
        if marks.contains(Marks::MESSAGE_END) {
            self.note_excess(content_end);
        }
        let http = &mut *self.half;
        let request = !http.has(Facts::RESPONSE);
        self.emit_fragment(marks);
        let http = &mut *self.half;
        match framing {
            // What follows a CONNECT is a tunnel if it succeeds (RFC 9110, 9.3.6).
            Framing::None if request && http.connect == http.messages && http.messages > 0 => {
                http.state = state::AWAIT_ANSWER;
            }
            // A request cannot end with the connection: only its server decides where it ends (RFC 9112, 6.3).
            Framing::Close if request => http.state = state::AWAIT_ANSWER,
            Framing::None | Framing::Length if marks.contains(Marks::MESSAGE_END) => {
                http.position = content_end;
                self.next_message();
            }
            Framing::None => {}
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
        self.buffer.at = 0;
        self.note_excess(self.half.position);
        self.emit(Marks::MESSAGE_END);
        self.next_message();
    }

    /// Notes bytes after the response that ends at stream offset `end` although no request waits for another one
    /// (RFC 9112, 9.2). Requests that were missed may wait.
    #[inline(always)]
    fn note_excess(&mut self, end: u64) {
        let (http, peer) = (&mut *self.half, self.peer);
        let Payload { end: payload_end, peer_acked, .. } = self.buffer.payload;
        let answered = http.has(Facts::RESPONSE) && peer.messages > 0 && peer.messages <= http.messages;
        let all_seen = peer.state < state::UNTIL_CLOSE
            && (peer_acked == Payload::NOTHING_ACKED || peer_acked <= peer.position);
        if end < payload_end && answered && all_seen {
            http.anomalies |= ScanAnomalies::EXCESS;
        }
    }

    /// Emits an event about empty lines or whitespace after a message that end the segment: a message need not follow.
    #[inline(always)]
    fn emit_excess(&mut self) {
        let http = &mut *self.half;
        if http.state == state::START
            && http.messages > 0
            && http.facts.intersects(Facts::EMPTY_LINE | Facts::LEADING_SPACE)
        {
            http.anomalies = ScanAnomalies::EXCESS;
            let facts = http.facts;
            self.emit(Marks::EMPTY);
            let http = &mut *self.half;
            http.anomalies = ScanAnomalies::EMPTY;
            http.facts = facts;
        }
    }

    /// A message has ended at the position.
    #[inline(always)]
    fn next_message(&mut self) {
        let http = &mut *self.half;
        http.start();
        if http.position < self.buffer.payload.end {
            http.facts = Facts::BEHIND;
        }
    }

    /// Emits the bytes of the head collected from this segment.
    #[inline(always)]
    fn emit_fragment(&mut self, marks: Marks) {
        let in_head = self.half.state <= state::LAST_OF_HEAD && self.half.head_len <= MAX_HEAD;
        if !in_head {
            self.buffer.at = 0;
        }
        if self.buffer.at > 0 || !marks.is_empty() {
            self.emit(marks);
        }
        self.drop_loaded();
    }

    #[inline(always)]
    pub(super) fn emit(&mut self, marks: Marks) {
        let http = &mut *self.half;
        let event = &mut self.buffer.event.facts;
        let mut marks = marks;
        if !http.has(Facts::EMITTED) && self.buffer.at > 0 {
            marks |= Marks::HEAD_START;
        }
        if http.has(Facts::RESPONSE) || http.is(Role::Server) {
            marks |= Marks::RESPONSE;
        }
        if http.has(Facts::RESYNCED) {
            marks |= Marks::RESYNCED;
        }
        if http.has(Facts::EMPTY_LINE) {
            marks |= Marks::EMPTY_LINE;
        }
        if http.has(Facts::LEADING_SPACE) {
            marks |= Marks::LEADING_SPACE;
        }
        if http.has(Facts::MALFORMED) {
            marks |= Marks::MALFORMED;
        }
        if http.has(Facts::BAD_LENGTH) {
            marks |= Marks::BAD_LENGTH;
        }
        if http.head_len > MAX_HEAD {
            marks |= Marks::TRUNCATED;
        }
        if http.has(Facts::SUSPECT) {
            marks |= Marks::SUSPECT;
        }
        if http.has(Facts::ABANDONS) {
            marks |= Marks::ABANDONS;
        }
        if self.buffer.payload.after_gap != 0 {
            marks |= Marks::AFTER_GAP;
        }
        http.facts |= Facts::EMITTED;
        event.marks = marks;
        event.offset = http.position - self.buffer.at;
        event.acked = self.buffer.payload.peer_acked;
        event.content = http.content;
        event.exchange = http.exchange;
        event.head = http.heads;
        event.head_len = http.head_len;
        event.status = http.status;
        event.framing = http.framing;
        event.anomalies = http.anomalies;
        event.len = self.buffer.at as u16;
        if !self.sink.emit(&self.buffer.event) {
            self.buffer.event.facts.header.lost += 1;
        }
    }
}

/// The window of the event's buffer that starts at `fill`.
#[inline(always)]
pub(super) fn window_at(event: &mut HttpEvent, fill: usize) -> Option<&mut [u8; WINDOW]> {
    event.bytes.get_mut(fill..)?.first_chunk_mut()
}
