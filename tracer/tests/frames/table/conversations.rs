//! Sequences of frames that are observed with the same tables.

use super::build::*;

/// One frame of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// An Ethernet frame.
    pub(crate) frame: Vec<u8>,
    /// Whether it is seen on the second interface.
    pub(crate) second: bool,
}

/// Frames in their order.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    /// What happens, as a sentence.
    pub(crate) says: String,
    /// The frames.
    pub(crate) steps: Vec<Step>,
    /// How many complete heads are to be told, of the client and of the server, where that is known.
    pub(crate) heads: Option<[usize; 2]>,
}

const GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example\r\n\r\n";
const CACHED: &[u8] = b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";
/// The largest payload in these frames: what a frame of 60 KiB holds, as receive offload makes them.
const LARGE: usize = 60 * 1024;

/// A conversation being written.
#[derive(Clone)]
pub(crate) struct Talk {
    steps: Vec<Step>,
    /// The next sequence numbers of the client and of the server.
    pub(crate) next: [u32; 2],
    port: u16,
    second: bool,
}

impl Talk {
    /// Between `port` and the traced port, with these first sequence numbers.
    pub(super) fn new(port: u16, next: [u32; 2]) -> Self {
        Self { steps: Vec::new(), next, port, second: false }
    }

    /// After the handshake.
    pub(crate) fn connected(port: u16, next: [u32; 2]) -> Self {
        let mut talk = Self::new(port, next);
        talk.client(SYN, b"");
        talk.server(SYN | ACK, b"");
        talk.client(ACK, b"");
        talk
    }

    /// A segment from the client (0) or the server (1), with the numbers that come next.
    pub(crate) fn segment(&self, side: usize, flags: u8, payload: &[u8]) -> Tcp {
        let (from, to) = if side == 0 { (self.port, SERVER_PORT) } else { (SERVER_PORT, self.port) };
        let ack = if flags & ACK == 0 { 0 } else { self.next[1 - side] };
        let seq = self.next[side];
        Tcp { from, to, seq, ack, flags, payload: payload.to_vec(), ..Tcp::default() }
    }

    /// Sends a segment and counts its bytes, SYN and FIN.
    pub(super) fn send(&mut self, side: usize, flags: u8, payload: &[u8]) {
        let tcp = self.segment(side, flags, payload);
        let taken = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.next[side] = self.next[side].wrapping_add(taken);
        self.put(&tcp);
    }

    fn client(&mut self, flags: u8, payload: &[u8]) {
        self.send(0, flags, payload);
    }

    fn server(&mut self, flags: u8, payload: &[u8]) {
        self.send(1, flags, payload);
    }

    /// Sends a segment as it is.
    pub(super) fn put(&mut self, tcp: &Tcp) {
        self.put_frame(tcp.frame());
    }

    pub(super) fn put_frame(&mut self, frame: Vec<u8>) {
        self.steps.push(Step { frame, second: self.second });
    }

    /// From here on, frames are seen on the second interface, or on the first again.
    pub(super) fn on_second(&mut self, second: bool) {
        self.second = second;
    }

    fn close(&mut self) {
        self.client(FIN | ACK, b"");
        self.server(FIN | ACK, b"");
        self.client(ACK, b"");
    }

    /// The conversation so far.
    pub(crate) fn done(self, heads: impl Into<Option<[usize; 2]>>, says: impl Into<String>) -> Conversation {
        Conversation { says: says.into(), steps: self.steps, heads: heads.into() }
    }
}

fn response(content: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    [head.as_bytes(), content].concat()
}

/// Every conversation.
pub(crate) fn conversations() -> Vec<Conversation> {
    let mut all = vec![page(0), page(0xffff_fff0), flood(), reuse(), refused()];
    all.extend([coalesced(), byte_by_byte(), content_out_of_order(), head_out_of_order(), retransmissions()]);
    all.extend([
        windows(),
        resets(),
        twice_seen(),
        taken_over(),
        midstream(),
        half_seen(),
        simultaneous_open(),
    ]);
    all.extend([forged_syn(), long_head(), chunked(), tiny_chunks(), empty_lines(), tunnel(), until_close()]);
    all.push(older_than_the_pick_up());
    all.extend([closing_with_old_acknowledgment(), reuse_on_two_interfaces(), head_request()]);
    all
}

