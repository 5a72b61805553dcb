//! One TCP connection as an observer on the path sees it: two halves, one for each direction.
//!
//! A [`FlowState`] lives in a BPF map. Two CPUs may update it at once, one for each direction, so a segment writes
//! only the half of its own sender and at most reads the other.

pub mod cause;
pub mod half;
mod key;
mod removal;

pub use self::{
    key::FlowKey,
    removal::{MAX_REMOVALS, Removal},
};
use crate::{
    http::HttpHalf,
    seq::Seq,
    wire::{Segment, TcpFlags},
};

/// What one direction has shown so far: told to userspace with every segment event.
///
/// Times are nanoseconds of the observer's clock, 0 where the thing has not happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct HalfCounters {
    /// Segments.
    pub packets: u64,
    /// Payload bytes, retransmitted ones included.
    pub bytes: u64,
    /// Offset behind the highest payload byte seen; the byte after the SYN is 0. What lies before it was sent once,
    /// but for gaps.
    pub stream_end: u64,
    /// When the first pure acknowledgment was seen.
    pub first_ack_ns: u64,
    /// When the first payload without SYN, FIN or RST was seen.
    pub first_data_ns: u64,
    /// When the SYN was seen.
    pub syn_ns: u64,
    /// Sequence number of stream offset 0.
    pub base: Seq,
    /// Highest acknowledgment number sent.
    pub ack: Seq,
    /// Pure acknowledgments that repeat the previous number and window while data is outstanding (RFC 5681, 2).
    pub duplicate_acks: u32,
    /// Segments with a window of zero (SYN, FIN and RST aside).
    pub zero_windows: u32,
    /// Events about this direction that could not be told to userspace.
    pub lost: u32,
    /// [`half`] flags.
    pub flags: u32,
}

impl HalfCounters {
    /// Nothing seen yet.
    pub const BLANK: Self = Self {
        packets: 0,
        bytes: 0,
        stream_end: 0,
        first_ack_ns: 0,
        first_data_ns: 0,
        syn_ns: 0,
        base: Seq(0),
        ack: Seq(0),
        duplicate_acks: 0,
        zero_windows: 0,
        lost: 0,
        flags: 0,
    };
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Half {
    /// What userspace is told.
    pub counters: HalfCounters,
    /// Sequence number after the highest payload byte seen.
    pub next: Seq,
    /// Sequence number after the FIN.
    pub fin: Seq,
    /// The interface that owns this direction, as [`owner`]; 0: none yet.
    pub owner: u32,
    /// The last window, not scaled.
    pub window: u32,
    /// The causes of the segment being taken in.
    causes: u32,
    /// With [`cause::GAP`]: the bytes missing before the payload of the segment being taken in.
    pub(crate) gap: u32,
    /// With [`half::HOLE`]: where the first bytes are missing that the other side had not acknowledged when they were.
    hole: Seq,
    /// The acknowledgment number of the last duplicate acknowledgment, and how many of them repeat it in a row.
    duplicated: Seq,
    duplicates: u32,
    /// When the last segment was seen, in ns of the observer's clock, as exactly as is cheap; 0: never.
    pub last_ns: u64,
    /// Where HTTP messages start and end.
    pub http: HttpHalf,
}

impl Half {
    /// Nothing seen yet.
    pub const BLANK: Self = Self {
        counters: HalfCounters::BLANK,
        next: Seq(0),
        fin: Seq(0),
        owner: 0,
        window: 0,
        causes: 0,
        gap: 0,
        hole: Seq(0),
        duplicated: Seq(0),
        duplicates: 0,
        last_ns: 0,
        http: HttpHalf::BLANK,
    };

    #[inline(always)]
    pub(crate) fn has(&self, flags: u32) -> bool {
        self.counters.flags & flags != 0
    }

    /// The stream offset of `seq`, taken near the highest offset seen; 0 for what lies before the start.
    #[inline(always)]
    #[must_use]
    pub fn offset_of(&self, seq: Seq) -> u64 {
        let distance = seq.since(self.next);
        let offset = self.counters.stream_end.wrapping_add_signed(i64::from(distance));
        if distance < 0 && offset > self.counters.stream_end { 0 } else { offset }
    }
}

/// A connection: what is kept about it between segments.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct FlowState {
    /// When the connection was first seen, in ns; with the key it names one incarnation of the connection.
    pub id: u64,
    /// From the lower endpoint, and from the higher one.
    pub halves: [Half; 2],
}

impl Half {
    /// The interface that owns this direction; 0: none yet.
    #[must_use]
    pub const fn interface(&self) -> u32 {
        self.owner >> 1
    }

