//! The cursor of a header walk: what comes next, and where.
//!
//! What comes next is a number, not an enum: the kernel programs keep it in memory, and have a step
//! verified once for any number.

use super::{Encapsulation, Encapsulations, LinkType, MAX_HEADER_OFFSET, Skip};

/// What the next header is. Below 0x10000: what the EtherType of that value announces.
pub(super) mod next {
    /// An Ethernet header.
    pub(in super::super) const ETHERNET: u32 = 0x1_0000;
    /// Logical link control.
    pub(in super::super) const LLC: u32 = 0x1_0001;
    /// The protocol field of PPP.
    pub(in super::super) const PPP: u32 = 0x1_0002;
    /// IP, of the version in its first byte.
    pub(in super::super) const IP: u32 = 0x1_0003;
    /// A label of an MPLS stack.
    pub(in super::super) const LABEL: u32 = 0x1_0004;
    /// An extension header of GTP-U.
    pub(in super::super) const GTP_EXTENSION: u32 = 0x1_0005;
    /// What follows the UDP header of Teredo.
    pub(in super::super) const TEREDO: u32 = 0x1_0006;
    /// An IEEE 802.11 frame.
    pub(in super::super) const WIRELESS: u32 = 0x1_0007;
    /// Nothing: the TCP segment is parsed.
    pub(in super::super) const NONE: u32 = 0x1_0008;
    /// The payload of IP with the protocol number in the lowest byte.
    pub(in super::super) const PROTOCOL: u32 = 0x2_0000;
}

/// A position in a header walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Walk {
    /// See [`next`].
    pub(super) next: u32,
    /// Where that header starts.
    pub(super) offset: u32,
    /// Where the innermost IP packet so far ends.
    pub(super) end: u32,
    /// The encapsulations entered so far.
    pub(super) within: Encapsulations,
}

impl Walk {
    /// At the start of a frame, or of a packet that was found `within` encapsulations.
    #[inline(always)]
    #[must_use]
    pub const fn new(link: LinkType, within: Encapsulations) -> Self {
        let next = match link {
            LinkType::Ethernet => next::ETHERNET,
            LinkType::RawIp => next::IP,
            LinkType::EtherType(ethertype) => ethertype as u32,
            LinkType::Ppp => next::PPP,
            LinkType::Llc => next::LLC,
        };
        Self { next, offset: 0, end: 0, within }
    }

    /// Whether the TCP segment is parsed.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.next == next::NONE
    }

    /// The encapsulations entered so far.
    #[inline(always)]
    #[must_use]
    pub const fn within(&self) -> Encapsulations {
        self.within
    }

    /// Where the next header starts.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset as usize
    }

    /// Adds an encapsulation.
    #[inline(always)]
    pub(super) fn enter(&mut self, layer: Encapsulation) -> Result<(), Skip> {
        self.within = self.within.with(layer).ok_or(Skip::TooManyHeaders)?;
        Ok(())
    }

    /// Moves on to the header `next` at `offset`.
    #[inline(always)]
    pub(super) fn to(&mut self, next: u32, offset: usize) -> Result<(), Skip> {
        if offset > MAX_HEADER_OFFSET {
            return Err(Skip::TooManyHeaders);
        }
        self.next = next;
        self.offset = offset as u32;
        Ok(())
    }
}
