//! Tunnels in IP, and in UDP on their assigned ports. Their flags are checked, so that other traffic on such a port
//! is rarely mistaken for a tunnel.

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Encapsulation, Skip,
    cursor::{Walk, next},
    gre, ip_ethertype,
};
use crate::frame::FrameBytes;

/// IP protocol numbers.
mod protocol {
    pub(super) const IPV4: u8 = 4;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const ETHER_IP: u8 = 97;
    pub(super) const MPLS: u8 = 137;
}

/// UDP ports.
mod port {
    pub(super) const L2TP: u16 = 1701;
    pub(super) const GTP: u16 = 2152;
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const GRE: u16 = 4754;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const AYIYA: u16 = 5072;
    pub(super) const GENEVE: u16 = 6081;
    pub(super) const MPLS: u16 = 6635;
    /// The default port of VXLAN on Linux.
    pub(super) const VXLAN_LINUX: u16 = 8472;
}

/// Bytes of the UDP header.
const UDP_HEADER: usize = 8;
/// EtherType of MPLS.
const MPLS: u32 = 0x8847;

/// Enters the payload of IP, other than TCP.
#[inline(always)]
pub(super) fn enter<F: FrameBytes + ?Sized>(
    frame: &F,
    walk: &mut Walk,
    offset: usize,
    protocol: u8,
) -> Result<(), Skip> {
    match protocol {
        protocol::IPV4 | protocol::IPV6 => {
            walk.enter(Encapsulation::IpInIp)?;
            let ethertype = if protocol == protocol::IPV4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
            walk.to(u32::from(ethertype), offset)
        }
        protocol::GRE => gre::enter(frame, walk, offset),
        protocol::UDP => udp(frame, walk, offset),
        protocol::ETHER_IP => {
            walk.enter(Encapsulation::EtherIp)?;
            walk.to(next::ETHERNET, offset + 2)
        }
        protocol::MPLS => walk.to(MPLS, offset),
        protocol::AUTHENTICATION => {
            // RFC 4302, 2: with IPv4 it is no extension header, but the same.
            let header: [u8; 2] = frame.read(offset).ok_or(Skip::Truncated)?;
            walk.to(next::PROTOCOL | u32::from(header[0]), offset + (header[1] as usize + 2) * 4)
        }
        _ => Err(Skip::NotTcp),
    }
}

/// UDP (RFC 768): a tunnel, if one of the ports is assigned to one.
#[inline(always)]
fn udp<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let header: [u8; 4] = frame.read(offset).ok_or(Skip::Truncated)?;
    let destination = u16::from_be_bytes([header[2], header[3]]);
    let inner = offset + UDP_HEADER;
    match destination {
        port::VXLAN | port::VXLAN_LINUX | port::VXLAN_GPE => vxlan(frame, walk, inner, destination),
        port::GENEVE => geneve(frame, walk, inner),
        port::GTP => gtp(frame, walk, inner),
        port::GRE => gre::enter(frame, walk, inner),
        port::MPLS => walk.to(MPLS, inner),
        _ => {
            // The server of these responds from its port to that of the client.
            let source = u16::from_be_bytes([header[0], header[1]]);
            let either = |port: u16| destination == port || source == port;
            if either(port::TEREDO) {
                walk.enter(Encapsulation::Teredo)?;
                walk.to(next::TEREDO, inner)
            } else if either(port::L2TP) {
                l2tp(frame, walk, inner)
            } else if either(port::AYIYA) {
                ayiya(frame, walk, inner)
            } else {
                Err(Skip::NotTcp)
            }
        }
    }
}

/// VXLAN (RFC 7348, 5) and its generic protocol extension, which names the next protocol.
#[inline(always)]
fn vxlan<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize, port: u16) -> Result<(), Skip> {
    let header: [u8; 4] = frame.read(offset).ok_or(Skip::Truncated)?;
    let has_identifier = header[0] & 0x08 != 0;
    if !has_identifier {
        return Err(Skip::NotTcp);
    }
    let inner = match (port, header[3]) {
        (port::VXLAN_GPE, 1 | 2) => next::IP,
        (port::VXLAN_GPE, 3) => next::ETHERNET,
        (port::VXLAN_GPE, _) => return Err(Skip::NotTcp),
        _ => next::ETHERNET,
    };
    walk.enter(Encapsulation::Vxlan)?;
    walk.to(inner, offset + 8)
}

