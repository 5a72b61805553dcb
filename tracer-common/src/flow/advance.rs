//! What one segment changes in its connection.

use super::{HalfFlags, SegmentFlags, TcpHalf, are_closed, are_confirmed};
use crate::{
    seq::Seq,
    wire::{Segment, TcpFlags},
};

/// A segment with none of these may be a keep-alive, a pure acknowledgment or a window update.
const CONTROL: TcpFlags = TcpFlags::SYN.union(TcpFlags::FIN).union(TcpFlags::RST);

impl TcpHalf {
    /// Takes in one segment sent by this half to `receiver`. `now` reads the clock, in ns; it is only called when needed.
    #[inline(always)]
    pub fn on_segment(&mut self, receiver: &Self, segment: &Segment, now: impl Fn() -> u64) -> SegmentFlags {
        self.counters.packets += 1;
        self.gap = 0;
        self.segment =
            if are_closed(self, receiver) { SegmentFlags::AFTER_CLOSE } else { SegmentFlags::EMPTY };
        if is_stray(self, receiver, segment) {
            self.segment |= SegmentFlags::STRAY;
            // Data confirms a connection, unless that is over.
            if segment.payload_len == 0 || self.segment.contains(SegmentFlags::AFTER_CLOSE) {
                on_kind(self, receiver, segment);
            }
            return core::hint::black_box(self).segment;
        }
        on_kind(self, receiver, segment);
        on_ttl(self, segment);
        on_start(self, receiver, segment);
        on_payload(self, receiver, segment, &now);
        on_acknowledgment(self, receiver, segment, &now);
        on_window(self, segment);
        on_end(self, receiver, segment);
        // Read back from the map where the compiler cannot see it: the verifier would otherwise follow every combination.
        core::hint::black_box(self).segment
    }

    /// Whether `segment` is the SYN that was refused by `peer` with a RST, again: some systems repeat it even so.
    #[inline(always)]
    #[must_use]
    pub fn tries_again(&self, peer: &Self, segment: &Segment) -> bool {
        let is_syn = segment.flags & (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST) == TcpFlags::SYN;
        is_syn
            && self.has(HalfFlags::SYN)
            && segment.payload_seq() == self.counters.base
            && !are_confirmed(self, peer)
            && are_closed(self, peer)
    }

    /// Moves the start of this stream if `segment` confirms another SYN-ACK than the first. `peer`: its sender.
    #[inline(always)]
    pub fn choose_start(&mut self, peer: &Self, segment: &Segment) {
        let confirms = segment.is_pure_ack() && !peer.has(HalfFlags::ACKED_SYN);
        if confirms && self.has(HalfFlags::SYN_ACK) && self.far_end.0 != 0 && segment.ack == self.far_end {
            self.start_at(segment.ack);
        }
    }

    /// Whether the stream of the other side is known to start at `seq`: this side has sent a SYN, and has acknowledged
    /// exactly up to there, so that only the SYN-ACK was missed.
    #[inline(always)]
    #[must_use]
    pub fn expects_start_at(&self, seq: Seq) -> bool {
        self.has(HalfFlags::SYN) && self.counters.ack == seq
    }

    #[inline(always)]
    fn start_at(&mut self, seq: Seq) {
        self.counters.base = seq;
        self.counters.stream_end = 0;
        self.next = seq;
    }

    /// The bytes from `seq` to `end` were seen: a hole that starts within them now starts at `end`.
    #[inline(always)]
    fn fill_hole(&mut self, seq: Seq, end: Seq) {
        if !self.has(HalfFlags::HOLE) || seq.is_after(self.hole) || !end.is_after(self.hole) {
            return;
        }
        self.hole = end;
        if !self.next.is_after(end) {
            self.counters.flags.remove(HalfFlags::HOLE);
        }
    }
}

