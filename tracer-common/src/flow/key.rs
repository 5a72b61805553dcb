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
        let ports = (segment.source_port, segment.destination_port);
        self.order(&segment.source, &segment.destination, ports)
    }

    /// Fills in two endpoints, with their ports; returns which one is the first.
    #[inline(always)]
    pub fn order(&mut self, first: &[u32; 4], second: &[u32; 4], ports: (u16, u16)) -> End {
        if is_lower(first, second, ports) {
            (self.low, self.high) = (*first, *second);
            (self.low_port, self.high_port) = ports;
            End::Low
        } else {
            (self.low, self.high) = (*second, *first);
            (self.high_port, self.low_port) = ports;
            End::High
        }
    }
}

#[inline(always)]
fn is_lower(a: &[u32; 4], b: &[u32; 4], ports: (u16, u16)) -> bool {
    // Word by word: a loop over the arrays would cost the verifier more than these four comparisons.
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
    ports.0 <= ports.1
}
