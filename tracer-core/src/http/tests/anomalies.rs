//! Anomalies that only a conversation shows.

use super::{Wire, get};
use crate::record::{Anomalies, Anomaly, Body, Exchange};

/// The exchanges of one connection.
fn exchanges(script: impl Fn(&mut Wire)) -> Vec<Exchange> {
    let mut wire = Wire::connected();
    script(&mut wire);
    let exchange = |(_, body)| if let Body::Exchange(exchange) = body { Some(*exchange) } else { None };
    wire.records().into_iter().filter_map(exchange).collect()
}

fn anomalies(script: impl Fn(&mut Wire)) -> Vec<Anomalies> {
    exchanges(script).iter().map(|exchange| exchange.anomalies).collect()
}

const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";

fn post(fields: &str, content: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}")
}

#[test]
fn what_the_scanner_notes_is_reported_with_the_exchange() {
    for (content, anomaly) in [
        ("3\nabc\r\n0\r\n\r\n", Anomaly::BareLf),
        ("3;a\r=b\r\nabc\r\n0\r\n\r\n", Anomaly::BareCr),
        ("3;a=\0\r\nabc\r\n0\r\n\r\n", Anomaly::ControlCharacter),
        ("3 \r\nabc\r\n0\r\n\r\n", Anomaly::SpaceAroundChunkSize),
        ("3;\r\nabc\r\n0\r\n\r\n", Anomaly::InvalidChunkExtension),
        ("0\r\nContent-Length: 7\r\n\r\n", Anomaly::ForbiddenTrailer),
        ("0\r\nno field\r\n\r\n", Anomaly::InvalidField),
    ] {
        let found = anomalies(|wire| {
            wire.client(post("Transfer-Encoding: chunked", content)).server(CREATED);
        });
        assert_eq!(found, [Anomalies::from([anomaly])], "{content:?}");
        let found = anomalies(|wire| {
            let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{content}");
            wire.client(get("/")).server(response);
        });
        assert_eq!(found, [Anomalies::from([anomaly])], "{content:?}");
    }
}

#[test]
fn bytes_after_a_message_are_excess() {
    const EXCESS: Anomalies = Anomalies::of(Anomaly::ExcessBytes);
    const NONE: Anomalies = Anomalies::NONE;
    // After a response, and after one without content (RFC 9112, 6.3).
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\nmore\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n<p>\n",
    ] {
        let found = anomalies(|wire| {
            wire.client(get("/a")).server(response).client(get("/b")).server(CREATED);
        });
        assert_eq!(found, [EXCESS, NONE], "{response}");
    }
    // They are reported once, also if only the next response shows that they start none.
    let found = anomalies(|wire| {
        wire.client("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").server(CREATED).client(get("/b")).server(CREATED);
    });
    assert_eq!(found, [EXCESS, NONE]);
    // After the content of a request (RFC 9112, 2.2).
    for (more, other) in [("\r\n", None), ("aa", None), ("\0\x01\x02 more", Some(Anomaly::InvalidRequest))] {
        let found = anomalies(|wire| {
            wire.client(post("Content-Length: 3", "abc")).client(more).server(CREATED);
        });
        let mut expected = EXCESS;
        other.into_iter().for_each(|other| expected.insert(other));
        assert_eq!(found, [expected], "{more:?}");
    }
    // The next request may come after an empty line, and the exchange before is over.
    let mut lines = Anomalies::default();
    lines.insert(Anomaly::LeadingEmptyLine);
    let found = anomalies(|wire| {
        wire.client(get("/a")).server(CREATED).client("\r\n").client(get("/b")).server(CREATED);
    });
    assert_eq!(found, [NONE, lines]);
}

#[test]
fn what_comes_after_connection_close_is_named() {
    let after = Anomalies::of(Anomaly::AfterClose);
    let closing = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n";
    let found = anomalies(|wire| {
        wire.client([closing, &get("/")].concat()).server([CREATED, CREATED].concat());
    });
    assert_eq!(found, [Anomalies::NONE, after]);
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let found = anomalies(|wire| {
        wire.client(get("/a")).server(closing).client(get("/b")).server(CREATED);
    });
    assert_eq!(found, [Anomalies::NONE, after]);
}

#[test]
fn a_length_or_coding_that_cannot_be_read_makes_no_exact_exchange() {
    use crate::record::Confidence::{Exact, Inferred};
    for (fields, content, anomaly, confidence) in [
        ("Transfer-Encoding: gzip", "abc", Anomaly::FinalCodingNotChunked, Inferred),
        ("Transfer-Encoding: chunked, identity", "abc", Anomaly::FinalCodingNotChunked, Inferred),
        ("Content-Length: x", "abc", Anomaly::InvalidLength, Inferred),
        ("Content-Length: 18446744073709551616", "abc", Anomaly::InvalidLength, Inferred),
        ("Transfer-Encoding: chunked, chunked", "0\r\n\r\n", Anomaly::RepeatedChunked, Exact),
        // It is no coding, and no field (RFC 9110, 5.5 and 5.1).
        ("Transfer-Encoding: \0chunked", "0\r\n\r\n", Anomaly::UnknownCoding, Inferred),
        ("Transfer-Encoding\x0c: chunked\r\nContent-Length: 3", "abc", Anomaly::InvalidField, Exact),
    ] {
        let found = exchanges(|wire| {
            wire.client(post(fields, content)).server(CREATED);
        });
        assert!(found[0].anomalies.contains(anomaly), "{fields:?}: {:?}", found[0].anomalies);
        assert!(!found[0].anomalies.contains(Anomaly::LengthAndEncoding), "{fields:?}");
        assert_eq!((found.len(), found[0].confidence), (1, confidence), "{fields:?}");
    }
}
