//! The counters of the kernel programs, one number per CPU each.

use crate::wire::Skip;

/// What is counted besides skipped frames, which are counted under their [`Skip`] reason; these counters come after those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Counter {
    /// Segments taken into a connection.
    Matched = Skip::COUNT as u8,
    /// First fragments of IP packets: analysed, but the rest of their payload is not seen.
    FirstFragment,
    /// Segment events emitted.
    SegmentEvents,
    /// HTTP events emitted.
    HttpEvents,
    /// Connection events emitted.
    ConnectionEvents,
    /// Events of ICMP errors emitted.
    IcmpEvents,
    /// Owner events emitted.
    OwnerEvents,
    /// Rows of the list of segments lost: the ring was more than half full.
    SegmentEventsLost,
    /// Events of anomalies and ICMP errors lost: the ring was more than three quarters full.
    AnomalyEventsLost,
    /// Connection and owner events, and events of the start and the end of connections, lost: the ring was full.
    ControlEventsLost,
    /// HTTP events lost: the ring was full.
    HttpEventsLost,
    /// Segments of handshakes that are only counted at their [`server`](crate::server).
    Aggregated,
    /// Connections whose ports are used again and that were never reported to userspace since they were confirmed.
    ConnectionsLost,
}

impl Counter {
    /// How many counters there are, skip reasons included.
    pub const COUNT: usize = Skip::COUNT + 13;

    /// The counters of events emitted.
    pub const EMITTED: [Self; 5] =
        [Self::SegmentEvents, Self::HttpEvents, Self::ConnectionEvents, Self::IcmpEvents, Self::OwnerEvents];
}
