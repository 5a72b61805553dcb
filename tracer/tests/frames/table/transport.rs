//! Rows about TCP and its payload.

use tracer_common::{event::Marks, flow::SegmentFlags, wire::Skip};

use super::{Facts, Row, build::*};

/// MSS, SACK permitted, timestamps and window scale, as a Linux client offers.
const OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
/// Marks of a complete request without content.
const WHOLE: Marks = Marks::HEAD_START.union(Marks::HEAD_END).union(Marks::MESSAGE_END);

pub(super) fn rows() -> Vec<Row> {
    [ports(), flags(), offsets(), options(), windows(), requests(), responses()]
        .into_iter()
        .flatten()
        .collect()
}

fn ports() -> Vec<Row> {
    let port = |from, to| Tcp { from, to, ..Tcp::default() }.frame();
    vec![
        Row::matched("to the traced port", port(40_000, 80)),
        Row::matched("from the traced port", port(80, 40_000)),
        Row::matched("from the traced port to itself", port(80, 80)),
        Row::skipped("another port", port(40_000, 443), Skip::OtherPort),
        Row::skipped(
            "a port with the same bit in another word of the bitmap",
            port(40_000, 144),
            Skip::OtherPort,
        ),
        Row::skipped("port 0", port(0, 0), Skip::OtherPort),
        Row::skipped("the highest ports", port(0xffff, 0xffff), Skip::OtherPort),
        Row::skipped("the traced port with its bytes swapped", port(40_000, 80 << 8), Skip::OtherPort),
    ]
}

/// Every combination of the nine control bits, without payload and with some.
pub(crate) fn flags() -> Vec<Row> {
    (0..512_u16)
        .flat_map(|bits| {
            // The ninth bit, AE, is next to the data offset.
            let [ninth, flags] = bits.to_be_bytes();
            [b"".as_slice(), b"GET / HTTP/1.1\r\n\r\n"].map(|payload| {
                let name = format!("control bits {bits:#05x} with {} bytes", payload.len());
                let frame = Tcp { flags, payload: payload.to_vec(), ..Tcp::default() }.frame();
                Row::matched(name, with(frame, DATA_OFFSET, &[5 << 4 | ninth]))
            })
        })
        .collect()
}

