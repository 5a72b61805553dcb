//! The scanner on the host, given segments as the kernel sees them.

extern crate std;

mod anomalies;
mod gaps;
mod words;

use std::{
    boxed::Box,
    cell::{Cell, RefCell},
    format,
    string::String,
    vec,
    vec::Vec,
};

use super::{Framing, HttpEvent, HttpSink, MAX_HEAD, MAX_STEPS, NO_STATUS, Payload, Scan, ScanBuffer, Steps};
use crate::{
    connection::FlowState,
    event::{Marks, ScanAnomalies},
    flow::End,
    seq::Seq,
    wire::{Segment, TcpFlags},
};

const CLIENT: End = End::Low;
const SERVER: End = End::High;

/// Describes events in words.
#[derive(Default)]
struct Words {
    events: RefCell<Vec<String>>,
    head: RefCell<[Vec<u8>; 2]>,
    /// Those of all events.
    anomalies: Cell<u8>,
}

impl HttpSink for Words {
    fn emit(&self, event: &HttpEvent) -> bool {
        let facts = &event.facts;
        let has = |mark| facts.marks.contains(mark);
        self.anomalies.set(self.anomalies.get() | facts.anomalies.bits());
        let mut heads = self.head.borrow_mut();
        let head = facts.header.sender().of_mut(&mut heads);
        if has(Marks::HEAD_START) {
            head.clear();
        }
        head.extend_from_slice(&event.bytes[..usize::from(facts.len)]);
        let mut events = self.events.borrow_mut();
        if has(Marks::HEAD_END) {
            let framing = Framing::from_byte(facts.framing).expect("a framing");
            let mut words = match facts.status {
                status if has(Marks::RESPONSE) => format!("response {} {status} {framing:?}", facts.exchange),
                _ => format!("request {} {framing:?}", facts.exchange),
            };
            for (bit, word) in [
                (Marks::TRUNCATED, " truncated"),
                (Marks::RESYNCED, " resynced"),
                (Marks::UNSOLICITED, " unsolicited"),
                (Marks::BAD_LENGTH, " bad length"),
                (Marks::MALFORMED, " malformed"),
                (Marks::LEADING_SPACE, " after whitespace"),
                (Marks::ACKS_UNSEEN, " acks unseen"),
            ] {
                if has(bit) {
                    words += word;
                }
            }
            if !has(Marks::TRUNCATED) && !has(Marks::NOT_HTTP) {
                assert_eq!(facts.head_len as usize, head.len(), "all of the head is emitted");
                assert!(head.ends_with(b"\n"));
            }
            events.push(words);
        }
        if has(Marks::MESSAGE_END) {
            let kind = if has(Marks::RESPONSE) { "response" } else { "request" };
            events.push(format!("{kind} {} ends with {}", facts.exchange, facts.content));
        }
        if has(Marks::LOST_SYNC) {
            events.push("lost".into());
        }
        if has(Marks::NOT_HTTP) && !has(Marks::UNSOLICITED) {
            events.push(format!("response {} is not HTTP", facts.exchange));
        } else if has(Marks::NOT_HTTP) {
            events.push("not HTTP".into());
        }
        if has(Marks::PROXY) {
            events.push(format!("PROXY header of {}", head.len()));
        }
        true
    }
}

/// A connection under observation.
struct Wire {
    flow: FlowState,
    buffer: Box<ScanBuffer>,
    words: Words,
    /// Whether either side acknowledges what it got.
    acknowledging: bool,
}

impl Wire {
    /// After its handshake.
    fn connected() -> Self {
        let mut wire = Self::midstream();
        wire.segment(CLIENT, 0xffff_fff0, TcpFlags::SYN, b"");
        wire.segment(SERVER, 0xffff_fff0, TcpFlags::SYN | TcpFlags::ACK, b"");
        wire.send(CLIENT, 0, b"");
        wire
    }

