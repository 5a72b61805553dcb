//! ICMP (RFC 792) and ICMPv6 (RFC 4443): errors that quote a TCP segment.

use super::{
    ETHERTYPE_IPV6, LinkType, MAX_HEADER_OFFSET, PROTOCOL_TCP, Segment, Skip, ethernet, ip_ethertype,
    parse_ip,
};
use crate::{flow::FlowKey, frame::FrameBytes, seq::Seq};

/// IP protocol number of ICMP.
pub(super) const PROTOCOL_ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
const PROTOCOL_ICMPV6: u8 = 58;
/// Bytes before the quoted packet.
const HEADER: usize = 8;
/// Bytes of the quoted TCP header that every error has (RFC 792): the ports and the sequence number.
const QUOTED: usize = 8;

/// Types and codes of ICMP.
pub mod v4 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// With [`UNREACHABLE`]: fragmentation needed (RFC 1191, 4).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Types of ICMPv6.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
}

/// An error, and the TCP segment that it quotes. The kernel programs keep it in a map, because it is too large for the BPF
/// stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IcmpError {
    /// The endpoints and the sequence number of the quoted segment; nothing else of it is known.
    pub quoted: Segment,
    /// The connection of the quoted segment, once it was looked up.
    pub key: FlowKey,
    /// Who reports the error, as in a [`Segment`].
    pub source: [u32; 4],
    /// The MTU of the next hop, in bytes; 0: not stated.
    pub mtu: u32,
    /// Its type, in ICMP or ICMPv6 as `source` is an address of IPv4 or IPv6.
    pub kind: u8,
    /// Its code.
    pub code: u8,
}

/// Whether this type of ICMP message is an error. Source quench is deprecated (RFC 6633), and a redirect is no error.
#[inline(always)]
pub(super) const fn is_error(kind: u8) -> bool {
    matches!(kind, v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM)
}

#[inline(always)]
const fn is_error6(kind: u8) -> bool {
    matches!(kind, v6::UNREACHABLE | v6::TOO_BIG | v6::TIME_EXCEEDED | v6::PARAMETER_PROBLEM)
}

/// Parses a frame that is no TCP segment into `error`. ICMP in tunnels is not followed.
///
/// # Errors
/// The [`Skip`] reason when the frame holds no ICMP error that quotes a TCP segment; `error` is then unspecified.
#[inline(always)]
pub fn parse_icmp<F: FrameBytes + ?Sized>(
    frame: &F,
    link: LinkType,
    error: &mut IcmpError,
) -> Result<(), Skip> {
    let (ethertype, offset) = match link {
        LinkType::Ethernet => ethernet::parse(frame)?,
        LinkType::RawIp => (ip_ethertype(frame, 0)?, 0),
        LinkType::EtherType(ethertype) => (ethertype, 0),
        LinkType::Ppp | LinkType::Llc => return Err(Skip::NotIp),
    };
    let outer = parse_ip(frame, ethertype, offset, &mut error.quoted)?;
    let is_v6 = ethertype == ETHERTYPE_IPV6;
    if outer.later_fragment || outer.protocol != if is_v6 { PROTOCOL_ICMPV6 } else { PROTOCOL_ICMP } {
        return Err(Skip::NotTcp);
    }
    error.source = error.quoted.source;
    // Opaque to the compiler, which would remove the bound: verifiers before 6.8 lose it on the stack.
    let at = core::hint::black_box(outer.offset as usize) & MAX_HEADER_OFFSET;
    let header: [u8; HEADER] = frame.read(at).ok_or(Skip::Truncated)?;
    (error.kind, error.code) = (header[0], header[1]);
    error.mtu = match (is_v6, error.kind, error.code) {
        (false, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => {
            u32::from(u16::from_be_bytes([header[6], header[7]]))
        }
        (true, v6::TOO_BIG, _) => u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        _ => 0,
    };
    if !if is_v6 { is_error6(error.kind) } else { is_error(error.kind) } {
        return Err(Skip::NotTcp);
    }
    if at + HEADER > MAX_HEADER_OFFSET {
        return Err(Skip::TooManyHeaders);
    }
    let inner = parse_ip(frame, ethertype, at + HEADER, &mut error.quoted)?;
    if inner.later_fragment || inner.protocol != PROTOCOL_TCP {
        return Err(Skip::NotTcp);
    }
    let tcp: [u8; QUOTED] = frame
        .read(core::hint::black_box(inner.offset as usize) & MAX_HEADER_OFFSET)
        .ok_or(Skip::Truncated)?;
    error.quoted.source_port = u16::from_be_bytes([tcp[0], tcp[1]]);
    error.quoted.destination_port = u16::from_be_bytes([tcp[2], tcp[3]]);
    error.quoted.seq = Seq(u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]));
    Ok(())
}
