//! Event streams as in the ring buffer, made from synthetic frames by the kernel's logic on the
//! host.

use tracer_common::{
    event::{Event, Hook},
    wire::{LinkType, TcpFlags},
};
use tracer_core::host::{HostObserver, Selection};

/// Number of simultaneous conversations.
const CONCURRENT: usize = 1000;
/// Time between two frames in ns: half a million frames per second.
const PACE: u64 = 2_000;
/// TCP payload of a full segment in bytes.
const SEGMENT: usize = 1448;
/// Size of a response in bytes, header and content.
const RESPONSE: usize = 3 * SEGMENT;

/// Pseudorandom numbers (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// The parts of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The server answers with a SYN-ACK.
    pub(crate) answered: bool,
    /// The client completes the handshake.
    pub(crate) confirmed: bool,
    /// Number of exchanges.
    pub(crate) exchanges: usize,
    /// Both sides close.
    pub(crate) closed: bool,
}

/// A connection of one client with the server, frame by frame.
pub(crate) struct Conversation {
    client: [u8; 6],
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    frames: std::vec::IntoIter<(bool, TcpFlags, Vec<u8>)>,
}

impl Conversation {
    /// The conversation with this number. Each has a different client endpoint.
    pub(crate) fn new(number: usize, plan: Plan) -> Self {
        let [_, a, b, c] = (number as u32).to_be_bytes();
        let port = 1024 + (number % 60_000) as u16;
        let [high, low] = port.to_be_bytes();
        Self {
            client: [10, a, b, c, high, low],
            next: [number as u32 ^ 0x5555_5555, !(number as u32)],
            frames: frames(number, plan).into_iter(),
        }
    }

    /// Passes the next frame to the observer; returns false after the last frame.
    pub(crate) fn step(&mut self, observer: &mut HostObserver, time: u64) -> bool {
        let Some((from_client, flags, payload)) = self.frames.next() else { return false };
        let own = usize::from(!from_client);
        let frame = frame(self.client, from_client, self.next[own], self.next[1 - own], flags, &payload);
        let numbers = payload.len() as u32 + u32::from(flags.intersects(TcpFlags::SYN | TcpFlags::FIN));
        self.next[own] = self.next[own].wrapping_add(numbers);
        let seen = observer.observe(&frame, frame.len(), LinkType::Ethernet, 1, Hook::TcIngress, time);
        assert_eq!(seen, Ok(()), "a valid frame");
        true
    }
}

/// The frames of a conversation: whether from the client, control bits, payload.
fn frames(number: usize, plan: Plan) -> Vec<(bool, TcpFlags, Vec<u8>)> {
    const ACK: TcpFlags = TcpFlags::ACK;
    let mut frames = vec![(true, TcpFlags::SYN, Vec::new())];
    if plan.answered {
        frames.push((false, TcpFlags::SYN | ACK, Vec::new()));
    }
    if plan.confirmed {
        frames.push((true, ACK, Vec::new()));
    }
    for exchange in 0..plan.exchanges {
        frames.push((true, ACK | TcpFlags::PSH, request(number, exchange)));
        frames.extend(response().chunks(SEGMENT).map(|bytes| (false, ACK, bytes.to_vec())));
        frames.push((true, ACK, Vec::new()));
    }
    if plan.closed {
        frames.push((false, TcpFlags::FIN | ACK, Vec::new()));
        frames.push((true, TcpFlags::FIN | ACK, Vec::new()));
        frames.push((false, ACK, Vec::new()));
    }
    frames
}

/// A typical request of a browser.
fn request(number: usize, exchange: usize) -> Vec<u8> {
    format!(
        "GET /articles/{number}/picture-{exchange}.jpg?width=640&height=480 HTTP/1.1\r\nHost: www.example.org\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
         Referer: http://www.example.org/articles/{number}/\r\nCookie: session=0123456789abcdef\r\n\
         Priority: u=5, i\r\n\r\n"
    )
    .into_bytes()
}

/// A typical response of a server.
fn response() -> Vec<u8> {
    let head = |len| {
        format!(
            "HTTP/1.1 200 OK\r\nServer: nginx/1.26.0\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\
             Content-Type: image/jpeg\r\nContent-Length: {len:8}\r\nConnection: keep-alive\r\n\
             Last-Modified: Mon, 23 Nov 2026 12:00:00 GMT\r\nETag: \"6561f0c0-f2a\"\r\n\
             Cache-Control: max-age=3600\r\nAccept-Ranges: bytes\r\n\r\n"
        )
    };
    let mut bytes = head(RESPONSE - head(0).len()).into_bytes();
    bytes.resize(RESPONSE, b'x');
    bytes
}

/// An IPv4 packet in Ethernet, without checksums; a SYN has the options of Linux.
fn frame(client: [u8; 6], from_client: bool, seq: u32, ack: u32, flags: TcpFlags, payload: &[u8]) -> Vec<u8> {
    const SERVER: [u8; 6] = [192, 0, 2, 1, 0, 80];
    const OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let (from, to) = if from_client { (client, SERVER) } else { (SERVER, client) };
    let options = if flags.contains(TcpFlags::SYN) { &OPTIONS[..] } else { &[] };
    let ack = if flags.contains(TcpFlags::ACK) { ack } else { 0 };
    let tcp_len = 20 + options.len();
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    bytes.extend(((20 + tcp_len + payload.len()) as u16).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend([&from[..4], &to[..4], &from[4..], &to[4..]].concat());
    bytes.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    bytes.extend([(tcp_len as u8 / 4) << 4, flags.bits(), 1, 246, 0, 0, 0, 0]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

/// An observer without limits, because only the tracker after it is measured.
pub(crate) fn observer() -> HostObserver {
    HostObserver::new(Selection {
        max_connections: usize::MAX,
        max_unconfirmed: usize::MAX,
        ..Selection::default()
    })
}

/// Consecutive events, as in the ring buffer.
#[derive(Default)]
pub(crate) struct Events {
    bytes: Vec<u8>,
    /// The end offset of each event.
    ends: Vec<usize>,
}

impl Events {
    /// The number of events.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of each event.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.ends.push(self.bytes.len());
    }
}

/// At least `count` events of interleaved conversations, which follow `plans` in turn. No new
/// conversation starts after `count` events, and those in progress are completed.
pub(crate) fn interleaved(plans: &[Plan], count: usize) -> Events {
    let mut observer = observer();
    let mut random = Random(1);
    let mut number = 0;
    let mut begin = || {
        number += 1;
        Conversation::new(number, plans[number % plans.len()])
    };
    let mut events = Events::default();
    let mut active: Vec<Conversation> = (0..CONCURRENT).map(|_| begin()).collect();
    let mut time = 1;
    while !active.is_empty() {
        time += PACE;
        let at = random.below(active.len());
        if !active[at].step(&mut observer, time) {
            if events.len() < count {
                active[at] = begin();
            } else {
                active.swap_remove(at);
            }
        }
        while let Some(event) = observer.next_event() {
            events.push(&event);
        }
    }
    events
}

/// The time of an event in ns.
pub(crate) fn time_of(bytes: &[u8]) -> u64 {
    Event::from_bytes(bytes).map_or(0, |event| event.header().time)
}
