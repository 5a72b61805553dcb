//! Holds payload that arrives out of order until the message scanner can read it in stream order.
//!
//! If segments overlap, the first one counts. A gap is skipped when the receiver has acknowledged it, so that
//! it will not be retransmitted, when too much is held, and at the end: the scanner then loses
//! synchronisation.

use std::collections::{BTreeMap, HashMap};

use tracer_common::{
    event::EventHeader,
    flow::{FlowKey, Half, half},
    http::{MAX_STEPS, Room, Scan, Steps, state},
};

use super::EventQueue;

/// The most bytes held of one stream: a sender sends at most a receive window beyond a gap, and few are
/// larger.
const MAX_HELD: usize = 4 * 1024 * 1024;

/// The most bytes held in total.
const MAX_HELD_IN_TOTAL: usize = 64 * 1024 * 1024;

/// What a piece costs besides its bytes, so that many small ones are limited too.
const PIECE_COST: usize = 128;

/// One stream of a connection: the sender is the lower endpoint, or the higher one.
pub(super) type StreamKey = (FlowKey, bool);

/// The payload held of all connections.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    held: HashMap<StreamKey, Held>,
    cost: usize,
}

/// The payload held of one stream.
#[derive(Debug, Default)]
struct Held {
    /// The incarnation of the connection.
    flow: u64,
    /// By stream offset; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
    cost: usize,
}

/// A piece of payload.
#[derive(Debug)]
struct Piece {
    header: EventHeader,
    fresh: u32,
    /// Bytes of the stream; `bytes` may be fewer if the frame was truncated.
    len: u64,
    bytes: Box<[u8]>,
}

impl Reassembly {
    /// Whether anything is held.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Scans the payload of `frame` that `buffer` describes, or holds it, and scans what becomes readable.
    pub(super) fn on_segment(
        &mut self,
        frame: &[u8],
        output: &EventQueue,
        half: &mut Half,
        peer: &Half,
        buffer: &mut Room,
    ) {
        let header = buffer.event.facts.header;
        let stream = (header.key, header.from_low == 1);
        if self.held.get(&stream).is_some_and(|held| held.flow != header.flow) {
            self.remove(&stream);
        }
        if !self.held.contains_key(&stream) && can_read(half, buffer.start) {
            scan(frame, output, half, peer, buffer);
            return;
        }
        let mut held = self.remove(&stream).unwrap_or_default();
        held.flow = header.flow;
        held.insert(frame, buffer);
        let full = held.cost > MAX_HELD || held.cost + self.cost > MAX_HELD_IN_TOTAL;
        self.put(stream, held);
        self.release(&stream, header.time, full, output, half, peer, buffer);
    }

    /// Scans the held payload of `stream` as far as it can be read; `all`: beyond every gap.
    #[expect(clippy::too_many_arguments, reason = "a scan needs all of them")]
    pub(super) fn release(
        &mut self,
        stream: &StreamKey,
        now: u64,
        all: bool,
        output: &EventQueue,
        half: &mut Half,
        peer: &Half,
        buffer: &mut Room,
    ) {
        let Some(mut held) = self.remove(stream) else { return };
        while let Some(first) = held.pieces.first_entry() {
            let start = *first.key();
            buffer.event.facts.header = first.get().header;
            buffer.event.facts.header.time = now;
            if !can_read(half, start) {
                if !all && !is_acknowledged(half, peer) {
                    break;
                }
                Scan::new(&[][..], output, half, peer, buffer).exhausted();
            }
            let piece = first.remove();
            held.cost -= piece.cost();
            (buffer.start, buffer.end) = (start, start + piece.len);
            (buffer.payload_offset, buffer.fresh) = (0, piece.fresh);
            if half.http.wants(buffer.end) {
                scan(&piece.bytes, output, half, peer, buffer);
            }
        }
        if !held.pieces.is_empty() {
            self.put(*stream, held);
        }
    }

    /// The streams with held payload, and their incarnations, in the order of their connections.
    pub(super) fn streams(&self) -> Vec<(u64, StreamKey)> {
        let mut all: Vec<_> = self.held.iter().map(|(stream, held)| (held.flow, *stream)).collect();
        all.sort_by_key(|(flow, (key, from_low))| {
            (*flow, key.low, key.high, key.low_port, key.high_port, *from_low)
        });
        all
    }

