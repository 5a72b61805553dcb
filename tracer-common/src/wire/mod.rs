//! From a frame to a TCP segment, in reading order: link layer, network layer, TCP.
//!
//! Everything here is compiled into the kernel programs too. So nothing can panic, every variable offset is bounded
//! for the verifier, bytes are never read into an enum, and addresses are words in an out-parameter
//! (arrays returned by value overflow the 512 byte stack of a BPF program).

mod address;
mod cursor;
mod encapsulation;
mod ethernet;
mod gre;
pub mod icmp;
mod ipv4;
mod ipv6;
mod prefilter;
mod shim;
mod skip;
mod tcp;
mod tunnel;
mod walk;
pub mod wireless;

pub use address::{address, from_ipv4};
pub use cursor::Walk;
pub use encapsulation::{Encapsulation, Encapsulations};
pub use icmp::{IcmpError, parse_icmp};
pub use ipv4::source_route;
pub use prefilter::prefilter;
pub use skip::Skip;
pub use tcp::{MAX_OPTIONS, NO_SCALE, Segment, TcpFlags};
pub use walk::{can_walk, step, walk};

use crate::frame::FrameBytes;

/// The header that a frame starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header (IEEE 802.3), with up to two VLAN tags after it.
    Ethernet,
    /// No link layer header: the IP header comes first (tun, wireguard, ipip, ppp).
    RawIp,
    /// What this EtherType announces. This one and the next two occur in captures only.
    EtherType(u16),
    /// The protocol field of PPP (RFC 1661, 2), perhaps after the address and control fields of HDLC.
    Ppp,
    /// Logical link control (IEEE 802.2), as after the addresses of wireless frames, FDDI and token ring.
    Llc,
}

/// The highest offset at which a header may start: Ethernet, two tags, IPv6 and its extension headers fit well below.
/// The verifier needs the bound; a packet with more headers is not one a host would accept.
pub(crate) const MAX_HEADER_OFFSET: usize = 511;

/// EtherType of IPv4.
pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IP protocol number of TCP.
pub(crate) const PROTOCOL_TCP: u8 = 6;

/// The payload of an IP packet: its protocol, offset and length as the IP header states it. Small, because it lies on the
/// 512 byte stack of a BPF program.
pub(crate) struct Transport {
    /// Offset of its header in the frame.
    pub(crate) offset: u32,
    /// Bytes from that header to the end of the IP packet (the frame may carry padding after it).
    pub(crate) len: u32,
    /// IP protocol number.
    pub(crate) protocol: u8,
    /// A fragment other than the first: it has no header of its protocol.
    pub(crate) later_fragment: bool,
}

/// Parses one frame into `segment` on the fast path, which suffices for nearly all traffic; [`walk`] follows all else.
///
/// # Errors
/// The [`Skip`] reason when the frame holds no TCP segment that can be analysed; `segment` is then unspecified.
#[inline(always)]
pub fn parse_segment<F: FrameBytes + ?Sized>(
    frame: &F,
    link: LinkType,
    segment: &mut Segment,
) -> Result<(), Skip> {
    let (ethertype, offset) = match link {
        LinkType::Ethernet => ethernet::parse(frame)?,
        LinkType::RawIp => (ip_ethertype(frame, 0)?, 0),
        LinkType::EtherType(ethertype) => (ethertype, 0),
        LinkType::Ppp | LinkType::Llc => return Err(Skip::NotIp),
    };
    let transport = parse_ip(frame, ethertype, offset, segment)?;
    if transport.protocol != PROTOCOL_TCP {
        return Err(Skip::NotTcp);
    }
    if transport.later_fragment {
        return Err(Skip::Fragment);
    }
    tcp::parse(frame, &transport, segment)
}

/// Parses the IP header at `offset` with its extension headers, and fills in the addresses.
#[inline(always)]
fn parse_ip<F: FrameBytes + ?Sized>(
    frame: &F,
    ethertype: u16,
    offset: usize,
    segment: &mut Segment,
) -> Result<Transport, Skip> {
    match ethertype {
        ETHERTYPE_IPV4 => ipv4::parse(frame, offset, segment),
        ETHERTYPE_IPV6 => ipv6::parse(frame, offset, segment),
        _ => Err(Skip::NotIp),
    }
}

/// The EtherType that the version nibble of a bare IP header stands for.
#[inline(always)]
fn ip_ethertype<F: FrameBytes + ?Sized>(frame: &F, offset: usize) -> Result<u16, Skip> {
    // Not one byte alone: the verifier learns no bound from "the frame is not empty".
    let [version, _] = frame.read(offset).ok_or(Skip::Truncated)?;
    match version >> 4 {
        4 => Ok(ETHERTYPE_IPV4),
        6 => Ok(ETHERTYPE_IPV6),
        _ => Err(Skip::NotIp),
    }
}

/// The length of a packet whose IP header leaves it out (BIG TCP writes 0 above 64 KiB): what the frame holds.
#[inline(always)]
pub(crate) fn len_to_frame_end<F: FrameBytes + ?Sized>(frame: &F, offset: usize) -> usize {
    frame.wire_len().saturating_sub(offset)
}