    /// Whether `seq` lies before the first byte that is known of the stream: it has no offset.
    #[inline(always)]
    #[must_use]
    pub fn is_before_start(&self, seq: Seq) -> bool {
        let distance = seq.since(self.next);
        distance < 0 && u64::from(distance.unsigned_abs()) > self.counters.stream_end
    }
}

/// What owns a direction, as a number other than 0: an interface, not 0 either, and a side of it.
#[inline(always)]
#[must_use]
pub const fn owner(interface: u32, is_egress: bool) -> u32 {
    interface << 1 | is_egress as u32
}

/// See [`FlowState::is_confirmed`].
#[inline(always)]
pub(crate) fn are_confirmed(one: &Half, other: &Half) -> bool {
    let (both, any) = (one.counters.flags & other.counters.flags, one.counters.flags | other.counters.flags);
    both & (half::SYN | half::ACKED_SYN) == half::SYN | half::ACKED_SYN || any & half::DATA != 0
}

impl FlowState {
    /// Nothing seen yet.
    pub const BLANK: Self = Self { id: 0, halves: [Half::BLANK; 2] };

    /// The half of the sender and the half of the other side.
    #[inline(always)]
    pub fn split(&mut self, from_low: bool) -> (&mut Half, &mut Half) {
        let [low, high] = &mut self.halves;
        if from_low { (low, high) } else { (high, low) }
    }

    /// Both sides have had their FIN acknowledged, or one has reset the connection.
    #[inline(always)]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let [low, high] = &self.halves;
        low.counters.flags & high.counters.flags & half::ACKED_FIN != 0
            || (low.counters.flags | high.counters.flags) & half::RESET != 0
    }

    /// Whether data or the end of a handshake has been seen: a connection, not just an attempt at one. What a SYN carries
    /// does not make it more.
    #[inline(always)]
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let [low, high] = &self.halves;
        are_confirmed(low, high)
    }

    /// Whether userspace was told of it since it was confirmed; if not, those events were lost.
    #[inline(always)]
    #[must_use]
    pub fn is_told(&self) -> bool {
        let [low, high] = &self.halves;
        low.has(half::TOLD) || high.has(half::TOLD)
    }

    /// Takes in one segment and returns its [`cause`]s. `now` reads the clock, in ns; it is only called when needed.
    ///
    /// The message scanner is not run here: see [`crate::http`].
    #[inline(always)]
    pub fn on_segment(&mut self, segment: &Segment, from_low: bool, now: impl Fn() -> u64) -> u32 {
        let closed = self.is_closed();
        let (sender, receiver) = self.split(from_low);
        sender.counters.packets += 1;
        sender.gap = 0;
        sender.causes = if closed { cause::AFTER_CLOSE } else { 0 };
        on_kind(sender, receiver, segment);
        on_start(sender, receiver, segment);
        on_payload(sender, receiver, segment, &now);
        on_acknowledgment(sender, receiver, segment, &now);
        on_window(sender, segment);
        on_end(sender, receiver, segment);
        // The causes go by way of the map and past the compiler: the verifier would otherwise follow every combination.
        core::hint::black_box(sender).causes
    }
}

/// What kinds of segments there were: of what a connection is complete, as Wireshark counts it.
#[inline(always)]
fn on_kind(sender: &mut Half, receiver: &Half, segment: &Segment) {
    let flags = segment.flags;
    let data = segment.payload_len != 0;
    let mut seen = 0;
    if flags.has(TcpFlags::SYN) {
        let first = !sender.has(half::STARTED | half::RST) && !receiver.has(half::STARTED | half::RST);
        if first && !flags.has(TcpFlags::ACK) {
            seen = if data { half::OPENED | half::SYN_DATA } else { half::OPENED };
        }
    } else if flags.has(TcpFlags::ACK) {
        seen = if data { half::DATA } else { half::BARE_ACK };
    }
    if flags.has(TcpFlags::FIN) && flags.has(TcpFlags::ACK) {
        seen |= half::FIN_ACK;
    }
    sender.counters.flags |= seen;
}