fn offsets() -> Vec<Row> {
    let frame = Tcp::sending(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").frame();
    let mut rows: Vec<Row> = (0..5)
        .map(|words: u8| {
            let name = format!("a data offset of {words} words");
            Row::skipped(name, with(frame.clone(), DATA_OFFSET, &[words << 4]), Skip::MalformedTcp)
        })
        .collect();
    rows.extend((5..12).map(|words: u8| {
        let name = format!("a data offset of {words} words into the payload");
        Row::matched(name, with(frame.clone(), DATA_OFFSET, &[words << 4]))
    }));
    rows.extend((12..16).map(|words: u8| {
        let name = format!("a data offset of {words} words, beyond the packet");
        Row::skipped(name, with(frame.clone(), DATA_OFFSET, &[words << 4]), Skip::MalformedTcp)
    }));
    rows
}

fn options() -> Vec<Row> {
    let syn =
        |options: &[u8]| Tcp { flags: SYN, ack: 0, options: options.to_vec(), ..Tcp::default() }.frame();
    let row = |name, options: &[u8]| {
        Row::matched(name, syn(options)).with_facts(Facts {
            reasons: SegmentFlags::SYN,
            options: options.to_vec(),
            ..Facts::default()
        })
    };
    vec![
        row("a SYN without options", &[]),
        row("a SYN with all common options", &OPTIONS),
        row("a SYN with 40 bytes of options", &[1; 40]),
        row("a SYN with an option of length 0", &[2, 0, 0, 0]),
        row("a SYN with an option longer than the header", &[2, 200, 5, 0xb4]),
        row("a SYN with a truncated option", &[1, 1, 1, 8]),
        row("a SYN with unknown options", &[254, 4, 0xab, 0xcd, 0, 0, 0, 0]),
        Row::matched(
            "options of other segments are not reported",
            Tcp { options: [1; 12].to_vec(), ..Tcp::default() }.frame(),
        )
        .with_facts(Facts { reasons: SegmentFlags::MIDSTREAM, ..Facts::default() }),
        Row::skipped(
            "a SYN whose options are truncated",
            syn(&OPTIONS)[..TCP4 + 30].to_vec(),
            Skip::Truncated,
        ),
        Row::matched(
            "a SYN-ACK",
            Tcp { from: 80, to: 40_000, flags: SYN | ACK, options: OPTIONS.to_vec(), ..Tcp::default() }
                .frame(),
        )
        .with_facts(Facts {
            reasons: SegmentFlags::SYN_ACK,
            options: OPTIONS.to_vec(),
            ..Facts::default()
        }),
        Row::matched(
            "a SYN over IPv6",
            Tcp { flags: SYN, options: OPTIONS.to_vec(), ..Tcp::default() }.frame6(),
        )
        .with_facts(Facts {
            reasons: SegmentFlags::SYN,
            options: OPTIONS.to_vec(),
            ..Facts::default()
        }),
    ]
}

fn windows() -> Vec<Row> {
    let row = |name, tcp: Tcp, reasons| {
        let payload_len = tcp.payload.len() as u32;
        Row::matched(name, tcp.frame()).with_facts(Facts {
            // A RST on an unknown connection does not start a midstream connection.
            reasons: if tcp.flags & RST != 0 { reasons } else { SegmentFlags::MIDSTREAM | reasons },
            payload_len,
            ..Facts::default()
        })
    };
    vec![
        row("a zero window", Tcp { window: 0, ..Tcp::default() }, SegmentFlags::ZERO_WINDOW),
        row("the largest window", Tcp { window: 0xffff, ..Tcp::default() }, SegmentFlags::EMPTY),
        row("a reset", Tcp { flags: RST, ..Tcp::default() }, SegmentFlags::RST),
        row(
            "a reset with data",
            Tcp { flags: RST | ACK, payload: b"no such thing".to_vec(), ..Tcp::default() },
            SegmentFlags::RST | SegmentFlags::NO_NEW_DATA,
        ),
        Row::matched(
            "the payload of a reset is not a message",
            Tcp { flags: SYN | RST, ..Tcp::sending(b"GET / HTTP/1.1\r\n\r\n") }.frame(),
        )
        .with_facts(Facts {
            reasons: SegmentFlags::SYN | SegmentFlags::RST | SegmentFlags::NO_NEW_DATA,
            payload_len: 18,
            ..Facts::default()
        }),
        row("a FIN", Tcp { flags: FIN | ACK, ..Tcp::default() }, SegmentFlags::FIN),
        row(
            "payload across the wrap of sequence numbers",
            Tcp { seq: 0xffff_fff8, ..Tcp::sending(&[b'x'; 32]) },
            SegmentFlags::EMPTY,
        ),
        row(
            "a segment at the last sequence number",
            Tcp { seq: u32::MAX, ..Tcp::default() },
            SegmentFlags::EMPTY,
        ),
    ]
}

/// A SYN with payload: the stream starts with it, so the message is parsed from its first byte.
fn fast_open(payload: &[u8]) -> Vec<u8> {
    Tcp { flags: SYN, payload: payload.to_vec(), ..Tcp::default() }.frame()
}

fn requests() -> Vec<Row> {
    let row = |name, payload: &[u8], heads: &[(Marks, &[u8])]| {
        Row::matched(name, fast_open(payload)).with_facts(Facts {
            reasons: SegmentFlags::SYN,
            payload_len: payload.len() as u32,
            heads: heads.iter().map(|(marks, bytes)| (*marks, bytes.to_vec())).collect(),
            ..Facts::default()
        })
    };
    let get: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let folded: &[u8] = b"PUT /p HTTP/1.1\r\nContent-Length :\r\n 00,\r\n\t0\r\n\r\n";
    let posted: &[u8] = b"POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    vec![
        row("a request head", get, &[(WHOLE, get)]),
        row(
            "a request head that ends its lines with line feeds",
            b"GET / HTTP/1.0\n\n",
            &[(WHOLE, b"GET / HTTP/1.0\n\n")],
        ),
        row("a part of a request head", &get[..10], &[(Marks::HEAD_START, &get[..10])]),
        row("one byte of a request head", b"G", &[(Marks::HEAD_START, b"G")]),
        row(
            "three pipelined requests",
            &[get, get, get].concat(),
            &[(WHOLE, get), (WHOLE, get), (WHOLE, get)],
        ),
        row(
            "empty lines before a request",
            &[b"\r\n\r\n", get].concat(),
            &[(WHOLE | Marks::EMPTY_LINE, get)],
        ),
        row("a simple request of HTTP/0.9", b"GET /\r\n", &[(WHOLE, b"GET /\r\n")]),
        row("folded lengths and whitespace before a colon", folded, &[(WHOLE, folded)]),
        row("an unusual version", b"GET /\tHTTP/01.10 \n\n", &[(WHOLE, b"GET /\tHTTP/01.10 \n\n")]),
        row("a request with its content", &[posted, b"abcd"].concat(), &[(WHOLE, posted)]),
        row(
            "a request with half of its content",
            &[posted, b"ab"].concat(),
            &[(Marks::HEAD_START | Marks::HEAD_END, posted)],
        ),
        row(
            "a request, its content and the next request",
            &[posted, b"abcd", get].concat(),
            &[(WHOLE, posted), (WHOLE, get)],
        ),
        row(
            "bytes that are not HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00",
            &[(Marks::NOT_HTTP.union(Marks::UNSOLICITED).union(Marks::HEAD_START), b"\x16\x03\x01")],
        ),
        row(
            "a request line of another protocol",
            b"GET / RTSP/1.0\r\n\r\n",
            &[(WHOLE.union(Marks::MALFORMED), b"GET / RTSP/1.0\r\n\r\n")],
        ),
        Row::matched(
            "a request on a midstream connection is found by resynchronisation",
            Tcp::sending(get).frame(),
        )
        .with_facts(Facts {
            reasons: SegmentFlags::MIDSTREAM,
            payload_len: get.len() as u32,
            heads: vec![(WHOLE | Marks::RESYNCED, get.to_vec())],
            ..Facts::default()
        }),
    ]
}

