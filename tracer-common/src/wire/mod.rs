//! From a frame to a TCP segment, in reading order: link layer, network layer, TCP.
//!
//! Everything here is compiled into the kernel programs too. So nothing can panic, every variable offset is bounded
//! for the verifier, bytes are never read into an enum, and addresses travel as words through an out-parameter
//! (arrays returned by value overflow the 512 byte stack of a BPF program).

mod ethernet;
mod ipv4;
mod ipv6;
mod skip;
mod tcp;

pub use skip::Skip;
pub use tcp::{MAX_OPTIONS, Segment, TcpFlags};

use crate::frame::FrameBytes;

/// What the first byte of a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header (IEEE 802.3), with up to two VLAN tags behind it.
    Ethernet,
    /// No link layer header: the IP header comes first (tun, wireguard, ipip, ppp).
    RawIp,
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

/// Where the TCP header is and how many bytes the network layer says there are, counted from it.
pub(crate) struct Transport {
    /// Offset of the TCP header in the frame.
    pub(crate) offset: usize,
    /// Bytes from the TCP header to the end of the IP packet (the frame may carry padding after it).
    pub(crate) len: usize,
}

/// Parses one frame into `segment`.
///
/// # Errors
/// The [`Skip`] reason when the frame holds no TCP segment that can be followed; `segment` is then unspecified.
#[inline(always)]
pub fn parse_segment<F: FrameBytes + ?Sized>(
    frame: &F,
    link: LinkType,
    segment: &mut Segment,
) -> Result<(), Skip> {
    let (ethertype, offset) = match link {
        LinkType::Ethernet => ethernet::parse(frame)?,
        LinkType::RawIp => (raw_ip_ethertype(frame)?, 0),
    };
    let transport = match ethertype {
        ETHERTYPE_IPV4 => ipv4::parse(frame, offset, segment)?,
        ETHERTYPE_IPV6 => ipv6::parse(frame, offset, segment)?,
        _ => return Err(Skip::NotIp),
    };
    tcp::parse(frame, &transport, segment)
}

/// The EtherType that the version nibble of a bare IP header stands for.
#[inline(always)]
fn raw_ip_ethertype<F: FrameBytes + ?Sized>(frame: &F) -> Result<u16, Skip> {
    // Not one byte alone: "the frame has more than nothing" is no bound that the verifier learns from.
    let [version, _] = frame.read(0).ok_or(Skip::Truncated)?;
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
