//! What an event is worth when there is no room for all: the least valuable ones are given up first.
//!
//! ```text
//! ring  empty ─────────── half ──── three quarters ──── full
//!       rows of segments ──┘                 │            │
//!       anomalies ───────────────────────────┘            │
//!       control, heads and ends of messages ──────────────┘
//! ```

use crate::{counter::Counter, flow::cause};

/// The worth of a segment event, the lowest first. What the message scanner tells is worth as much as control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Value {
    /// A row of the list of segments: told because every segment is asked for.
    Segment,
    /// Something unusual, which the counters of the connection tell too.
    Anomaly,
    /// Start and end of a connection.
    Control,
}

impl Value {
    /// Of an event with these [`cause`]s.
    #[inline(always)]
    #[must_use]
    pub const fn of(causes: u32) -> Self {
        const CONTROL: u32 = cause::SYN
            | cause::SYN_ACK
            | cause::HANDSHAKE_ACK
            | cause::MIDSTREAM
            | cause::FIN
            | cause::FIN_ACKED
            | cause::RST;
        if causes & CONTROL != 0 {
            Self::Control
        } else if causes == cause::EVERY {
            Self::Segment
        } else {
            Self::Anomaly
        }
    }

    /// Whether an event of this worth is given up where `waiting` of the `size` bytes of the ring are taken.
    #[inline(always)]
    #[must_use]
    pub const fn gives_way(self, waiting: u64, size: u64) -> bool {
        match self {
            Self::Segment => waiting > size / 2,
            Self::Anomaly => waiting > size / 4 * 3,
            Self::Control => false,
        }
    }

    /// Under what it is counted when it is lost.
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
    fn control_is_worth_more_than_an_anomaly_and_that_more_than_a_row() {
        assert!(Value::Segment < Value::Anomaly && Value::Anomaly < Value::Control);
        assert_eq!(Value::of(cause::EVERY), Value::Segment);
        for anomaly in
            [cause::OLD_DATA, cause::GAP, cause::ZERO_WINDOW, cause::KEEP_ALIVE, cause::AFTER_CLOSE]
        {
            assert_eq!(Value::of(anomaly), Value::Anomaly, "{anomaly:#x}");
            assert_eq!(Value::of(anomaly | cause::FIN), Value::Control, "{anomaly:#x}");
        }
        for control in [cause::SYN, cause::SYN_ACK, cause::HANDSHAKE_ACK, cause::FIN_ACKED, cause::RST] {
            assert_eq!(Value::of(control), Value::Control, "{control:#x}");
        }
    }

    #[test]
    fn the_less_an_event_is_worth_the_earlier_it_gives_way() {
        let given_up = |waiting| {
            [Value::Segment, Value::Anomaly, Value::Control].map(|value| value.gives_way(waiting, 65_536))
        };
        assert_eq!(given_up(0), [false; 3]);
        assert_eq!(given_up(32_768), [false; 3]);
        assert_eq!(given_up(32_769), [true, false, false]);
        assert_eq!(given_up(49_152), [true, false, false]);
        assert_eq!(given_up(49_153), [true, true, false]);
        assert_eq!(given_up(65_536), [true, true, false]);
    }
}
