//! Missed bytes and lost events.

use super::*;

#[test]
fn a_missed_response_is_not_reported_as_absent() {
    let mut wire = Wire::connected();
    wire.client(get("/1"))
        .unseen(End::High, 60)
        .fin(End::High, 60)
        .client_fin()
        .finish(ConnectionEnd::Closed);
    assert_eq!(wire.exchanges(), ["1 GET /1 - - 0/- not_observed exact"]);
    // The next segment reveals the gap; then a reset.
    let mut wire = Wire::connected();
    wire.client(get("/1")).unseen(End::High, 60).server("rest of it").client(get("/2")).server("more");
    wire.finish(RESET);
    assert_eq!(
        wire.exchanges(),
        ["1 GET /1 - - 0/- not_observed exact", "2 GET /2 - - 0/- not_observed exact"]
    );
}

#[test]
fn exchanges_are_found_again_after_missed_bytes() {
    let mut wire = Wire::connected();
    wire.client(get("/1")).server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    wire.unseen(End::High, 50).client(get("/2")).server(OK).client(get("/3")).server(NOT_FOUND);
    assert_eq!(
        wire.exchanges(),
        [
            "1 GET /1 200 chunked 0/- not_observed inferred",
            "2 GET /2 200 content-length 0/2 complete resynced",
            "3 GET /3 404 none 0/0 complete exact",
        ]
    );
}

#[test]
fn a_missed_request_leaves_its_response() {
    let mut wire = Wire::connected();
    wire.client(get("/1")).server(OK).unseen(End::Low, 70).server(NOT_FOUND).client(get("/3")).server(OK);
    assert_eq!(
        wire.exchanges(),
        [
            "1 GET /1 200 content-length 0/2 complete exact",
            "2 - - 404 none -/0 complete inferred",
            "3 GET /3 200 content-length 0/2 complete resynced",
        ]
    );
}

#[test]
fn a_lost_fragment_leaves_the_lines_before_it() {
    let mut wire = Wire::connected();
    wire.losing(|facts| facts.offset == 20).client("GET /cut HTTP/1.1\r\nA");
    wire.client(": b\r\n").client("Host: a\r\n\r\n").server(OK);
    let (_, Body::Exchange(exchange)) = wire.records().pop().unwrap() else { panic!("an exchange") };
    assert_eq!(exchange.request.target.as_ref().unwrap().as_str(), "/cut");
    assert_eq!((exchange.request.truncated, &exchange.request.domain), (true, &None));
    assert_eq!(exchange.request_ns, Some(20));
}

#[test]
fn a_lost_start_of_a_head_leaves_the_status_only() {
    let mut wire = Wire::connected();
    wire.losing(|facts| facts.marks.contains(Marks::HEAD_START));
    wire.client("GET / HTTP/1.1\r\n")
        .client("\r\n")
        .server("HTTP/1.1 200 OK\r\n")
        .server("Content-Length: 0\r\n\r\n");
    assert_eq!(wire.exchanges(), ["1 - - 200 none 0/0 complete inferred"]);
}

#[test]
fn pairing_survives_lost_events() {
    fn is(facts: &HttpFacts, client: bool, exchange: u32, marks: Marks) -> bool {
        (facts.header.sender == 0) == client && facts.exchange == exchange && facts.marks.intersects(marks)
    }
    let run = |lose: fn(&HttpFacts) -> bool| {
        let mut wire = Wire::connected();
        wire.losing(lose);
        for (target, response) in [("/1", OK), ("/2", NOT_FOUND), ("/3", NOT_MODIFIED)] {
            wire.client(get(target));
            response.split_inclusive("\r\n\r\n").for_each(|part| {
                wire.server(part);
            });
        }
        wire.close().exchanges()
    };
    let first = "1 GET /1 200 content-length 0/2 complete exact";
    let last = "3 GET /3 304 none 0/0 complete exact";
    // The request.
    let reported = run(|facts| is(facts, true, 1, Marks::HEAD_END));
    assert_eq!(reported, [first, "2 - - 404 none -/0 complete inferred", last]);
    // The response.
    let reported = run(|facts| is(facts, false, 1, Marks::HEAD_END));
    assert_eq!(reported, [first, "2 GET /2 - - 0/- not_observed exact", last]);
    // Both.
    let reported =
        run(|facts| is(facts, true, 1, Marks::from_bits(!0)) || is(facts, false, 1, Marks::from_bits(!0)));
    assert_eq!(reported, [first, "2 - - - - -/- not_observed inferred", last]);
    // The end of the first response: the second one proves that it was complete.
    let reported = run(|facts| is(facts, false, 0, Marks::MESSAGE_END));
    assert_eq!(reported[0], "1 GET /1 200 content-length 0/2 complete inferred");
    assert_eq!(reported[2], last);
    // The head of the first response.
    let reported = run(|facts| is(facts, false, 0, Marks::HEAD_END));
    assert_eq!(reported[0], "1 GET /1 200 content-length 0/2 complete inferred");
    assert_eq!(reported[2], last);
    // All events of responses: none is invented.
    let reported = run(|facts| facts.header.sender == 1);
    assert_eq!(reported.len(), 3);
    assert!(reported.iter().all(|words| words.ends_with("not_observed exact")), "{reported:?}");
}

#[test]
fn the_end_of_the_last_response_may_be_lost_before_the_fin() {
    let mut wire = Wire::connected();
    wire.losing(|facts| {
        facts.marks & (Marks::MESSAGE_END | Marks::RESPONSE) == Marks::MESSAGE_END | Marks::RESPONSE
    });
    wire.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").server("abcd").close();
    assert_eq!(wire.exchanges(), ["1 GET / 200 content-length 0/4 complete inferred"]);
}

#[test]
fn records_are_true_whatever_is_lost() {
    for seed in 0..1000u64 {
        let mut state = seed;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut loss = random;
        let mut wire = Wire::connected().in_segments_of(random(40) as usize + 5);
        wire.losing(move |_| loss(5) == 0);
        // Request n gets the status 210 + n and content of n bytes.
        let mut answered = 0;
        for n in 0..40u16 {
            wire.client(get(&format!("/{n}")));
            if seed % 2 == 0 && random(10) == 0 {
                wire.drop_buffers();
            }
            while answered <= n && random(3) > 0 {
                let content = "x".repeat(usize::from(answered));
                let status = 210 + answered;
                wire.server(format!("HTTP/1.1 {status} x\r\nContent-Length: {answered}\r\n\r\n{content}"));
                answered += 1;
            }
        }
        wire.close();
        for (position, words) in wire.exchanges().iter().enumerate() {
            let words: Vec<_> = words.split(' ').collect();
            assert_eq!(words[0], (position + 1).to_string());
            assert!([format!("/{position}").as_str(), "-"].contains(&words[2]), "seed {seed}: {words:?}");
            assert!(
                [format!("{}", 210 + position).as_str(), "-"].contains(&words[3]),
                "seed {seed}: {words:?}"
            );
            assert!(
                [format!("0/{position}"), "0/-".into(), format!("-/{position}"), "-/-".into()]
                    .contains(&words[5].into())
            );
            let answered = position < usize::from(answered);
            assert!(words[6] != if answered { "no_response" } else { "complete" }, "seed {seed}: {words:?}");
            assert!(!["response_truncated", "request_aborted"].contains(&words[6]), "seed {seed}: {words:?}");
        }
    }
}