/// Whether the segment is of another connection, or spoofed: the receiver answers it, and changes nothing.
#[inline(always)]
fn is_stray(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment) -> bool {
    if segment.flags.intersects(TcpFlags::SYN | TcpFlags::RST) || !receiver.has(HalfFlags::STARTED) {
        return false;
    }
    let has_ack = segment.flags.contains(TcpFlags::ACK);
    let ahead = segment.ack.since(receiver.sent());
    if receiver.has(HalfFlags::SYN) && segment.is_pure_ack() {
        // In place of a SYN-ACK: what an older connection acknowledged last (RFC 9293, 3.5.1 and 3.10.7.3).
        let opening = !receiver.has(HalfFlags::ACKED) && !sender.has(HalfFlags::SYN);
        if opening && (ahead > 0 || segment.ack.since(receiver.counters.base) < 0) {
            return true;
        }
        // In place of the confirmation (RFC 9293, 3.10.7.4).
        if sender.has(HalfFlags::SYN) && !sender.has(HalfFlags::ACKED_SYN) && ahead > 0 {
            return true;
        }
    }
    // Out of the window. The second time, bytes were missed.
    if has_ack && ahead > sender.window_limit(receiver) {
        let again = sender.far_ack.0 != 0 && segment.ack.since(sender.far_ack) >= 0;
        sender.far_ack = segment.ack;
        return !again;
    }
    if segment.payload_len > 0 && receiver.has(HalfFlags::ACKED) && sender.has(HalfFlags::STARTED) {
        let ahead = segment.seq.since(receiver.counters.ack);
        if ahead > receiver.window_limit(sender) && segment.seq.is_after(sender.next) {
            let again = sender.far_end.0 != 0 && segment.seq == sender.far_end;
            sender.far_end = segment.seq.add(segment.payload_len);
            return !again;
        }
    }
    false
}

/// The number of hops that segments of the sender have left.
#[inline(always)]
fn on_ttl(sender: &mut TcpHalf, segment: &Segment) {
    if !segment.flags.contains(TcpFlags::RST) {
        sender.ttl = segment.ttl;
    } else if sender.ttl != 0 && sender.ttl != segment.ttl {
        sender.segment |= SegmentFlags::OTHER_TTL;
    }
}

/// The kinds of segments seen, which Wireshark's completeness is made of.
#[inline(always)]
fn on_kind(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment) {
    const SEEN: HalfFlags = HalfFlags::STARTED.union(HalfFlags::RST);
    let flags = segment.flags;
    let data = segment.payload_len != 0;
    let mut seen = HalfFlags::EMPTY;
    if flags.contains(TcpFlags::SYN) {
        let first = !sender.counters.flags.intersects(SEEN) && !receiver.counters.flags.intersects(SEEN);
        if first && !flags.contains(TcpFlags::ACK) {
            seen = if data { HalfFlags::OPENED | HalfFlags::SYN_DATA } else { HalfFlags::OPENED };
        }
    } else if flags.contains(TcpFlags::ACK) {
        seen = if data { HalfFlags::DATA } else { HalfFlags::BARE_ACK };
    }
    if flags.contains(TcpFlags::FIN) && flags.contains(TcpFlags::ACK) {
        seen |= HalfFlags::FIN_ACK;
    }
    sender.counters.flags |= seen;
}

/// SYN, or the first segment of a direction whose SYN was not seen.
#[inline(always)]
fn on_start(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment) {
    let flags = segment.flags;
    if flags.contains(TcpFlags::SYN) {
        on_syn(sender, segment);
        return;
    }
    if sender.has(HalfFlags::STARTED) {
        return;
    }
    // A RST without a known stream ends nothing.
    if flags.contains(TcpFlags::RST) && !receiver.has(HalfFlags::STARTED) {
        return;
    }
    sender.segment |= SegmentFlags::MIDSTREAM;
    sender.counters.flags |= HalfFlags::STARTED;
    sender.start_at(segment.payload_seq());
}