    /// Before anything was seen.
    fn midstream() -> Self {
        Self {
            flow: FlowState::NEW,
            buffer: Box::new(ScanBuffer::EMPTY),
            words: Words::default(),
            acknowledging: true,
        }
    }

    /// Sends `bytes` from offset `at` of its stream.
    fn send(&mut self, from: End, at: u32, bytes: &[u8]) {
        self.segment(from, 0xffff_fff1u32.wrapping_add(at), TcpFlags::ACK, bytes);
    }

    /// Does what `observe` does with a segment.
    fn segment(&mut self, from: End, seq: u32, flags: TcpFlags, bytes: &[u8]) {
        let peer = from.other().of(&self.flow.tcp);
        let mut flags = flags;
        if !self.acknowledging {
            flags.remove(TcpFlags::ACK);
        }
        let payload_len = u32::try_from(bytes.len()).expect("a segment");
        let segment = Segment {
            seq: Seq(seq),
            ack: peer.next,
            flags,
            payload_len,
            window: 100,
            source_port: from as u16 + 1,
            ..Segment::default()
        };
        let reasons = self.flow.on_segment(&segment, from, || 1);
        if !self.flow.has_payload(&segment, from, reasons) {
            return;
        }
        self.flow.set_payload(&segment, from, reasons, &mut self.buffer.payload);
        self.buffer.event.facts.header.sender = from as u8;
        let (half, peer) = from.split(&mut self.flow.http);
        let mut scan: Scan<'_, [u8], Words> = Scan::new(bytes, &self.words, half, peer, &mut self.buffer);
        for _ in 0..MAX_STEPS {
            if scan.step().is_break() {
                return;
            }
        }
        scan.exhausted();
    }

    fn events(self) -> Vec<String> {
        self.words.events.into_inner()
    }
}

/// The events about `parts`, each sent in segments of `size` bytes.
fn events_of(parts: &[(End, &[u8])], size: usize) -> Vec<String> {
    let mut wire = Wire::connected();
    let mut at = [0u32; 2];
    for (from, bytes) in parts {
        for piece in bytes.chunks(size) {
            let at = from.of_mut(&mut at);
            wire.send(*from, *at, piece);
            *at += u32::try_from(piece.len()).expect("a segment");
        }
    }
    wire.events()
}

