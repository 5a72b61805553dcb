//! What one direction of a connection has shown.

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfCounters, cause, half},
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

/// One direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Direction {
    /// What the kernel last told.
    pub(super) counters: HalfCounters,
    /// What most connections never have.
    trouble: Option<Box<Trouble>>,
    /// Shift count of its windows, once its SYN said so.
    pub(super) window_scale: Option<u8>,
    /// The last window told, not scaled.
    pub(super) window: u16,
    /// How far the other side has acknowledged, as a stream offset.
    acked: u64,
}

/// What is kept of a direction in which something went wrong.
#[derive(Clone, Debug, Default)]
struct Trouble {
    /// What was counted before the kernel lost its state of the connection.
    before: HalfCounters,
    gaps: Gaps,
    analysis: Analysis,
}

/// The causes of a segment that are trouble.
const TROUBLE: u32 = cause::BAD_CHECKSUM
    | cause::WINDOW_PROBE
    | cause::KEEP_ALIVE
    | cause::REPEATED
    | cause::OLD_DATA
    | cause::GAP;

impl Direction {
    pub(super) fn flags(&self) -> u32 {
        self.counters.flags | self.trouble.as_ref().map_or(0, |trouble| trouble.before.flags)
    }

    /// The kernel lost its state and starts counting anew.
    pub(super) fn start_anew(&mut self) {
        let totals = self.totals();
        self.trouble.get_or_insert_default().before = totals;
        self.counters = HalfCounters::default();
    }

    /// An event was lost besides those that the kernel counts.
    pub(super) fn count_lost(&mut self) {
        self.trouble.get_or_insert_default().before.lost += 1;
    }

    /// Bytes that are missing between those seen.
    pub(super) fn gap_bytes(&self) -> u64 {
        self.trouble.as_ref().map_or(0, |trouble| trouble.gaps.bytes())
    }

    /// What was counted, before and after the kernel lost its state.
    pub(super) fn totals(&self) -> HalfCounters {
        let Some(trouble) = &self.trouble else { return self.counters };
        let (now, before) = (&self.counters, &trouble.before);
        HalfCounters {
            packets: now.packets.saturating_add(before.packets),
            bytes: now.bytes.saturating_add(before.bytes),
            stream_end: now.stream_end.saturating_add(before.stream_end),
            first_ack_ns: if before.first_ack_ns == 0 { now.first_ack_ns } else { before.first_ack_ns },
            first_data_ns: if before.first_data_ns == 0 { now.first_data_ns } else { before.first_data_ns },
            syn_ns: if before.syn_ns == 0 { now.syn_ns } else { before.syn_ns },
            base: now.base,
            ack: now.ack,
            duplicate_acks: now.duplicate_acks.saturating_add(before.duplicate_acks),
            zero_windows: now.zero_windows.saturating_add(before.zero_windows),
            lost: now.lost.saturating_add(before.lost),
            flags: now.flags | before.flags,
        }
    }

    /// What this side sent; `peer` says how far it was acknowledged.
    pub(super) fn side_totals(&self, peer: &HalfCounters) -> SideTotals {
        let totals = self.totals();
        let fin = u64::from(totals.flags & half::FIN != 0);
        let acked = if peer.flags & half::ACKED != 0 && self.counters.flags & half::STARTED != 0 {
            offset(&self.counters, peer.ack)
        } else {
            0
        };
        let unseen = acked.saturating_sub(self.counters.stream_end.saturating_add(fin));
        SideTotals {
            bytes: totals.stream_end.saturating_sub(self.gap_bytes()),
            packets: totals.packets,
            duplicate_acks: u64::from(totals.duplicate_acks),
            zero_windows: u64::from(totals.zero_windows),
            gap_bytes: self.gap_bytes() + unseen,
            ..self
                .trouble
                .as_ref()
                .map_or_else(|| Analysis::default().totals(), |trouble| trouble.analysis.totals())
        }
    }

    /// Takes in a segment of this direction, and says where it lies; `round_trip` of the handshake in ns.
    pub(super) fn note_segment(&mut self, event: &SegmentEvent, round_trip: u64) -> Place {
        if self.trouble.is_none() && event.causes & TROUBLE == 0 {
            return Place::Next;
        }
        let Trouble { gaps, analysis, .. } = &mut **self.trouble.get_or_insert_default();
        let time = event.header.time;
        let (own, peer) = if event.header.from_low != 0 { (0, 1) } else { (1, 0) };
        let start = offset(&event.halves[own], event.payload_seq());
        let end = start.saturating_add(u64::from(event.payload_len));
        if event.causes & cause::GAP != 0 {
            gaps.open(start.saturating_sub(u64::from(event.gap)), start, time);
        }
        let fill =
            if event.causes & cause::OLD_DATA != 0 { gaps.fill(start, end, time) } else { Fill::default() };
        analysis.note(event, start, fill, &event.halves[peer], round_trip)
    }

    /// The other side has acknowledged up to `ack`: how many stretches that were not seen are acknowledged with it.
    pub(super) fn note_acked(&mut self, ack: Seq) -> u64 {
        if self.counters.flags & half::STARTED == 0 {
            return 0;
        }
        let fin = u64::from(self.counters.flags & half::FIN != 0);
        let to = offset(&self.counters, ack).saturating_sub(fin);
        let from = self.acked;
        self.acked = from.max(to);
        let seen = self.counters.stream_end;
        let gaps = self.trouble.as_ref().map_or(0, |trouble| trouble.gaps.between(from, to));
        gaps + u64::from(to > seen.max(from))
    }

    /// The stream offset of the FIN that `event` carries: how many bytes were sent before it.
    pub(super) fn fin_offset(&self, event: &SegmentEvent) -> u64 {
        offset(&self.counters, event.payload_seq().add(event.payload_len))
    }

    /// Whether a RST of the other side with this sequence number counts: it must lie in the window that this side
    /// announced (RFC 9293, 3.5.3; RFC 5961, 3).
    pub(super) fn accepts_reset(&self, seq: Seq) -> bool {
        if self.flags() & half::ACKED == 0 {
            return true;
        }
        let window = i64::from(u16::MAX) << self.window_scale.unwrap_or(MAX_WINDOW_SCALE);
        // One before: a RST in answer to a probe, or from a side whose FIN was acknowledged already.
        (-1..=window).contains(&i64::from(seq.since(self.counters.ack))) || seq == Seq(0)
    }
}

/// Stream offset of `seq` as a signed number: -1 is the SYN. 64 bits wide, so that it goes on where `seq` wraps.
fn signed_offset(counters: &HalfCounters, seq: Seq) -> i64 {
    // Truncation is meant: sequence numbers are stream offsets modulo 2^32.
    let end = counters.base.add(counters.stream_end as u32);
    counters.stream_end.cast_signed() + i64::from(seq.since(end))
}

fn offset(counters: &HalfCounters, seq: Seq) -> u64 {
    signed_offset(counters, seq).max(0).cast_unsigned()
}

/// The number relative to the initial sequence number, as Wireshark shows it: the SYN has 0, the first byte 1.
pub(super) fn relative(counters: &HalfCounters, seq: Seq) -> i64 {
    signed_offset(counters, seq) + 1
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
