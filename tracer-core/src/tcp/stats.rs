//! Counts of the segments that are not new data, classified by Wireshark's TCP analysis (`tcp.analysis.*`).

use std::time::Duration;

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfCounters, HalfFlags, SegmentFlags},
};

use super::gaps::Fill;
use crate::record::SideTotals;

/// A segment that fills a gap sooner than this is out of order; later, it is a retransmission. Wireshark uses
/// the same 3 ms, or the round-trip time of the handshake if that is longer.
const MAX_REORDERING: Duration = Duration::from_millis(3);

/// What a segment is in the stream of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// New data, or none.
    InOrder,
    /// It filled a gap soon: it was reordered on its way.
    OutOfOrder,
    /// It repeats data seen before, or fills an old gap.
    Retransmit,
    /// A retransmission that duplicate acknowledgments requested.
    FastRetransmit,
    /// A retransmission of data that was acknowledged already.
    SpuriousRetransmit,
}

/// The counts of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct TcpStats {
    /// Retransmissions of any kind.
    retransmits: u64,
    fast: u64,
    spurious: u64,
    out_of_order: u64,
    keep_alives: u64,
    window_probes: u64,
    checksum_errors: u64,
    /// Stream offset of the last window probe with a byte.
    probe: Option<u64>,
}

impl TcpStats {
    /// Counts and classifies a segment whose payload starts at stream offset `start`. `peer` has the counters
    /// of the other side when it was sent; `round_trip_ns` is that of the handshake.
    pub(super) fn on_segment(
        &mut self,
        event: &SegmentEvent,
        start: u64,
        fill: Fill,
        peer: &HalfCounters,
        round_trip_ns: u64,
    ) -> SegmentKind {
        let has = |flag| event.reasons.contains(flag);
        self.checksum_errors += u64::from(has(SegmentFlags::BAD_CHECKSUM));
        let probed = event.payload_len > 0 && self.probe == Some(start);
        if has(SegmentFlags::WINDOW_PROBE) || has(SegmentFlags::KEEP_ALIVE) && probed {
            // The byte of a probe is new data that may not have been accepted; those of Linux have none.
            self.probe = (event.payload_len > 0).then_some(start);
            self.window_probes += 1;
        } else if has(SegmentFlags::KEEP_ALIVE) {
            self.keep_alives += 1;
        }
        // Data that starts with the byte of a probe is new.
        let kind = if has(SegmentFlags::REPEATED) || has(SegmentFlags::OLD_DATA) && !probed {
            old_data_kind(event, fill, peer, round_trip_ns)
        } else {
            SegmentKind::InOrder
        };
        let is = |one: SegmentKind| u64::from(kind == one);
        self.out_of_order += is(SegmentKind::OutOfOrder);
        self.fast += is(SegmentKind::FastRetransmit);
        self.spurious += is(SegmentKind::SpuriousRetransmit);
        self.retransmits += u64::from(!matches!(kind, SegmentKind::InOrder | SegmentKind::OutOfOrder));
        kind
    }

    /// The totals counted here; the others are zero.
    pub(super) fn totals(&self) -> SideTotals {
        SideTotals {
            retransmits: self.retransmits,
            fast_retransmits: self.fast,
            spurious_retransmits: self.spurious,
            out_of_order: self.out_of_order,
            keep_alives: self.keep_alives,
            window_probes: self.window_probes,
            checksum_errors: self.checksum_errors,
            ..SideTotals::default()
        }
    }
}

/// Classifies a segment with old data, in Wireshark's order of precedence.
fn old_data_kind(event: &SegmentEvent, fill: Fill, peer: &HalfCounters, round_trip_ns: u64) -> SegmentKind {
    let end = event.payload_seq().add(event.payload_len);
    if event.payload_len > 0 && peer.flags.contains(HalfFlags::ACKED) && !end.is_after(peer.ack) {
        return SegmentKind::SpuriousRetransmit;
    }
    if event.reasons.contains(SegmentFlags::FAST_RETRANSMIT) {
        return SegmentKind::FastRetransmit;
    }
    if fill.bytes > 0 && fill.after < round_trip_ns.max(MAX_REORDERING.as_nanos() as u64) {
        return SegmentKind::OutOfOrder;
    }
    SegmentKind::Retransmit
}
