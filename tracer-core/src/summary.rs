//! The summary of a run, from the observer's counters and the tracker's totals.

use tracer_common::{counter::Counter, wire::Skip};

use crate::{
    record::{Counts, Summary},
    selection::SelectionTotals,
    tracker::Totals,
};

/// The observer's counters at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Segments that were counted for a connection.
    pub matched: u64,
    /// Frames skipped, by reason.
    pub skipped: Counts,
    /// Segments of handshakes counted at their server only.
    pub aggregated: u64,
    /// Connections of which every event was lost.
    pub connections_lost: u64,
    /// Events emitted.
    pub emitted: u64,
    /// Events lost because the ring was full, by kind.
    pub lost: Counts,
}

impl Counted {
    /// Frames seen.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.matched + self.skipped.total()
    }

    /// From the numbers under each [`Skip`] and [`Counter`].
    #[must_use]
    pub fn from_totals(totals: &[u64; Counter::COUNT]) -> Self {
        let total = |index: usize| totals.get(index).copied().unwrap_or(0);
        let of = |counter: Counter| total(counter as usize);
        Self {
            matched: of(Counter::Matched),
            skipped: Counts(Skip::ALL.map(|reason| (reason.as_str(), total(reason as usize))).to_vec()),
            aggregated: of(Counter::Aggregated),
            connections_lost: of(Counter::ConnectionsLost),
            emitted: Counter::EMITTED.map(of).iter().sum(),
            lost: Counts(vec![
                ("segment_ring_full", of(Counter::SegmentEventsLost)),
                ("anomaly_ring_full", of(Counter::AnomalyEventsLost)),
                ("control_ring_full", of(Counter::ControlEventsLost)),
                ("http_ring_full", of(Counter::HttpEventsLost)),
            ]),
        }
    }
}

/// What userspace counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Events received.
    pub events: u64,
    /// Events that could not be decoded, because the kernel programs are of another version.
    pub undecodable: u64,
    /// Connections that the kernel counts as lost, but were recovered from its table.
    pub recovered: u64,
    /// Records that were not selected.
    pub selection: SelectionTotals,
}

/// Makes the summary.
#[must_use]
pub fn summary(
    duration_ns: u64,
    counted: Counted,
    received: Received,
    totals: Totals,
    attachments: Vec<String>,
) -> Summary {
    let mut events_lost = counted.lost.clone();
    events_lost.0.push(("undecodable", received.undecodable));
    Summary {
        duration_ns,
        frames: counted.frames(),
        segments: counted.matched,
        skipped: counted.skipped,
        aggregated: counted.aggregated,
        events_received: received.events,
        events_lost,
        opened: totals.opened,
        closed: totals.closed,
        open: totals.open,
        half_open: totals.half_open,
        evicted: totals.evicted,
        connections_lost: counted.connections_lost.saturating_sub(received.recovered),
        exchanges: totals.exchanges,
        buffers_dropped: totals.buffers_dropped,
        records_written: None,
        records_lost: 0,
        records_filtered: received.selection.filtered,
        records_unheld: received.selection.dropped,
        sample: received.selection.sample,
        attachments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::text;

    #[test]
    fn what_is_lost_and_skipped_is_named() {
        let counted = Counted {
            matched: 7,
            skipped: Counts(vec![("not_tcp", 2), ("not_ip", 0)]),
            aggregated: 0,
            connections_lost: 0,
            emitted: 5,
            lost: Counts(vec![("segment_ring_full", 3)]),
        };
        let received = Received { events: 5, undecodable: 1, ..Received::default() };
        let summary = summary(2_500_000_000, counted, received, Totals::default(), Vec::new());
        assert_eq!((summary.frames, summary.segments, summary.events_lost.total()), (9, 7, 4));
        let text = text::summary(&summary);
        assert!(text.contains("frames       9 seen, 7 analysed, 2 skipped (not_tcp 2)\n"), "{text}");
        assert!(
            text.ends_with("events       5 received, 4 lost (segment_ring_full 3, undecodable 1)"),
            "{text}"
        );
    }

    #[test]
    fn each_counter_is_in_its_field() {
        let counted = Counted::from_totals(&std::array::from_fn(|index| 1 << index));
        assert_eq!(counted.skipped.total(), (1 << Skip::COUNT) - 1);
        assert_eq!(counted.matched, 1 << Skip::COUNT);
        assert_eq!(counted.frames(), (1 << (Skip::COUNT + 1)) - 1);
        assert_eq!(counted.emitted, 0b111_1100 << Skip::COUNT);
        assert_eq!(counted.lost.total(), 0b111_1000_0000 << Skip::COUNT);
        assert_eq!(counted.aggregated, 0b1000_0000_0000 << Skip::COUNT);
        assert_eq!(counted.connections_lost, 0b1_0000_0000_0000 << Skip::COUNT);
    }
}
