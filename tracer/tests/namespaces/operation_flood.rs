//! A flood of half-open handshakes fills its own table only.

use std::net::SocketAddrV4;

use tracer::lab::demo::half_open::{self, SpoofedSyn};
use tracer_common::server::MAX_REPORTED_ATTEMPTS;

use crate::{
    harness::{Fields, Tracer},
    pair,
    tcp_ends::{await_end, connect, exchange, listen},
};

/// Number of spoofed SYNs, each from another address or port.
const SYNS: u32 = 10_000;
/// Size of the table of half-open handshakes.
const TABLE_SIZE: u64 = 100;
/// Number of attempts reported individually before the others are aggregated. The lower bound is
/// one less for the ordinary connection; the upper one depends on how fast the SYNs arrive.
const REPORTED: std::ops::Range<u64> = MAX_REPORTED_ATTEMPTS as u64 - 1..SYNS as u64 / 2;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_flood_of_syns_does_not_disturb_a_connection() {
    let pair = pair();
    // Without retransmissions: a SYN-ACK retransmitted after a second would belong to an evicted
    // handshake.
    half_open::prepare(&pair, Some(0)).expect("the spoofed addresses can be routed");
    let listener = listen(&pair);
    let tracer = Tracer::at(
        &pair.server,
        &["--max-connections", &TABLE_SIZE.to_string(), "--events", "connection,exchange,stats"],
    );
    let (mut client, mut server) = connect(&pair, &listener);
    let before = exchange(&mut client, &mut server, "/before", 200);
    let target = SocketAddrV4::new(pair.server.v4, 80);
    let syns = (0..SYNS).map(|number| SpoofedSyn::numbered(number, target));
    pair.client.namespace.run(|| half_open::send(syns)).expect("namespace").expect("SYNs can be sent");
    let after = exchange(&mut client, &mut server, "/after", 404);
    drop(server);
    await_end(&mut client);
    drop(client);
    tracer.wait_for_lines(1, "orderly end", |line| line.contains(r#""tcp.conn_state":"SF""#));
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);

    assert_eq!(trace.opened().len(), 1, "one handshake was confirmed");
    let reported: Vec<_> = trace
        .exchanges()
        .iter()
        .map(|e| (e.text("url.path"), e.number("http.response.status_code"), e.text("http.confidence")))
        .collect();
    assert_eq!(reported, [("/before", 200, "exact"), ("/after", 404, "exact")]);
    let (orderly, spoofed): (Vec<_>, Vec<_>) =
        trace.closed().into_iter().partition(|closed| closed.text("tcp.conn_state") == "SF");
    let [orderly] = orderly[..] else { panic!("{orderly:#?}") };
    let bytes = [before[0] + after[0], before[1] + after[1]];
    assert_eq!([orderly.number("client.bytes"), orderly.number("server.bytes")], bytes);
    assert_eq!((orderly.text("tcp.close.reason"), orderly.number("http.exchanges")), ("fin", 2));

    for closed in &spoofed {
        let state = closed.text("tcp.conn_state");
        // With or without a SYN-ACK: the server sends cookies when its queue is full.
        assert!(matches!(state, "S0" | "S1"), "{closed:#}");
        assert!(matches!(closed.text("tcp.close.reason"), "evicted" | "end_of_trace"), "{closed:#}");
        assert_eq!((closed.number("client.bytes"), closed.number("server.bytes")), (0, 0));
    }
    let summary = trace.records.last().expect("a summary");
    let reported = spoofed.len() as u64;
    assert!(REPORTED.contains(&reported), "{reported} attempts were reported: {summary:#}");
    assert_eq!(summary.number("tracer.connections.opened"), reported + 1, "{summary:#}");
    assert_eq!(summary.count("tracer.connections.evicted"), reported - TABLE_SIZE, "{summary:#}");
    let aggregated = summary.count("tracer.handshake_segments.aggregated");
    assert!(aggregated >= u64::from(SYNS) - reported, "{summary:#}");
    let listeners = trace.of("tcp.listener");
    let server = listeners.last().expect("the server has statistics");
    assert_eq!(server.number("tcp.listener.attempts"), u64::from(SYNS) + 1, "{server:#}");
    assert_eq!(server.number("tcp.listener.completed"), 1, "{server:#}");
    assert_eq!(server.count("tcp.handshake_segments.aggregated"), aggregated, "{server:#}");
}
