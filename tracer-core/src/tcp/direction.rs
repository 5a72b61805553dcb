//! What one direction of a connection has shown.

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfCounters, HalfFlags, SegmentFlags},
    seq::Seq,
};

use super::{
    gaps::{Fill, Gaps},
    session::Fin,
    stats::{SegmentKind, TcpStats},
};
use crate::record::SideTotals;

/// TCP option kind of the window scale (RFC 7323, 2.2), which has 3 bytes.
const WINDOW_SCALE: u8 = 3;
/// The largest shift count (RFC 7323, 2.3).
const MAX_WINDOW_SCALE: u8 = 14;

/// One direction: its counters as the kernel last reported them, and what they mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Direction {
    /// Segments.
    packets: u64,
    /// Stream offset after the highest payload byte.
    stream_end: u64,
    /// How far the other side has acknowledged, as a stream offset.
    acked: u64,
    /// Boxed, because most directions have none.
    anomalies: Option<Box<Anomalies>>,
    /// Sequence number of stream offset 0.
    base: Seq,
    /// Highest acknowledgment number sent.
    ack: Seq,
    /// The flags reported so far.
    reported: HalfFlags,
    /// The last window reported, not scaled.
    pub(super) window: u16,
    /// Shift count of its windows, if its SYN was seen.
    pub(crate) window_scale: Option<u8>,
}

/// What is new in the counters of a direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delta {
    /// The flags that are new.
    pub(super) flags: HalfFlags,
    /// Whether the direction had sent anything before.
    pub(super) had_started: bool,
    /// More duplicate acknowledgments.
    pub(super) duplicate_acks: u64,
    /// More segments with a window of zero.
    pub(super) zero_windows: u64,
}

/// The state of a direction with anomalies: loss, retransmissions, zero windows and the like.
#[derive(Clone, Debug, Default)]
struct Anomalies {
    /// What was counted before the kernel lost its state of the connection.
    earlier: Earlier,
    /// Duplicate acknowledgments.
    duplicate_acks: u32,
    /// Segments with a window of zero.
    zero_windows: u32,
    /// Events that were lost.
    lost: u32,
    gaps: Gaps,
    stats: TcpStats,
    /// The first acknowledgment of this direction, while nothing of it was seen.
    unseen_from: Option<Seq>,
}

/// Counters of a direction before the kernel lost its state of the connection.
#[derive(Clone, Debug, Default)]
struct Earlier {
    packets: u64,
    stream_end: u64,
    duplicate_acks: u64,
    zero_windows: u64,
    lost: u64,
    flags: HalfFlags,
}

/// The most bytes that a direction allocates besides its gaps.
pub(crate) const MAX_HEAP: usize = size_of::<Anomalies>();

/// The flags of a segment that are anomalies.
const ANOMALIES: SegmentFlags = SegmentFlags::BAD_CHECKSUM
    .union(SegmentFlags::WINDOW_PROBE)
    .union(SegmentFlags::KEEP_ALIVE)
    .union(SegmentFlags::REPEATED)
    .union(SegmentFlags::OLD_DATA)
    .union(SegmentFlags::GAP);

impl Direction {
    /// Takes in the kernel's counters; returns what is new in them.
    pub(super) fn apply(&mut self, counters: &HalfCounters) -> Delta {
        // They are old if the kernel's table answered before an earlier event was read.
        if counters.packets < self.packets {
            return Delta::default();
        }
        let had_started = self.flags().contains(HalfFlags::STARTED);
        let flags = counters.flags.difference(self.reported);
        self.packets = counters.packets;
        self.stream_end = counters.stream_end;
        (self.base, self.ack, self.reported) = (counters.base, counters.ack, counters.flags);
        let mut delta = Delta { flags, had_started, ..Delta::default() };
        if self.anomalies.is_some() || counters.duplicate_acks | counters.zero_windows != 0 {
            let anomalies = self.anomalies.get_or_insert_default();
            let more = |count: &mut u32, now: u32| now.saturating_sub(std::mem::replace(count, now));
            delta.duplicate_acks = more(&mut anomalies.duplicate_acks, counters.duplicate_acks).into();
            delta.zero_windows = more(&mut anomalies.zero_windows, counters.zero_windows).into();
        }
        delta
    }

    /// Notes that `lost` events of this direction were lost in all; returns whether that is more than before.
    pub(super) fn note_lost(&mut self, lost: u32) -> bool {
        let is_more = lost > self.anomalies.as_ref().map_or(0, |anomalies| anomalies.lost);
        if is_more {
            self.anomalies.get_or_insert_default().lost = lost;
        }
        is_more
    }

