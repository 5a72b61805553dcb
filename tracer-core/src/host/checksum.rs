//! The TCP checksum (RFC 9293, 3.1; RFC 1071).

use tracer_common::wire::Segment;

/// Bytes of the TCP header without options.
const MIN_HEADER: usize = 20;
/// IP protocol number of TCP, as in the pseudo-header.
const PROTOCOL: u64 = 6;

/// Whether the checksum of a segment is wrong.
///
/// It is not if that is unknown: if the segment is incomplete, or if the network card had yet to fill in the
/// checksum when the frame was captured (checksum offload). The field then is zero, or the sum of the
/// pseudo-header, which lacks the length if the card segments too.
pub(super) fn is_wrong(frame: &[u8], segment: &Segment) -> bool {
    let Some(start) = segment.options_offset().checked_sub(MIN_HEADER) else { return false };
    let end = segment.payload_offset as usize + segment.payload_len as usize;
    let Some(bytes) = frame.get(start..end).filter(|_| !segment.first_fragment) else { return false };
    let Some(&[high, low]) = bytes.get(16..18) else { return false };
    let field = u16::from_be_bytes([high, low]);
    // The prefix of an IPv4-mapped address is 0xffff, which is zero in ones' complement.
    let addresses = [segment.source, segment.destination];
    let addresses = native_sum(addresses.as_flattened().iter().copied());
    let without_len = u64::from(u16::from_be(fold(addresses))) + PROTOCOL;
    let pseudo_header = without_len + bytes.len() as u64;
    let unfilled = [0, fold(without_len), fold(pseudo_header)].contains(&field);
    !unfilled && fold(pseudo_header + sum(bytes)) != u16::MAX
}

/// The ones' complement sum of the 16-bit words of `bytes`, padded with zero. Two words at a time, and in
/// native byte order: RFC 1071, 2 (B) and (C).
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let sum = native_sum(words.iter().chain([&last]).map(|word| u32::from_ne_bytes(*word)));
    u64::from(u16::from_be(fold(sum)))
}

/// The sum of words in native byte order.
fn native_sum(words: impl Iterator<Item = u32>) -> u64 {
    words.map(u64::from).sum()
}

/// Folds a sum to 16 bits in ones' complement.
fn fold(sum: u64) -> u16 {
    let halves = |sum: u64, bits: u32| (sum >> bits) + (sum & ((1 << bits) - 1));
    // 64 bits become 33, then 18, then 17, and the last carry causes no other.
    let sum = halves(halves(halves(sum, 32), 16), 16);
    // It fits now.
    halves(sum, 16) as u16
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use tracer_common::wire::{LinkType, parse_segment};

    use super::*;

    /// Offset of the checksum in a packet with this IP header.
    fn field(packet: &[u8]) -> usize {
        16 + if packet[0] >> 4 == 4 { 20 } else { 40 }
    }

    fn packets() -> [Vec<u8>; 3] {
        let write = |builder: etherparse::PacketBuilderStep<etherparse::IpHeaders>, payload: &[u8]| {
            let mut packet = Vec::new();
            let tcp = builder.tcp(40_000, 80, 1000, 1024).ack(7);
            tcp.write(&mut packet, payload).expect("there is room");
            packet
        };
        let v4 = || PacketBuilder::ipv4([10, 0, 0, 1], [192, 0, 2, 255], 64);
        let v6 =
            PacketBuilder::ipv6([0xfe; 16], [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], 64);
        [write(v4(), b""), write(v4(), b"an odd number"), write(v6, b"GET / HTTP/1.1\r\n\r\n")]
    }

    fn is_wrong_in(packet: &[u8], change: impl FnOnce(&mut Segment)) -> bool {
        let mut segment = Segment::default();
        parse_segment(packet, LinkType::RawIp, &mut segment).expect("a segment");
        change(&mut segment);
        is_wrong(packet, &segment)
    }

    #[test]
    fn any_changed_bit_of_a_segment_is_detected() {
        for packet in packets() {
            assert!(!is_wrong_in(&packet, |_| ()), "as it was sent: {packet:?}");
            let start = field(&packet) - 16;
            // Another data offset makes another segment.
            for index in (start..packet.len()).filter(|index| *index != start + 12) {
                let mut changed = packet.clone();
                changed[index] ^= 0x10;
                assert!(is_wrong_in(&changed, |_| ()), "byte {index} of {packet:?}");
            }
        }
    }

    #[test]
    fn an_offloaded_checksum_is_no_error() {
        for packet in packets() {
            let at = field(&packet);
            let payload_len = packet.len() - at - 4;
            let addresses = if packet[0] >> 4 == 4 { sum(&packet[12..20]) } else { sum(&packet[8..40]) };
            let tcp_len = (MIN_HEADER + payload_len) as u64;
            for unfilled in [0, fold(addresses + 6 + tcp_len), fold(addresses + 6)] {
                let mut packet = packet.clone();
                packet[at..at + 2].copy_from_slice(&unfilled.to_be_bytes());
                assert!(!is_wrong_in(&packet, |_| ()), "{unfilled:#x} in {packet:?}");
            }
        }
    }

    #[test]
    fn an_incomplete_segment_is_no_error() {
        let [_, mut packet, _] = packets();
        let at = field(&packet);
        packet[at] ^= 1;
        assert!(is_wrong_in(&packet, |_| ()));
        assert!(!is_wrong_in(&packet, |segment| segment.first_fragment = true), "a fragment");
        assert!(!is_wrong_in(&packet, |segment| segment.payload_len += 1), "cut by the capture");
    }
}
