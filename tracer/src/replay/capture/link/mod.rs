//! Strips link layers that occur in captures only, up to a header that the frame parser knows.
//!
//! The numbers are those of <https://www.tcpdump.org/linktypes.html>.

mod linux;
mod serial;
mod station;

use tracer_common::{frame::FrameBytes as _, wire::LinkType};

use super::Captured;

/// The most link layers that are stripped from a frame: a wrapper and the one in it.
const MAX_LAYERS: usize = 2;

/// The link type that the rest of a frame starts with, and the number of bytes before it.
type Payload = (LinkType, usize);

/// What follows the outermost header.
enum Content {
    /// A header that the frame parser knows.
    Payload(Payload),
    /// After a number of bytes, a frame of another link layer (a LINKTYPE_ value).
    Wrapped(i32, usize),
}

/// Strips the headers before the first one that the frame parser knows. Returns the link type of
/// the rest and the number of bytes stripped; `None` if the link layer is unknown or the frame
/// carries no IP.
#[must_use]
pub fn strip(link: i32, bytes: &[u8]) -> Option<(LinkType, usize)> {
    let (mut link, mut stripped) = (link, 0);
    for _ in 0..MAX_LAYERS {
        match find(link, bytes.get(stripped..)?)? {
            Content::Payload((start, at)) => return Some((start, stripped + at)),
            Content::Wrapped(inner, at) => (link, stripped) = (inner, stripped + at),
        }
    }
    None
}

/// The number of the interface on which a frame was captured: that of the capture, or, if the capture is
/// of several interfaces at once, one made of the interface and the direction in the frame.
#[must_use]
pub fn interface(frame: &Captured<'_>) -> u32 {
    /// Distinguishes these numbers from those of the capture.
    const IN_FRAME: u32 = 1 << 30;
    match linux::point(frame.link, frame.bytes) {
        Some(point) => (point ^ frame.interface << 20) & (IN_FRAME - 1) | IN_FRAME,
        None => frame.interface,
    }
}

fn find(link: i32, bytes: &[u8]) -> Option<Content> {
    let start = match link {
        // Ethernet; with a netANALYZER header, without and with the preamble; with the preamble of
        // IEEE 802.3br.
        1 => Some((LinkType::Ethernet, 0)),
        240 => Some((LinkType::Ethernet, 4)),
        241 => Some((LinkType::Ethernet, 12)),
        274 => Some((LinkType::Ethernet, 8)),
        143 => station::docsis(bytes),
        178 => station::juniper_ethernet(bytes),
        // Raw IP.
        12 | 14 | 101 | 228 | 229 => Some((LinkType::RawIp, 0)),
        // BSD: loopback, IPsec, the packet filter, SLIP.
        0 | 108 => family(bytes, 4),
        109 => family(bytes, 12),
        117 => serial::packet_filter(bytes),
        8 => Some((LinkType::RawIp, 16)),
        // Solaris.
        226 => Some((LinkType::RawIp, 24)),
        linux::SLL => linux::cooked(bytes),
        linux::SLL2 => linux::cooked2(bytes),
        239 => linux::log(bytes),
        // PPP, also in HDLC-like framing, and Cisco HDLC in its place; PPPoE; with a direction byte. Cisco HDLC; frame relay; both
        // with a direction byte.
        9 | 50 => serial::hdlc(bytes),
        51 => Some((LinkType::EtherType(serial::PPPOE), 0)),
        166 | 204 => serial::directed_ppp(bytes),
        104 => serial::cisco(bytes),
        107 => serial::frame_relay(bytes),
        205 => return Some(Content::Wrapped(104, 1)),
        206 => return Some(Content::Wrapped(107, 1)),
        // ATM; then token ring, ARCNET, FDDI, and IEEE 802.11 without and with radio information.
        11 | 100 => Some((LinkType::Llc, 0)),
        123 => Some((LinkType::Llc, 4)),
        6 => station::token_ring(bytes),
        7 => station::arcnet(bytes, 2),
        129 => station::arcnet(bytes, 4),
        10 => Some((LinkType::Llc, 13)),
        105 => station::wireless(bytes, false),
        119 | 127 | 163 => return station::with_radio(link, bytes),
        // IP over Fibre Channel, IEEE 1394 and InfiniBand; then the wrappers PPI and PKTAP.
        122 => Some((LinkType::Llc, 16)),
        138 => ethertype(bytes, 16),
        242 => ethertype(bytes, 40).map(|(start, at)| (start, at + 2)),
        192 => return wrapped(bytes, 2, 4, |len| usize::from(u16::from_le_bytes([len[0], len[1]]))),
        258 => return wrapped(bytes, 0, 8, |len| u32::from_le_bytes(len) as usize),
        _ => None,
    };
    start.map(Content::Payload)
}

/// Reads the EtherType at `offset`.
fn ethertype(bytes: &[u8], offset: usize) -> Option<Payload> {
    let ethertype = u16::from_be_bytes(bytes.read(offset)?);
    Some((LinkType::EtherType(ethertype), offset + 2))
}

