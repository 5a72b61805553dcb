//! What one direction of a connection has shown.

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfCounters, HalfFlags, SegmentFlags},
    seq::Seq,
};

use super::{
    analysis::{Analysis, Place},
    gaps::{Fill, Gaps},
};
use crate::record::SideTotals;

/// TCP option kind of the window scale (RFC 7323, 2.2), which has 3 bytes.
const WINDOW_SCALE: u8 = 3;
/// The largest shift count (RFC 7323, 2.3).
const MAX_WINDOW_SCALE: u8 = 14;

/// One direction: what the kernel last told of it, and what that means.
#[derive(Clone, Debug, Default)]
pub(super) struct Direction {
    /// Segments.
    packets: u64,
    /// Offset behind the highest payload byte.
    stream_end: u64,
    /// How far the other side has acknowledged, as a stream offset.
    acked: u64,
    /// What most connections never have.
    trouble: Option<Box<Trouble>>,
    /// Sequence number of stream offset 0.
    base: Seq,
    /// Highest acknowledgment number sent.
    ack: Seq,
    /// [`half`] flags.
    told: HalfFlags,
    /// The last window told, not scaled.
    pub(super) window: u16,
    /// Shift count of its windows, once its SYN said so.
    pub(super) window_scale: Option<u8>,
}

/// What is kept of a direction in which something went wrong.
#[derive(Clone, Debug, Default)]
struct Trouble {
    /// What was counted before the kernel lost its state of the connection.
    before: Before,
    /// Pure acknowledgments that were repeated.
    duplicate_acks: u32,
    /// Segments with a window of zero.
    zero_windows: u32,
    /// Events that could not be told.
    lost: u32,
    gaps: Gaps,
    analysis: Analysis,
}

/// Counts of a direction, as far as the kernel has lost its state of the connection.
#[derive(Clone, Debug, Default)]
struct Before {
    packets: u64,
    stream_end: u64,
    duplicate_acks: u64,
    zero_windows: u64,
    lost: u64,
    flags: HalfFlags,
}

/// What a direction may take besides its place and its gaps.
pub(super) const BESIDES: usize = size_of::<Trouble>();

/// The causes of a segment that are trouble.
const TROUBLE: SegmentFlags = SegmentFlags::BAD_CHECKSUM
    .union(SegmentFlags::WINDOW_PROBE)
    .union(SegmentFlags::KEEP_ALIVE)
    .union(SegmentFlags::REPEATED)
    .union(SegmentFlags::OLD_DATA)
    .union(SegmentFlags::GAP);

impl Direction {
    /// Takes in what the kernel tells, and says which flags are new in it. It is old if the kernel's table answered
    /// before an older event was read.
    pub(super) fn take(&mut self, told: &HalfCounters) -> HalfFlags {
        if told.packets < self.packets {
            return HalfFlags::EMPTY;
        }
        let new = told.flags.difference(self.told);
        self.packets = told.packets;
        self.stream_end = told.stream_end;
        (self.base, self.ack, self.told) = (told.base, told.ack, told.flags);
        if self.trouble.is_some() || told.duplicate_acks | told.zero_windows != 0 {
            let trouble = self.trouble.get_or_insert_default();
            trouble.duplicate_acks = told.duplicate_acks;
            trouble.zero_windows = told.zero_windows;
        }
        new
    }

    /// Whether the kernel has lost events of this direction that are not known yet: `lost` in all.
    pub(super) fn take_lost(&mut self, lost: u32) -> bool {
        let is_new = lost > self.trouble.as_ref().map_or(0, |trouble| trouble.lost);
        if is_new {
            self.trouble.get_or_insert_default().lost = lost;
        }
        is_new
    }

    /// The flags that were ever told.
    pub(super) fn flags(&self) -> HalfFlags {
        self.told | self.trouble.as_ref().map_or(HalfFlags::EMPTY, |trouble| trouble.before.flags)
    }

    /// Whether one of these flags was told since the kernel has known the connection.
    pub(super) const fn has(&self, flags: HalfFlags) -> bool {
        self.told.intersects(flags)
    }

    /// The kernel lost its state and starts counting anew.
    pub(super) fn start_anew(&mut self) {
        let before = Before {
            packets: self.packets(),
            stream_end: self.stream_bytes(),
            duplicate_acks: self.duplicate_acks(),
            zero_windows: self.zero_windows(),
            lost: self.lost(),
            flags: self.flags(),
        };
        let trouble = self.trouble.get_or_insert_default();
        trouble.before = before;
        (trouble.duplicate_acks, trouble.zero_windows, trouble.lost) = (0, 0, 0);
        (self.packets, self.stream_end) = (0, 0);
        (self.base, self.ack, self.told) = (Seq::default(), Seq::default(), HalfFlags::EMPTY);
    }

    /// An event was lost besides those that the kernel counts.
    pub(super) fn count_lost(&mut self) {
        self.trouble.get_or_insert_default().before.lost += 1;
    }

    fn before(&self, count: fn(&Trouble) -> u64) -> u64 {
        self.trouble.as_deref().map_or(0, count)
    }

    /// Segments.
    pub(super) fn packets(&self) -> u64 {
        self.packets.saturating_add(self.before(|trouble| trouble.before.packets))
    }

    /// Bytes of the stream, gaps included.
    pub(super) fn stream_bytes(&self) -> u64 {
        self.stream_end.saturating_add(self.before(|trouble| trouble.before.stream_end))
    }