/// A SYN or SYN-ACK.
#[inline(always)]
fn on_syn(sender: &mut TcpHalf, segment: &Segment) {
    let is_answer = segment.flags.contains(TcpFlags::ACK);
    let kind = if is_answer { SegmentFlags::SYN_ACK } else { SegmentFlags::SYN };
    let same = segment.payload_seq() == sender.counters.base;
    if sender.has(HalfFlags::SYN) {
        // The same one again, or another one that a live connection ignores (see `observe`).
        // In a simultaneous open the SYN comes again as the answer to the other side's SYN.
        let answers = is_answer && !sender.has(HalfFlags::SYN_ACK);
        sender.segment |= if same && !answers { kind | SegmentFlags::REPEATED } else { kind };
        if same && answers {
            sender.counters.flags |= HalfFlags::SYN_ACK;
        }
        if is_answer && !same {
            sender.far_end = segment.payload_seq();
        }
        return;
    }
    sender.segment |= kind;
    // A SYN that arrives after its data: the stream continues.
    if !(sender.has(HalfFlags::STARTED) && same) {
        sender.start_at(segment.payload_seq());
    }
    sender.counters.flags |= HalfFlags::STARTED | HalfFlags::SYN;
    sender.scale = segment.window_scale;
    if is_answer {
        sender.counters.flags |= HalfFlags::SYN_ACK;
    }
}

/// Within this time of the last duplicate acknowledgment Wireshark calls a retransmission fast; a later one it attributes to
/// a timeout.
const FAST_NS: u64 = 20_000_000;

/// Whether old data from `seq` on is a fast retransmission: at least two duplicate acknowledgments came just before.
/// The sender acts on the third (RFC 5681, 3.2), but the observer need not have seen all of them.
#[inline(always)]
fn is_fast_retransmit(sender: &TcpHalf, receiver: &TcpHalf, seq: Seq) -> bool {
    receiver.duplicates_in_row >= 2
        && receiver.duplicate_ack == seq
        && receiver.counters.ack == seq
        && sender.last_ns.saturating_sub(receiver.last_ns) < FAST_NS
}

/// Payload: in order, old, or after a gap.
#[inline(always)]
fn on_payload(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment, now: &impl Fn() -> u64) {
    let len = segment.payload_len;
    if len == 0 {
        if segment.seq.add(1) == sender.next && !segment.flags.intersects(CONTROL) {
            // Into a closed window, it is a probe (RFC 9293, 3.8.6.1).
            sender.segment |= if receiver.has(HalfFlags::ZERO_WINDOW) {
                SegmentFlags::WINDOW_PROBE
            } else {
                SegmentFlags::KEEP_ALIVE
            };
        }
        on_number(sender, receiver, segment);
        return;
    }
    let seq = segment.payload_seq();
    let ahead = seq.since(sender.next);
    // The payload of a RST is a text about its cause, not part of the stream (RFC 9293, 3.5.3).
    if segment.flags.contains(TcpFlags::RST) {
        if !(sender.has(HalfFlags::STARTED) && ahead > 0) {
            sender.segment |= SegmentFlags::NO_NEW_DATA;
        }
        return;
    }
    if sender.counters.first_data_ns == 0 && !segment.flags.intersects(TcpFlags::SYN | TcpFlags::FIN) {
        sender.counters.first_data_ns = now();
    }
    if len == 1 && ahead == -1 {
        sender.segment |= SegmentFlags::KEEP_ALIVE | SegmentFlags::NO_NEW_DATA;
        return;
    }
    if len == 1 && ahead == 0 && receiver.has(HalfFlags::ZERO_WINDOW) {
        sender.segment |= SegmentFlags::WINDOW_PROBE;
    }
    sender.counters.bytes += u64::from(len);
    let end = seq.add(len);
    let new_bytes = end.since(sender.next);
    if ahead > 0 {
        open_hole(sender, receiver);
    }
    if new_bytes > 0 {
        sender.counters.stream_end += u64::from(new_bytes.cast_unsigned());
        sender.next = end;
    } else {
        sender.segment |= SegmentFlags::NO_NEW_DATA;
    }
    if ahead > 0 {
        sender.segment |= SegmentFlags::GAP;
        sender.gap = ahead.cast_unsigned();
    }
    if ahead < 0 {
        let fast = is_fast_retransmit(sender, receiver, seq);
        sender.segment |= if fast {
            SegmentFlags::OLD_DATA | SegmentFlags::FAST_RETRANSMIT
        } else {
            SegmentFlags::OLD_DATA
        };
        sender.fill_hole(seq, end);
    }
}

