//! The header walk: to a TCP segment through tunnels, and through link layers off the fast path, one header per step.
//!
//! ```text
//!   Ethernet ─┐            ┌─ VLAN, MPLS, PPPoE, backbone tags … ─┐
//!   LLC, PPP ─┴► EtherType ┴────────────► IP ─► protocol ─► TCP   │
//!        ▲                                         │              │
//!        └──── GRE, VXLAN, Geneve, GTP, IP … ◄─────┴──────────────┘
//! ```

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Encapsulations, LinkType, MAX_HEADER_OFFSET, PROTOCOL_TCP, Segment, Skip,
    Transport,
    cursor::{Walk, next},
    ip_ethertype, parse_ip, shim, tcp, tunnel, wireless,
};
use crate::frame::FrameBytes;

/// How many headers are walked at most: a mirrored frame of a provider's network has about a dozen.
const MAX_STEPS: u32 = 24;

/// Whether a [`walk`] may find a segment in a frame that the fast path skips.
#[inline(always)]
#[must_use]
pub const fn can_walk(reason: Skip) -> bool {
    matches!(reason, Skip::NotIp | Skip::NotTcp | Skip::TooManyHeaders)
}

/// Walks from the start of a frame to its innermost TCP segment, and fills in that and its encapsulation. `step` is [`step`],
/// or calls it.
///
/// # Errors
/// The [`Skip`] reason of the header at which the walk ends.
#[inline(always)]
pub fn walk(
    link: LinkType,
    within: Encapsulations,
    segment: &mut Segment,
    mut step: impl FnMut(&mut Walk, &mut Segment) -> Result<(), Skip>,
) -> Result<(), Skip> {
    let mut walk = Walk::new(link, within);
    for _ in 0..MAX_STEPS {
        step(&mut walk, segment)?;
        if walk.is_over() {
            segment.encapsulation = walk.within;
            return Ok(());
        }
    }
    Err(Skip::TooManyHeaders)
}

/// Steps over one header.
///
/// # Errors
/// The [`Skip`] reason when no TCP segment follows, or none that can be analysed.
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
        next::WIRELESS => wireless::enter(frame, walk, offset),
        next::TEREDO => tunnel::teredo(frame, walk, offset),
        next if next >= next::PROTOCOL => protocol(frame, walk, offset, (next & 0xff) as u8, segment),
        next if next == u32::from(ETHERTYPE_IPV4) || next == u32::from(ETHERTYPE_IPV6) => {
            ip(frame, walk, offset, next as u16, segment)
        }
        next => shim::ethertype(frame, walk, offset, next as u16),
    }
}

/// An IP header with its extension headers.
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

/// The payload of IP.
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
