//! Any bytes in both directions in segments of any length: each exchange has a message header, and
//! segment boundaries do not change the reported exchanges.
#![no_main]

use libfuzzer_sys::fuzz_target;
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

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;

/// A connection from port 40000 to port 80.
#[derive(Default)]
struct Wire {
    path: Path,
    reported: Reported,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
}

impl Wire {
    fn segment(&mut self, server: bool, flags: u8, payload: &[u8]) {
        let (own, other) = (usize::from(server), usize::from(!server));
        let (ports, hosts) = if server { ([80, 40_000], [2, 1]) } else { ([40_000, 80], [1, 2]) };
        let len = u16::try_from(40 + payload.len()).expect("short");
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend(hosts.map(|host| [10, 0, 0, host]).as_flattened());
        packet.extend(ports.map(u16::to_be_bytes).as_flattened());
        packet.extend(self.next[own].to_be_bytes());
        packet.extend(if flags & ACK == 0 { 0 } else { self.next[other] }.to_be_bytes());
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(payload);
        let used = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.next[own] = self.next[own].wrapping_add(used);
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