/// Geneve (RFC 8926, 3.4), version 0.
#[inline(always)]
fn geneve<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let header: [u8; 4] = frame.read(offset).ok_or(Skip::Truncated)?;
    if header[0] >> 6 != 0 {
        return Err(Skip::NotTcp);
    }
    walk.enter(Encapsulation::Geneve)?;
    let options = (header[0] & 0x3f) as usize * 4;
    walk.to(u32::from(u16::from_be_bytes([header[2], header[3]])), offset + 8 + options)
}

/// GTP-U (3GPP TS 29.281, 5): user data of version 1, which is IP.
#[inline(always)]
fn gtp<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    /// Message type of user data.
    const G_PDU: u8 = 0xff;
    let header: [u8; 2] = frame.read(offset).ok_or(Skip::Truncated)?;
    if header[0] >> 4 != 0b0011 || header[1] != G_PDU {
        return Err(Skip::NotTcp);
    }
    walk.enter(Encapsulation::Gtp)?;
    if header[0] & 0x07 == 0 {
        return walk.to(next::IP, offset + 8);
    }
    // Sequence number, N-PDU number and the type of the first extension header: all present if one of them is.
    let extension: [u8; 4] = frame.read(offset + 8).ok_or(Skip::Truncated)?;
    let extended = header[0] & 0x04 != 0 && extension[3] != 0;
    walk.to(if extended { next::GTP_EXTENSION } else { next::IP }, offset + 12)
}

/// An extension header of GTP-U (3GPP TS 29.281, 5.2): its length in words first, the type of the next one last.
#[inline(always)]
pub(super) fn gtp_extension<F: FrameBytes + ?Sized>(
    frame: &F,
    walk: &mut Walk,
    offset: usize,
) -> Result<(), Skip> {
    let header: [u8; 2] = frame.read(offset).ok_or(Skip::Truncated)?;
    let len = header[0] as usize * 4;
    if len == 0 {
        return Err(Skip::NotTcp);
    }
    // The compiler must not combine this with the end of the read: the verifier would see no bound.
    let end = core::hint::black_box(offset + len - 2);
    let last: [u8; 2] = frame.read(end).ok_or(Skip::Truncated)?;
    walk.to(if last[1] == 0 { next::IP } else { next::GTP_EXTENSION }, offset + len)
}

/// The payload of Teredo (RFC 4380, 5.1.1): an optional authentication, an optional origin, then IPv6.
#[inline(always)]
pub(super) fn teredo<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let header: [u8; 4] = frame.read(offset).ok_or(Skip::Truncated)?;
    match header {
        // Two variable parts, a nonce and a confirmation.
        [0, 1, client, value] => walk.to(next::TEREDO, offset + 13 + client as usize + value as usize),
        [0, 0, ..] => walk.to(next::TEREDO, offset + 8),
        _ if ip_ethertype(frame, offset)? == ETHERTYPE_IPV6 => walk.to(u32::from(ETHERTYPE_IPV6), offset),
        _ => Err(Skip::NotTcp),
    }
}

/// L2TP version 2 (RFC 2661, 3.1): data, which is PPP.
#[inline(always)]
fn l2tp<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    const VERSION: u16 = 0x000f;
    let flags = u16::from_be_bytes(frame.read(offset).ok_or(Skip::Truncated)?);
    if flags & CONTROL != 0 || flags & VERSION != 2 {
        return Err(Skip::NotTcp);
    }
    walk.enter(Encapsulation::L2tp)?;
    let field = |bit: u16, len: usize| if flags & bit == 0 { 0 } else { len };
    let mut inner = offset + 6 + field(LENGTH, 2) + field(SEQUENCE, 4);
    if flags & OFFSET != 0 {
        let padding = u16::from_be_bytes(frame.read(inner).ok_or(Skip::Truncated)?);
        inner += 2 + padding as usize;
    }
    walk.to(next::PPP, inner)
}

/// AYIYA (draft-massar-v6ops-ayiya-02, 3): identity and signature of variable length, then the payload of an IP protocol number.
#[inline(always)]
fn ayiya<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    /// Operation code of a packet to forward.
    const FORWARD: u8 = 1;
    let header: [u8; 4] = frame.read(offset).ok_or(Skip::Truncated)?;
    let identity = 1usize << (header[0] >> 4);
    let signature = (header[1] >> 4) as usize * 4;
    let ethertype = match (header[2] & 0x0f, header[3]) {
        (FORWARD, protocol::IPV4) => ETHERTYPE_IPV4,
        (FORWARD, protocol::IPV6) => ETHERTYPE_IPV6,
        _ => return Err(Skip::NotTcp),
    };
    walk.enter(Encapsulation::Ayiya)?;
    walk.to(u32::from(ethertype), offset + 8 + identity + signature)
}
