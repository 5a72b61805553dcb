//! Why segments were sent that are not new data, by the rules of Wireshark's TCP analysis (`tcp.analysis.*`).

use std::time::Duration;

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfCounters, HalfFlags, SegmentFlags},
};

use super::gaps::Fill;
use crate::record::SideTotals;

/// A segment that fills a gap sooner than this was overtaken on its way; later, it was sent again. The same 3 ms that
/// Wireshark takes, or the round-trip time of the handshake where that is longer.
const OVERTAKEN: Duration = Duration::from_millis(3);

/// What a segment is in the stream of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing that was or should have been there before.
    Next,
    /// In a gap that it filled soon: it was overtaken on its way.
    Overtaken,
    /// Where something was seen before, or in a gap that is old: it was sent again.
    Again,
    /// The same, as duplicate acknowledgments have just asked for.
    Fast,
    /// The same, needlessly: all of it was acknowledged already.
    Spurious,
}

/// The counts of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Analysis {
    /// Those sent again for whatever reason.
    retransmits: u64,
    fast: u64,
    spurious: u64,
    out_of_order: u64,
    keep_alives: u64,
    window_probes: u64,
    checksum_errors: u64,
    /// Stream offset of the last window probe: its byte is new data, but not yet part of what the receiver takes.
    probe: Option<u64>,
}

impl Analysis {
    /// Takes in a segment whose payload starts at `start`; `peer` is what the other side had shown when it was sent,
    /// `round_trip` that of the handshake in ns.
    pub(super) fn note(
        &mut self,
        event: &SegmentEvent,
        start: u64,
        fill: Fill,
        peer: &HalfCounters,
        round_trip: u64,
    ) -> Place {
        let has = |flag| event.reasons.contains(flag);
        self.checksum_errors += u64::from(has(SegmentFlags::BAD_CHECKSUM));
        let probed = event.payload_len > 0 && self.probe == Some(start);
        if has(SegmentFlags::WINDOW_PROBE) || has(SegmentFlags::KEEP_ALIVE) && probed {
            self.probe = Some(start);
            self.window_probes += 1;
        } else if has(SegmentFlags::KEEP_ALIVE) {
            self.keep_alives += 1;
        }
        // What starts with the byte of a probe goes on from there.
        let place = if has(SegmentFlags::REPEATED) || has(SegmentFlags::OLD_DATA) && !probed {
            place(event, fill, peer, round_trip)
        } else {
            Place::Next
        };
        self.retransmits += u64::from(matches!(place, Place::Again | Place::Fast | Place::Spurious));
        self.fast += u64::from(place == Place::Fast);
        self.spurious += u64::from(place == Place::Spurious);
        self.out_of_order += u64::from(place == Place::Overtaken);
        place
    }

    /// What was counted; the rest is zero.
    pub(super) fn totals(&self) -> SideTotals {
        SideTotals {
            retransmits: self.retransmits,
            fast_retransmits: self.fast,
            spurious_retransmits: self.spurious,
            out_of_order: self.out_of_order,
            keep_alives: self.keep_alives,
            window_probes: self.window_probes,
            checksum_errors: Some(self.checksum_errors),
            ..SideTotals::default()
        }
    }
}

/// What a segment is that does not start behind everything seen, in Wireshark's order of precedence.
fn place(event: &SegmentEvent, fill: Fill, peer: &HalfCounters, round_trip: u64) -> Place {
    let end = event.payload_seq().add(event.payload_len);
    if event.payload_len > 0 && peer.flags.contains(HalfFlags::ACKED) && !end.is_after(peer.ack) {
        return Place::Spurious;
    }
    if event.reasons.contains(SegmentFlags::FAST_RETRANSMIT) {
        return Place::Fast;
    }
    if fill.bytes > 0 && fill.after < round_trip.max(OVERTAKEN.as_nanos() as u64) {
        return Place::Overtaken;
    }
    Place::Again
}