fn page(first: u32) -> Conversation {
    let mut talk = Talk::connected(40_000, [first, first.wrapping_add(3)]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK, b"");
    let page = response(&[b'x'; 4000]);
    for piece in page.chunks(1448) {
        talk.server(ACK, piece);
        talk.client(ACK, b"");
    }
    for _ in 0..2 {
        talk.client(ACK | PSH, GET);
        talk.server(ACK | PSH, CACHED);
    }
    talk.close();
    talk.done([3, 3], format!("a page and two cached pictures, from sequence number {first:#x}"))
}

fn flood() -> Conversation {
    let mut talk = Talk::new(0, [0, 0]);
    for number in 0..1000u16 {
        talk.put(&Tcp {
            from: 20_000 + number,
            flags: SYN,
            seq: u32::from(number) << 20,
            ack: 0,
            ..Tcp::default()
        });
    }
    talk.done([0, 0], "a thousand handshakes never confirmed")
}

fn reuse() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.close();
    talk.next = [70_000, 90_000];
    for (side, flags) in [(0, SYN), (1, SYN | ACK), (0, ACK)] {
        talk.send(side, flags, b"");
    }
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(b"again"));
    talk.close();
    talk.done([2, 2], "the same ports again, after the close")
}

fn refused() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 0]);
    talk.client(SYN, b"");
    talk.server(RST | ACK, b"");
    talk.next = [900, 0];
    talk.client(SYN, b"");
    talk.server(RST | ACK, b"");
    talk.done([0, 0], "two connections refused")
}

fn coalesced() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &[GET, GET, GET, GET].concat());
    let mut answers = [response(&[b'y'; 30_000]), CACHED.to_vec(), response(b"")].concat();
    answers.extend(response(&vec![b'z'; LARGE - answers.len() - 300]));
    answers.extend(CACHED);
    talk.server(ACK, &answers);
    talk.client(ACK, b"");
    talk.done([4, 5], "pipelined requests with their responses coalesced in one large segment")
}

fn byte_by_byte() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    for byte in GET {
        talk.client(ACK | PSH, &[*byte]);
    }
    for byte in response(b"hello") {
        talk.server(ACK | PSH, &[byte]);
    }
    talk.client(ACK, b"");
    talk.done([1, 1], "heads split into segments of one byte")
}

fn content_out_of_order() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    let page = response(&[b'x'; 5000]);
    let pieces: Vec<Tcp> = page
        .chunks(1000)
        .map(|piece| {
            let tcp = talk.segment(1, ACK, piece);
            talk.next[1] = talk.next[1].wrapping_add(piece.len() as u32);
            tcp
        })
        .collect();
    for index in [0, 2, 1, 4, 3, 5] {
        talk.put(&pieces[index]);
    }
    talk.client(ACK, b"");
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([2, 2], "content out of order")
}

fn head_out_of_order() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    let early = talk.segment(0, ACK | PSH, &GET[..12]);
    talk.next[0] += 12;
    talk.client(ACK | PSH, &GET[12..]);
    talk.put(&early);
    talk.server(ACK, b"");
    talk.server(ACK | PSH, CACHED);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([1, 2], "a head out of order, then one in order")
}

fn retransmissions() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    let syn = talk.segment(0, SYN, b"");
    talk.put(&syn);
    talk.client(SYN, b"");
    let answer = talk.segment(1, SYN | ACK, b"");
    talk.put(&answer);
    talk.server(SYN | ACK, b"");
    talk.client(ACK, b"");
    let request = talk.segment(0, ACK | PSH, GET);
    talk.put(&request);
    talk.client(ACK | PSH, GET);
    talk.put(&Tcp { payload: GET[10..].to_vec(), seq: request.seq + 10, ..request.clone() });
    talk.put(&Tcp { payload: [GET, GET].concat(), ..request });
    talk.next[0] += GET.len() as u32;
    for _ in 0..4 {
        talk.server(ACK, b"");
    }
    talk.server(ACK | PSH, CACHED);
    let fin = talk.segment(1, FIN | ACK, b"");
    talk.put(&fin);
    talk.server(FIN | ACK, b"");
    talk.done([2, 1], "everything retransmitted, once with new data behind the old")
}

