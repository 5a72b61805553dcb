//! Conversations generated from a seed: plausible segments, and altered ones.

use super::{
    build::*,
    talk::{Conversation, Talk},
};

/// A pseudo-random number generator (splitmix64): a seed gives the same numbers everywhere.
pub(crate) struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Parts of messages, combined in random order.
const PIECES: [&[u8]; 30] = [
    b"GET / HTTP/1.1\r\n",
    b"GET /a?b=c HTTP/1.0\n",
    b"HEAD / HTTP/1.1\r\n",
    b"POST /p HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 404\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"Content-Length: 5\r\n",
    b"content-length: 300\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Cookie: a=b\r\n",
    b"Tea: black\r\n",
    b"\r\n",
    b"\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nTrailer: a\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\x1b[31m\xff HTTP/1.1\r\n",
    b"GET http://u:p@a/\xe2\x80\xae HTTP/1.1\r\n",
    b"Host: u:p@\x1b]0;a\x07\r\n",
    b"Content-Length: 18446744073709551615\r\n",
];

/// One conversation.
pub(crate) fn conversation(seed: u64) -> Conversation {
    let mut random = Random::new(seed);
    let first = [random.next() as u32, random.next() as u32];
    let port = 40_000 + random.below(4) as u16;
    let mut talk = if random.once_in(4) { Talk::new(port, first) } else { Talk::connected(port, first) };
    for _ in 0..random.below(24) {
        step(&mut random, &mut talk);
    }
    talk.done(None, format!("random conversation {seed}"))
}

/// One segment, sometimes altered or mutated.
fn step(random: &mut Random, talk: &mut Talk) {
    talk.on_second(random.once_in(8));
    let side = random.below(2);
    let flags = match random.below(40) {
        0 => random.below(256) as u8,
        1 => FIN | ACK,
        2 => RST,
        3 => SYN,
        4 => SYN | ACK,
        _ => ACK,
    };
    let payload = payload(random);
    if random.once_in(3) {
        let before = talk.segment(side, flags, &payload);
        let tcp = off_by_a_little(random, before);
        let frame = if random.once_in(8) { tcp.frame6() } else { tcp.frame() };
        let frame = if random.once_in(3) { mutated(random, frame) } else { frame };
        talk.put_frame(frame);
    } else {
        talk.send(side, flags, &payload);
    }
    if random.once_in(30) {
        // Simulate a gap in the capture.
        talk.next[side] = talk.next[side].wrapping_add(random.below(5_000) as u32);
    }
    if random.once_in(40) {
        talk.next = [random.next() as u32, random.next() as u32];
        talk.send(0, SYN, b"");
    }
}

fn payload(random: &mut Random) -> Vec<u8> {
    if random.once_in(3) {
        return Vec::new();
    }
    let mut payload = Vec::new();
    for _ in 0..=random.below(6) {
        payload.extend(random.pick(&PIECES));
    }
    if random.once_in(6) {
        payload.resize(payload.len() + random.below(1500), b'x');
    }
    if random.once_in(3) {
        payload.truncate(random.below(payload.len() + 1));
    }
    payload
}

/// A retransmission, a segment ahead of the sequence, or one with other numbers.
fn off_by_a_little(random: &mut Random, tcp: Tcp) -> Tcp {
    let distance = |random: &mut Random| (random.below(600) as u32).wrapping_sub(300);
    let (seq, ack) = (tcp.seq.wrapping_add(distance(random)), tcp.ack.wrapping_add(distance(random)));
    match random.below(8) {
        0 => Tcp { seq, ..tcp },
        1 => Tcp { ack, ..tcp },
        2 => Tcp { window: 0, ..tcp },
        3 => Tcp { options: vec![random.below(256) as u8; 4 * random.below(11)], ..tcp },
        4 => Tcp { seq: tcp.seq.wrapping_sub(1), ..tcp },
        5 => Tcp { seq: random.next() as u32, ack: random.next() as u32, ..tcp },
        _ => tcp,
    }
}

/// `frame` with some bytes changed, most of them in the headers, and sometimes truncated.
fn mutated(random: &mut Random, mut frame: Vec<u8>) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let range = if random.once_in(4) { frame.len() } else { frame.len().min(60) };
        let at = random.below(range);
        frame[at] = if random.once_in(2) { random.next() as u8 } else { frame[at] ^ (1 << random.below(8)) };
    }
    if random.once_in(6) {
        frame.truncate(random.below(frame.len()));
    }
    frame
}
