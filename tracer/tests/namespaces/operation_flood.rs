//! A flood of handshakes that nobody confirms: it fills its own table and nothing else.

use std::net::SocketAddrV4;

use tracer::lab::demo::half_open::{self, ForgedSyn};
use tracer_common::server::MAX_REPORTED_ATTEMPTS;

use crate::{
    harness::{Fields, Tracer},
    pair,
    tcp_ends::{await_end, connect, exchange, listen},
};

/// Forged SYNs, from as many ports and addresses.
const SYNS: u32 = 10_000;
/// ScanBuffer for so many of them.
const ROOM: u64 = 100;
/// The fewest that are told before the others are summarised, one less for the connection beside them; and the most: how
/// many, depends on how fast they come.
const TOLD: std::ops::Range<u64> = MAX_REPORTED_ATTEMPTS as u64 - 1..SYNS as u64 / 2;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_flood_of_syns_does_not_disturb_a_connection() {
    let pair = pair();
    // Without repetitions: a SYN-ACK sent again, after a second, belongs to a handshake that was pushed out and forgotten.
    half_open::prepare(&pair, Some(0)).expect("the forged addresses can be routed");
    let listener = listen(&pair);
    let tracer = Tracer::at(
        &pair.server,
        &["--max-connections", &ROOM.to_string(), "--events", "connection,exchange,stats"],
    );
    let (mut client, mut server) = connect(&pair, &listener);
    let before = exchange(&mut client, &mut server, "/before", 200);
    let target = SocketAddrV4::new(pair.server.v4, 80);
    let syns = (0..SYNS).map(|number| ForgedSyn::numbered(number, target));
    pair.client.namespace.run(|| half_open::send(syns)).expect("namespace").expect("SYNs can be sent");
    let after = exchange(&mut client, &mut server, "/after", 404);
    drop(server);
    await_end(&mut client);
    drop(client);
    tracer.wait_for_lines(1, "orderly end", |line| line.contains(r#""tcp.conn_state":"SF""#));
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);

    assert_eq!(trace.opened().len(), 1, "one handshake was confirmed");
    let told: Vec<_> = trace
        .exchanges()
        .iter()
        .map(|e| (e.text("url.path"), e.number("http.response.status_code"), e.text("http.confidence")))
        .collect();
    assert_eq!(told, [("/before", 200, "exact"), ("/after", 404, "exact")]);
    let (orderly, forged): (Vec<_>, Vec<_>) =
        trace.closed().into_iter().partition(|closed| closed.text("tcp.conn_state") == "SF");
    let [orderly] = orderly[..] else { panic!("{orderly:#?}") };
    let bytes = [before[0] + after[0], before[1] + after[1]];
    assert_eq!([orderly.number("client.bytes"), orderly.number("server.bytes")], bytes);
    assert_eq!((orderly.text("tcp.close.reason"), orderly.number("http.exchanges")), ("fin", 2));

    for closed in &forged {
        let state = closed.text("tcp.conn_state");
        // Answered, or not even that: the server sends cookies when its queue is full.
        assert!(matches!(state, "S0" | "S1"), "{closed:#}");
        assert!(matches!(closed.text("tcp.close.reason"), "evicted" | "end_of_capture"), "{closed:#}");
        assert_eq!((closed.number("client.bytes"), closed.number("server.bytes")), (0, 0));
    }
    let summary = trace.records.last().expect("a summary");
    let told = forged.len() as u64;
    assert!(TOLD.contains(&told), "{told} attempts were told: {summary:#}");
    assert_eq!(summary.number("tracer.connections.opened"), told + 1, "{summary:#}");
    assert_eq!(summary.number("tracer.connections.evicted"), told - ROOM, "{summary:#}");
    let summarised = summary.number("tracer.segments.summarised");
    assert!(summarised >= u64::from(SYNS) - told, "{summary:#}");
    let listeners = trace.of("tcp.listener");
    let server = listeners.last().expect("the server was asked");
    assert_eq!(server.number("tcp.listener.attempts"), u64::from(SYNS) + 1, "{server:#}");
    assert_eq!(server.number("tcp.listener.completed"), 1, "{server:#}");
    assert_eq!(server.number("tcp.segments.summarised"), summarised, "{server:#}");
}