/// Expects the same events however the bytes are cut into segments.
#[track_caller]
fn expect(parts: &[(End, &[u8])], events: &[&str]) {
    for size in [usize::MAX, 1000, 64, 9, 8, 7, 3, 2, 1] {
        assert_eq!(events_of(parts, size), events, "in segments of {size}");
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn content_length_ends_a_message_exactly() {
    expect(
        &[
            (CLIENT, b"POST / HTTP/1.1\r\ncontent-LENGTH:  5\r\n\r\nhello"),
            (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nX: y\r\n\r\nabc"),
            (CLIENT, GET),
            (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "request 0 Length",
            "request 0 ends with 5",
            "response 0 200 Length",
            "response 0 ends with 3",
            "request 1 None",
            "request 1 ends with 0",
            "response 1 200 None",
            "response 1 ends with 0",
        ],
    );
}

#[test]
fn several_messages_share_a_segment() {
    let requests = [GET, b"HEAD / HTTP/1.0\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\n1", GET];
    let responses: [&[u8]; 4] = [
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    ];
    expect(
        &[(CLIENT, &requests.concat()), (SERVER, &responses.concat())],
        &[
            "request 0 None",
            "request 0 ends with 0",
            "request 1 None",
            "request 1 ends with 0",
            "request 2 Length",
            "request 2 ends with 1",
            "request 3 None",
            "request 3 ends with 0",
            "response 0 304 None",
            "response 0 ends with 0",
            "response 1 200 None",
            "response 1 ends with 0",
            "response 2 204 None",
            "response 2 ends with 0",
            "response 3 404 Length",
            "response 3 ends with 2",
        ],
    );
}

#[test]
fn chunks_with_extensions_and_trailers_are_followed() {
    let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 9\r\n\r\n\
        5;name=\"a\"\r\nhello\r\n00000b \r\nhello world\r\n0;last\r\nDigest: x\r\nContent-Length: 7\r\n\r\n";
    expect(
        &[(CLIENT, GET), (SERVER, &[response, &response[..]].concat())],
        &[
            "request 0 None",
            "request 0 ends with 0",
            "response 0 200 Chunked",
            "response 0 ends with 16",
            "response 1 200 Chunked unsolicited",
            "response 1 ends with 16",
        ],
    );
}

#[test]
fn bare_line_feeds_and_empty_lines_before_a_message_are_accepted() {
    expect(
        &[
            (CLIENT, b"\r\n\nGET / HTTP/1.1\nHost: a\n\n\r\nGET / HTTP/1.1\n\n"),
            (SERVER, b"\r\nHTTP/1.1 200\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n"),
        ],
        &[
            "request 0 None",
            "request 0 ends with 0",
            "request 1 None",
            "request 1 ends with 0",
            "response 0 200 Chunked",
            "response 0 ends with 1",
        ],
    );
}

#[test]
fn without_a_length_a_response_ends_with_the_connection() {
    expect(
        &[(CLIENT, GET), (SERVER, b"HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 500 content\r\n\r\n")],
        &["request 0 None", "request 0 ends with 0", "response 0 200 Close"],
    );
}

#[test]
fn lengths_and_codings_are_read_through_folds_and_whitespace() {
    for (fields, framing) in [
        ("Content-Length\t : 3", "Length"),
        ("Content-Length:\r\n 3", "Length"),
        ("Content-Length: 3\r\n \t, 3\r\nA: b\r\n 99", "Length"),
        ("Content-Length: 3\r\nContent-Length:3", "Length"),
        ("A: b\r\n Content-Length: 4\r\nContent-Length: 003", "Length"),
        ("Transfer-Encoding: gzip,\r\n\tchunked", "Chunked"),
        ("Transfer-Encoding : chunked\r\nContent-Length: 7", "Chunked"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: CHUNKED", "Chunked"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "Chunked"),
        ("Transfer-Encoding: chunked, identity", "Close"),
        ("Transfer-Encoding: chu nked", "Close"),
        ("Transfer-Encoding: x\r\nContent-Length: 3", "Close"),
        // Empty elements of a list do not count (RFC 9110, 5.6.1.2).
        ("Transfer-Encoding: chunked,\r\nTransfer-Encoding:", "Chunked"),
        // Only SP and HTAB are whitespace (RFC 9110, 5.6.3).
        ("Transfer-Encoding: \0chunked", "Close"),
        ("Transfer-Encoding: \x0bchunked", "Close"),
        ("Transfer-Encoding: \rchunked", "Close"),
        ("Transfer-Encoding: chunked\r\r\nA: b", "Close"),
        ("Transfer-Encoding\x0c: chunked\r\nContent-Length: 3", "Length"),
        // It is valid, and never complete (RFC 9110, 8.6).
        ("Content-Length: 18446744073709551616", "Length bad length"),
        ("Content Length: 3", "Close"),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let head = format!("response 0 200 {framing}");
        expect(
            &[(CLIENT, GET), (SERVER, response.as_bytes())],
            &["request 0 None", "request 0 ends with 0", &head],
        );
    }
}

#[test]
fn contradicting_lengths_are_no_length() {
    for fields in [
        "Content-Length: 3 3",
        "Content-Length: 3\r\n 3",
        "Content-Length: +3",
        "Content-Length: 3,",
        "Content-Length:",
        "Content-Length: 3, 4",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: -3",
        "Content-Length: 3\r3",
        "Content-Length: 3\r\r\nA: b",
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nabc");
        expect(
            &[(CLIENT, GET), (SERVER, response.as_bytes())],
            &["request 0 None", "request 0 ends with 0", "response 0 200 Close bad length"],
        );
    }
}

#[test]
fn field_names_only_similar_to_content_length_say_nothing() {
    for name in
        ["Content-Lengt", "Content-Lengthh", "XContent-Length", "C\0\0Content-Length", "Content_Length"]
    {
        let request = format!("GET / HTTP/1.1\r\n{name}: 3\r\n\r\n");
        expect(&[(CLIENT, request.as_bytes())], &["request 0 None", "request 0 ends with 0"]);
    }
}

#[test]
fn interim_responses_do_not_count() {
    expect(
        &[
            (CLIENT, b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
            (SERVER, b"HTTP/1.1 100 Continue\r\n\r\n"),
            (CLIENT, b"ab"),
            (SERVER, b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "request 0 Length",
            "response 0 100 None",
            "response 0 ends with 0",
            "request 0 ends with 2",
            "response 0 103 None",
            "response 0 ends with 0",
            "response 0 200 None",
            "response 0 ends with 0",
        ],
    );
}

#[test]
fn after_upgrade_and_connect_nothing_is_read() {
    for (request, response) in [
        (&b"GET /chat HTTP/1.1\r\nUpgrade: x\r\n\r\n"[..], &b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..]),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let status = if request.starts_with(b"CONNECT") { 200 } else { 101 };
        let tunnel = format!("response 0 {status} Tunnel");
        expect(
            &[(CLIENT, request), (SERVER, response), (CLIENT, GET), (SERVER, b"HTTP/1.1 500 x\r\n\r\n")],
            &["request 0 None", "request 0 ends with 0", &tunnel],
        );
    }
}

#[test]
fn other_protocols_cause_one_event() {
    let others: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"RETR /pub/file\r\n",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa / HTTP/1.1\r\n\r\n",
    ];
    for bytes in others {
        let filler = [&b"."[..]; 5000].concat();
        let parts = [(CLIENT, bytes), (CLIENT, &filler[..]), (CLIENT, GET)];
        assert_eq!(events_of(&parts, usize::MAX), ["not HTTP"]);
        let slowly = events_of(&parts[..2], 1);
        assert!(slowly.iter().all(|words| words == "not HTTP"), "{slowly:?}");
    }
}

#[test]
fn a_malformed_request_line_of_a_known_method_is_a_request() {
    for line in ["GET key", "GET / RTSP/1.0", "GET /a nonsense", "POST /a HTTP 1.1"] {
        let request = format!("{line}\r\nHost: a\r\n\r\n");
        expect(
            &[
                (CLIENT, request.as_bytes()),
                (SERVER, b"HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n"),
                (CLIENT, GET),
            ],
            &[
                "request 0 None malformed",
                "request 0 ends with 0",
                "response 0 400 None",
                "response 0 ends with 0",
                "request 1 None",
                "request 1 ends with 0",
            ],
        );
    }
}

#[test]
fn a_message_after_the_handshake_of_another_protocol_is_found() {
    let mut wire = Wire::connected();
    wire.send(CLIENT, 0, b"\x05\x01\x00");
    wire.send(SERVER, 0, b"\x05\x00");
    wire.send(CLIENT, 3, b"\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50");
    wire.send(SERVER, 2, b"\x05\x00\x00\x01\x01\x02\x03\x04\x00\x50");
    wire.send(CLIENT, 13, &[GET, GET].concat());
    wire.send(SERVER, 12, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        wire.events(),
        [
            "not HTTP",
            "request 0 None resynced acks unseen",
            "request 0 ends with 0",
            "request 1 None acks unseen",
            "request 1 ends with 0",
            "response 0 200 None resynced",
            "response 0 ends with 0",
        ]
    );
}

#[test]
fn unusual_start_lines_are_read_as_servers_and_browsers_read_them() {
    for line in [
        "GET / HTTP/1.1 \t ",
        "GET\t/\tHTTP/1.0",
        "GET /HTTP/1.1",
        "!#$%&'*+-.^_`|~ / HTTP/1.",
        "GET / http/1.1",
        "GET / HTTP/01.10",
        "GET / HTTP/2.0",
        "GET a b HTTP/1.1",
    ] {
        let request = format!("{line}\r\nContent-Length: 1\r\n\r\na");
        expect(&[(CLIENT, request.as_bytes())], &["request 0 Length", "request 0 ends with 1"]);
    }
    for (line, status) in [
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1\t 200 ok", 200),
        ("HTTP/1.1  200ok", 200),
        ("HTTP/01.1 200 ", 200),
        ("HTTP/9.9 200 ok", 200),
        ("HTTP/1.1 0200 ok", NO_STATUS),
        ("HTTP/1.1 20x ok", NO_STATUS),
        ("HTTP/1.1 000 ok", 0),
        ("HTTP/1.1 20000 ok", NO_STATUS),
        ("HTTP/1.1 ", NO_STATUS),
    ] {
        let response = format!("{line}\r\nContent-Length: 1\r\n\r\na");
        let head = format!("response 0 {status} Length");
        expect(
            &[(CLIENT, GET), (SERVER, response.as_bytes())],
            &["request 0 None", "request 0 ends with 0", &head, "response 0 ends with 1"],
        );
    }
}

#[test]
fn a_request_of_http_0_9_ends_with_its_line() {
    expect(
        &[(CLIENT, b"GET /a\r\nGET   /b\n"), (CLIENT, GET)],
        &[
            "request 0 None",
            "request 0 ends with 0",
            "request 1 None",
            "request 1 ends with 0",
            "request 2 None",
            "request 2 ends with 0",
        ],
    );
}

#[test]
fn long_heads_are_emitted_in_part_and_followed_to_their_end() {
    let filler = format!("X-Filler: {}\r\n", "x".repeat(1000)).repeat(40);
    let request = format!("POST / HTTP/1.1\r\n{filler}Content-Length: 4\r\n\r\nbody");
    assert!(request.len() > MAX_HEAD as usize);
    expect(
        &[(CLIENT, request.as_bytes()), (CLIENT, GET)],
        &["request 0 Length truncated", "request 0 ends with 4", "request 1 None", "request 1 ends with 0"],
    );
}

#[test]
fn malformed_chunks_lose_sync() {
    expect(
        &[(CLIENT, GET), (SERVER, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX")],
        &["request 0 None", "request 0 ends with 0", "response 0 200 Chunked", "lost"],
    );
}

#[test]
fn a_frame_shorter_than_its_segment_is_read_to_its_end() {
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n";
    for (bytes, events) in [
        (&response[..10], &["lost"][..]),
        (&response[..], &["response 0 200 Length unsolicited", "response 0 ends with 900", "lost"]),
    ] {
        let mut wire = Wire::connected();
        let (half, peer) = SERVER.split(&mut wire.flow.http);
        wire.buffer.payload = Payload { start: 0, end: 1000, ..Payload::default() };
        let mut scan: Scan<'_, [u8], Words> = Scan::new(bytes, &wire.words, half, peer, &mut wire.buffer);
        let steps = (0..MAX_STEPS).take_while(|_| scan.step().is_continue()).count();
        assert!(steps < 20);
        assert_eq!(wire.events(), events);
    }
}

#[test]
fn any_bytes_are_scanned_without_a_panic_in_bounded_steps() {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let words: [&[u8]; 14] = [
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: ",
        b"chunked\r\n",
        b"\r\n",
        b"\n",
        b"5",
        b"ffffffffffffffff\r\n",
        b"18446744073709551615",
        b":",
        b",",
        b"\0",
        b"HEAD ",
    ];
    for _ in 0..2000 {
        let mut wire = Wire::connected();
        for _ in 0..10 {
            let bytes: Vec<u8> =
                (0..random() % 8).flat_map(|_| words[random() as usize % words.len()]).copied().collect();
            let at = random() % 200;
            wire.send(if random() % 2 == 0 { CLIENT } else { SERVER }, at as u32, &bytes);
        }
    }
}