/// The sequence number of a segment that only acknowledges: everything before it was sent.
#[inline(always)]
fn on_number(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment) {
    let ahead = segment.seq.since(sender.next);
    // One ahead: after a FIN that was not seen.
    if !segment.is_pure_ack()
        || ahead <= 1
        || ahead > receiver.window_limit(sender)
        || sender.has(HalfFlags::FIN)
    {
        return;
    }
    open_hole(sender, receiver);
    sender.counters.stream_end += u64::from(ahead.cast_unsigned());
    sender.next = segment.seq;
    sender.segment |= SegmentFlags::GAP;
    sender.gap = ahead.cast_unsigned();
}

/// Bytes from the highest sequence number seen are missing.
#[inline(always)]
fn open_hole(sender: &mut TcpHalf, receiver: &TcpHalf) {
    if !sender.has(HalfFlags::HOLE) || receiver.counters.ack.is_after(sender.hole) {
        sender.counters.flags |= HalfFlags::HOLE;
        sender.hole = sender.next;
    }
}

/// The acknowledgment field.
#[inline(always)]
fn on_acknowledgment(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment, now: &impl Fn() -> u64) {
    if !segment.flags.contains(TcpFlags::ACK) {
        return;
    }
    if segment.flags.contains(TcpFlags::RST) {
        // It refuses a SYN that was not seen, which may be sent again.
        if !receiver.has(HalfFlags::STARTED) && !sender.has(HalfFlags::ACKED) {
            sender.counters.flags |= HalfFlags::ACKED;
            sender.counters.ack = segment.ack;
        }
        return;
    }
    let pure = segment.is_pure_ack();
    if pure && sender.counters.first_ack_ns == 0 {
        sender.counters.first_ack_ns = now();
    }
    let ack = segment.ack;
    if sender.has(HalfFlags::ACKED) && !ack.is_after(sender.counters.ack) {
        if pure
            && ack == sender.counters.ack
            && u32::from(segment.window) == sender.window
            && receiver.next.is_after(ack)
        {
            sender.counters.duplicate_acks += 1;
            sender.duplicates_in_row =
                if sender.duplicate_ack == ack { sender.duplicates_in_row + 1 } else { 1 };
            sender.duplicate_ack = ack;
        }
        return;
    }
    let passes =
        |seq| ack.is_after(seq) && !(sender.has(HalfFlags::ACKED) && sender.counters.ack.is_after(seq));
    if receiver.has(HalfFlags::HOLE) && passes(receiver.hole) {
        sender.segment |= SegmentFlags::ACKED_UNSEEN;
    }
    sender.counters.flags |= HalfFlags::ACKED;
    sender.counters.ack = ack;
    if receiver.has(HalfFlags::SYN)
        && !sender.has(HalfFlags::ACKED_SYN)
        && ack.since(receiver.counters.base) >= 0
    {
        sender.counters.flags |= HalfFlags::ACKED_SYN;
        if !segment.flags.contains(TcpFlags::SYN) {
            sender.segment |= SegmentFlags::HANDSHAKE_ACK;
        }
    }
    let mut sent = receiver.next;
    if receiver.has(HalfFlags::FIN) {
        sent = receiver.fin;
        if !sender.has(HalfFlags::ACKED_FIN) && ack.since(sent) >= 0 {
            sender.counters.flags |= HalfFlags::ACKED_FIN;
            sender.segment |= SegmentFlags::FIN_ACKED;
        }
    }
    if receiver.has(HalfFlags::STARTED) && ack.is_after(sent) {
        sender.segment |= SegmentFlags::ACKED_UNSEEN;
    }
}

