//! Recorded header fields of whole conversations.

use serde_json::{Value, json};
use tracer_common::http1::MAX_HEAD;

use super::{OK, wire::Wire};
use crate::record::Body;

/// The recorded fields of a record.
fn fields(body: &Body) -> Value {
    let mut record = serde_json::to_value(body).expect("JSON");
    let record = record.as_object_mut().expect("an object");
    record.retain(|name, _| {
        name.contains(".header.") || name.contains("response.head.") || name.ends_with(".truncated_fields")
    });
    json!(record)
}

/// The recorded fields of the exchanges.
fn exchanges(wire: &mut Wire) -> Vec<Value> {
    let records = wire.records();
    let bodies = records.iter().map(|(_, body)| body);
    bodies.filter(|body| matches!(body, Body::Exchange(_))).map(fields).collect()
}

#[test]
fn an_exchange_has_the_fields_of_its_request_and_of_its_final_response() {
    for size in [usize::MAX, 7, 1] {
        let mut wire = Wire::connected().selecting(&["a", "b"]).in_segments_of(size);
        wire.client("GET /1 HTTP/1.1\r\nA: 1\r\n\r\nGET /2 HTTP/1.1\r\na: 2\r\nA: 3\r\n\r\n")
            .server("HTTP/1.1 103 Early\r\nB: 4\r\n\r\nHTTP/1.1 200 OK\r\nB: 5\r\nContent-Length: 0\r\n\r\n")
            .server("HTTP/1.1 204 No\r\n\r\n")
            .close();
        let records = wire.records();
        let of = |wanted: fn(&Body) -> bool| {
            records.iter().filter(|(_, body)| wanted(body)).map(|(_, body)| fields(body)).collect::<Vec<_>>()
        };
        let (request, response) = ("http.request.header.a", "http.response.header.b");
        assert_eq!(
            of(|body| matches!(body, Body::Exchange(_))),
            [json!({ request: ["1"], response: ["5"] }), json!({ request: ["2", "3"] })]
        );
        assert_eq!(
            of(|body| matches!(body, Body::Response(_))),
            [json!({ response: ["4"] }), json!({ response: ["5"] }), json!({})]
        );
        assert_eq!(
            of(|body| matches!(body, Body::Request(_))),
            [json!({ request: ["1"] }), json!({ request: ["2", "3"] })]
        );
    }
}

#[test]
fn content_and_trailers_have_no_fields() {
    let mut wire = Wire::connected().selecting(&["a"]);
    wire.client("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nA: 1\r\n\r\n0\r\nA: 2\r\n\r\n")
        .server("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nA: 3\r\n\r\n")
        .close();
    assert_eq!(exchanges(&mut wire), [json!({})]);
}

#[test]
fn a_head_that_is_too_long_has_the_fields_that_were_seen_completely() {
    let filler = format!("B: {}\r\n", "x".repeat(MAX_HEAD as usize));
    let mut wire = Wire::connected().selecting(&["a", "b"]).in_segments_of(1000);
    wire.client(format!("GET / HTTP/1.1\r\nA: 1\r\n{filler}A: 2\r\n\r\n")).server(OK).close();
    assert_eq!(exchanges(&mut wire), [json!({ "http.request.header.a": ["1"] })]);
    let mut wire = Wire::connected().selecting(&["a", "b"]).in_segments_of(1000);
    let response = format!("HTTP/1.1 200 OK\r\nA: 1\r\n{filler}Content-Length: 0\r\n\r\n");
    wire.client("GET / HTTP/1.1\r\n\r\n").server(response).close();
    let expected = json!({ "http.response.header.a": ["1"], "http.response.head.truncated": true });
    assert_eq!(exchanges(&mut wire), [expected]);
}

#[test]
fn what_was_left_out_is_named() {
    let mut wire = Wire::connected().selecting(&["a", "b"]).in_segments_of(1000);
    let long = format!("A: {}\r\n", "x".repeat(3000));
    wire.client(format!("GET / HTTP/1.1\r\n{long}B: 1\r\n\r\n"))
        .server(format!("HTTP/1.1 200 OK\r\n{}\r\n", "B: 2\r\n".repeat(20)))
        .close();
    let exchange = exchanges(&mut wire).remove(0);
    assert_eq!(exchange["http.request.head.truncated_fields"], json!(["a"]));
    assert_eq!(exchange["http.response.head.truncated_fields"], json!(["b"]));
    assert_eq!(exchange["http.request.header.b"], json!(["1"]));
}

#[test]
fn fields_of_open_exchanges_count_as_buffered() {
    const LEN: usize = 2000;
    let value = "x".repeat(LEN);
    let open = |names: &[&str]| {
        let mut wire = Wire::connected().selecting(names).in_segments_of(1000);
        wire.client(format!("GET / HTTP/1.1\r\nA: {value}\r\n\r\n").repeat(2))
            .server(format!("HTTP/1.1 200 OK\r\nA: {value}\r\nContent-Length: 9\r\n\r\n"));
        (wire.conversation().buffered(), wire)
    };
    let ((without, _), (with, mut wire)) = (open(&[]), open(&["a"]));
    assert!(with >= without + 3 * LEN, "{without} without, {with} with them");
    wire.drop_buffers();
    assert_eq!(wire.conversation().buffered(), 0);
    let exchanges = exchanges(&mut wire);
    assert_eq!(exchanges[0]["http.response.header.a"], json!([value]));
    assert_eq!(exchanges[1]["http.request.header.a"], json!([value]));
}
