//! The way to a TCP segment through tunnels, and through link layers off the straight path: one header a step.
//!
//! ```text
//!   Ethernet ─┐            ┌─ VLAN, MPLS, PPPoE, backbone tags … ─┐
//!   LLC, PPP ─┴► EtherType ┴────────────► IP ─► protocol ─► TCP   │
//!        ▲                                         │              │
//!        └──── GRE, VXLAN, Geneve, GTP, IP … ◄─────┴──────────────┘
//! ```
//!
//! What comes next is a number in a [`Walk`], not an enum: the kernel programs keep it in memory, and have a step
//! verified once for any number.

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Encapsulation, Encapsulations, LinkType, MAX_HEADER_OFFSET, PROTOCOL_TCP,
    Segment, Skip, Transport, ip_ethertype, parse_ip, shim, tcp, tunnel,
};
use crate::frame::FrameBytes;

/// How many headers are stepped over at most, before the frame is given up: a mirrored frame of a provider's network has
/// about a dozen.
const MAX_STEPS: u32 = 24;

/// What the next header is. Below 0x10000: what the EtherType of that value announces.
pub(super) mod next {
    /// An Ethernet header.
    pub(in super::super) const ETHERNET: u32 = 0x1_0000;
    /// Logical link control.
    pub(in super::super) const LLC: u32 = 0x1_0001;
    /// The protocol field of PPP.
    pub(in super::super) const PPP: u32 = 0x1_0002;
    /// IP, of the version that it says.
    pub(in super::super) const IP: u32 = 0x1_0003;
    /// A label of an MPLS stack.
    pub(in super::super) const LABEL: u32 = 0x1_0004;
    /// An extension header of GTP-U.
    pub(in super::super) const GTP_EXTENSION: u32 = 0x1_0005;
    /// What comes behind the UDP header of Teredo.
    pub(in super::super) const TEREDO: u32 = 0x1_0006;
    /// Nothing: the TCP segment is parsed.
    pub(in super::super) const NONE: u32 = 0x1_0007;
    /// What the IP protocol number in the lowest byte stands for.
    pub(in super::super) const PROTOCOL: u32 = 0x2_0000;
}

/// A place on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Walk {
    /// See [`next`].
    pub(super) next: u32,
    /// Where that header starts.
    pub(super) offset: u32,
    /// Where the IP packet ends that was entered last.
    pub(super) end: u32,
    /// What was entered so far.
    pub(super) within: Encapsulations,
}

impl Walk {
    /// At the start of a frame, or of a packet that was found `within` something.
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

    /// Whether the TCP segment is reached and parsed.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.next == next::NONE
    }

    /// What was entered so far.
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

    /// Notes one more encapsulation.
    #[inline(always)]
    pub(super) fn enter(&mut self, layer: Encapsulation) -> Result<(), Skip> {
        self.within = self.within.with(layer).ok_or(Skip::TooManyHeaders)?;
        Ok(())
    }

    /// On to what `next` says, at `offset`.
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

/// Whether a frame that the straight way does not lead through may lead on by a [`walk`].
#[inline(always)]
#[must_use]
pub const fn leads_on(reason: Skip) -> bool {
    matches!(reason, Skip::NotIp | Skip::NotTcp | Skip::TooManyHeaders)
}

/// Goes from the start of a frame to its innermost TCP segment, and says what that is carried in. `step` is [`step`], or calls it.
///
/// # Errors
/// The [`Skip`] reason of the header that leads no further.
#[inline(always)]
pub fn walk(
    link: LinkType,
    within: Encapsulations,
    segment: &mut Segment,
    mut step: impl FnMut(&mut Walk, &mut Segment) -> Result<(), Skip>,
) -> Result<Encapsulations, Skip> {
    let mut walk = Walk::new(link, within);
    for _ in 0..MAX_STEPS {
        step(&mut walk, segment)?;
        if walk.is_over() {
            return Ok(walk.within);
        }
    }
    Err(Skip::TooManyHeaders)
}

/// Steps over one header.
///
/// # Errors
/// The [`Skip`] reason when there is no TCP segment behind it, or none that can be followed.
#[inline(always)]
pub fn step<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, segment: &mut Segment) -> Result<(), Skip> {
    let offset = walk.offset as usize;
    if offset > MAX_HEADER_OFFSET {
        return Err(Skip::TooManyHeaders);
    }
    match walk.next {
        next::ETHERNET => shim::ethernet(frame, walk, offset),
        next::LLC => shim::llc(frame, walk, offset),
        next::PPP => shim::ppp(frame, walk, offset),
        next::LABEL => shim::label(frame, walk, offset),
        next::IP => {
            let ethertype = ip_ethertype(frame, offset)?;
            walk.to(u32::from(ethertype), offset)
        }
        next::GTP_EXTENSION => tunnel::gtp_extension(frame, walk, offset),
        next::TEREDO => tunnel::teredo(frame, walk, offset),
        next if next >= next::PROTOCOL => protocol(frame, walk, offset, (next & 0xff) as u8, segment),
        next if next == u32::from(ETHERTYPE_IPV4) || next == u32::from(ETHERTYPE_IPV6) => {
            ip(frame, walk, offset, next as u16, segment)
        }
        next => shim::ethertype(frame, walk, offset, next as u16),
    }
}

/// An IP header and what belongs to it.
#[inline(always)]
fn ip<F: FrameBytes + ?Sized>(
    frame: &F,
    walk: &mut Walk,
    offset: usize,
    ethertype: u16,
    segment: &mut Segment,
) -> Result<(), Skip> {
    let transport = parse_ip(frame, ethertype, offset, segment)?;
    if transport.later_fragment {
        return Err(Skip::Fragment);
    }
    walk.end = transport.offset.saturating_add(transport.len);
    walk.to(next::PROTOCOL | u32::from(transport.protocol), transport.offset as usize)
}

/// What an IP packet carries.
#[inline(always)]
fn protocol<F: FrameBytes + ?Sized>(
    frame: &F,
    walk: &mut Walk,
    offset: usize,
    protocol: u8,
    segment: &mut Segment,
) -> Result<(), Skip> {
    if protocol != PROTOCOL_TCP {
        return tunnel::enter(frame, walk, offset, protocol);
    }
    let len = walk.end.saturating_sub(offset as u32);
    tcp::parse(frame, &Transport { offset: offset as u32, len, protocol, later_fragment: false }, segment)?;
    walk.next = next::NONE;
    Ok(())
}
