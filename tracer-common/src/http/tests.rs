//! The scanner on the host, fed with segments as the kernel sees them.

extern crate std;

mod gaps;
mod words;

use std::{boxed::Box, cell::RefCell, format, string::String, vec, vec::Vec};

use super::{HttpSink, MAX_HEAD, MAX_STEPS, NO_STATUS, Room, Scan, Steps};
use crate::{
    event::{Framing, HttpEvent, mark},
    flow::{FlowState, cause},
    seq::Seq,
    wire::{Segment, TcpFlags},
};

const CLIENT: bool = true;
const SERVER: bool = false;

/// Puts what is told into words.
#[derive(Default)]
struct Words {
    told: RefCell<Vec<String>>,
    head: RefCell<[Vec<u8>; 2]>,
}

impl HttpSink for Words {
    fn tell(&self, event: &HttpEvent) -> bool {
        let facts = &event.facts;
        let has = |bits: u16| facts.marks & bits != 0;
        let mut heads = self.head.borrow_mut();
        let head = &mut heads[usize::from(facts.header.from_low)];
        if has(mark::HEAD_START) {
            head.clear();
        }
        head.extend_from_slice(&event.bytes[..usize::from(facts.len)]);
        let mut told = self.told.borrow_mut();
        if has(mark::HEAD_END) {
            let framing = Framing::from_byte(facts.framing).expect("a framing");
            let mut words = match facts.status {
                status if has(mark::RESPONSE) => format!("response {} {status} {framing:?}", facts.exchange),
                _ => format!("request {} {framing:?}", facts.exchange),
            };
            for (bit, word) in [
                (mark::TRUNCATED, " truncated"),
                (mark::RESYNCED, " resynced"),
                (mark::UNSOLICITED, " unsolicited"),
                (mark::BAD_LENGTH, " bad length"),
            ] {
                if has(bit) {
                    words += word;
                }
            }
            if !has(mark::TRUNCATED) {
                assert_eq!(facts.head_len as usize, head.len(), "all of the head is told");
                assert!(head.ends_with(b"\n"));
            }
            told.push(words);
        }
        if has(mark::MESSAGE_END) {
            let kind = if has(mark::RESPONSE) { "response" } else { "request" };
            told.push(format!("{kind} {} ends with {}", facts.exchange, facts.content));
        }
        if has(mark::LOST_SYNC) {
            told.push("lost".into());
        }
        if has(mark::NOT_HTTP) {
            told.push("not HTTP".into());
        }
        true
    }
}

/// A connection under observation.
struct Wire {
    flow: FlowState,
    room: Box<Room>,
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
            flow: FlowState::BLANK,
            room: Box::new(Room::BLANK),
            words: Words::default(),
            acknowledging: true,
        }
    }

    /// Sends `bytes` from offset `at` of its stream.
    fn send(&mut self, from: bool, at: u32, bytes: &[u8]) {
        self.segment(from, 0xffff_fff1u32.wrapping_add(at), TcpFlags::ACK, bytes);
    }

    /// Does what `observe` does with a segment.
    fn segment(&mut self, from: bool, seq: u32, flags: u8, bytes: &[u8]) {
        let (_, peer) = self.flow.split(from);
        let flags = TcpFlags(if self.acknowledging { flags } else { flags & !TcpFlags::ACK });
        let payload_len = u32::try_from(bytes.len()).expect("a segment");
        let segment =
            Segment { seq: Seq(seq), ack: peer.next, flags, payload_len, window: 100, ..Segment::default() };
        let causes = self.flow.on_segment(&segment, from, || 1);
        let (sender, receiver) = self.flow.split(from);
        let start = sender.offset_of(segment.payload_seq());
        let end = start + u64::from(payload_len);
        if payload_len == 0 || causes & cause::KEEP_ALIVE != 0 || !sender.http.wants(end) {
            return;
        }
        self.room.event.facts.header.from_low = u8::from(from);
        (self.room.start, self.room.end) = (start, end);
        self.room.fresh = u32::from(causes & cause::OLD_DATA == 0);
        let mut scan: Scan<'_, [u8], Words> = Scan::new(bytes, &self.words, sender, receiver, &mut self.room);
        for _ in 0..MAX_STEPS {
            if scan.step().is_break() {
                return;
            }
        }
        scan.exhausted();
    }

    fn told(self) -> Vec<String> {
        self.words.told.into_inner()
    }
}