fn windows() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(&[b'x'; 1000])[..500]);
    let closed = Tcp { window: 0, ..talk.segment(0, ACK, b"") };
    talk.put(&closed);
    talk.put(&closed);
    let probe = talk.segment(1, ACK, b"");
    for payload in [b"".as_slice(), b"x"] {
        talk.put(&Tcp { seq: probe.seq - 1, payload: payload.to_vec(), ..probe.clone() });
    }
    talk.client(ACK, b"");
    talk.server(ACK | PSH, &[b'x'; 500]);
    for _ in 0..4 {
        talk.client(ACK, b"");
    }
    talk.done([1, 1], "a zero window, probes and keep-alives, and an open window")
}

fn resets() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(RST | ACK, b"no such thing");
    talk.client(ACK, b"");
    talk.client(RST, b"");
    talk.next = [5_000, 6_000];
    talk.client(SYN, b"");
    talk.client(RST, b"");
    talk.server(SYN | ACK, b"");
    talk.done([1, 0], "resets, with data and twice, and a segment after them")
}

fn twice_seen() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    for (side, flags, payload) in [
        (0, SYN, b"".as_slice()),
        (1, SYN | ACK, b""),
        (0, ACK, b""),
        (0, ACK | PSH, GET),
        (1, ACK | PSH, CACHED),
    ] {
        let tcp = talk.segment(side, flags, payload);
        talk.send(side, flags, payload);
        talk.on_second(true);
        talk.put(&tcp);
        talk.on_second(false);
    }
    talk.close();
    talk.done([1, 1], "every segment on two interfaces")
}

fn taken_over() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &GET[..20]);
    talk.on_second(true);
    talk.client(ACK | PSH, &GET[20..]);
    talk.server(ACK | PSH, CACHED);
    talk.on_second(false);
    // Old now, and not on the interface that owns the direction.
    let again = talk.segment(0, ACK, b"");
    talk.put(&again);
    talk.client(ACK | PSH, GET);
    talk.on_second(true);
    talk.close();
    talk.done([2, 1], "news on the second interface takes a direction over")
}

fn midstream() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    talk.server(ACK, &[b'x'; 700]);
    talk.client(ACK, b"");
    talk.server(ACK, &[b'x'; 700]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(b"hello"));
    talk.close();
    talk.done([2, 2], "picked up in the middle")
}

fn older_than_the_pick_up() -> Conversation {
    let mut talk = Talk::new(40_000, [10_000, 200]);
    talk.client(ACK | PSH, GET);
    let old = Tcp { seq: 9_000, ..talk.segment(0, ACK | PSH, &[0; 1020]) };
    talk.put(&old);
    talk.put(&Tcp { seq: 5_000, ..old });
    talk.client(ACK | PSH, GET);
    talk.done([2, 0], "retransmissions from before the pick-up")
}

fn half_seen() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    talk.client(SYN, b"");
    talk.next[1] = 201;
    talk.client(ACK, b"");
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.close();
    talk.done([1, 1], "the SYN-ACK was missed")
}

fn simultaneous_open() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    talk.client(SYN, b"");
    talk.server(SYN, b"");
    talk.next = [100, 200];
    talk.put(&Tcp { ack: 201, ..talk.segment(0, SYN | ACK, b"") });
    talk.put(&Tcp { ack: 101, ..talk.segment(1, SYN | ACK, b"") });
    talk.next = [101, 201];
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([1, 1], "a simultaneous open")
}

fn forged_syn() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    for side in [0, 1] {
        let forged = Tcp { seq: 77_777, ..talk.segment(side, SYN, b"") };
        talk.put(&forged);
    }
    talk.server(ACK | PSH, CACHED);
    talk.close();
    let mut flood = Talk::connected(40_001, [100, 200]);
    let forged = Tcp { seq: 88_888, ..flood.segment(0, SYN, b"") };
    flood.put(&forged);
    flood.client(ACK | PSH, GET);
    talk.steps.extend(flood.steps);
    talk.done([2, 1], "forged SYNs: a connection does not follow them, with data behind it or without")
}

