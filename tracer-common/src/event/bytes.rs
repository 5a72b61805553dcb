//! Events as bytes: as the ring buffer carries them, and as the host makes them.
//!
//! The layout of the structures is that of the bytes: zerocopy checks that they are plain integers without padding.

use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{ConnectionEvent, Event, EventHeader, HttpFacts, IcmpEvent, Kind, OwnerEvent, SegmentEvent};

/// Why bytes are not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// An event of this kind has another length.
    Length {
        /// The actual length, in bytes.
        found: usize,
        /// The expected length, in bytes.
        expected: usize,
    },
    /// An unknown kind.
    Kind(u8),
}

impl<'a> Event<'a> {
    /// Decodes the bytes of one event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let found = bytes.len();
        let wrong_length = |expected| DecodeError::Length { found, expected };
        match bytes.first() {
            None => Err(wrong_length(size_of::<EventHeader>())),
            Some(&kind) if kind == Kind::Segment as u8 => SegmentEvent::read_from_bytes(bytes)
                .map(Self::Segment)
                .map_err(|_| wrong_length(size_of::<SegmentEvent>())),
            Some(&kind) if kind == Kind::Connection as u8 => ConnectionEvent::read_from_bytes(bytes)
                .map(Self::Connection)
                .map_err(|_| wrong_length(size_of::<ConnectionEvent>())),
            Some(&kind) if kind == Kind::Icmp as u8 => IcmpEvent::read_from_bytes(bytes)
                .map(Self::Icmp)
                .map_err(|_| wrong_length(size_of::<IcmpEvent>())),
            Some(&kind) if kind == Kind::Owner as u8 => OwnerEvent::read_from_bytes(bytes)
                .map(Self::Owner)
                .map_err(|_| wrong_length(size_of::<OwnerEvent>())),
            Some(&kind) if kind == Kind::Http as u8 => {
                let (facts, rest) =
                    HttpFacts::read_from_prefix(bytes).map_err(|_| wrong_length(size_of::<HttpFacts>()))?;
                if rest.len() == usize::from(facts.len) {
                    Ok(Self::Http(facts, rest))
                } else {
                    Err(wrong_length(size_of::<HttpFacts>() + usize::from(facts.len)))
                }
            }
            Some(&kind) => Err(DecodeError::Kind(kind)),
        }
    }

    /// The bytes that [`Event::from_bytes`] decodes to this event, in two pieces.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 2] {
        match self {
            Self::Connection(event) => [event.as_bytes(), &[]],
            Self::Segment(event) => [event.as_bytes(), &[]],
            Self::Http(facts, bytes) => [facts.as_bytes(), bytes],
            Self::Icmp(event) => [event.as_bytes(), &[]],
            Self::Owner(event) => [event.as_bytes(), &[]],
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;

    use super::*;
    use crate::{
        event::{Marks, ScanAnomalies},
        flow::{End, FlowKey, HalfCounters, HalfFlags, SegmentFlags},
        seq::Seq,
        wire::{Encapsulations, MAX_OPTIONS, TcpFlags},
    };

    /// Different numbers in all fields, so that swapped fields are noticed.
    fn header(kind: Kind) -> EventHeader {
        EventHeader {
            kind: kind as u8,
            hook: 2,
            sender: End::High as u8,
            padding: 0,
            interface: 0x0102_0304,
            time: 0x1112_1314_1516_1718,
            flow: 0x2122_2324_2526_2728,
            key: FlowKey { low: [1, 2, 3, 4], high: [5, 6, 7, 8], low_port: 80, high_port: 40_000 },
            lost: 9,
        }
    }

    fn half(first: u32) -> HalfCounters {
        let wide = u64::from(first) << 32;
        HalfCounters {
            packets: wide,
            bytes: wide + 1,
            stream_end: wide + 2,
            first_ack_ns: wide + 3,
            first_data_ns: wide + 4,
            syn_ns: wide + 5,
            base: Seq(first + 5),
            ack: Seq(first + 6),
            duplicate_acks: first + 7,
            zero_windows: first + 8,
            lost: first + 9,
            flags: HalfFlags::from_bits(first + 10),
        }
    }

    fn segment() -> SegmentEvent {
        let mut options = [0; MAX_OPTIONS];
        options[0] = 2;
        options[MAX_OPTIONS - 1] = 3;
        SegmentEvent {
            header: header(Kind::Segment),
            socket: 10,
            reasons: SegmentFlags::from_bits(11),
            seq: Seq(12),
            ack: Seq(13),
            payload_len: 14,
            window: 15,
            flags: TcpFlags::from_bits(16),
            options_len: 40,
            gap: 0,
            options,
            halves: [half(100), half(200)],
        }
    }

    fn connection() -> ConnectionEvent {
        ConnectionEvent { header: header(Kind::Connection), encapsulation: Encapsulations(17), padding: 0 }
    }

    fn http(len: u16) -> HttpFacts {
        HttpFacts {
            header: header(Kind::Http),
            offset: 21,
            content: 22,
            acked: 27,
            exchange: 23,
            head: 24,
            head_len: 25,
            marks: Marks::from_bits(26),
            status: 304,
            len,
            framing: 2,
            anomalies: ScanAnomalies::from_bits(28),
            padding: [0; 2],
        }
    }

    fn icmp() -> IcmpEvent {
        IcmpEvent {
            header: header(Kind::Icmp),
            source: [31, 32, 33, 34],
            seq: Seq(35),
            mtu: 36,
            kind: 37,
            code: 38,
            padding: 0,
            padding2: 0,
        }
    }

    fn owner() -> OwnerEvent {
        OwnerEvent {
            header: header(Kind::Owner),
            socket: 41,
            namespace: 42,
            started: 43,
            cgroup: 44,
            pid: 45,
            user: 46,
            name: *b"0123456789abcde\0",
            evidence: 2,
            padding: [0; 7],
        }
    }

    fn encoded(event: &Event<'_>) -> Vec<u8> {
        event.pieces().concat()
    }

    fn samples() -> [Event<'static>; 6] {
        [
            Event::Owner(owner()),
            Event::Connection(connection()),
            Event::Icmp(icmp()),
            Event::Segment(segment()),
            Event::Http(http(16), b"GET / HTTP/1.1\r\n"),
            Event::Http(http(0), b""),
        ]
    }

    #[test]
    fn an_encoded_event_decodes_to_the_same_event() {
        for event in samples() {
            let bytes = encoded(&event);
            assert_eq!(Event::from_bytes(&bytes), Ok(event));
        }
    }

    #[test]
    fn the_encoding_has_the_size_of_the_structure() {
        assert_eq!(encoded(&Event::Segment(segment())).len(), size_of::<SegmentEvent>());
        assert_eq!(encoded(&Event::Connection(connection())).len(), size_of::<ConnectionEvent>());
        assert_eq!(encoded(&Event::Icmp(icmp())).len(), size_of::<IcmpEvent>());
        assert_eq!(encoded(&Event::Http(http(0), b"")).len(), size_of::<HttpFacts>());
    }

    #[test]
    fn an_event_of_any_other_length_is_refused() {
        for event in samples() {
            let mut bytes = encoded(&event);
            let whole = bytes.len();
            for len in 0..whole {
                assert!(
                    matches!(Event::from_bytes(&bytes[..len]), Err(DecodeError::Length { found, .. }) if found == len),
                    "{len} of {whole} bytes"
                );
            }
            bytes.push(0);
            assert!(
                matches!(Event::from_bytes(&bytes), Err(DecodeError::Length { .. })),
                "one byte too many"
            );
        }
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let known =
            [Kind::Segment, Kind::Http, Kind::Connection, Kind::Icmp, Kind::Owner].map(|kind| kind as u8);
        for kind in (0..=u8::MAX).filter(|kind| !known.contains(kind)) {
            assert_eq!(Event::from_bytes(&[kind; 256]), Err(DecodeError::Kind(kind)));
        }
    }
}
