//! Conversations: bytes of both directions in, exchanges out.

mod anomalies;
mod failed;
mod headers;
mod lost;
mod wire;

use tracer_common::{
    event::{HttpFacts, Marks},
    flow::End,
    http1::MAX_HEAD,
};

use self::wire::{RESET, Wire};
use super::{ConnectionEnd, Conversation, queue::MAX_PENDING};
use crate::record::{Bodies, Body};

/// A request without content for `target`.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: example.org\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NOT_MODIFIED: &str = "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Checks the exchanges, and that the records are the same, times included, however the bytes are cut into
/// segments.
#[track_caller]
fn expect(script: impl Fn(&mut Wire), exchanges: &[&str]) {
    let mut whole = Wire::connected();
    script(&mut whole);
    assert_eq!(whole.exchanges(), exchanges);
    let mut again = Wire::connected();
    script(&mut again);
    let records = again.records();
    for size in [1, 2, 3, 5, 7, 16, 17, 64, 100, 1000] {
        let mut cut = Wire::connected().in_segments_of(size);
        script(&mut cut);
        assert_eq!(cut.records(), records, "in segments of {size}");
    }
}

#[test]
fn a_persistent_connection_carries_one_exchange_after_another() {
    expect(
        |wire| {
            wire.client(get("/"))
                .server(OK)
                .client(get("/a"))
                .server(NOT_MODIFIED)
                .client(get("/b"))
                .server(NOT_FOUND);
        },
        &[
            "1 GET / 200 content-length 0/2 complete exact",
            "2 GET /a 304 none 0/0 complete exact",
            "3 GET /b 404 none 0/0 complete exact",
        ],
    );
}

#[test]
fn pipelined_requests_are_reported_in_order() {
    expect(
        |wire| {
            wire.client([get("/1"), get("/2"), get("/3")].concat())
                .server([NOT_FOUND, OK, NOT_MODIFIED].concat());
        },
        &[
            "1 GET /1 404 none 0/0 complete exact",
            "2 GET /2 200 content-length 0/2 complete exact",
            "3 GET /3 304 none 0/0 complete exact",
        ],
    );
}

#[test]
fn request_and_response_are_reported_when_their_heads_are_complete() {
    let mut wire = Wire::connected();
    wire.client("POST /f HTTP/1.0\r\nContent-Length: 4\r\n\r\nab");
    let [(time, body)] = wire.records().try_into().unwrap();
    let Body::Request(request) = body else { panic!("a request") };
    assert_eq!((time, request.index, request.head.truncated), (1010, 1, false));
    assert_eq!(request.head.version.unwrap().as_str(), "1.0");
    wire.client("cd").server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    let [(time, body)] = wire.records().try_into().unwrap();
    let Body::Response(response) = body else { panic!("a response") };
    assert_eq!((time, response.index, response.status), (1030, 1, Some(200)));
    assert_eq!(wire.conversation().exchanges(), 0);
    wire.server("cd");
    assert_eq!(wire.exchanges(), ["1 POST /f 200 content-length 4/4 complete exact"]);
    assert_eq!((wire.conversation().exchanges(), wire.conversation().client()), (1, Some(End::Low)));
}

#[test]
fn times_are_measured_between_first_and_last_bytes() {
    let mut wire = Wire::connected();
    wire.client("POST / HTTP/1.1\r\n").client("Content-Length: 4\r\n\r\n").client("abcd");
    wire.server("HTTP/1.1 200 OK\r\n").server("Content-Length: 4\r\n\r\n").server("ab").server("cd");
    let (time, Body::Exchange(exchange)) = wire.records().pop().unwrap() else { panic!("an exchange") };
    assert_eq!(time, 1070);
    assert_eq!(exchange.request_ns, Some(20));
    assert_eq!(exchange.time_to_first_byte_ns, Some(10));
    assert_eq!(exchange.response_ns, Some(30));
    assert_eq!(exchange.duration_ns, Some(60));
}

#[test]
fn a_status_code_below_100_is_final() {
    expect(
        |wire| {
            wire.client(get("/")).server("HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\nok");
        },
        &["1 GET / 0 content-length 0/2 complete exact"],
    );
}

#[test]
fn an_incomplete_head_is_a_request_only_once_the_connection_ends() {
    for (end, reported) in [
        (ConnectionEnd::Closed, &["1 GET /a - - -/- not_observed exact"][..]),
        (RESET, &["1 GET /a - - -/- request_aborted exact"]),
        (ConnectionEnd::ObservationOver, &[]),
    ] {
        let mut wire = Wire::connected();
        wire.client("GET /a HTTP/1.1\r\nHost: exa").finish(end);
        assert_eq!(wire.exchanges(), reported, "{end:?}");
    }
}

