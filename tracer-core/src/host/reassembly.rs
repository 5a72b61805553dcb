//! Payload that arrives out of order, held until the message scanner can read it in the order of the stream.
//!
//! Where segments overlap, the first one wins. A gap is skipped when the receiver has acknowledged it, so that it
//! will not be sent again, when too much is held, and at the end: the scanner then loses sync.

use std::collections::{BTreeMap, HashMap};

use tracer_common::{
    connection::FlowState,
    event::EventHeader,
    flow::{End, FlowKey},
    http1::{HttpHalf, MAX_STEPS, Payload, Scan, ScanBuffer, Steps, state},
};

use super::EventQueue;

/// The most bytes held of one stream: a sender sends at most a receive window beyond a gap, and few are
/// larger.
const MAX_HELD: usize = 4 * 1024 * 1024;

/// The most bytes held in total.
const MAX_HELD_IN_TOTAL: usize = 64 * 1024 * 1024;

/// What a piece costs besides its bytes, so that many small ones are limited too.
const PIECE_COST: usize = 128;

/// Acknowledged beyond every offset: every gap is skipped.
const EVERYTHING: u64 = u64::MAX;

/// One stream of a connection.
pub(super) type StreamKey = (FlowKey, End);

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
    /// Of the segment that carried it: what is found in it has its time.
    header: EventHeader,
    is_new: u16,
    after_gap: u16,
    peer_acked: u64,
    /// Bytes of the stream; `bytes` may be fewer where the frame was cut.
    len: u64,
    bytes: Box<[u8]>,
}

impl Reassembly {
    /// Whether anything is held.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Scans the payload that the scanner's buffer describes, or holds it, and scans what it makes readable.
    pub(super) fn on_segment(&mut self, frame: &[u8], scanner: &mut Scanner<'_>) {
        let header = scanner.buffer.event.facts.header;
        let stream = (header.key, header.sender());
        if self.held.get(&stream).is_some_and(|held| held.flow != header.flow) {
            self.remove(&stream);
        }
        if !self.held.contains_key(&stream) && scanner.can_read(scanner.buffer.payload.start) {
            scanner.scan(frame);
            return;
        }
        let mut held = self.remove(&stream).unwrap_or_default();
        held.flow = header.flow;
        held.insert(frame, scanner.buffer);
        let full = held.cost > MAX_HELD || held.cost + self.cost > MAX_HELD_IN_TOTAL;
        self.put(stream, held);
        let acked = match scanner.buffer.payload.acked {
            _ if full => EVERYTHING,
            Payload::NOTHING_ACKED => 0,
            acked => acked,
        };
        self.release(&stream, acked, scanner);
    }

    /// Scans all that is held of `stream`, beyond every gap.
    pub(super) fn release_all(
        &mut self,
        stream: &StreamKey,
        flow: &mut FlowState,
        output: &EventQueue,
        buffer: &mut ScanBuffer,
    ) {
        let (half, peer) = stream.1.split(&mut flow.http);
        let sender = stream.1.of_mut(&mut flow.tcp);
        buffer.event.facts.header.lost = sender.counters.lost;
        self.release(stream, EVERYTHING, &mut Scanner { output, half, peer, buffer });
        sender.counters.lost = buffer.event.facts.header.lost;
    }

    /// Scans what is held of `stream`: as far as it can be read, and beyond gaps that end before stream offset `acked`.
    fn release(&mut self, stream: &StreamKey, acked: u64, scanner: &mut Scanner<'_>) {
        let Some(mut held) = self.remove(stream) else { return };
        while let Some(first) = held.pieces.first_entry() {
            let start = *first.key();
            let header = &mut scanner.buffer.event.facts.header;
            *header = EventHeader { lost: header.lost, ..first.get().header };
            if !scanner.can_read(start) {
                if acked <= scanner.half.position {
                    break;
                }
                scanner.lose_sync();
            }
            let piece = first.remove();
            held.cost -= piece.cost();
            let Piece { is_new, after_gap, peer_acked, .. } = piece;
            let end = start + piece.len;
            scanner.buffer.payload =
                Payload { start, end, acked, peer_acked, frame_offset: 0, is_new, after_gap };
            if scanner.half.wants(scanner.peer, start, end) {
                scanner.scan(&piece.bytes);
            }
        }
        if !held.pieces.is_empty() {
            self.put(*stream, held);
        }
    }

    /// The streams of which something is held, and the incarnations they belong to; in the order of their connections.
    pub(super) fn streams(&self) -> Vec<(u64, StreamKey)> {
        let mut all: Vec<_> = self.held.iter().map(|(stream, held)| (held.flow, *stream)).collect();
        all.sort_by_key(|(flow, (key, from))| (*flow, key.low, key.high, key.low_port, key.high_port, *from));
        all
    }

    /// Drops the held payload of one incarnation of a connection.
    pub(super) fn drop_incarnation(&mut self, key: &FlowKey, flow: u64) {
        for from in End::BOTH {
            if self.held.get(&(*key, from)).is_some_and(|held| held.flow == flow) {
                self.remove(&(*key, from));
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
    /// Keeps the parts of the payload that are not there yet.
    fn insert(&mut self, frame: &[u8], buffer: &ScanBuffer) {
        let Payload { start, end, peer_acked, frame_offset, is_new, after_gap, .. } = buffer.payload;
        let payload = frame.get(frame_offset as usize..).unwrap_or_default();
        let part = |from: u64, to: u64| {
            let index =
                |at: u64| usize::try_from(at - start).map_or(payload.len(), |at| at.min(payload.len()));
            payload.get(index(from)..index(to)).unwrap_or_default()
        };
        let mut at = start;
        while at < end {
            let before = self.pieces.range(..=at).next_back().map_or(0, |(start, piece)| start + piece.len);
            if before > at {
                at = before;
                continue;
            }
            let part_end = self.pieces.range(at..).next().map_or(end, |(start, _)| end.min(*start));
            let bytes = part(at, part_end).into();
            let header = buffer.event.facts.header;
            let piece = Piece { header, is_new, after_gap, peer_acked, len: part_end - at, bytes };
            self.cost += piece.cost();
            self.pieces.insert(at, piece);
            at = part_end;
        }
    }
}

impl Piece {
    fn cost(&self) -> usize {
        self.bytes.len() + PIECE_COST
    }
}

/// The scanner of one stream.
pub(super) struct Scanner<'a> {
    pub(super) output: &'a EventQueue,
    pub(super) half: &'a mut HttpHalf,
    pub(super) peer: &'a HttpHalf,
    pub(super) buffer: &'a mut ScanBuffer,
}

impl Scanner<'_> {
    /// Scans the payload of `frame` that the buffer describes.
    pub(super) fn scan(&mut self, frame: &[u8]) {
        let mut scan = Scan::new(frame, self.output, self.half, self.peer, self.buffer);
        // As `bpf_loop` counts: if the last possible step ends the work, it looks as if more were left.
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

    /// Whether the scanner can do something with bytes from stream offset `start` on.
    fn can_read(&self, start: u64) -> bool {
        matches!(self.half.state, state::LOST | state::PREAMBLE | state::AWAIT_ANSWER)
            || start <= self.half.position
    }

    fn lose_sync(&mut self) {
        Scan::new(&[][..], self.output, self.half, self.peer, self.buffer).exhausted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(start: u64, end: u64) -> ScanBuffer {
        let mut buffer = ScanBuffer::EMPTY;
        (buffer.payload.start, buffer.payload.end) = (start, end);
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