fn responses() -> Vec<Row> {
    let row = |name, payload: &[u8], heads: &[(Marks, &[u8])]| {
        let tcp = Tcp { from: 80, to: 40_000, flags: SYN | ACK, payload: payload.to_vec(), ..Tcp::default() };
        let response = Marks::RESPONSE | Marks::UNSOLICITED;
        Row::matched(name, tcp.frame()).with_facts(Facts {
            reasons: SegmentFlags::SYN_ACK,
            payload_len: payload.len() as u32,
            heads: heads.iter().map(|(marks, bytes)| (*marks | response, bytes.to_vec())).collect(),
            ..Facts::default()
        })
    };
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let cached: &[u8] = b"HTTP/1.1 304 Not Modified\r\n\r\n";
    vec![
        row("a response with its content", &[ok, b"abcd"].concat(), &[(WHOLE, ok)]),
        row("a response without content", cached, &[(WHOLE, cached)]),
        row(
            "a response without a reason phrase",
            b"HTTP/1.1 204\r\n\r\n",
            &[(WHOLE, b"HTTP/1.1 204\r\n\r\n")],
        ),
        row(
            "two responses and content between them",
            &[ok, b"abcd", cached].concat(),
            &[(WHOLE, ok), (WHOLE, cached)],
        ),
    ]
}
