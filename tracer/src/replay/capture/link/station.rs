//! Link layers of local and access networks other than Ethernet.

use tracer_common::{
    frame::FrameBytes as _,
    wire::{LinkType, wireless::header_len},
};

use super::{Content, Payload};

/// Token ring (IEEE 802.5): two bytes, two addresses, an optional route, then LLC.
pub(super) fn token_ring(bytes: &[u8]) -> Option<Payload> {
    const HEADER: usize = 14;
    let [_, kind] = bytes.read(0)?;
    let [source] = bytes.read(8)?;
    // Other frames are MAC frames.
    (kind & 0xc0 == 0x40).then_some(())?;
    let route = if source & 0x80 == 0 { 0 } else { usize::from(bytes.get(HEADER)? & 0x1f) };
    Some((LinkType::Llc, HEADER + route))
}

/// ARCNET with its protocol at `offset` (RFC 1051, RFC 1201). Of fragmented packets, only the first
/// fragment.
pub(super) fn arcnet(bytes: &[u8], offset: usize) -> Option<Payload> {
    const IP_1051: u8 = 240;
    const IP_1201: u8 = 212;
    const IPV6_1201: u8 = 196;
    let [protocol, flag] = bytes.read(offset)?;
    match (protocol, flag) {
        (IP_1051, _) => Some((LinkType::RawIp, offset + 1)),
        // An exception frame has four bytes of padding.
        (IP_1201 | IPV6_1201, 0xff) => Some((LinkType::RawIp, offset + 8)),
        // Even numbers other than 0 mark later fragments.
        (IP_1201 | IPV6_1201, flag) if flag & 1 == 1 || flag == 0 => Some((LinkType::RawIp, offset + 4)),
        _ => None,
    }
}

/// DOCSIS: a header, optionally extended, then Ethernet.
pub(super) fn docsis(bytes: &[u8]) -> Option<Payload> {
    let [control, parameter] = bytes.read(0)?;
    let is_packet = control & 0xc0 == 0;
    let extended = if control & 1 == 1 { usize::from(parameter) } else { 0 };
    is_packet.then_some((LinkType::Ethernet, 6 + extended))
}

/// Juniper Ethernet: a magic number, flags, optional extensions.
pub(super) fn juniper_ethernet(bytes: &[u8]) -> Option<Payload> {
    const EXTENSIONS: u8 = 0x80;
    const NO_LINK_LAYER: u8 = 0x02;
    let [b'M', b'G', b'C', flags] = bytes.read(0)? else { return None };
    let extensions =
        if flags & EXTENSIONS == 0 { 0 } else { 2 + usize::from(u16::from_be_bytes(bytes.read(4)?)) };
    if flags & NO_LINK_LAYER == 0 {
        return Some((LinkType::Ethernet, 4 + extensions));
    }
    // Four bytes with the router's own protocol number.
    Some((LinkType::RawIp, 4 + extensions + 4))
}

/// An IEEE 802.11 frame after radio information: radiotap, AVS or Prism.
pub(super) fn with_radio(link: i32, bytes: &[u8]) -> Option<Content> {
    const RADIOTAP: i32 = 127;
    const AVS: u32 = 0x8021_1000;
    let start: [u8; 4] = bytes.read(0)?;
    let length: [u8; 4] = bytes.read(4)?;
    let (len, padded) = if link == RADIOTAP {
        (usize::from(u16::from_le_bytes([start[2], start[3]])), radiotap_pads(bytes))
    } else if u32::from_be_bytes(start) & 0xffff_f000 == AVS {
        (u32::from_be_bytes(length) as usize, false)
    } else {
        // Prism is in the byte order of the host. Its length is small, so the smaller reading is
        // right.
        (u32::from_be_bytes(length).min(u32::from_le_bytes(length)) as usize, false)
    };
    let (link, at) = wireless(bytes.get(len..)?, padded)?;
    Some(Content::Payload((link, len + at)))
}

/// Whether the IEEE 802.11 header is padded to four bytes, according to the radiotap flags. They
/// come after the words of present bits and an optional timestamp of eight bytes.
fn radiotap_pads(bytes: &[u8]) -> bool {
    const TSFT: u32 = 1;
    const FLAGS: u32 = 2;
    const MORE: u32 = 1 << 31;
    const PADDED: u8 = 0x20;
    let present = |word: usize| bytes.read(4 + word * 4).map(u32::from_le_bytes);
    let words = (0..).find(|word| present(*word).is_none_or(|bits| bits & MORE == 0)).unwrap_or(0) + 1;
    let (Some(first), mut at) = (present(0), 4 + words * 4) else { return false };
    if first & TSFT != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    first & FLAGS != 0 && bytes.get(at).is_some_and(|flags| flags & PADDED != 0)
}

/// An IEEE 802.11 frame.
pub(super) fn wireless(bytes: &[u8], padded: bool) -> Option<Payload> {
    Some((LinkType::Llc, header_len(bytes, 0, padded)?))
}
