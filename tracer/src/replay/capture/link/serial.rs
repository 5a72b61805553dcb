//! Link layers of serial lines, and headers before raw IP.

use tracer_common::{frame::FrameBytes as _, wire::LinkType};

use super::{Payload, ethertype};

/// EtherType of a PPPoE session (RFC 2516).
pub(super) const PPPOE: u16 = 0x8864;

/// PPP in HDLC-like framing or Cisco HDLC, depending on the address.
pub(super) fn hdlc(bytes: &[u8]) -> Option<Payload> {
    match bytes.read(0)? {
        [0x0f | 0x8f, _] => cisco(bytes),
        _ => Some((LinkType::Ppp, 0)),
    }
}

/// Cisco HDLC: address and control, then an EtherType.
pub(super) fn cisco(bytes: &[u8]) -> Option<Payload> {
    ethertype(bytes, 2)
}

/// PPP after a direction byte, or with one in place of the address.
pub(super) fn directed_ppp(bytes: &[u8]) -> Option<Payload> {
    let in_place = bytes.read(1)? == [0x03];
    Some((LinkType::Ppp, if in_place { 2 } else { 1 }))
}

/// Frame relay (RFC 2427): an address that ends with an odd byte, control, optional padding, and a
/// protocol identifier.
pub(super) fn frame_relay(bytes: &[u8]) -> Option<Payload> {
    /// An address has up to four bytes (Q.922, 3.2).
    const MAX_ADDRESS: usize = 4;
    /// Unnumbered information.
    const CONTROL: u8 = 0x03;
    let address = bytes.iter().take(MAX_ADDRESS).position(|byte| byte & 1 == 1)? + 1;
    let header: [u8; 3] = bytes.read(address)?;
    if header[0] != CONTROL {
        // Cisco's encapsulation has an EtherType here.
        return ethertype(bytes, address);
    }
    let padding = usize::from(header[1] == 0);
    match header[1 + padding] {
        // IPv4 and IPv6.
        0xcc | 0x8e => Some((LinkType::RawIp, address + 2 + padding)),
        // SNAP: an OUI, assumed to be zero, then an EtherType.
        0x80 => ethertype(bytes, address + 2 + padding + 3),
        _ => None,
    }
}

/// The header of BSD's packet filter (pflog), which starts with its length.
pub(super) fn packet_filter(bytes: &[u8]) -> Option<Payload> {
    let [len] = bytes.read(0)?;
    Some((LinkType::RawIp, usize::from(len).next_multiple_of(4)))
}
