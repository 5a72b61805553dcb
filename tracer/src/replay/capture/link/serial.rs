//! Link layers of serial lines, and headers that systems put before bare IP.

use tracer_common::{frame::FrameBytes as _, wire::LinkType};

use super::{Start, announced};

/// EtherType of a PPPoE session.
pub(super) const PPPOE: u16 = 0x8864;

/// PPP in frames like HDLC, or Cisco's HDLC: the address tells.
pub(super) fn hdlc(bytes: &[u8]) -> Option<Start> {
    match bytes.read(0)? {
        [0x0f | 0x8f, _] => cisco(bytes),
        _ => Some((LinkType::Ppp, 0)),
    }
}

/// Cisco's HDLC: address and control, then an EtherType.
pub(super) fn cisco(bytes: &[u8]) -> Option<Start> {
    announced(bytes, 2)
}

/// PPP behind a direction, or with one in the place of the address.
pub(super) fn directed_ppp(bytes: &[u8]) -> Option<Start> {
    let in_place = bytes.read(1)? == [0x03];
    Some((LinkType::Ppp, if in_place { 2 } else { 1 }))
}

/// Frame relay (RFC 2427): an address whose last byte is odd, control, perhaps padding, and what follows.
pub(super) fn frame_relay(bytes: &[u8]) -> Option<Start> {
    /// An address has up to four bytes (Q.922, 3.2).
    const MAX_ADDRESS: usize = 4;
    /// Unnumbered information.
    const CONTROL: u8 = 0x03;
    let address = bytes.iter().take(MAX_ADDRESS).position(|byte| byte & 1 == 1)? + 1;
    let header: [u8; 3] = bytes.read(address)?;
    if header[0] != CONTROL {
        // Cisco's way.
        return announced(bytes, address);
    }
    let padding = usize::from(header[1] == 0);
    match header[1 + padding] {
        // IPv4 and IPv6.
        0xcc | 0x8e => Some((LinkType::RawIp, address + 2 + padding)),
        // SNAP: an organization, of which zero means EtherTypes.
        0x80 => announced(bytes, address + 2 + padding + 3),
        _ => None,
    }
}

/// The header of BSD's packet filter, which starts with its length.
pub(super) fn packet_filter(bytes: &[u8]) -> Option<Start> {
    let [len] = bytes.read(0)?;
    Some((LinkType::RawIp, usize::from(len).next_multiple_of(4)))
}
