//! Midstream connections, and connections seen by two tracers.

use serde_json::Value;

use crate::{
    harness::{Fields, Tracer},
    pair,
    tcp_ends::{await_end, connect, exchange, listen},
};

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_connection_older_than_tracer_is_traced_from_its_next_exchange() {
    let pair = pair();
    let listener = listen(&pair);
    let (mut client, mut server) = connect(&pair, &listener);
    exchange(&mut client, &mut server, "/before", 200);
    let tracer = Tracer::at(&pair.server, &[]);
    let [request_bytes, response_bytes] = exchange(&mut client, &mut server, "/after", 404);
    drop(server);
    await_end(&mut client);
    drop(client);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
    assert!(trace.opened()[0].flag("tcp.midstream"));
    let exchange = trace.exchanges()[0];
    assert_eq!(exchange.text("url.original"), "/after");
    assert_eq!(exchange.number("http.response.status_code"), 404);
    assert_eq!((exchange.text("http.outcome"), exchange.text("http.confidence")), ("complete", "inferred"));
    let closed = trace.closed()[0];
    assert_eq!((closed.text("tcp.conn_state"), closed.text("tcp.close.reason")), ("SF", "fin"));
    assert_eq!(
        (closed.number("client.bytes"), closed.number("server.bytes")),
        (request_bytes, response_bytes)
    );
    assert_eq!(closed.text("server.address"), pair.server.v4.to_string());
}

/// A record without the fields that differ between tracers: times and connection identifiers.
fn comparable(record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(fields) = record.as_object_mut() {
        fields.retain(|name, _| !name.ends_with("_ns") && name != "timestamp" && name != "connection.id");
    }
    record
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn two_tracers_report_the_same_and_one_continues_after_the_other() {
    let pair = pair();
    let listener = listen(&pair);
    let converse = |target: &str| {
        let (mut client, mut server) = connect(&pair, &listener);
        exchange(&mut client, &mut server, target, 200);
        drop(server);
        await_end(&mut client);
    };
    let first = Tracer::at(&pair.server, &[]);
    let second = Tracer::at(&pair.server, &[]);
    assert!(second.errors().contains("XDP"), "the second says why it does not use XDP:\n{}", second.errors());
    converse("/both");
    first.wait_for(1, "connection.closed");
    second.wait_for(1, "connection.closed");
    let first = first.stop();
    converse("/second");
    second.wait_for(2, "connection.closed");
    let second = second.stop();
    first.assert_clean();
    second.assert_clean();
    let reported = |records: &[Value]| records.iter().map(comparable).collect::<Vec<_>>();
    assert_eq!(first.names(), ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
    assert_eq!(reported(&first.records[..3]), reported(&second.records[..3]));
    let targets: Vec<_> = second.exchanges().iter().map(|exchange| exchange.text("url.path")).collect();
    assert_eq!(targets, ["/both", "/second"]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_expired_idle_connection_is_traced_midstream_when_it_continues() {
    let pair = pair();
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &["--idle-timeout", "700ms"]);
    let (mut client, mut server) = connect(&pair, &listener);
    let before = exchange(&mut client, &mut server, "/before", 200);
    tracer.wait_for(1, "connection.closed");
    let after = exchange(&mut client, &mut server, "/after", 200);
    drop(server);
    await_end(&mut client);
    drop(client);
    tracer.wait_for(2, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    let names = ["connection.opened", "http.exchange", "connection.closed"];
    assert_eq!(trace.names(), [&names[..], &names, &["tracer.summary"]].concat(), "{:#?}", trace.records);
    let ends: Vec<_> = trace
        .closed()
        .iter()
        .map(|closed| (closed.text("tcp.conn_state"), closed.text("tcp.close.reason")))
        .collect();
    assert_eq!(ends, [("S1", "idle_timeout"), ("SF", "fin")]);
    let bytes: Vec<_> = trace
        .closed()
        .iter()
        .map(|closed| [closed.number("client.bytes"), closed.number("server.bytes")])
        .collect();
    assert_eq!(bytes, [before, after], "no byte is counted twice");
    assert!(trace.opened()[1].flag("tcp.midstream"));
    assert_eq!(trace.exchanges()[1].text("http.confidence"), "inferred");
    let ids = [0, 1].map(|number| trace.closed()[number].text("connection.id"));
    assert_ne!(ids[0], ids[1]);
}
