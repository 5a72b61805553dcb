//! Departures that only the scanner sees.

use super::*;

fn anomalies_of(parts: &[(End, &[u8])], size: usize) -> ScanAnomalies {
    let mut wire = Wire::connected();
    let mut at = [0u32; 2];
    for (from, bytes) in parts {
        for piece in bytes.chunks(size) {
            let at = from.of_mut(&mut at);
            wire.send(*from, *at, piece);
            *at += u32::try_from(piece.len()).expect("a segment");
        }
    }
    ScanAnomalies::from_bits(wire.words.anomalies.get())
}

#[test]
fn every_departure_of_a_chunked_message_is_noted() {
    const NONE: ScanAnomalies = ScanAnomalies::EMPTY;
    const SPACE: ScanAnomalies = ScanAnomalies::CHUNK_SPACE;
    const EXTENSION: ScanAnomalies = ScanAnomalies::CHUNK_EXTENSION;
    const FORBIDDEN: ScanAnomalies = ScanAnomalies::FORBIDDEN_TRAILER;
    const INVALID: ScanAnomalies = ScanAnomalies::INVALID_TRAILER;
    for (content, expected) in [
        ("3\r\nabc\r\n0\r\n\r\n", NONE),
        ("3;a\r\nabc\r\n00;b=c;d=\"e;\\\";\"\r\nA-b: c\td\r\n\r\n", NONE),
        // RFC 9112, 2.2.
        ("3\nabc\r\n0\r\n\r\n", ScanAnomalies::BARE_LF),
        ("3\r\nabc\n0\r\n\r\n", ScanAnomalies::BARE_LF),
        ("3\r\nabc\r\n0\r\nA: b\n\r\n", ScanAnomalies::BARE_LF),
        ("3\r\nabc\r\n0\r\n\n", ScanAnomalies::BARE_LF),
        ("3\r2\r\nabc\r\n0\r\n\r\n", ScanAnomalies::BARE_CR),
        ("3;a\rb\r\nabc\r\n0\r\n\r\n", ScanAnomalies::BARE_CR),
        ("3\r\nabc\r\r\n0\r\n\r\n", ScanAnomalies::BARE_CR),
        ("3\r\nabc\r\n0\r\nA: b\r\r\n\r\n", ScanAnomalies::BARE_CR),
        // RFC 9110, 5.5.
        ("3;a=b\0\r\nabc\r\n0\r\n\r\n", ScanAnomalies::CONTROL_CHARACTER),
        ("3\r\nabc\r\n0\r\nA: \x7f\r\n\r\n", ScanAnomalies::CONTROL_CHARACTER),
        // RFC 9112, 7.1.
        (" 3\r\nabc\r\n0\r\n\r\n", SPACE),
        ("3\t\r\nabc\r\n0\r\n\r\n", SPACE),
        ("3 ; a\r\nabc\r\n0\r\n\r\n", SPACE),
        // RFC 9112, 7.1.1.
        ("3 xyz\r\nabc\r\n0\r\n\r\n", SPACE.union(EXTENSION)),
        ("3;\r\nabc\r\n0\r\n\r\n", EXTENSION),
        ("3;a;\r\nabc\r\n0\r\n\r\n", EXTENSION),
        ("3;;a\r\nabc\r\n0\r\n\r\n", EXTENSION),
        ("3;=a\r\nabc\r\n0\r\n\r\n", EXTENSION),
        ("3;a=\"b\r\nabc\r\n0\r\n\r\n", EXTENSION),
        // RFC 9110, 6.5.1.
        ("0\r\nContent-Length: 7\r\n\r\n", FORBIDDEN),
        ("0\r\nTRANSFER-ENCODING: gzip\r\n\r\n", FORBIDDEN),
        ("0\r\nA: b\r\nhost: a\r\n\r\n", FORBIDDEN),
        ("0\r\nContent-Encoding: gzip\r\n\r\n", FORBIDDEN),
        ("0\r\nX-Content-Encoding: gzip\r\nXransfer-Encoding: b\r\n\r\n", NONE),
        // RFC 9112, 7.1.2.
        ("0\r\nno field\r\n\r\n", INVALID),
        ("0\r\nfield\r\n\r\n", INVALID),
        ("0\r\n: a\r\n\r\n", INVALID),
        ("0\r\nA: b\r\n c\r\n\r\n", INVALID),
        ("0\r\nContent-Length : 7\r\n\r\n", INVALID),
    ] {
        let request = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{content}");
        for size in [usize::MAX, 9, 2, 1] {
            assert_eq!(
                anomalies_of(&[(CLIENT, request.as_bytes())], size),
                expected,
                "{content:?} by {size}"
            );
        }
    }
}

#[test]
fn bytes_after_a_message_are_excess_if_no_message_is_expected() {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let excess = |parts: &[(End, &[u8])]| anomalies_of(parts, usize::MAX) == ScanAnomalies::EXCESS;
    let after = |more: &[u8]| [RESPONSE, more].concat();
    // RFC 9112, 9.2.
    assert!(excess(&[(CLIENT, GET), (SERVER, &after(b"more"))]));
    assert!(excess(&[(CLIENT, GET), (SERVER, &after(RESPONSE))]));
    assert!(excess(&[(CLIENT, GET), (SERVER, b"HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n<p>\n")]));
    assert!(excess(&[
        (CLIENT, GET),
        (SERVER, b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n1")
    ]));
    // A request waits, or may have been missed.
    assert!(!excess(&[(CLIENT, &[GET, GET].concat()), (SERVER, &after(RESPONSE))]));
    assert!(!excess(&[(SERVER, &after(RESPONSE))]));
    assert!(!excess(&[(CLIENT, GET), (SERVER, b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n")]));
    // RFC 9112, 2.2: a request must not be followed by an empty line.
    let post = b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n1";
    assert!(excess(&[(CLIENT, post), (CLIENT, b"\r\n")]));
    assert!(!excess(&[(CLIENT, post), (CLIENT, &[b"\r\n", GET].concat())]));
    assert!(!excess(&[(CLIENT, &[b"\r\n", &post[..]].concat())]));
}
