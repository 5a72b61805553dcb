//! Reassembles IP fragments (RFC 791, 3.2; RFC 8200, 4.5) within limits, in captures only: the kernel
//! programs cannot.
//!
//! Of overlapping fragments, the one with the lower offset counts, then the one that came first. IPv6 packets
//! with overlapping fragments are dropped (RFC 5722, 4).

use std::collections::{BTreeMap, HashMap, VecDeque};

use tracer_common::frame::FrameBytes as _;

/// The most incomplete packets; beyond them the oldest is dropped.
const MAX_PACKETS: usize = 1024;

/// The most bytes of all fragments, as in Linux.
const MAX_BYTES: usize = 4 << 20;

/// An incomplete packet expires after this time, in ns (RFC 8200, 4.5).
const TIMEOUT: u64 = 60_000_000_000;

/// The most bytes of a packet: the maximum of its length field (RFC 791, 3.1).
const MAX_PACKET: usize = 65_535;

/// Bytes of the fixed header of IPv6.
const HEADER6: usize = 40;

/// What the fragments of one packet have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    /// Both addresses.
    addresses: Vec<u8>,
    identification: u32,
    /// IPv4 only: each protocol has identifications of its own.
    protocol: u8,
    /// The tunnels around it.
    within: u32,
}

/// One fragment.
struct Fragment<'a> {
    identity: Identity,
    /// The headers before the payload, as in an unfragmented packet.
    header: Vec<u8>,
    /// Offset in bytes.
    offset: usize,
    last: bool,
    payload: &'a [u8],
}

/// An incomplete packet.
#[derive(Debug, Default)]
struct Packet {
    /// The headers of the first fragment.
    header: Option<Vec<u8>>,
    /// Payloads by offset, then in the order of arrival.
    pieces: BTreeMap<(usize, usize), Vec<u8>>,
    /// Bytes of payload, once the last fragment has arrived.
    len: Option<usize>,
    /// When the first of its fragments arrived, in ns.
    since: u64,
    bytes: usize,
}

/// The incomplete packets.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    packets: HashMap<Identity, Packet>,
    /// In the order of their first fragments; may contain packets that are gone.
    by_age: VecDeque<(u64, Identity)>,
    bytes: usize,
}

impl Fragments {
    /// Takes in a fragment, from its IP header, seen at `time` (ns) within these tunnels. Returns the whole
    /// packet if nothing is missing.
    pub(super) fn take(&mut self, packet: &[u8], within: u32, time: u64) -> Option<Vec<u8>> {
        let fragment = Fragment::parse(packet, within)?;
        self.evict(time);
        let identity = fragment.identity.clone();
        let packet = self.packets.entry(identity.clone()).or_insert_with(|| {
            self.by_age.push_back((time, identity.clone()));
            Packet { since: time, ..Packet::default() }
        });
        let before = packet.bytes;
        let outcome = packet.take(fragment);
        self.bytes += packet.bytes - before;
        match outcome {
            Outcome::Incomplete => None,
            Outcome::Invalid => {
                self.drop(&identity);
                None
            }
            Outcome::Whole(packet) => {
                self.drop(&identity);
                Some(packet)
            }
        }
    }

    fn drop(&mut self, identity: &Identity) {
        if let Some(packet) = self.packets.remove(identity) {
            self.bytes -= packet.bytes;
        }
    }

    /// Drops the oldest packets until all limits are kept.
    fn evict(&mut self, now: u64) {
        while let Some((since, identity)) = self.by_age.front() {
            let held = self.packets.get(identity).is_some_and(|packet| packet.since == *since);
            let due = now.saturating_sub(*since) > TIMEOUT
                || self.packets.len() >= MAX_PACKETS
                || self.bytes > MAX_BYTES;
            if held && !due {
                break;
            }
            if let Some((_, identity)) = self.by_age.pop_front()
                && held
            {
                self.drop(&identity);
            }
        }
    }
}

/// The state of a packet after one more fragment.
enum Outcome {
    /// More is missing.
    Incomplete,
    /// The fragments contradict each other.
    Invalid,
    /// Headers and payload.
    Whole(Vec<u8>),
}

impl Packet {
    fn take(&mut self, fragment: Fragment<'_>) -> Outcome {
        let end = fragment.offset + fragment.payload.len();
        let known = self.len.unwrap_or(MAX_PACKET);
        if end > known || fragment.last && self.len.is_some_and(|len| len != end) {
            return Outcome::Invalid;
        }
        // A repetition is ignored.
        let same = self.pieces.range((fragment.offset, 0)..=(fragment.offset, usize::MAX));
        if same.map(|(_, piece)| piece).any(|piece| piece == fragment.payload) {
            return Outcome::Incomplete;
        }
        let is_ipv6 = fragment.header.first().is_some_and(|first| first >> 4 == 6);
        if is_ipv6 && self.overlaps(fragment.offset, end) {
            return Outcome::Invalid;
        }
        if fragment.last {
            self.len = Some(end);
        }
        self.bytes += fragment.payload.len();
        self.pieces.insert((fragment.offset, self.pieces.len()), fragment.payload.to_vec());
        if fragment.offset == 0 {
            self.header.get_or_insert(fragment.header);
        }
        self.whole().map_or(Outcome::Incomplete, Outcome::Whole)
    }