/// SYN, or the first segment of a direction whose SYN was not seen.
#[inline(always)]
fn on_start(sender: &mut Half, receiver: &Half, segment: &Segment) {
    let flags = segment.flags;
    if flags.has(TcpFlags::SYN) {
        let kind = if flags.has(TcpFlags::ACK) { cause::SYN_ACK } else { cause::SYN };
        if sender.has(half::SYN) {
            // The same one again; or another one that a live connection does not follow (see `observe`).
            let same = segment.payload_seq() == sender.counters.base;
            // Both sides have opened at once: the SYN comes again, now as the answer to the other one.
            let answers = kind == cause::SYN_ACK && !sender.has(half::SYN_ACK);
            sender.causes |= if same && !answers { kind | cause::REPEATED } else { kind };
            if same && answers {
                sender.counters.flags |= half::SYN_ACK;
            }
            return;
        }
        sender.causes |= kind;
        // One that was overtaken by what follows it: the stream goes on.
        if !(sender.has(half::STARTED) && segment.payload_seq() == sender.counters.base) {
            sender.start_at(segment.payload_seq());
        }
        sender.counters.flags |= half::STARTED | half::SYN;
        if kind == cause::SYN_ACK {
            sender.counters.flags |= half::SYN_ACK;
        }
        return;
    }
    if sender.has(half::STARTED) {
        return;
    }
    // Of a RST out of nothing no stream is known, and it ends none.
    if flags.has(TcpFlags::RST) && !receiver.has(half::STARTED) {
        return;
    }
    sender.causes |= cause::MIDSTREAM;
    sender.counters.flags |= half::STARTED;
    sender.start_at(segment.payload_seq());
    // The other side has shown where this direction starts when it acknowledged exactly up to here and has seen a
    // SYN of its own: then only the SYN-ACK itself was missed.
    if !(receiver.has(half::SYN) && receiver.counters.ack == segment.seq) {
        sender.http.lose_sync();
    }
}

impl Half {
    #[inline(always)]
    fn start_at(&mut self, seq: Seq) {
        self.counters.base = seq;
        self.counters.stream_end = 0;
        self.next = seq;
    }

    /// The bytes from `seq` to `end` were seen: the hole starts behind them, if it started there.
    #[inline(always)]
    fn fill_hole(&mut self, seq: Seq, end: Seq) {
        if !self.has(half::HOLE) || seq.is_after(self.hole) || !end.is_after(self.hole) {
            return;
        }
        self.hole = end;
        if !self.next.is_after(end) {
            self.counters.flags &= !half::HOLE;
        }
    }
}

/// Within this time of the last duplicate acknowledgment, what it asks for is sent again because of it, as Wireshark
/// takes it; later, because a timer ran out.
const FAST: u64 = 20_000_000;

/// Whether old data from `seq` on is what at least two duplicate acknowledgments have just asked for. The third one is
/// what counts for the sender (RFC 5681, 3.2), but not all need to have been seen.
#[inline(always)]
fn is_fast(sender: &Half, receiver: &Half, seq: Seq) -> bool {
    receiver.duplicates >= 2
        && receiver.duplicated == seq
        && receiver.counters.ack == seq
        && sender.last_ns.saturating_sub(receiver.last_ns) < FAST
}

/// Payload: in order, old, or after a gap.
#[inline(always)]
fn on_payload(sender: &mut Half, receiver: &Half, segment: &Segment, now: &impl Fn() -> u64) {
    let len = segment.payload_len;
    if len == 0 {
        if segment.seq.add(1) == sender.next
            && !segment.flags.has(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST)
        {
            sender.causes |= cause::KEEP_ALIVE;
        }
        return;
    }
    let seq = segment.payload_seq();
    let ahead = seq.since(sender.next);
    // What a RST carries is a text about its cause, not part of the stream (RFC 9293, 3.5.3).
    if segment.flags.has(TcpFlags::RST) {
        sender.causes |= if sender.has(half::STARTED) && ahead > 0 { 0 } else { cause::NO_NEWS };
        return;
    }
    if sender.counters.first_data_ns == 0 && !segment.flags.has(TcpFlags::SYN | TcpFlags::FIN) {
        sender.counters.first_data_ns = now();
    }
    if len == 1 && ahead == -1 {
        sender.causes |= cause::KEEP_ALIVE | cause::NO_NEWS;
        return;
    }
    if len == 1 && ahead == 0 && receiver.has(half::ZERO_WINDOW) {
        sender.causes |= cause::WINDOW_PROBE;
    }
    sender.counters.bytes += u64::from(len);
    let end = seq.add(len);
    let news = end.since(sender.next);
    if ahead > 0 && (!sender.has(half::HOLE) || receiver.counters.ack.is_after(sender.hole)) {
        sender.counters.flags |= half::HOLE;
        sender.hole = sender.next;
    }
    if news > 0 {
        sender.counters.stream_end += u64::from(news.cast_unsigned());
        sender.next = end;
    } else {
        sender.causes |= cause::NO_NEWS;
    }
    if ahead > 0 {
        sender.causes |= cause::GAP;
        sender.gap = ahead.cast_unsigned();
    }
    if ahead < 0 {
        let fast = is_fast(sender, receiver, seq);
        sender.causes |= if fast { cause::OLD_DATA | cause::FAST_RETRANSMIT } else { cause::OLD_DATA };
        sender.fill_hole(seq, end);
    }
}

