//! The key of a connection.

use super::End;
use crate::wire::Segment;

/// Both endpoints of a connection, the lower one first, so that both directions have the same key.
///
/// Addresses are in network byte order, IPv4 as IPv4-mapped IPv6. "Lower" only means a fixed order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct FlowKey {
    /// Address of the lower endpoint.
    pub low: [u32; 4],
    /// Address of the higher endpoint.
    pub high: [u32; 4],
    /// Port of the lower endpoint.
    pub low_port: u16,
    /// Port of the higher endpoint.
    pub high_port: u16,
}

const _: () = assert!(size_of::<FlowKey>() == 36);

impl FlowKey {
    /// All zero.
    pub const ZERO: Self = Self { low: [0; 4], high: [0; 4], low_port: 0, high_port: 0 };

    /// Fills in the endpoints of `segment`; returns which one sent it.
    #[inline(always)]
    pub fn set(&mut self, segment: &Segment) -> End {
        if source_is_lower(segment) {
            (self.low, self.high) = (segment.source, segment.destination);
            (self.low_port, self.high_port) = (segment.source_port, segment.destination_port);
            End::Low
        } else {
            (self.low, self.high) = (segment.destination, segment.source);
            (self.low_port, self.high_port) = (segment.destination_port, segment.source_port);
            End::High
        }
    }
}

#[inline(always)]
fn source_is_lower(segment: &Segment) -> bool {
    // Word by word: a loop over the arrays would cost the verifier more than these four comparisons.
    let (a, b) = (&segment.source, &segment.destination);
    if a[3] != b[3] {
        return a[3] < b[3];
    }
    if a[2] != b[2] {
        return a[2] < b[2];
    }
    if a[1] != b[1] {
        return a[1] < b[1];
    }
    if a[0] != b[0] {
        return a[0] < b[0];
    }
    segment.source_port <= segment.destination_port
}
