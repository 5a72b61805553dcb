//! What the kernel programs count, one number per CPU each.

use crate::wire::Skip;

/// Frames passed over are counted under their [`Skip`] reason; these counters come behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Counter {
    /// Segments taken into a connection.
    Matched = Skip::COUNT as u8,
    /// First fragments of IP packets: analysed, but the rest of their payload is not seen.
    FirstFragment,
    /// Segment events told.
    SegmentEvents,
    /// HTTP events told.
    HttpEvents,
    /// Rows of the list of segments lost: the ring was more than half full.
    SegmentEventsLost,
    /// Events of anomalies lost: the ring was more than three quarters full.
    AnomalyEventsLost,
    /// Events of the start and the end of connections lost: the ring was full.
    ControlEventsLost,
    /// HTTP events lost: the ring was full.
    HttpEventsLost,
    /// Segments of handshakes that are counted at their [`target`](crate::target) only.
    Summarised,
    /// Connections that userspace was never told of since they were confirmed, and whose ports are used again.
    ConnectionsLost,
}

impl Counter {
    /// How many counters there are, skip reasons included.
    pub const COUNT: usize = Skip::COUNT + 10;
}
