//! Bytes that arrive out of order, held until the message scanner can read them in the order of the stream.
//!
//! What came first counts where segments overlap. A gap is given up when the receiver has acknowledged it, so that it
//! will not be sent again, when too much is held, and at the end: the scanner then says that it has lost its place.

use std::collections::{BTreeMap, HashMap};

use tracer_common::{
    event::EventHeader,
    flow::{FlowKey, Half, half},
    http::{MAX_STEPS, Room, Scan, Steps, state},
};

use super::Told;

/// Held at most of one direction, in bytes: more than a receive window is not sent beyond a gap, and few are larger.
const MAX_HELD: usize = 4 * 1024 * 1024;

/// Held at most in total, in bytes.
const MAX_HELD_IN_TOTAL: usize = 64 * 1024 * 1024;

/// What a piece costs beside its bytes, in bytes, so that many small ones are bounded too.
const PIECE_COST: usize = 128;

/// One direction of a connection.
pub(super) type Direction = (FlowKey, bool);

/// What is held of all connections.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    held: HashMap<Direction, Held>,
    cost: usize,
}

/// What is held of one direction.
#[derive(Debug, Default)]
struct Held {
    /// The incarnation of the connection.
    flow: u64,
    /// By stream offset; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
    cost: usize,
}

/// Payload that was not sent before.
#[derive(Debug)]
struct Piece {
    header: EventHeader,
    fresh: u32,
    /// Bytes of the stream; `bytes` may be fewer where the frame was cut.
    len: u64,
    bytes: Box<[u8]>,
}

impl Reassembly {
    /// Whether anything is held.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Scans the payload of `frame` that `room` describes, or holds it, and scans what it makes readable.
    pub(super) fn on_segment(
        &mut self,
        frame: &[u8],
        told: &Told,
        half: &mut Half,
        peer: &Half,
        room: &mut Room,
    ) {
        let header = room.event.facts.header;
        let direction = (header.key, header.from_low == 1);
        if self.held.get(&direction).is_some_and(|held| held.flow != header.flow) {
            self.remove(&direction);
        }
        if !self.held.contains_key(&direction) && can_read(half, room.start) {
            scan(frame, told, half, peer, room);
            return;
        }
        let mut held = self.remove(&direction).unwrap_or_default();
        held.flow = header.flow;
        held.insert(frame, room);
        let full = held.cost > MAX_HELD || held.cost + self.cost > MAX_HELD_IN_TOTAL;
        self.put(direction, held);
        self.release(&direction, header.time, full, told, half, peer, room);
    }

    /// Scans what is held of `direction` as far as it can be read; `all`: beyond every gap.
    #[expect(clippy::too_many_arguments, reason = "what a scan needs, and what for")]
    pub(super) fn release(
        &mut self,
        direction: &Direction,
        now: u64,
        all: bool,
        told: &Told,
        half: &mut Half,
        peer: &Half,
        room: &mut Room,
    ) {
        let Some(mut held) = self.remove(direction) else { return };
        while let Some(first) = held.pieces.first_entry() {
            let start = *first.key();
            room.event.facts.header = first.get().header;
            room.event.facts.header.time = now;
            if !can_read(half, start) {
                if !all && !is_acknowledged(half, peer) {
                    break;
                }
                Scan::new(&[][..], told, half, peer, room).exhausted();
            }
            let piece = first.remove();
            held.cost -= piece.cost();
            (room.start, room.end) = (start, start + piece.len);
            (room.payload_offset, room.fresh) = (0, piece.fresh);
            if half.http.wants(room.end) {
                scan(&piece.bytes, told, half, peer, room);
            }
        }
        if !held.pieces.is_empty() {
            self.put(*direction, held);
        }
    }

    /// The directions of which something is held, and the incarnations they belong to; in the order of their connections.
    pub(super) fn directions(&self) -> Vec<(u64, Direction)> {
        let mut all: Vec<_> = self.held.iter().map(|(direction, held)| (held.flow, *direction)).collect();
        all.sort_by_key(|(flow, (key, from_low))| {
            (*flow, key.low, key.high, key.low_port, key.high_port, *from_low)
        });
        all
    }

    /// Forgets what is held of one incarnation of a connection.
    pub(super) fn forget(&mut self, key: &FlowKey, flow: u64) {
        for from_low in [false, true] {
            if self.held.get(&(*key, from_low)).is_some_and(|held| held.flow == flow) {
                self.remove(&(*key, from_low));
            }
        }
    }

    fn put(&mut self, direction: Direction, held: Held) {
        self.cost += held.cost;
        self.held.insert(direction, held);
    }

    fn remove(&mut self, direction: &Direction) -> Option<Held> {
        let held = self.held.remove(direction)?;
        self.cost -= held.cost;
        Some(held)
    }
}

impl Held {
    /// Keeps the parts of the payload that are not there yet.
    fn insert(&mut self, frame: &[u8], room: &Room) {
        let payload = frame.get(room.payload_offset as usize..).unwrap_or_default();
        let part = |from: u64, to: u64| {
            let index =
                |at: u64| usize::try_from(at - room.start).map_or(payload.len(), |at| at.min(payload.len()));
            payload.get(index(from)..index(to)).unwrap_or_default()
        };
        let mut at = room.start;
        while at < room.end {
            let before = self.pieces.range(..=at).next_back().map_or(0, |(start, piece)| start + piece.len);
            if before > at {
                at = before;
                continue;
            }
            let end = self.pieces.range(at..).next().map_or(room.end, |(start, _)| room.end.min(*start));
            let bytes = part(at, end).into();
            let header = room.event.facts.header;
            let piece = Piece { header, fresh: room.fresh, len: end - at, bytes };
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

/// Whether the scanner can do something with bytes from stream offset `start` on.
fn can_read(half: &Half, start: u64) -> bool {
    matches!(half.http.state, state::LOST | state::PREAMBLE) || start <= half.http.position
}

/// Whether the receiver has the byte that the scanner waits for.
fn is_acknowledged(half: &Half, peer: &Half) -> bool {
    peer.counters.flags & half::ACKED != 0 && half.offset_of(peer.counters.ack) > half.http.position
}

/// Runs the scanner over the payload that `room` describes.
pub(super) fn scan(frame: &[u8], told: &Told, half: &mut Half, peer: &Half, room: &mut Room) {
    let mut scan = Scan::new(frame, told, half, peer, room);
    // As `bpf_loop` counts: when the last step allowed ends the work, it looks as if there were more to do.
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

    fn room(start: u64, end: u64) -> Room {
        let mut room = Room::BLANK;
        (room.start, room.end) = (start, end);
        room
    }

    #[test]
    fn where_segments_overlap_what_came_first_is_kept() {
        let mut held = Held::default();
        for (start, bytes) in [
            (10, &b"bbbb"[..]),
            (20, b"dddd"),
            (8, b"AAAAAA"),
            (12, b"CCCCCCCCCCCC"),
            (10, b"xxxx"),
            (23, b"EEE"),
        ] {
            held.insert(bytes, &room(start, start + bytes.len() as u64));
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
    fn a_cut_frame_is_held_with_its_length_on_the_wire() {
        let mut held = Held::default();
        held.insert(b"abc", &room(10, 20));
        held.insert(b"0123456789", &room(15, 25));
        let pieces: Vec<_> =
            held.pieces.iter().map(|(start, piece)| (*start, piece.len, &*piece.bytes)).collect();
        assert_eq!(pieces, [(10, 10, &b"abc"[..]), (20, 5, b"56789")]);
    }
}
