//! Any bytes in both directions in segments of any length: each exchange has a message header, and
//! segment boundaries do not change the reported exchanges.
#![no_main]

#[path = "../../tracer/tests/support/packet.rs"]
mod packet;

use libfuzzer_sys::fuzz_target;
use packet::{ACK, FIN, SYN, packet};
use tracer_common::{event::Marks, wire::LinkType};
use tracer_fuzz::{Path, Reported, pieces};

/// Size of both streams together in bytes, within the scanner's limit of steps for one segment.
const MAX_INPUT: usize = 8 * 1024;

/// Marks of resynchronisation, which depends on segment boundaries because it searches where
/// segments start.
const GUESSED: Marks = Marks::LOST_SYNC
    .union(Marks::RESYNCED)
    .union(Marks::NOT_HTTP)
    .union(Marks::UNSOLICITED)
    .union(Marks::SUSPECT)
    .union(Marks::ABANDONS);

/// A connection under observation.
#[derive(Default)]
struct Wire {
    path: Path,
    reported: Reported,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
}

impl Wire {
    fn segment(&mut self, server: bool, flags: u8, payload: &[u8]) {
        let packet = packet(&mut self.next, server, flags, payload);
        self.path.frame(&packet, packet.len(), LinkType::RawIp, 1000, &mut self.reported);
    }

    /// Runs the whole connection, each piece cut into segments of `size` bytes or of the size in
    /// its control byte.
    fn run(input: &[u8], size: Option<usize>) -> Reported {
        let mut wire = Self { next: [u32::MAX - 5, 77], ..Self::default() };
        wire.segment(false, SYN, &[]);
        wire.segment(true, SYN | ACK, &[]);
        wire.segment(false, ACK, &[]);
        for (control, bytes) in pieces(input) {
            let size = size.unwrap_or(usize::from(control >> 1).max(1));
            for part in bytes.chunks(size) {
                wire.segment(control & 1 == 1, ACK, part);
            }
        }
        for server in [true, false] {
            wire.segment(server, FIN | ACK, &[]);
        }
        wire.segment(true, ACK, &[]);
        let Self { path, mut reported, .. } = wire;
        path.finish(&mut reported);
        reported
    }
}

fuzz_target!(|input: &[u8]| {
    let input = &input[..input.len().min(MAX_INPUT)];
    let cut = Wire::run(input, None);
    assert!(cut.exchanges <= cut.heads, "{} exchanges of {} message headers", cut.exchanges, cut.heads);
    let whole = Wire::run(input, Some(MAX_INPUT));
    if ((cut.marks | whole.marks) & GUESSED).is_empty() {
        assert_eq!(cut.transcript, whole.transcript, "the same bytes in small and large segments");
    }
});
