//! An event as the ring buffer carries it, for those who make events outside the kernel.

use super::{Event, EventHeader, HttpFacts, SegmentEvent};
use crate::flow::HalfCounters;

impl Event<'_> {
    /// Bytes that [`Event::encode`] passes on.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Segment(_) => size_of::<SegmentEvent>(),
            Self::Http(_, bytes) => size_of::<HttpFacts>() + bytes.len(),
        }
    }

    /// Passes on, piece by piece, the bytes that [`Event::from_bytes`] decodes to this event: in the order and with the
    /// sizes of the structures, as they lie in memory.
    pub fn encode(&self, mut append: impl FnMut(&[u8])) {
        match self {
            Self::Segment(event) => {
                let mut bytes = [0; size_of::<SegmentEvent>()];
                Writer(&mut bytes).segment(event);
                append(&bytes);
            }
            Self::Http(facts, payload) => {
                let mut bytes = [0; size_of::<HttpFacts>()];
                Writer(&mut bytes).http(facts);
                append(&bytes);
                append(payload);
            }
        }
    }
}

/// Writes fields where there is room for all of them; what [`super::Reader`] takes off again.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some((place, rest)) = core::mem::take(&mut self.0).split_first_chunk_mut() {
            *place = bytes;
            self.0 = rest;
        }
    }

    #[inline(always)]
    fn u16(&mut self, number: u16) {
        self.put(number.to_ne_bytes());
    }

    #[inline(always)]
    fn u32(&mut self, number: u32) {
        self.put(number.to_ne_bytes());
    }

    #[inline(always)]
    fn u64(&mut self, number: u64) {
        self.put(number.to_ne_bytes());
    }

    #[inline(always)]
    fn header(&mut self, header: &EventHeader) {
        self.put([header.kind, header.hook, header.from_low, header.padding]);
        self.u32(header.interface);
        self.u64(header.time);
        self.u64(header.flow);
        for word in [header.key.low, header.key.high].as_flattened() {
            self.u32(*word);
        }
        self.u16(header.key.low_port);
        self.u16(header.key.high_port);
        self.u32(header.lost);
    }

    #[inline(always)]
    fn counters(&mut self, half: &HalfCounters) {
        self.u64(half.packets);
        self.u64(half.bytes);
        self.u64(half.stream_end);
        self.u64(half.first_ack_ns);
        self.u64(half.first_data_ns);
        self.u64(half.syn_ns);
        self.u32(half.base.0);
        self.u32(half.ack.0);
        self.u32(half.duplicate_acks);
        self.u32(half.zero_windows);
        self.u32(half.lost);
        self.u32(half.flags);
    }

    #[inline(always)]
    fn segment(&mut self, event: &SegmentEvent) {
        self.header(&event.header);
        self.u32(event.causes);
        self.u32(event.seq.0);
        self.u32(event.ack.0);
        self.u32(event.payload_len);
        self.u16(event.window);
        self.put([event.flags, event.options_len]);
        self.u32(event.gap);
        self.put(event.options);
        for half in &event.halves {
            self.counters(half);
        }
        self.u32(event.encapsulation);
        self.u32(event.padding);
    }

    #[inline(always)]
    fn http(&mut self, facts: &HttpFacts) {
        self.header(&facts.header);
        self.u64(facts.offset);
        self.u64(facts.content);
        self.u32(facts.exchange);
        self.u32(facts.head);
        self.u32(facts.head_len);
        self.u16(facts.marks);
        self.u16(facts.status);
        self.u16(facts.len);
        self.put([facts.framing, facts.padding]);
        self.u32(facts.padding2);
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;

    use super::*;
    use crate::{
        event::{DecodeError, Kind},
        flow::FlowKey,
        seq::Seq,
        wire::MAX_OPTIONS,
    };

    /// Different numbers everywhere, so that no two fields can be swapped unnoticed.
    fn header(kind: Kind) -> EventHeader {
        EventHeader {
            kind: kind as u8,
            hook: 2,
            from_low: 1,
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
            flags: first + 10,
        }
    }

    fn segment() -> SegmentEvent {
        let mut options = [0; MAX_OPTIONS];
        options[0] = 2;
        options[MAX_OPTIONS - 1] = 3;
        SegmentEvent {
            header: header(Kind::Segment),
            causes: 11,
            seq: Seq(12),
            ack: Seq(13),
            payload_len: 14,
            window: 15,
            flags: 16,
            options_len: 40,
            gap: 0,
            options,
            halves: [half(100), half(200)],
            encapsulation: 17,
            padding: 0,
        }
    }

    fn http(len: u16) -> HttpFacts {
        HttpFacts {
            header: header(Kind::Http),
            offset: 21,
            content: 22,
            exchange: 23,
            head: 24,
            head_len: 25,
            marks: 26,
            status: 304,
            len,
            framing: 2,
            padding: 0,
            padding2: 0,
        }
    }

    fn encoded(event: &Event<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        event.encode(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    fn samples() -> [Event<'static>; 3] {
        [Event::Segment(segment()), Event::Http(http(16), b"GET / HTTP/1.1\r\n"), Event::Http(http(0), b"")]
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_event() {
        for event in samples() {
            let bytes = encoded(&event);
            assert_eq!(bytes.len(), event.encoded_len());
            assert_eq!(Event::from_bytes(&bytes), Ok(event));
        }
    }

    #[test]
    fn the_encoding_has_the_size_of_the_structure() {
        assert_eq!(encoded(&Event::Segment(segment())).len(), size_of::<SegmentEvent>());
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
        for kind in (0..=u8::MAX).filter(|&kind| kind != Kind::Segment as u8 && kind != Kind::Http as u8) {
            assert_eq!(Event::from_bytes(&[kind; 256]), Err(DecodeError::Kind(kind)));
        }
    }
}