fn long_head() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    while head.len() < 20_000 {
        head.extend(b"X-Field: a value that is long, but of no importance\r\n");
    }
    head.extend(b"Content-Length: 3\r\n\r\nabc");
    head.extend(GET);
    for piece in head.chunks(1448) {
        talk.client(ACK, piece);
    }
    talk.client(ACK, &head);
    talk.done([4, 0], "a head longer than is told, in many segments and in one")
}

fn chunked() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &[GET, GET].concat());
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec();
    answer.extend(b"5;name=value\r\nhello\r\n");
    answer.extend(b"400\r\n");
    answer.extend([b'x'; 0x400]);
    answer.extend(b"\r\n0\r\nTrailer: a\r\n\r\n");
    answer.extend(CACHED);
    for piece in answer.chunks(7) {
        talk.server(ACK, piece);
    }
    talk.client(ACK | PSH, &[GET, GET].concat());
    talk.server(ACK, &answer);
    talk.client(ACK | PSH, GET);
    talk.server(ACK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n");
    talk.server(ACK, CACHED);
    talk.done([5, 6], "chunked content, in small pieces, in one, and malformed")
}

/// More work than the scanner does for one segment.
fn tiny_chunks() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    while answer.len() < LARGE - 100 {
        answer.extend(b"1\r\nx\r\n");
    }
    talk.server(ACK, &answer);
    talk.server(ACK, b"0\r\n\r\n");
    talk.client(ACK | PSH, GET);
    talk.server(ACK, CACHED);
    talk.done([2, 2], "ten thousand chunks of one byte in one segment")
}

/// Every byte takes two steps: the scanner gives up.
fn empty_lines() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &vec![b'\n'; LARGE - 100]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([1, 1], "sixty thousand empty lines in one segment")
}

fn tunnel() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, b"CONNECT example:443 HTTP/1.1\r\nHost: example\r\n\r\n");
    talk.server(ACK | PSH, b"HTTP/1.1 200 OK\r\n\r\n");
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    let mut upgrade = Talk::connected(40_001, [100, 200]);
    upgrade.client(ACK | PSH, b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    upgrade.server(ACK | PSH, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello");
    upgrade.client(ACK | PSH, b"\x81\x85abcdefghi");
    talk.steps.extend(upgrade.steps);
    talk.done([2, 2], "a tunnel and an upgrade")
}

fn until_close() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, b"GET / HTTP/1.0\r\n\r\n");
    talk.server(ACK | PSH, b"HTTP/1.0 200 OK\r\n\r\nhello");
    talk.server(FIN | ACK | PSH, b", world");
    talk.client(FIN | ACK, b"");
    talk.server(ACK, b"");
    talk.done([1, 1], "content until the close")
}

fn closing_with_old_acknowledgment() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.client(FIN | ACK, b"");
    let old = Tcp { ack: 120, ..talk.segment(1, FIN | ACK, b"") };
    talk.put(&old);
    talk.next[1] += 1;
    talk.client(ACK, b"");
    talk.server(ACK, b"");
    talk.server(ACK, b"");
    talk.done([1, 1], "a FIN with an acknowledgment of long ago closes nothing")
}

fn reuse_on_two_interfaces() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(RST, b"");
    talk.next = [70_000, 90_000];
    for second in [true, false] {
        talk.on_second(second);
        let syn = talk.segment(0, SYN, b"");
        talk.put(&syn);
    }
    talk.next[0] += 1;
    talk.server(SYN | ACK, b"");
    talk.client(ACK, b"");
    talk.done([0, 0], "the same ports again, seen on two interfaces")
}

fn head_request() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(
        ACK | PSH,
        b"HEAD / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    talk.server(ACK | PSH, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    talk.client(ACK | PSH, b"hello");
    talk.server(ACK | PSH, b"HTTP/1.1 201 Created\r\nContent-Length: 2, 2\r\n\r\nok");
    talk.close();
    talk.done([2, 3], "a response to HEAD, and an interim one")
}
