//! Exchanges that fail: how far they got, how long they took, and who ended them.

use tracer_common::flow::End;

use super::{ConnectionEnd, Wire, get};
use crate::record::{
    Body, Exchange,
    Outcome::{self, NoResponse, NotObserved, RequestAborted, ResponseTruncated},
    Side,
};

/// The exchange of one connection.
fn exchange(script: impl Fn(&mut Wire)) -> Exchange {
    let mut wire = Wire::connected();
    script(&mut wire);
    let (_, Body::Exchange(exchange)) = wire.records().pop().unwrap() else { panic!("an exchange") };
    *exchange
}

type Failure = (Outcome, Option<Side>, Option<u64>, [Option<u64>; 2], [Option<u64>; 2]);

/// Outcome, who ended it, duration; of request and response the bytes so far and those announced.
fn failure(script: impl Fn(&mut Wire)) -> Failure {
    let one = exchange(script);
    let sizes = [one.request_body_size, one.response_body_size];
    let announced = [one.request_content_length, one.response_content_length];
    (one.outcome, one.initiator, one.duration_ns, sizes, announced)
}

#[test]
fn a_truncated_response_says_how_far_it_got() {
    const PART: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    let (client, server) = (Some(Side::Client), Some(Side::Server));
    let request = [Some(0), Some(3)];
    let by_reset = failure(|wire| {
        wire.client(get("/")).server(PART).reset(End::High);
    });
    assert_eq!(by_reset, (ResponseTruncated, server, Some(20), request, [None, Some(9)]));
    let by_client = failure(|wire| {
        wire.client(get("/")).server(PART).reset(End::Low);
    });
    assert_eq!(by_client, (ResponseTruncated, client, Some(20), request, [None, Some(9)]));
    let by_fin = failure(|wire| {
        wire.client(get("/")).server(PART).server_fin().client_fin().finish(ConnectionEnd::Closed);
    });
    assert_eq!(by_fin, (ResponseTruncated, server, Some(20), request, [None, Some(9)]));
    let given_up = failure(|wire| {
        wire.client(get("/")).server(PART).client_fin().reset(End::High);
    });
    assert_eq!(given_up, (ResponseTruncated, client, Some(20), request, [None, Some(9)]));
    // A client that has closed its side may still wait for the response.
    let half_closed = failure(|wire| {
        wire.client(get("/")).client_fin().server(PART).server_fin();
    });
    assert_eq!(half_closed, (ResponseTruncated, server, Some(30), request, [None, Some(9)]));
    // Only the kernel sees which bytes of chunked content are content.
    let chunked = failure(|wire| {
        wire.client(get("/")).server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
        wire.reset(End::High);
    });
    assert_eq!(chunked, (ResponseTruncated, server, Some(20), [Some(0), None], [None, None]));
    // No connection carries 2^64 bytes (RFC 9110, 8.6).
    let endless = failure(|wire| {
        wire.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nabc");
        wire.server_fin().client_fin();
    });
    assert_eq!(endless, (ResponseTruncated, server, Some(20), request, [None, None]));
}

#[test]
fn an_exchange_without_a_response_lasts_until_somebody_ends_it() {
    let given_up = failure(|wire| {
        wire.client(get("/")).client_fin().server_fin().finish(ConnectionEnd::Closed);
    });
    assert_eq!(given_up, (NoResponse, Some(Side::Client), Some(10), [Some(0), None], [None; 2]));
    let closed = failure(|wire| {
        wire.client(get("/")).server_fin().client_fin().finish(ConnectionEnd::Closed);
    });
    assert_eq!(closed, (NoResponse, Some(Side::Server), Some(10), [Some(0), None], [None; 2]));
    let aborted = failure(|wire| {
        wire.client("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab").reset(End::Low);
    });
    assert_eq!(aborted, (RequestAborted, Some(Side::Client), Some(10), [Some(2), None], [Some(9), None]));
    let unseen = failure(|wire| {
        wire.client(get("/")).finish(ConnectionEnd::NotObserved);
    });
    assert_eq!(unseen, (NotObserved, None, None, [Some(0), None], [None; 2]));
}