    /// Pure acknowledgments that were repeated.
    pub(super) fn duplicate_acks(&self) -> u64 {
        self.before(|trouble| trouble.before.duplicate_acks + u64::from(trouble.duplicate_acks))
    }

    /// Segments with a window of zero.
    pub(super) fn zero_windows(&self) -> u64 {
        self.before(|trouble| trouble.before.zero_windows + u64::from(trouble.zero_windows))
    }

    /// Events that could not be told.
    pub(super) fn lost(&self) -> u64 {
        self.before(|trouble| trouble.before.lost + u64::from(trouble.lost))
    }

    /// Bytes of memory that its gaps take.
    pub(super) fn buffered(&self) -> usize {
        self.trouble.as_ref().map_or(0, |trouble| trouble.gaps.buffered())
    }

    /// Gives up what is kept of its gaps: there is no room.
    pub(super) fn give_up_buffers(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.gaps.give_up();
        }
    }

    /// Bytes that are missing between those seen.
    pub(super) fn gap_bytes(&self) -> u64 {
        self.before(|trouble| trouble.gaps.bytes())
    }

    /// How many of the bytes before stream offset `end` were not seen.
    pub(super) fn missing_before(&self, end: u64) -> u64 {
        self.gap_bytes() + end.saturating_sub(self.stream_end)
    }

    /// The number behind its last byte.
    pub(super) const fn end(&self) -> Seq {
        // Truncation is meant: sequence numbers are stream offsets modulo 2^32.
        self.base.add(self.stream_end as u32)
    }

    /// The number of its first byte.
    pub(super) const fn base(&self) -> Seq {
        self.base
    }

    /// What this side sent; `peer` says how far it was acknowledged.
    pub(super) fn side_totals(&self, peer: &Self) -> SideTotals {
        let fin = u64::from(self.flags().contains(HalfFlags::FIN));
        let acked = if peer.has(HalfFlags::ACKED) && self.has(HalfFlags::STARTED) {
            self.offset(peer.ack)
        } else {
            0
        };
        let unseen = acked.saturating_sub(self.stream_end.saturating_add(fin));
        SideTotals {
            bytes: self.stream_bytes().saturating_sub(self.gap_bytes()),
            packets: self.packets(),
            duplicate_acks: self.duplicate_acks(),
            zero_windows: self.zero_windows(),
            gap_bytes: self.gap_bytes() + unseen,
            ..self
                .trouble
                .as_ref()
                .map_or_else(|| Analysis::default().totals(), |trouble| trouble.analysis.totals())
        }
    }

    /// Takes in a segment of this direction, and says where it lies; `round_trip` of the handshake in ns.
    pub(super) fn note_segment(&mut self, event: &SegmentEvent, round_trip: u64) -> Place {
        if self.trouble.is_none() && !event.reasons.intersects(TROUBLE) {
            return Place::Next;
        }
        let Trouble { gaps, analysis, .. } = &mut **self.trouble.get_or_insert_default();
        let time = event.header.time;
        let sender = event.header.sender();
        let told = sender.of(&event.halves);
        let start = offset(told.base, told.stream_end, event.payload_seq());
        let end = start.saturating_add(u64::from(event.payload_len));
        if event.reasons.contains(SegmentFlags::GAP) {
            gaps.open(start.saturating_sub(u64::from(event.gap)), start, time);
        }
        let fill = if event.reasons.contains(SegmentFlags::OLD_DATA) {
            gaps.fill(start, end, time)
        } else {
            Fill::default()
        };
        analysis.note(event, start, fill, sender.other().of(&event.halves), round_trip)
    }

    /// The other side has acknowledged up to `ack`: how many stretches that were not seen are acknowledged with it.
    pub(super) fn note_acked(&mut self, ack: Seq) -> u64 {
        if !self.has(HalfFlags::STARTED) {
            return 0;
        }
        let to = self.offset(ack).saturating_sub(u64::from(self.has(HalfFlags::FIN)));
        let from = self.acked;
        self.acked = from.max(to);
        let gaps = self.trouble.as_ref().map_or(0, |trouble| trouble.gaps.between(from, to));
        gaps + u64::from(to > self.stream_end.max(from))
    }

    /// The stream offset of the FIN that `event` carries: how many bytes were sent before it.
    pub(super) fn fin_offset(&self, event: &SegmentEvent) -> u64 {
        self.offset(event.payload_seq().add(event.payload_len))
    }

    /// Whether a RST of the other side with this sequence number counts: it must lie in the window that this side
    /// announced (RFC 9293, 3.5.3; RFC 5961, 3).
    pub(super) fn accepts_reset(&self, seq: Seq) -> bool {
        if !self.flags().contains(HalfFlags::ACKED) {
            return true;
        }
        let window = i64::from(u16::MAX) << self.window_scale.unwrap_or(MAX_WINDOW_SCALE);
        // One before: a RST in answer to a probe, or from a side whose FIN was acknowledged already.
        (-1..=window).contains(&i64::from(seq.since(self.ack))) || seq == Seq(0)
    }

    fn offset(&self, seq: Seq) -> u64 {
        offset(self.base, self.stream_end, seq)
    }

    /// The number relative to the initial sequence number, as Wireshark shows it: the SYN has 0, the first byte 1.
    pub(super) fn relative(&self, seq: Seq) -> i64 {
        signed_offset(self.base, self.stream_end, seq) + 1
    }
}

/// Stream offset of `seq` as a signed number: -1 is the SYN. 64 bits wide, so that it goes on where `seq` wraps.
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