/// The receive window: only its changes to and from zero are reported.
#[inline(always)]
fn on_window(sender: &mut TcpHalf, segment: &Segment) {
    if segment.flags.intersects(CONTROL) {
        return;
    }
    sender.window = u32::from(segment.window);
    let was_zero = sender.has(HalfFlags::ZERO_WINDOW);
    if segment.window != 0 {
        sender.counters.flags.remove(HalfFlags::ZERO_WINDOW);
        if was_zero {
            sender.segment |= SegmentFlags::WINDOW_UPDATE;
        }
        return;
    }
    sender.counters.zero_windows += 1;
    sender.counters.flags |= HalfFlags::ZERO_WINDOW;
    if !was_zero {
        sender.segment |= SegmentFlags::ZERO_WINDOW;
    }
}

/// Whether a FIN that ends at `end` counts: it must lie in the window of its receiver (RFC 9293, 3.10.7.4).
#[inline(always)]
fn accepts_fin(sender: &TcpHalf, receiver: &TcpHalf, end: Seq) -> bool {
    let ahead = end.since(receiver.counters.ack);
    // One before: from a side whose FIN was acknowledged already.
    !receiver.has(HalfFlags::ACKED) || (-1..=receiver.window_limit(sender)).contains(&ahead)
}

/// Whether a RST at `seq` counts: its receiver takes it only at exactly the number that it expects next (RFC 5961, 3;
/// RFC 9293, 3.10.7.4). That is what it acknowledged last, or any number up to what was sent, because it may have received
/// more. Beyond that, only what follows shows whether bytes were missed, or whether the RST was ignored.
#[inline(always)]
fn accepts_reset(sender: &TcpHalf, receiver: &TcpHalf, segment: &Segment) -> bool {
    let seq = segment.seq;
    if !receiver.has(HalfFlags::ACKED) {
        if sender.has(HalfFlags::SYN) {
            return seq == sender.next;
        }
        // In response to a SYN, it must acknowledge that (RFC 9293, 3.10.7.3).
        let acknowledges = segment.flags.contains(TcpFlags::ACK) && segment.ack == receiver.next;
        return !receiver.has(HalfFlags::SYN) || acknowledges;
    }
    if !sender.has(HalfFlags::SYN) && seq.0 == 0 {
        return true;
    }
    // One before: in response to a probe, or from a side whose FIN was acknowledged already.
    let ahead = seq.since(receiver.counters.ack);
    ahead == 0 || ahead >= -1 && !seq.is_after(sender.sent())
}

/// FIN and RST.
#[inline(always)]
fn on_end(sender: &mut TcpHalf, receiver: &TcpHalf, segment: &Segment) {
    if segment.flags.contains(TcpFlags::RST) {
        // A connection that has closed stays as it was closed.
        let counts = sender.has(HalfFlags::STARTED)
            && !sender.segment.contains(SegmentFlags::AFTER_CLOSE)
            && accepts_reset(sender, receiver, segment);
        sender.counters.flags |= if counts { HalfFlags::RST | HalfFlags::RESET } else { HalfFlags::RST };
        sender.segment |= SegmentFlags::RST;
    }
    if segment.flags.contains(TcpFlags::FIN) {
        let end = segment.payload_seq().add(segment.payload_len);
        sender.segment |= SegmentFlags::FIN;
        if sender.has(HalfFlags::FIN) {
            sender.segment |= SegmentFlags::REPEATED;
        } else if accepts_fin(sender, receiver, end) {
            sender.counters.flags |= HalfFlags::FIN;
            sender.fin = end.add(1);
        }
    }
}