/// What is told of `parts`, each sent in segments of `size` bytes.
fn told_of(parts: &[(bool, &[u8])], size: usize) -> Vec<String> {
    let mut wire = Wire::connected();
    let mut at = [0u32; 2];
    for (from, bytes) in parts {
        for piece in bytes.chunks(size) {
            let at = &mut at[usize::from(*from)];
            wire.send(*from, *at, piece);
            *at += u32::try_from(piece.len()).expect("a segment");
        }
    }
    wire.told()
}

/// The same is told however the bytes are cut into segments.
#[track_caller]
fn expect(parts: &[(bool, &[u8])], told: &[&str]) {
    for size in [usize::MAX, 1000, 64, 9, 8, 7, 3, 2, 1] {
        assert_eq!(told_of(parts, size), told, "in segments of {size}");
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
fn lengths_and_codings_are_read_through_folds_and_blanks() {
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
        "Content-Length: 99999999999999999999",
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
fn other_protocols_stay_untold() {
    let others: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET key\r\n",
        b"GET / RTSP/1.0\r\n",
        b"RETR /pub/file\r\n",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa / HTTP/1.1\r\n\r\n",
    ];
    for bytes in others {
        let silence = [&b"."[..]; 5000].concat();
        let parts = [(CLIENT, bytes), (CLIENT, &silence[..]), (CLIENT, GET)];
        assert_eq!(told_of(&parts, usize::MAX), Vec::<String>::new());
        let slowly = told_of(&parts[..2], 1);
        assert!(slowly.iter().all(|words| words == "not HTTP"), "{slowly:?}");
    }
}

#[test]
fn a_message_behind_the_handshake_of_another_protocol_is_found() {
    let mut wire = Wire::connected();
    wire.send(CLIENT, 0, b"\x05\x01\x00");
    wire.send(SERVER, 0, b"\x05\x00");
    wire.send(CLIENT, 3, b"\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50");
    wire.send(SERVER, 2, b"\x05\x00\x00\x01\x01\x02\x03\x04\x00\x50");
    wire.send(CLIENT, 13, b"GET looks like one\r\n");
    wire.send(CLIENT, 33, &[GET, GET].concat());
    wire.send(SERVER, 12, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        wire.told(),
        [
            "request 0 None resynced",
            "request 0 ends with 0",
            "request 1 None",
            "request 1 ends with 0",
            "response 1 200 None resynced",
            "response 1 ends with 0",
        ]
    );
}

#[test]
fn odd_start_lines_are_read_as_servers_and_browsers_read_them() {
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
fn long_heads_are_told_in_part_and_followed_to_their_end() {
    let filler = format!("X-Filler: {}\r\n", "x".repeat(1000)).repeat(40);
    let request = format!("POST / HTTP/1.1\r\n{filler}Content-Length: 4\r\n\r\nbody");
    assert!(request.len() > MAX_HEAD as usize);
    expect(
        &[(CLIENT, request.as_bytes()), (CLIENT, GET)],
        &["request 0 Length truncated", "request 0 ends with 4", "request 1 None", "request 1 ends with 0"],
    );
}

#[test]
fn malformed_chunks_lose_the_framing() {
    expect(
        &[(CLIENT, GET), (SERVER, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX")],
        &["request 0 None", "request 0 ends with 0", "response 0 200 Chunked", "lost"],
    );
}

#[test]
fn of_a_frame_shorter_than_its_segment_what_is_there_is_read() {
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n";
    for (bytes, told) in [
        (&response[..10], &["lost"][..]),
        (&response[..], &["response 0 200 Length unsolicited", "response 0 ends with 900", "lost"]),
    ] {
        let mut wire = Wire::connected();
        let (sender, receiver) = wire.flow.split(SERVER);
        (wire.room.start, wire.room.end) = (0, 1000);
        let mut scan: Scan<'_, [u8], Words> = Scan::new(bytes, &wire.words, sender, receiver, &mut wire.room);
        let steps = (0..MAX_STEPS).take_while(|_| scan.step().is_continue()).count();
        assert!(steps < 20);
        assert_eq!(wire.told(), told);
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
            wire.send(random() % 2 == 0, at as u32, &bytes);
        }
    }
}