#[test]
fn interim_responses_belong_to_the_exchange_they_precede() {
    expect(
        |wire| {
            wire.client("PUT /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
                .server("HTTP/1.1 100 Continue\r\n\r\n")
                .client("abc")
                .server("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
                .server(OK);
        },
        &["1 PUT /f [100,103] 200 content-length 3/2 complete exact"],
    );
}

#[test]
fn responses_without_content_end_with_their_heads() {
    expect(
        |wire| {
            wire.client("HEAD / HTTP/1.1\r\n\r\n").server("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
            wire.client("DELETE /x HTTP/1.1\r\n\r\n").server("HTTP/1.1 204 No Content\r\n\r\n");
            wire.client(get("/y")).server(NOT_MODIFIED);
        },
        &[
            "1 HEAD / 200 none 0/0 complete exact",
            "2 DELETE /x 204 none 0/0 complete exact",
            "3 GET /y 304 none 0/0 complete exact",
        ],
    );
}

#[test]
fn chunked_content_is_counted_without_its_framing() {
    expect(
        |wire| {
            wire.client("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n")
                .server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .server("A\r\n0123456789\r\n")
                .server("1\r\n0\r\n0\r\nDigest: x\r\n\r\n");
        },
        &["1 POST /c 200 chunked 3/11 complete exact"],
    );
}

const UNTIL_CLOSE: &str = "HTTP/1.0 200 OK\r\n\r\n0123456789";

#[test]
fn content_until_the_close_is_complete_with_the_fin() {
    expect(
        |wire| {
            wire.client(get("/")).server(UNTIL_CLOSE).server("more");
            assert_eq!(wire.conversation().exchanges(), 0);
            wire.server_fin();
            assert_eq!(wire.conversation().exchanges(), 1);
            wire.client_fin().finish(ConnectionEnd::Closed);
        },
        &["1 GET / 200 close 0/14 complete exact"],
    );
}

#[test]
fn content_until_the_close_with_a_gap_has_no_size() {
    let mut wire = Wire::connected();
    wire.client(get("/"))
        .server(UNTIL_CLOSE)
        .unseen(End::High, 100)
        .fin(End::High, 100)
        .client_fin()
        .finish(ConnectionEnd::Closed);
    assert_eq!(wire.exchanges(), ["1 GET / 200 close 0/- complete inferred"]);
}

#[test]
fn a_reset_truncates_a_response() {
    for (response, words) in [
        (UNTIL_CLOSE, "1 GET / 200 close 0/- response_truncated exact"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "1 GET / 200 content-length 0/- response_truncated exact",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "1 GET / 200 chunked 0/- response_truncated exact",
        ),
        ("HTTP/1.1 200 OK\r\nConte", "1 GET / 200 - 0/- response_truncated exact"),
        ("HTTP/1.1 100 Continue\r\nConte", "1 GET / - - 0/- no_response exact"),
        ("HTTP/1.1 20", "1 GET / - - 0/- no_response exact"),
    ] {
        expect(
            |wire| {
                wire.client(get("/")).server(response).finish(RESET);
            },
            &[words],
        );
    }
}

#[test]
fn a_fin_truncates_a_response_with_a_length() {
    expect(
        |wire| {
            wire.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").close();
        },
        &["1 GET / 200 content-length 0/3 response_truncated exact"],
    );
}

#[test]
fn a_connection_that_continues_unobserved_proves_nothing() {
    for response in [UNTIL_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nabc"] {
        let mut wire = Wire::connected();
        wire.client(get("/")).server(response).finish(ConnectionEnd::NotObserved);
        let [words] = wire.exchanges().try_into().unwrap();
        assert!(words.ends_with("0/- not_observed exact"), "{words}");
    }
    let mut wire = Wire::connected();
    wire.client(get("/")).finish(ConnectionEnd::NotObserved);
    assert_eq!(wire.exchanges(), ["1 GET / - - 0/- not_observed exact"]);
}

#[test]
fn an_upgrade_ends_http() {
    expect(
        |wire| {
            wire.client("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
                .server("HTTP/1.1 101 Switching Protocols\r\n\r\n")
                .client(get("/not-http"))
                .server(OK)
                .close();
        },
        &["1 GET /chat 101 tunnel 0/- complete exact"],
    );
}

#[test]
fn connect_opens_a_tunnel_or_does_not() {
    expect(
        |wire| {
            wire.client("CONNECT b:443 HTTP/1.1\r\n\r\n")
                .server("HTTP/1.1 407 x\r\nContent-Length: 1\r\n\r\n-")
                .client("CONNECT b:443 HTTP/1.1\r\n\r\n")
                .server("HTTP/1.1 200 OK\r\n\r\n")
                .client("\x16\x03\x01")
                .close();
        },
        &[
            "1 CONNECT b:443 407 content-length 0/1 complete exact",
            "2 CONNECT b:443 200 tunnel 0/- complete exact",
        ],
    );
}

#[test]
fn an_early_response_waits_for_its_request() {
    expect(
        |wire| {
            wire.client("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab").server(NOT_FOUND);
            assert_eq!(wire.conversation().exchanges(), 0);
            wire.client("cd");
            assert_eq!(wire.conversation().exchanges(), 1);
        },
        &["1 POST / 404 none 4/0 complete exact"],
    );
    expect(
        |wire| {
            wire.client("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab").server(NOT_FOUND).close();
        },
        &["1 POST / 404 none 2/0 early_response exact"],
    );
}

#[test]
fn a_response_may_come_before_the_head_of_its_request_is_complete() {
    expect(
        |wire| {
            wire.client("GET /long HTTP/1.1\r\nA: b\r\nC: ").server(NOT_FOUND).client("d\r\n\r\n").close();
        },
        &["1 GET /long 404 none 0/0 complete exact"],
    );
    expect(
        |wire| {
            wire.client("GET /long HTTP/1.1\r\nA: b\r\nC: ").server(NOT_FOUND).close();
        },
        &["1 GET /long 404 none -/0 early_response exact"],
    );
}

#[test]
fn a_response_without_a_request_is_inferred() {
    expect(
        |wire| {
            wire.client(get("/")).server(OK).server("HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n").close();
        },
        &["1 GET / 200 content-length 0/2 complete exact", "2 - - 408 none -/0 complete inferred"],
    );
}

#[test]
fn a_midstream_connection_starts_with_what_is_seen() {
    let mut wire = Wire::midstream();
    wire.server(OK).client(get("/next")).server(NOT_FOUND).client(get("/last")).server(OK).close();
    assert_eq!(
        wire.exchanges(),
        [
            "1 - - 200 content-length -/2 complete inferred",
            "2 GET /next 404 none 0/0 complete inferred",
            "3 GET /last 200 content-length 0/2 complete exact",
        ]
    );
    assert_eq!(wire.conversation().client(), Some(End::Low));
}

#[test]
fn an_aborted_request_is_reported_with_what_was_sent() {
    for (request, words) in [
        ("POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", "1 POST /a - - 2/- request_aborted exact"),
        ("GET /a HTTP/1.1\r\nHost: exam", "1 GET /a - - -/- request_aborted exact"),
    ] {
        expect(
            |wire| {
                wire.client(request).client_fin().server_fin().finish(ConnectionEnd::Closed);
            },
            &[words],
        );
        expect(
            |wire| {
                wire.client(request).server_fin().client_fin().finish(ConnectionEnd::Closed);
            },
            &[words],
        );
        expect(
            |wire| {
                wire.client(request).reset(End::High);
            },
            &[words],
        );
    }
    for (start, words) in [
        ("GET /a HT", &["1 GET /a - - -/- request_aborted exact"][..]),
        ("GET /a", &["1 GET - - - -/- request_aborted exact"]),
        ("EHLO /a HT", &[]),
    ] {
        expect(
            |wire| {
                wire.client(start).finish(RESET);
            },
            words,
        );
    }
}

#[test]
fn a_request_without_a_response_is_reported_when_the_server_closes() {
    expect(
        |wire| {
            wire.client([get("/1"), get("/2")].concat()).server(OK).server_fin();
            assert_eq!(wire.conversation().exchanges(), 2);
            wire.client(get("/3")).client_fin().finish(ConnectionEnd::Closed);
        },
        &[
            "1 GET /1 200 content-length 0/2 complete exact",
            "2 GET /2 - - 0/- no_response exact",
            "3 GET /3 - - 0/- no_response exact",
        ],
    );
}

#[test]
fn a_head_that_is_too_long_is_reported_from_its_start() {
    let filler = format!("X-Filler: {}\r\n", "x".repeat(500)).repeat(40);
    assert!(filler.len() > MAX_HEAD as usize);
    for size in [usize::MAX, 1000, 1] {
        let mut wire = Wire::connected().in_segments_of(size);
        wire.client(format!("GET /long HTTP/1.1\r\nHost: a\r\n{filler}\r\n")).server(OK);
        let (_, Body::Exchange(exchange)) = wire.records().pop().unwrap() else { panic!("an exchange") };
        assert_eq!(exchange.request.target.unwrap().as_str(), "/long");
        assert_eq!(exchange.request.domain.unwrap().as_str(), "a");
        assert!(exchange.request.truncated);
    }
    let mut wire = Wire::connected();
    wire.client(format!("GET /long HTTP/1.1\r\n{filler}Host: a\r\n\r\n")).server(OK);
    let (_, Body::Exchange(exchange)) = wire.records().pop().unwrap() else { panic!("an exchange") };
    assert_eq!((exchange.request.truncated, exchange.request.domain), (true, None));
}

#[test]
fn hostile_bytes_in_a_target_are_escaped() {
    let mut wire = Wire::connected();
    wire.client(b"GET /\x1b[31m\xff\x07?\x80 HTTP/1.1\r\nHost: a\x1bb\r\n\r\n").server(OK);
    assert_eq!(wire.exchanges(), ["1 GET /\\x1b[31m\\xff\\x07?\\x80 200 content-length 0/2 complete exact"]);
}

#[test]
fn other_protocols_are_not_exchanges() {
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-x\r\n",
        b"HELLO there\r\n",
    ] {
        expect(
            |wire| {
                wire.client(bytes).server(b"\x00\x00\x12\x04").close();
            },
            &[],
        );
    }
}

#[test]
fn a_request_with_conflicting_lengths_does_not_wait_for_its_end() {
    expect(
        |wire| {
            wire.client("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
                .server(NOT_FOUND);
        },
        &["1 POST / 404 none -/0 complete inferred"],
    );
}

#[test]
fn beyond_the_limit_the_oldest_request_is_reported_as_it_is() {
    let mut wire = Wire::connected();
    for number in 0..=MAX_PENDING {
        wire.client(get(&format!("/{number}")));
    }
    assert_eq!(wire.exchanges(), ["1 GET /0 - - 0/- not_observed inferred"]);
    wire.server(OK).server(NOT_FOUND);
    assert_eq!(wire.exchanges(), ["2 GET /1 404 none 0/0 complete exact"]);
    wire.close();
    assert_eq!(wire.exchanges().len(), MAX_PENDING - 1);
}

#[test]
fn a_connection_without_http_has_no_records() {
    let mut wire = Wire::connected();
    wire.close();
    assert!(wire.records().is_empty());
    assert_eq!(wire.conversation().client(), None);
}

#[test]
fn inconsistent_events_do_no_harm() {
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let lines: [&[u8]; 5] =
        [b"", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n", b"\xff x \n"];
    for _ in 0..300 {
        let mut conversation = Conversation::default();
        let mut out = Bodies::new();
        for time in 0..200 {
            let bytes = lines[random(5) as usize];
            let mut facts = HttpFacts {
                offset: if random(9) == 0 { u64::MAX - random(20) } else { random(60) },
                content: if random(9) == 0 { u64::MAX } else { random(60) },
                exchange: if random(20) == 0 { u32::MAX - random(9) as u32 } else { random(9) as u32 },
                head: random(5) as u32,
                head_len: random(40) as u32,
                marks: Marks::from_bits(random(1 << 17) as u32),
                status: random(600) as u16,
                len: bytes.len() as u16,
                framing: random(7) as u8,
                ..HttpFacts::default()
            };
            facts.header.sender = random(2) as u8;
            facts.header.time = random(1000);
            match random(20) {
                0 => conversation.on_lost(End::from_byte(random(2) as u8)),
                1 => conversation.on_fin(
                    End::from_byte(random(2) as u8),
                    random(99),
                    random(2),
                    time,
                    &mut out,
                ),
                2 => conversation.drop_buffers(time, &mut out),
                _ => conversation.on_event(&facts, bytes, &(), &mut out),
            }
        }
        conversation.finish(
            [ConnectionEnd::Closed, RESET, ConnectionEnd::NotObserved][random(3) as usize],
            9999,
            &mut out,
        );
        let mut next_index = 1;
        for (_, body) in out {
            if let Body::Exchange(exchange) = body {
                assert_eq!(exchange.index, next_index, "every exchange is reported once, in order");
                next_index += 1;
            }
        }
        assert_eq!(conversation.exchanges(), next_index - 1);
    }
}
