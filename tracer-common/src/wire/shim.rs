//! The headers between the link layer and IP: tags, labels, sessions, and other formats of the next protocol.

use super::{
    Encapsulation, MAX_HEADER_OFFSET, Skip,
    cursor::{Walk, next},
    ethernet,
};
use crate::frame::FrameBytes;

/// A smaller value in place of an EtherType is a length, and LLC follows (IEEE 802.3, 3.2.6).
const MIN_ETHERTYPE: u16 = 0x600;

/// EtherTypes that are not IP.
mod ethertype {
    /// Transparent Ethernet bridging (RFC 1701).
    pub(super) const BRIDGED: u16 = 0x6558;
    /// IEEE 802.11 frames (registered for their encapsulation in Ethernet).
    pub(super) const WIRELESS: u16 = 0x2452;
    /// PPP (RFC 1701).
    pub(super) const PPP: u16 = 0x880b;
    /// MPLS (RFC 5332), downstream-assigned and upstream-assigned labels.
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
    /// A session of PPPoE (RFC 2516, 5).
    pub(super) const PPPOE: u16 = 0x8864;
    /// A service instance of a provider backbone bridge (IEEE 802.1Q, 9.7).
    pub(super) const BACKBONE: u16 = 0x88e7;
    /// A FabricPath tag, in place of an EtherType.
    pub(super) const FABRIC_PATH: u16 = 0x8903;
    /// Cisco MetaData: a security group.
    pub(super) const METADATA: u16 = 0x8909;
    /// VN-Tag (IEEE 802.1BR).
    pub(super) const VN_TAG: u16 = 0x8926;
    /// High-availability seamless redundancy (IEC 62439-3, 5.8).
    pub(super) const REDUNDANCY: u16 = 0x892f;
}

/// Protocols of PPP (www.iana.org/assignments/ppp-numbers).
mod ppp_protocol {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const MPLS: u16 = 0x0281;
}

/// An Ethernet header.
#[inline(always)]
pub(super) fn ethernet<F: FrameBytes + ?Sized>(
    frame: &F,
    walk: &mut Walk,
    offset: usize,
) -> Result<(), Skip> {
    announced(frame, walk, offset + ethernet::ADDRESSES)
}

/// Moves on to what the EtherType at `offset` announces, or to LLC if it is a length.
#[inline(always)]
fn announced<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let ethertype = u16::from_be_bytes(frame.read(offset).ok_or(Skip::Truncated)?);
    let next = if ethertype < MIN_ETHERTYPE { next::LLC } else { u32::from(ethertype) };
    walk.to(next, offset + 2)
}

/// What an EtherType announces.
#[inline(always)]
pub(super) fn ethertype<F: FrameBytes + ?Sized>(
    frame: &F,
    walk: &mut Walk,
    offset: usize,
    ethertype: u16,
) -> Result<(), Skip> {
    match ethertype {
        tag if ethernet::is_tag(tag) => announced(frame, walk, offset + 2),
        ethertype::VN_TAG | ethertype::REDUNDANCY => announced(frame, walk, offset + 4),
        ethertype::METADATA => announced(frame, walk, offset + 6),
        ethertype::BRIDGED => walk.to(next::ETHERNET, offset),
        ethertype::WIRELESS => walk.to(next::WIRELESS, offset),
        ethertype::PPP => walk.to(next::PPP, offset),
        ethertype::MPLS | ethertype::MPLS_UPSTREAM => {
            walk.enter(Encapsulation::Mpls)?;
            walk.to(next::LABEL, offset)
        }
        ethertype::PPPOE => {
            walk.enter(Encapsulation::Pppoe)?;
            walk.to(next::PPP, offset + 6)
        }
        ethertype::BACKBONE => {
            walk.enter(Encapsulation::Pbb)?;
            walk.to(next::ETHERNET, offset + 4)
        }
        ethertype::FABRIC_PATH => {
            walk.enter(Encapsulation::FabricPath)?;
            walk.to(next::ETHERNET, offset + 2)
        }
        _ => Err(Skip::NotIp),
    }
}

/// A label of an MPLS stack (RFC 3032, 2.1). The last one does not name the next protocol: IP starts with its version, and a
/// control word (RFC 4385, 3) with four zero bits, after which Ethernet follows (RFC 4448).
#[inline(always)]
pub(super) fn label<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let label: [u8; 5] = frame.read(offset).ok_or(Skip::Truncated)?;
    if label[2] & 1 == 0 {
        return walk.to(next::LABEL, offset + 4);
    }
    match label[4] >> 4 {
        4 | 6 => walk.to(next::IP, offset + 4),
        0 => walk.to(next::ETHERNET, offset + 8),
        _ => Err(Skip::NotIp),
    }
}

/// The protocol field of PPP (RFC 1661, 2), which may be one byte (6.5), after the address and control fields of HDLC
/// (RFC 1662, 3.1) if they are present.
#[inline(always)]
pub(super) fn ppp<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let start: [u8; 2] = frame.read(offset).ok_or(Skip::Truncated)?;
    let at = if start == [0xff, 0x03] { offset + 2 } else { offset };
    let field: [u8; 2] = frame.read(at & MAX_HEADER_OFFSET).ok_or(Skip::Truncated)?;
    let (protocol, after) =
        if field[0] & 1 == 1 { (u16::from(field[0]), at + 1) } else { (u16::from_be_bytes(field), at + 2) };
    let next = match protocol {
        ppp_protocol::IPV4 => super::ETHERTYPE_IPV4,
        ppp_protocol::IPV6 => super::ETHERTYPE_IPV6,
        ppp_protocol::MPLS => ethertype::MPLS,
        _ => return Err(Skip::NotIp),
    };
    walk.to(u32::from(next), after)
}

/// Logical link control (IEEE 802.2), which names the next protocol itself or by SNAP.
#[inline(always)]
pub(super) fn llc<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let header: [u8; 8] = frame.read(offset).ok_or(Skip::Truncated)?;
    let protocol = u16::from_be_bytes([header[6], header[7]]);
    match header {
        // The oldest format: IP has a service access point of its own.
        [0x06, 0x06, 0x03, ..] => walk.to(next::IP, offset + 3),
        // The network layer protocol identifier of IP (RFC 2684, 5.2.1).
        [0xfe, 0xfe, 0x03, 0xcc, ..] => walk.to(next::IP, offset + 4),
        // An EtherType (RFC 1042), also of a bridge (IEEE 802.1H).
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, ..] if protocol >= MIN_ETHERTYPE => {
            walk.to(u32::from(protocol), offset + 8)
        }
        // Bridged Ethernet (RFC 2427, 4.2); over ATM two bytes of padding come first (RFC 2684, 5.2.2).
        [0xaa, 0xaa, 0x03, 0x00, 0x80, 0xc2, ..] if protocol == 1 || protocol == 7 => {
            walk.to(next::ETHERNET, offset + 8)
        }
        _ => Err(Skip::NotIp),
    }
}