/// The acknowledgment field.
#[inline(always)]
fn on_acknowledgment(sender: &mut Half, receiver: &Half, segment: &Segment, now: &impl Fn() -> u64) {
    if !segment.flags.has(TcpFlags::ACK) {
        return;
    }
    if segment.flags.has(TcpFlags::RST) {
        // Of a SYN that was not seen: it may be sent again.
        if !receiver.has(half::STARTED) && !sender.has(half::ACKED) {
            sender.counters.flags |= half::ACKED;
            sender.counters.ack = segment.ack;
        }
        return;
    }
    let pure = segment.is_pure_ack();
    if pure && sender.counters.first_ack_ns == 0 {
        sender.counters.first_ack_ns = now();
    }
    let ack = segment.ack;
    if sender.has(half::ACKED) && !ack.is_after(sender.counters.ack) {
        if pure
            && ack == sender.counters.ack
            && u32::from(segment.window) == sender.window
            && receiver.next.is_after(ack)
        {
            sender.counters.duplicate_acks += 1;
            sender.duplicates = if sender.duplicated == ack { sender.duplicates + 1 } else { 1 };
            sender.duplicated = ack;
        }
        return;
    }
    let passes = |seq| ack.is_after(seq) && !(sender.has(half::ACKED) && sender.counters.ack.is_after(seq));
    if receiver.has(half::HOLE) && passes(receiver.hole) {
        sender.causes |= cause::ACKED_UNSEEN;
    }
    sender.counters.flags |= half::ACKED;
    sender.counters.ack = ack;
    if receiver.has(half::SYN) && !sender.has(half::ACKED_SYN) && ack.since(receiver.counters.base) >= 0 {
        sender.counters.flags |= half::ACKED_SYN;
        if !segment.flags.has(TcpFlags::SYN) {
            sender.causes |= cause::HANDSHAKE_ACK;
        }
    }
    let mut sent = receiver.next;
    if receiver.has(half::FIN) {
        sent = receiver.fin;
        if !sender.has(half::ACKED_FIN) && ack.since(sent) >= 0 {
            sender.counters.flags |= half::ACKED_FIN;
            sender.causes |= cause::FIN_ACKED;
        }
    }
    if receiver.has(half::STARTED) && ack.is_after(sent) {
        sender.causes |= cause::ACKED_UNSEEN;
    }
}

/// The receive window: only zero and no longer zero are news.
#[inline(always)]
fn on_window(sender: &mut Half, segment: &Segment) {
    if segment.flags.has(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) {
        return;
    }
    sender.window = u32::from(segment.window);
    let was_zero = sender.has(half::ZERO_WINDOW);
    if segment.window != 0 {
        sender.counters.flags &= !half::ZERO_WINDOW;
        if was_zero {
            sender.causes |= cause::WINDOW_OPEN;
        }
        return;
    }
    sender.counters.zero_windows += 1;
    sender.counters.flags |= half::ZERO_WINDOW;
    if !was_zero {
        sender.causes |= cause::ZERO_WINDOW;
    }
}

/// The largest window there can be: 16 bits, scaled by 14 (RFC 7323, 2.3).
const MAX_WINDOW: i32 = (u16::MAX as i32) << 14;

/// Whether a RST or FIN at `seq` counts: it must lie in the window of the side that gets it (RFC 9293, 3.5.3 and 3.10.7.4;
/// RFC 5961, 3), which is taken for as large as can be.
#[inline(always)]
fn accepts_end(receiver: &Half, seq: Seq) -> bool {
    let ahead = seq.since(receiver.counters.ack);
    // One before: in answer to a probe, or from a side whose FIN was acknowledged already.
    !receiver.has(half::ACKED) || (-1..=MAX_WINDOW).contains(&ahead)
}

/// FIN and RST.
#[inline(always)]
fn on_end(sender: &mut Half, receiver: &Half, segment: &Segment) {
    if segment.flags.has(TcpFlags::RST) {
        let counts = sender.has(half::STARTED) && (segment.seq.0 == 0 || accepts_end(receiver, segment.seq));
        sender.counters.flags |= if counts { half::RST | half::RESET } else { half::RST };
        sender.causes |= cause::RST;
    }
    if segment.flags.has(TcpFlags::FIN) {
        let end = segment.payload_seq().add(segment.payload_len);
        sender.causes |= cause::FIN;
        if sender.has(half::FIN) {
            sender.causes |= cause::REPEATED;
        } else if accepts_end(receiver, end) {
            sender.counters.flags |= half::FIN;
            sender.fin = end.add(1);
        }
    }
}
