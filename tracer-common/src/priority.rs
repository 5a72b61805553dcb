//! Event priorities: as the ring fills, events of the lowest priority are shed first.
//!
//! ```text
//! ring  empty ─────────── half ──── three quarters ──── full
//!       rows of segments ──┘                 │            │
//!       anomalies ───────────────────────────┘            │
//!       control, connections, HTTP ───────────────────────┘
//! ```

use crate::{counter::Counter, flow::SegmentFlags};

/// The priority of an event, the lowest first. HTTP and connection events have that of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// A row of the list of segments, which is reported because every segment is.
    Segment,
    /// An anomaly, which the counters of the connection show too.
    Anomaly,
    /// Start and end of a connection.
    Control,
}

impl Priority {
    /// The priority of an event with these reasons.
    #[inline(always)]
    #[must_use]
    pub const fn of(reasons: SegmentFlags) -> Self {
        const CONTROL: SegmentFlags = SegmentFlags::SYN
            .union(SegmentFlags::SYN_ACK)
            .union(SegmentFlags::HANDSHAKE_ACK)
            .union(SegmentFlags::MIDSTREAM)
            .union(SegmentFlags::FIN)
            .union(SegmentFlags::FIN_ACKED)
            .union(SegmentFlags::RST)
            .union(SegmentFlags::PORTS_REUSED);
        if reasons.intersects(CONTROL) {
            Self::Control
        } else if reasons.bits() == SegmentFlags::EVERY.bits() {
            Self::Segment
        } else {
            Self::Anomaly
        }
    }

    /// Whether an event of this priority is shed when `waiting` of the `size` bytes of the ring are taken.
    #[inline(always)]
    #[must_use]
    pub const fn is_shed_at(self, waiting: u64, size: u64) -> bool {
        match self {
            Self::Segment => waiting > size / 2,
            Self::Anomaly => waiting > size / 4 * 3,
            Self::Control => false,
        }
    }

    /// The counter of lost events of this priority.
    #[inline(always)]
    #[must_use]
    pub const fn lost(self) -> Counter {
        match self {
            Self::Segment => Counter::SegmentEventsLost,
            Self::Anomaly => Counter::AnomalyEventsLost,
            Self::Control => Counter::ControlEventsLost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_has_a_higher_priority_than_an_anomaly_and_that_a_higher_one_than_a_row() {
        assert!(Priority::Segment < Priority::Anomaly && Priority::Anomaly < Priority::Control);
        assert_eq!(Priority::of(SegmentFlags::EVERY), Priority::Segment);
        for anomaly in [
            SegmentFlags::OLD_DATA,
            SegmentFlags::GAP,
            SegmentFlags::ZERO_WINDOW,
            SegmentFlags::KEEP_ALIVE,
            SegmentFlags::AFTER_CLOSE,
        ] {
            assert_eq!(Priority::of(anomaly), Priority::Anomaly, "{anomaly:?}");
            assert_eq!(Priority::of(anomaly | SegmentFlags::FIN), Priority::Control, "{anomaly:?}");
        }
        for control in [
            SegmentFlags::SYN,
            SegmentFlags::SYN_ACK,
            SegmentFlags::HANDSHAKE_ACK,
            SegmentFlags::FIN_ACKED,
            SegmentFlags::RST,
        ] {
            assert_eq!(Priority::of(control), Priority::Control, "{control:?}");
        }
    }

    #[test]
    fn the_lower_the_priority_of_an_event_the_earlier_it_is_shed() {
        let shed = |waiting| {
            [Priority::Segment, Priority::Anomaly, Priority::Control]
                .map(|priority| priority.is_shed_at(waiting, 65_536))
        };
        assert_eq!(shed(0), [false; 3]);
        assert_eq!(shed(32_768), [false; 3]);
        assert_eq!(shed(32_769), [true, false, false]);
        assert_eq!(shed(49_152), [true, false, false]);
        assert_eq!(shed(49_153), [true, true, false]);
        assert_eq!(shed(65_536), [true, true, false]);
    }
}