    /// Drops the held payload of one incarnation of a connection.
    pub(super) fn drop_incarnation(&mut self, key: &FlowKey, flow: u64) {
        for from_low in [false, true] {
            if self.held.get(&(*key, from_low)).is_some_and(|held| held.flow == flow) {
                self.remove(&(*key, from_low));
            }
        }
    }

    fn put(&mut self, stream: StreamKey, held: Held) {
        self.cost += held.cost;
        self.held.insert(stream, held);
    }

    fn remove(&mut self, stream: &StreamKey) -> Option<Held> {
        let held = self.held.remove(stream)?;
        self.cost -= held.cost;
        Some(held)
    }
}

impl Held {
    /// Holds the parts of the payload that are new.
    fn insert(&mut self, frame: &[u8], buffer: &Room) {
        let payload = frame.get(buffer.payload_offset as usize..).unwrap_or_default();
        let part = |from: u64, to: u64| {
            let index = |at: u64| {
                usize::try_from(at - buffer.start).map_or(payload.len(), |at| at.min(payload.len()))
            };
            payload.get(index(from)..index(to)).unwrap_or_default()
        };
        let mut at = buffer.start;
        while at < buffer.end {
            let before = self.pieces.range(..=at).next_back().map_or(0, |(start, piece)| start + piece.len);
            if before > at {
                at = before;
                continue;
            }
            let end = self.pieces.range(at..).next().map_or(buffer.end, |(start, _)| buffer.end.min(*start));
            let bytes = part(at, end).into();
            let header = buffer.event.facts.header;
            let piece = Piece { header, fresh: buffer.fresh, len: end - at, bytes };
            self.cost += piece.cost();
            self.pieces.insert(at, piece);
            at = end;
        }
    }
}

impl Piece {
    fn cost(&self) -> usize {
        self.bytes.len() + PIECE_COST
    }
}

/// Whether the scanner can read bytes from stream offset `start`.
fn can_read(half: &Half, start: u64) -> bool {
    matches!(half.http.state, state::LOST | state::PREAMBLE) || start <= half.http.position
}

/// Whether the receiver has acknowledged the byte that the scanner waits for.
fn is_acknowledged(half: &Half, peer: &Half) -> bool {
    peer.counters.flags & half::ACKED != 0 && half.offset_of(peer.counters.ack) > half.http.position
}

/// Runs the scanner over the payload that `buffer` describes.
pub(super) fn scan(frame: &[u8], output: &EventQueue, half: &mut Half, peer: &Half, buffer: &mut Room) {
    let mut scan = Scan::new(frame, output, half, peer, buffer);
    // As with `bpf_loop`: if the last step that is allowed finishes, the work counts as unfinished.
    let mut left = MAX_STEPS;
    while left > 0 {
        left -= 1;
        if scan.step().is_break() {
            break;
        }
    }
    if left == 0 {
        scan.exhausted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(start: u64, end: u64) -> Room {
        let mut buffer = Room::BLANK;
        (buffer.start, buffer.end) = (start, end);
        buffer
    }

    #[test]
    fn of_overlapping_segments_the_first_is_kept() {
        let mut held = Held::default();
        for (start, bytes) in [
            (10, &b"bbbb"[..]),
            (20, b"dddd"),
            (8, b"AAAAAA"),
            (12, b"CCCCCCCCCCCC"),
            (10, b"xxxx"),
            (23, b"EEE"),
        ] {
            held.insert(bytes, &buffer(start, start + bytes.len() as u64));
        }
        let stream: Vec<u8> = held.pieces.values().flat_map(|piece| piece.bytes.iter().copied()).collect();
        assert_eq!(stream, b"AAbbbbCCCCCCddddEE");
        let mut end = 8;
        for (start, piece) in &held.pieces {
            assert_eq!(*start, end);
            end = start + piece.len;
        }
        assert_eq!(end, 26);
        assert_eq!(held.cost, held.pieces.values().map(Piece::cost).sum::<usize>());
    }

    #[test]
    fn a_truncated_frame_is_held_with_its_length_on_the_wire() {
        let mut held = Held::default();
        held.insert(b"abc", &buffer(10, 20));
        held.insert(b"0123456789", &buffer(15, 25));
        let pieces: Vec<_> =
            held.pieces.iter().map(|(start, piece)| (*start, piece.len, &*piece.bytes)).collect();
        assert_eq!(pieces, [(10, 10, &b"abc"[..]), (20, 5, b"56789")]);
    }
}