/// BSD loopback: an address family in four bytes of either byte order, and IP after `header` bytes.
/// IPv6 has a different number on each system.
fn family(bytes: &[u8], header: usize) -> Option<Payload> {
    const INET: u32 = 2;
    const INET6: [u32; 4] = [10, 24, 28, 30];
    let family: [u8; 4] = bytes.read(0)?;
    let number = u32::from_be_bytes(family).min(u32::from_le_bytes(family));
    (number == INET || INET6.contains(&number)).then_some((LinkType::RawIp, header))
}

/// A wrapper (PPI, PKTAP) with its own length at the offset `len` and the link layer of its content
/// at the offset `link`.
fn wrapped(bytes: &[u8], len: usize, link: usize, read: impl Fn([u8; 4]) -> usize) -> Option<Content> {
    let len = read(bytes.read(len)?);
    Some(Content::Wrapped(i32::from_le_bytes(bytes.read(link)?), len))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const IPV4: LinkType = LinkType::EtherType(0x0800);
    const IPV6: LinkType = LinkType::EtherType(0x86dd);

    /// `zeros` zero bytes with `bytes` at `at`.
    fn header(zeros: usize, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut header = vec![0; zeros];
        header[at..at + bytes.len()].copy_from_slice(bytes);
        header
    }

    #[test]
    fn every_link_layer_is_stripped_up_to_a_known_header() {
        let wireless = |first: u8, second: u8| header(32, 0, &[first, second]);
        let radiotap = [&[0, 0, 9, 0, 2, 0, 0, 0, 0x20], wireless(0x88, 1).as_slice()].concat();
        let timed = [header(24, 0, &[0, 0, 24, 0, 3, 0, 0, 0x80]), wireless(8, 1)].concat();
        let prism = [header(144, 4, &[144, 0, 0, 0]), wireless(8, 1)].concat();
        let avs = [header(64, 0, &[0x80, 0x21, 0x10, 1, 0, 0, 0, 64]), wireless(8, 1)].concat();
        let nflog = |length: [u8; 2], kind: [u8; 2]| {
            [&[2, 0, 0, 0], [5, 0, 10, 0, b'x', 0, 0, 0].as_slice(), &length, &kind, &[0x45]].concat()
        };
        for (name, link, bytes, expected) in [
            ("Ethernet", 1, vec![0; 14], (LinkType::Ethernet, 0)),
            ("Ethernet of a netANALYZER", 240, vec![0; 18], (LinkType::Ethernet, 4)),
            ("Ethernet with its preamble", 274, vec![0; 22], (LinkType::Ethernet, 8)),
            ("IP", 101, vec![0x45], (LinkType::RawIp, 0)),
            ("loopback", 0, vec![2, 0, 0, 0], (LinkType::RawIp, 4)),
            ("loopback, other byte order", 0, vec![0, 0, 0, 30], (LinkType::RawIp, 4)),
            ("OpenBSD loopback", 108, vec![0, 0, 0, 24], (LinkType::RawIp, 4)),
            ("IPsec", 109, header(12, 0, &[0, 0, 0, 2]), (LinkType::RawIp, 12)),
            ("packet filter", 117, vec![61, 2], (LinkType::RawIp, 64)),
            ("cooked", 113, header(16, 14, &[8, 0]), (IPV4, 16)),
            ("cooked with a VLAN tag", 113, header(16, 14, &[0x81, 0]), (LinkType::EtherType(0x8100), 16)),
            ("cooked with LLC", 113, header(16, 14, &[0, 4]), (LinkType::Llc, 16)),
            ("cooked, version 2", 276, header(20, 0, &[0x86, 0xdd]), (IPV6, 20)),
            ("NFLOG", 239, nflog([5, 0], [9, 0]), (LinkType::RawIp, 16)),
            ("PPP", 9, vec![0, 0x21], (LinkType::Ppp, 0)),
            ("Cisco HDLC in PPP", 9, vec![0x0f, 0, 8, 0], (IPV4, 4)),
            ("PPP in HDLC", 50, vec![0xff, 3, 0, 0x21], (LinkType::Ppp, 0)),
            ("Cisco in HDLC", 50, vec![0x0f, 0, 8, 0], (IPV4, 4)),
            ("PPPoE", 51, vec![0x11], (LinkType::EtherType(0x8864), 0)),
            ("PPP with a direction byte", 204, vec![1, 0xff, 3, 0, 0x21], (LinkType::Ppp, 1)),
            ("PPP, direction byte instead of the address", 166, vec![1, 3, 0, 0x21], (LinkType::Ppp, 2)),
            ("Cisco's HDLC", 104, vec![0x8f, 0, 8, 0], (IPV4, 4)),
            ("Cisco's HDLC with a direction byte", 205, vec![0, 0x8f, 0, 8, 0], (IPV4, 5)),
            ("frame relay", 107, vec![0x18, 0x41, 3, 0xcc, 0x45], (LinkType::RawIp, 4)),
            ("frame relay, four bytes", 107, vec![0x18, 0x40, 2, 1, 3, 0x8e, 0], (LinkType::RawIp, 6)),
            ("frame relay, SNAP", 107, vec![0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], (IPV4, 10)),
            ("Cisco's frame relay", 107, vec![0x18, 0x41, 8, 0, 0x45], (IPV4, 4)),
            ("ATM", 100, vec![0xaa], (LinkType::Llc, 0)),
            ("token ring", 6, header(14, 0, &[0x10, 0x40]), (LinkType::Llc, 14)),
            (
                "token ring with a route",
                6,
                header(20, 1, &[0x40, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 6]),
                (LinkType::Llc, 20),
            ),
            ("FDDI", 10, vec![0x50], (LinkType::Llc, 13)),
            ("ARCNET", 129, vec![1, 2, 0, 0, 240, 0x45], (LinkType::RawIp, 5)),
            ("ARCNET, newer", 129, vec![1, 2, 0, 0, 212, 0, 0, 1], (LinkType::RawIp, 8)),
            ("DOCSIS", 143, vec![0, 0], (LinkType::Ethernet, 6)),
            ("DOCSIS with an extended header", 143, vec![1, 4], (LinkType::Ethernet, 10)),
            ("Juniper", 178, vec![b'M', b'G', b'C', 0x80, 0, 6], (LinkType::Ethernet, 12)),
            ("wireless", 105, wireless(8, 1), (LinkType::Llc, 24)),
            ("wireless between stations", 105, wireless(8, 3), (LinkType::Llc, 30)),
            ("wireless with QoS", 105, wireless(0x88, 1), (LinkType::Llc, 26)),
            (
                "wireless with an A-MSDU",
                105,
                header(32, 24, &[0x80])
                    .into_iter()
                    .enumerate()
                    .map(|(at, byte)| if at == 0 { 0x88 } else { byte })
                    .collect(),
                (LinkType::Llc, 40),
            ),
            ("radiotap, padded", 127, radiotap, (LinkType::Llc, 9 + 28)),
            ("radiotap, with a timestamp", 127, timed, (LinkType::Llc, 24 + 24)),
            ("Prism", 119, prism, (LinkType::Llc, 144 + 24)),
            ("AVS", 163, avs, (LinkType::Llc, 64 + 24)),
            ("Fibre Channel", 122, vec![0], (LinkType::Llc, 16)),
            ("IEEE 1394", 138, header(18, 16, &[8, 0]), (IPV4, 18)),
            ("InfiniBand", 242, header(44, 40, &[8, 0]), (IPV4, 44)),
            ("per-packet information", 192, vec![0, 0, 8, 0, 12, 0, 0, 0], (LinkType::RawIp, 8)),
            ("PKTAP", 258, vec![12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], (LinkType::Ethernet, 12)),
        ] {
            assert_eq!(strip(link, &bytes), Some(expected), "{name}: {bytes:02x?}");
            for len in 0..bytes.len() {
                // Truncated frames must not panic; the result does not matter.
                let _ = strip(link, &bytes[..len]);
            }
        }
    }

    #[test]
    fn a_cooked_frame_has_its_interface_and_direction() {
        let number = |link, bytes: &[u8]| {
            interface(&Captured { time: 1, interface: 5, name: None, link, wire_len: bytes.len(), bytes })
        };
        let cooked2 = |index, kind| number(276, &header(20, 4, &[0, 0, 0, index, 0, 1, kind]));
        let cooked = |kind| number(113, &header(16, 1, &[kind]));
        let numbers = [cooked2(7, 0), cooked2(7, 4), cooked2(8, 0), cooked2(8, 4), cooked(0), cooked(4)];
        let distinct: BTreeSet<_> = numbers.into_iter().collect();
        assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
        assert!(!distinct.contains(&5));
        assert_eq!([number(1, &[0; 14]), number(276, &[0; 10]), number(113, b"")], [5; 3]);
    }

    #[test]
    fn frames_without_ip_and_unknown_link_layers_are_rejected() {
        for (name, link, bytes) in [
            ("an unknown link layer", 253, vec![0; 64]),
            ("another address family", 0, vec![7, 0, 0, 0]),
            ("a wireless beacon", 105, header(32, 0, &[0x80])),
            ("wireless data without data", 105, header(32, 0, &[0x48])),
            ("encrypted wireless data", 105, header(32, 0, &[8, 0x41])),
            (
                "a later fragment of wireless data",
                105,
                header(32, 0, &[8, 1])
                    .into_iter()
                    .enumerate()
                    .map(|(at, byte)| if at == 22 { 1 } else { byte })
                    .collect(),
            ),
            ("a token ring MAC frame", 6, header(14, 1, &[0])),
            ("a DOCSIS management frame", 143, vec![0xc2, 0]),
            ("NFLOG without a packet", 239, vec![2, 0, 0, 0, 8, 0, 10, 0, 0, 0, 0, 0]),
            ("NFLOG with a TLV of length 0", 239, vec![2, 0, 0, 0, 0, 0, 0, 0]),
            ("per-packet information that wraps itself", 192, vec![0, 0, 0, 0, 192, 0, 0, 0]),
            ("a length far beyond the end", 258, vec![0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 0, 0, 0]),
        ] {
            assert_eq!(strip(link, &bytes), None, "{name}");
        }
    }
}
