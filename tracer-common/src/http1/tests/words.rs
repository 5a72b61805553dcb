//! The fast path through a head, word by word, compared with the slow one, byte by byte.

extern crate std;

use std::{format, string::String, vec::Vec};

use super::{CLIENT, SERVER, events_of};

/// Both must find the same in any bytes.
#[test]
fn word_by_word_the_events_are_the_same_as_byte_by_byte() {
    const REQUESTS: [&str; 8] = [
        "GET / HTTP/1.1\r\n",
        "GET /0123456789/0123456789/0123456789/0123456789/0123456789/0123456789 HTTP/1.1\r\n",
        "GET /0123456789/0123456789/0123456789/0123456789/0123456789/01234567890123456\r\n",
        "GET /0123456789/0123456789/0123456789/0123456789\r/01234\r56789/0123456789 HTTP/1.0 \n",
        "GET  /a b HTTP/1.1\n",
        "GET /\r\r\r\r\r\rHTTP/1.1\r\n",
        "GET /HTTP/1.1\r\n",
        "POST / http/1.1\r\n",
    ];
    const RESPONSES: [&str; 8] = [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 304\r\n",
        "HTTP/1.1 404\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 20x OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.10 200 OK\r\n",
    ];
    const PIECES: [&str; 36] = [
        "Content-Length: 12\r\n",
        "Content-Length:123\r\n",
        "Content-Length: 1234567\r\n",
        "GET ",
        "GET /",
        "POST /a ",
        "HEAD / ",
        "HTTP/1.1",
        "HTTP/1.",
        " 200 OK",
        " 304",
        " HTTP/1.0",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "Content-Length: 3",
        "content-length:",
        "CONTENT-LENGTH : 2",
        "Content-Lengths: 4",
        "Content-Type: text/plain",
        "content\rlength: 1",
        "Transfer-Encoding: chunked",
        "transfer-encodin",
        "Cookie: a=b; c",
        "Connection: close",
        " 5",
        "abc",
        "\t",
        ",",
        "\u{e9}",
        "0\r\n",
        "3\r\nabc\r\n",
        "\0",
        "x-long: 0123456789abcdef0123456789",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % below
    };
    for _ in 0..4_000 {
        let mut side = |starts: [&str; 8]| -> String {
            let (start, pieces) = (starts[random(8)], random(14));
            let rest: String = (0..pieces).map(|_| PIECES[random(PIECES.len())]).collect();
            format!("{start}{rest}\r\n\r\n{:150}GET / HTTP/1.1\r\n\r\n", "")
        };
        let (request, response) = (side(REQUESTS), side(RESPONSES));
        let parts = [(CLIENT, request.as_bytes()), (SERVER, response.as_bytes())];
        // What follows the first heads may be no HTTP, and is then looked for where segments start.
        let first_heads = |size| {
            let events = events_of(&parts, size).into_iter();
            // What was found of the other direction depends on where its segments start, too.
            let events = events.map(|words| words.replace(" acks unseen", ""));
            events.filter(|words| words.contains(" 0 ")).collect::<Vec<_>>()
        };
        let whole = first_heads(usize::MAX);
        assert!(!whole.is_empty());
        for size in [1, 15, 16, 17, 40] {
            assert_eq!(first_heads(size), whole, "{request:?} {response:?} in segments of {size}");
        }
    }
}

/// When words have read most of a long line, the rest must still suffice to recognize it.
#[test]
fn a_request_line_of_any_length_is_what_its_end_says() {
    for len in 0..150 {
        for (end, events) in [
            (" HTTP/1.1", &["request 0 None", "request 0 ends with 0"][..]),
            ("", &["request 0 None", "request 0 ends with 0"]),
            (" ABCDEFG/1.0", &["request 0 None malformed", "request 0 ends with 0"]),
        ] {
            let request = format!("GET /{}{end}\r\n\r\n", "a".repeat(len));
            assert_eq!(events_of(&[(CLIENT, request.as_bytes())], usize::MAX), events, "{request}");
        }
    }
}
