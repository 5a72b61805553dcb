//! Link layers of local and access networks other than Ethernet.

use tracer_common::{frame::FrameBytes as _, wire::LinkType};

use super::{Found, Start};

/// Token ring (IEEE 802.5): two bytes, two addresses, perhaps a route, then LLC.
pub(super) fn token_ring(bytes: &[u8]) -> Option<Start> {
    const HEADER: usize = 14;
    let [_, kind] = bytes.read(0)?;
    let [source] = bytes.read(8)?;
    // Other frames are the ring's own.
    (kind & 0xc0 == 0x40).then_some(())?;
    let route = if source & 0x80 == 0 { 0 } else { usize::from(bytes.get(HEADER)? & 0x1f) };
    Some((LinkType::Llc, HEADER + route))
}

/// ARCNET with its protocol at `offset` (RFC 1051, RFC 1201); of frames that the sender has split, the first.
pub(super) fn arcnet(bytes: &[u8], offset: usize) -> Option<Start> {
    const IP_1051: u8 = 240;
    const IP_1201: u8 = 212;
    const IPV6_1201: u8 = 196;
    let [protocol, flag] = bytes.read(offset)?;
    match (protocol, flag) {
        (IP_1051, _) => Some((LinkType::RawIp, offset + 1)),
        // An "exception": four bytes of padding.
        (IP_1201 | IPV6_1201, 0xff) => Some((LinkType::RawIp, offset + 8)),
        // Even numbers count the pieces that come later.
        (IP_1201 | IPV6_1201, flag) if flag & 1 == 1 || flag == 0 => Some((LinkType::RawIp, offset + 4)),
        _ => None,
    }
}

/// DOCSIS: a header, perhaps extended, then Ethernet.
pub(super) fn docsis(bytes: &[u8]) -> Option<Start> {
    let [control, parameter] = bytes.read(0)?;
    let is_packet = control & 0xc0 == 0;
    let extended = if control & 1 == 1 { usize::from(parameter) } else { 0 };
    is_packet.then_some((LinkType::Ethernet, 6 + extended))
}

/// Ethernet of a Juniper router: a magic number, flags, perhaps extensions.
pub(super) fn juniper_ethernet(bytes: &[u8]) -> Option<Start> {
    const EXTENSIONS: u8 = 0x80;
    const NO_LINK_LAYER: u8 = 0x02;
    let [b'M', b'G', b'C', flags] = bytes.read(0)? else { return None };
    let extensions =
        if flags & EXTENSIONS == 0 { 0 } else { 2 + usize::from(u16::from_be_bytes(bytes.read(4)?)) };
    if flags & NO_LINK_LAYER == 0 {
        return Some((LinkType::Ethernet, 4 + extensions));
    }
    // The number of the protocol, in the router's own count.
    Some((LinkType::RawIp, 4 + extensions + 4))
}

/// A wireless frame behind what the receiver says of it: radiotap, or AVS or Prism.
pub(super) fn with_radio(link: i32, bytes: &[u8]) -> Option<Found> {
    const RADIOTAP: i32 = 127;
    const AVS: u32 = 0x8021_1000;
    let start: [u8; 4] = bytes.read(0)?;
    let length: [u8; 4] = bytes.read(4)?;
    let (len, padded) = if link == RADIOTAP {
        (usize::from(u16::from_le_bytes([start[2], start[3]])), radiotap_pads(bytes))
    } else if u32::from_be_bytes(start) & 0xffff_f000 == AVS {
        (u32::from_be_bytes(length) as usize, false)
    } else {
        // Prism is written in the order of the host; it is never long.
        (u32::from_be_bytes(length).min(u32::from_le_bytes(length)) as usize, false)
    };
    let (link, at) = wireless(bytes.get(len..)?, padded)?;
    Some(Found::Start((link, len + at)))
}

/// Whether the header of the wireless frame is padded to four bytes, as radiotap says in its flags: behind the words that say
/// what is present, and a time of eight bytes.
fn radiotap_pads(bytes: &[u8]) -> bool {
    const TIME: u32 = 1;
    const FLAGS: u32 = 2;
    const MORE: u32 = 1 << 31;
    const PADDED: u8 = 0x20;
    let present = |word: usize| bytes.read(4 + word * 4).map(u32::from_le_bytes);
    let words = (0..).find(|word| present(*word).is_none_or(|bits| bits & MORE == 0)).unwrap_or(0) + 1;
    let (Some(first), mut at) = (present(0), 4 + words * 4) else { return false };
    if first & TIME != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    first & FLAGS != 0 && bytes.get(at).is_some_and(|flags| flags & PADDED != 0)
}

/// A wireless frame (IEEE 802.11, 9.2): data that is not encrypted, and its first piece.
pub(super) fn wireless(bytes: &[u8], padded: bool) -> Option<Start> {
    const DATA: u8 = 0x08;
    const NO_DATA: u8 = 0x40;
    const QUALITY: u8 = 0x80;
    const BOTH_WAYS: u8 = 0x03;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    /// In the first byte of the quality of service: several frames in one.
    const AGGREGATE: u8 = 0x80;
    /// Two addresses and a length before each of them.
    const PIECE: usize = 14;
    let [kind, flags] = bytes.read(0)?;
    let [piece, _] = bytes.read(22)?;
    let is_readable =
        kind & 0x0f == DATA && kind & NO_DATA == 0 && flags & PROTECTED == 0 && piece & 0x0f == 0;
    is_readable.then_some(())?;
    let mut at = if flags & BOTH_WAYS == BOTH_WAYS { 30 } else { 24 };
    let mut aggregate = false;
    if kind & QUALITY != 0 {
        aggregate = bytes.get(at)? & AGGREGATE != 0;
        at += if flags & ORDER == 0 { 2 } else { 6 };
    }
    if padded {
        at = at.next_multiple_of(4);
    }
    Some((LinkType::Llc, if aggregate { at + PIECE } else { at }))
}