    /// The flags ever reported.
    pub(crate) fn flags(&self) -> HalfFlags {
        self.reported | self.anomalies.as_ref().map_or(HalfFlags::EMPTY, |anomalies| anomalies.earlier.flags)
    }

    /// Whether one of these flags was reported since the kernel created its state of the connection.
    const fn has(&self, flags: HalfFlags) -> bool {
        self.reported.intersects(flags)
    }

    /// The kernel lost its state of the connection, and counts from zero again.
    pub(super) fn restart(&mut self) {
        let earlier = Earlier {
            packets: self.packets(),
            stream_end: self.stream_bytes(),
            duplicate_acks: self.duplicate_acks(),
            zero_windows: self.zero_windows(),
            lost: self.lost(),
            flags: self.flags(),
        };
        let anomalies = self.anomalies.get_or_insert_default();
        anomalies.earlier = earlier;
        (anomalies.duplicate_acks, anomalies.zero_windows, anomalies.lost) = (0, 0, 0);
        (self.packets, self.stream_end) = (0, 0);
        (self.base, self.ack, self.reported) = (Seq::default(), Seq::default(), HalfFlags::EMPTY);
    }

    /// Counts one lost event that the kernel does not count.
    pub(super) fn count_lost(&mut self) {
        self.anomalies.get_or_insert_default().earlier.lost += 1;
    }

    /// A count of the anomalies; 0 if there are none.
    fn count(&self, count: fn(&Anomalies) -> u64) -> u64 {
        self.anomalies.as_deref().map_or(0, count)
    }

    /// Segments.
    pub(crate) fn packets(&self) -> u64 {
        self.packets.saturating_add(self.count(|anomalies| anomalies.earlier.packets))
    }

    /// Bytes of the stream, gaps included.
    pub(super) fn stream_bytes(&self) -> u64 {
        self.stream_end.saturating_add(self.count(|anomalies| anomalies.earlier.stream_end))
    }

    /// Duplicate acknowledgments.
    fn duplicate_acks(&self) -> u64 {
        self.count(|anomalies| anomalies.earlier.duplicate_acks + u64::from(anomalies.duplicate_acks))
    }

    /// Segments with a window of zero.
    fn zero_windows(&self) -> u64 {
        self.count(|anomalies| anomalies.earlier.zero_windows + u64::from(anomalies.zero_windows))
    }