    fn overlaps(&self, start: usize, end: usize) -> bool {
        self.pieces.iter().any(|((offset, _), piece)| *offset < end && start < offset + piece.len())
    }

    /// The packet, if nothing is missing.
    fn whole(&self) -> Option<Vec<u8>> {
        let (len, header) = (self.len?, self.header.as_ref()?);
        let mut packet = header.clone();
        let payload_at = packet.len();
        for ((offset, _), piece) in &self.pieces {
            let known = (packet.len() - payload_at).checked_sub(*offset)?;
            packet.extend(piece.get(known..).unwrap_or_default());
        }
        let complete = packet.len() == payload_at + len && packet.len() <= MAX_PACKET;
        complete.then_some(())?;
        let (at, stated) =
            if packet.first()? >> 4 == 4 { (2, packet.len()) } else { (4, packet.len() - HEADER6) };
        packet.get_mut(at..at + 2)?.copy_from_slice(&u16::try_from(stated).ok()?.to_be_bytes());
        Some(packet)
    }
}

impl<'a> Fragment<'a> {
    fn parse(packet: &'a [u8], within: u32) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::parse4(packet, within),
            6 => Self::parse6(packet, within),
            _ => None,
        }
    }

    fn parse4(packet: &'a [u8], within: u32) -> Option<Self> {
        let fixed: [u8; 20] = packet.read(0)?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let field = u16::from_be_bytes([fixed[6], fixed[7]]);
        let mut header = packet.get(..header_len)?.to_vec();
        header.get_mut(6..8)?.fill(0);
        Self {
            identity: Identity {
                addresses: fixed[12..20].to_vec(),
                identification: u32::from(u16::from_be_bytes([fixed[4], fixed[5]])),
                protocol: fixed[9],
                within,
            },
            header,
            offset: usize::from(field & 0x1fff) * 8,
            last: field & 0x2000 == 0,
            payload: packet.get(header_len..total)?,
        }
        .validated()
    }

    fn parse6(packet: &'a [u8], within: u32) -> Option<Self> {
        const FRAGMENT: u8 = 44;
        let fixed: [u8; HEADER6] = packet.read(0)?;
        let total = HEADER6 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        // The offset of the next header's number, and of that header.
        let (mut number_at, mut at) = (6, HEADER6);
        while *packet.get(number_at)? != FRAGMENT {
            let [_, units] = packet.read(at)?;
            (number_at, at) = (at, at + (usize::from(units) + 1) * 8);
        }
        let fragment: [u8; 8] = packet.read(at)?;
        let field = u16::from_be_bytes([fragment[2], fragment[3]]);
        let mut header = packet.get(..at)?.to_vec();
        *header.get_mut(number_at)? = fragment[0];
        Self {
            identity: Identity {
                addresses: fixed[8..40].to_vec(),
                identification: u32::from_be_bytes([fragment[4], fragment[5], fragment[6], fragment[7]]),
                protocol: 0,
                within,
            },
            header,
            offset: usize::from(field & 0xfff8),
            last: field & 1 == 0,
            payload: packet.get(at + 8..total)?,
        }
        .validated()
    }

    /// Only the last fragment may have a length that is no multiple of eight, and none is empty.
    fn validated(self) -> Option<Self> {
        let fits = self.last || self.payload.len().is_multiple_of(8);
        (fits && !self.payload.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight groups of eight equal bytes.
    fn payload() -> Vec<u8> {
        (0..64).map(|at| at / 8).collect()
    }

    fn fragment4(identification: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, identification, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let field = u16::try_from(offset / 8).expect("an offset") | u16::from(more) << 13;
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        packet.extend(payload);
        packet[3] = packet.len() as u8;
        packet
    }

    fn fragment6(offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER6];
        (packet[0], packet[6]) = (0x60, 60);
        // Destination options before the fragment header.
        packet.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        let field = u16::try_from(offset).expect("an offset") | u16::from(more);
        packet.extend([6, 0, field.to_be_bytes()[0], field.to_be_bytes()[1], 0, 0, 0, 7]);
        packet.extend(payload);
        packet[5] = (packet.len() - HEADER6) as u8;
        packet
    }

    fn take(fragments: &mut Fragments, packet: &[u8]) -> Option<Vec<u8>> {
        fragments.take(packet, 0, 1)
    }

    #[test]
    fn a_packet_is_reassembled_in_any_order_and_with_repetitions() {
        let payload = payload();
        let pieces = [(0, 16), (16, 40), (40, 64)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            for version in [4, 6] {
                let mut fragments = Fragments::default();
                let mut whole = None;
                for number in order {
                    let (start, end) = pieces[number];
                    let piece = &payload[start..end];
                    let packet = match version {
                        4 => fragment4(1, start, end < 64, piece),
                        _ => fragment6(start, end < 64, piece),
                    };
                    assert_eq!(whole, None, "{order:?}: too early");
                    whole = take(&mut fragments, &packet);
                    if whole.is_none() {
                        assert_eq!(take(&mut fragments, &packet), None, "{order:?}: again");
                    }
                }
                let expected = match version {
                    4 => fragment4(1, 0, false, &payload),
                    _ => {
                        let mut packet = fragment6(0, false, &payload);
                        packet.drain(48..56);
                        (packet[40], packet[5]) = (6, packet[5] - 8);
                        packet
                    }
                };
                assert_eq!(whole, Some(expected), "{order:?}, version {version}");
                assert_eq!((fragments.packets.len(), fragments.bytes), (0, 0), "nothing is kept");
            }
        }
    }

    #[test]
    fn packets_with_other_identifications_or_tunnels_are_separate() {
        let payload = payload();
        let mut fragments = Fragments::default();
        let (first, last) = (fragment4(1, 0, true, &payload[..32]), fragment4(1, 32, false, &payload[32..]));
        assert_eq!(take(&mut fragments, &first), None);
        assert_eq!(take(&mut fragments, &fragment4(2, 32, false, &payload[32..])), None);
        assert_eq!(fragments.take(&last, 9, 1), None, "in a tunnel");
        assert!(take(&mut fragments, &last).is_some());
    }

    #[test]
    fn of_overlapping_fragments_the_lower_and_then_the_first_one_counts() {
        let mut fragments = Fragments::default();
        assert_eq!(take(&mut fragments, &fragment4(1, 0, true, &[1; 16])), None);
        assert_eq!(take(&mut fragments, &fragment4(1, 8, true, &[2; 16])), None);
        assert_eq!(take(&mut fragments, &fragment4(1, 8, true, &[3; 16])), None);
        let whole = take(&mut fragments, &fragment4(1, 24, false, &[4; 8])).expect("the packet");
        assert_eq!(whole[20..], [[1; 8], [1; 8], [2; 8], [4; 8]].concat());
        let mut fragments = Fragments::default();
        assert_eq!(take(&mut fragments, &fragment6(0, true, &[1; 16])), None);
        assert_eq!(take(&mut fragments, &fragment6(8, false, &[2; 16])), None);
        assert!(fragments.packets.is_empty(), "IPv6 is dropped");
    }

    #[test]
    fn invalid_fragments_make_no_packet() {
        let mut fragments = Fragments::default();
        for (what, packet) in [
            ("not a multiple of eight", fragment4(1, 0, true, &[0; 9])),
            ("empty", fragment4(1, 8, false, &[])),
            ("truncated", fragment4(1, 8, false, &[0; 8])[..24].to_vec()),
            ("no header", vec![0x45; 8]),
            ("no fragment header", fragment6(0, true, &[0; 8])[..44].to_vec()),
            ("neither version", vec![0x50; 40]),
        ] {
            assert_eq!(take(&mut fragments, &packet), None, "{what}");
            assert!(fragments.packets.is_empty(), "{what}");
        }
        assert_eq!(take(&mut fragments, &fragment4(1, 8, false, &[0; 8])), None);
        assert_eq!(take(&mut fragments, &fragment4(1, 16, true, &[0; 8])), None, "after the end");
        assert!(fragments.packets.is_empty());
    }

    #[test]
    fn incomplete_packets_are_limited_in_time_number_and_bytes() {
        let mut fragments = Fragments::default();
        fragments.take(&fragment4(1, 0, true, &[0; 8]), 0, 1);
        fragments.take(&fragment4(2, 0, true, &[0; 8]), 0, TIMEOUT + 2);
        assert_eq!(fragments.packets.len(), 1, "the first is too old");
        for tunnel in 0..2 * MAX_PACKETS as u32 {
            fragments.take(&fragment4(1, 0, true, &[0; 8]), tunnel, TIMEOUT + 2);
        }
        assert!(fragments.packets.len() <= MAX_PACKETS && fragments.by_age.len() <= MAX_PACKETS + 1);
        let held: usize = fragments.packets.values().map(|packet| packet.bytes).sum();
        assert_eq!(fragments.bytes, held);
    }
}