    /// Events that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.count(|anomalies| anomalies.earlier.lost + u64::from(anomalies.lost))
    }

    /// Stream offset after its last byte, if all of its bytes were seen.
    pub(crate) fn seen_until(&self) -> Option<u64> {
        let complete = !self.has_gap(0, self.stream_end) && self.lost() == 0;
        complete.then_some(self.stream_end)
    }

    /// Whether bytes from stream offset `start` to `end` are missing.
    pub(crate) fn has_gap(&self, start: u64, end: u64) -> bool {
        self.anomalies.as_ref().is_some_and(|anomalies| anomalies.gaps.between(start, end) > 0)
    }

    /// Bytes of memory that its gaps take.
    pub(super) fn buffered(&self) -> usize {
        self.anomalies.as_ref().map_or(0, |anomalies| anomalies.gaps.buffered())
    }

    /// Drops its gaps; their bytes count as never seen.
    pub(super) fn drop_gaps(&mut self) {
        if let Some(anomalies) = &mut self.anomalies {
            anomalies.gaps.drop_all();
        }
    }

    /// Bytes that are missing between those seen.
    fn gap_bytes(&self) -> u64 {
        self.count(|anomalies| anomalies.gaps.bytes())
    }

    /// The sequence number after its last byte.
    pub(super) const fn end(&self) -> Seq {
        // Truncation is meant: sequence numbers are stream offsets modulo 2^32.
        self.base.add(self.stream_end as u32)
    }

    /// The sequence number of its first byte.
    pub(super) const fn base(&self) -> Seq {
        self.base
    }

    /// The totals of this direction; `peer` has its acknowledgments.
    pub(crate) fn side_totals(&self, peer: &Self) -> SideTotals {
        let fin = u64::from(self.flags().contains(HalfFlags::FIN));
        let acked = if peer.has(HalfFlags::ACKED) && self.has(HalfFlags::STARTED) {
            self.offset(peer.ack)
        } else {
            0
        };
        let unseen = match self.anomalies.as_ref().and_then(|anomalies| anomalies.unseen_from) {
            Some(from) if !self.has(HalfFlags::STARTED) => u64::try_from(peer.ack.since(from)).unwrap_or(0),
            _ => acked.saturating_sub(self.stream_end.saturating_add(fin)),
        };
        let unacked_bytes =
            if peer.has(HalfFlags::ACKED) { self.stream_end.saturating_sub(acked) } else { 0 };
        SideTotals {
            unacked_bytes,
            bytes: self.stream_bytes().saturating_sub(self.gap_bytes()),
            packets: self.packets(),
            duplicate_acks: self.duplicate_acks(),
            zero_windows: self.zero_windows(),
            gap_bytes: self.gap_bytes() + unseen,
            ..self
                .anomalies
                .as_ref()
                .map_or_else(|| TcpStats::default().totals(), |anomalies| anomalies.stats.totals())
        }
    }

    /// Takes in a segment of this direction and classifies it; `round_trip_ns` is that of the handshake.
    pub(super) fn on_segment(&mut self, event: &SegmentEvent, round_trip_ns: u64) -> SegmentKind {
        if self.anomalies.is_none() && !event.reasons.intersects(ANOMALIES) {
            return SegmentKind::InOrder;
        }
        let Anomalies { gaps, stats, .. } = &mut **self.anomalies.get_or_insert_default();
        let time = event.header.time;
        let sender = event.header.sender();
        let counters = sender.of(&event.halves);
        let start = offset(counters.base, counters.stream_end, event.payload_seq());
        let end = start.saturating_add(u64::from(event.payload_len));
        if event.reasons.contains(SegmentFlags::GAP) {
            gaps.open(start.saturating_sub(u64::from(event.gap)), start, time);
        }
        let fill = if event.reasons.contains(SegmentFlags::OLD_DATA) {
            gaps.fill(start, end, time)
        } else {
            Fill::default()
        };
        stats.on_segment(event, start, fill, sender.other().of(&event.halves), round_trip_ns)
    }

    /// The other side acknowledges up to `ack`, and nothing of this direction was seen.
    pub(super) fn on_unseen(&mut self, ack: Seq) {
        if !self.flags().contains(HalfFlags::STARTED) {
            self.anomalies.get_or_insert_default().unseen_from.get_or_insert(ack);
        }
    }

    /// The other side has acknowledged up to `ack`; returns how many gaps are acknowledged with it.
    pub(super) fn on_acked(&mut self, ack: Seq) -> u64 {
        if !self.has(HalfFlags::STARTED) {
            return 0;
        }
        let to = self.offset(ack).saturating_sub(u64::from(self.has(HalfFlags::FIN)));
        let from = self.acked;
        self.acked = from.max(to);
        let gaps = self.anomalies.as_ref().map_or(0, |anomalies| anomalies.gaps.between(from, to));
        gaps + u64::from(to > self.stream_end.max(from))
    }

    /// The FIN that `event` is, if it counts: not one out of the window, or a retransmission.
    pub(super) fn fin(&self, event: &SegmentEvent) -> Option<Fin> {
        let counts = self.has(HalfFlags::FIN)
            && event.reasons & (SegmentFlags::FIN | SegmentFlags::REPEATED) == SegmentFlags::FIN;
        counts.then(|| {
            let end = self.offset(event.payload_seq().add(event.payload_len));
            Fin { end, missing: self.gap_bytes() + end.saturating_sub(self.stream_end) }
        })
    }

    fn offset(&self, seq: Seq) -> u64 {
        offset(self.base, self.stream_end, seq)
    }

    /// A sequence number relative to the initial one, as Wireshark shows it: the SYN has 0, the first byte 1.
    pub(crate) fn relative(&self, seq: Seq) -> i64 {
        signed_offset(self.base, self.stream_end, seq) + 1
    }
}

/// The stream offset of `seq`, which is -1 for the SYN. It has 64 bits and does not wrap.
fn signed_offset(base: Seq, stream_end: u64, seq: Seq) -> i64 {
    // Truncation is meant: sequence numbers are stream offsets modulo 2^32.
    stream_end.cast_signed() + i64::from(seq.since(base.add(stream_end as u32)))
}

fn offset(base: Seq, stream_end: u64, seq: Seq) -> u64 {
    signed_offset(base, stream_end, seq).max(0).cast_unsigned()
}

/// The window scale option of a SYN (RFC 7323, 2.2).
pub(super) fn window_scale(event: &SegmentEvent) -> Option<u8> {
    let mut options = event.options.get(..usize::from(event.options_len))?;
    loop {
        options = match *options {
            [0, ..] | [] => return None,
            [1, ref rest @ ..] => rest,
            [WINDOW_SCALE, 3, shift, ..] => return Some(shift.min(MAX_WINDOW_SCALE)),
            [_, len, ..] => options.get(usize::from(len.max(2))..)?,
            [_] => return None,
        };
    }
}
