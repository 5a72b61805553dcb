//! Hand-written records, and the output of renderers for them.

use tracer::output::Format;
use tracer_core::{
    record::{
        Attributes, Body, CloseReason, Closed, ConnState, ConnectionId, ConnectionIdentity, Counts, Exchange,
        Flood, FloodEnded, IcmpCause, IcmpError, IcmpKind, ListenQueue, Listener, NamespaceCounters, Opened,
        Outcome, Purpose, Record, RequestHead, ResponseFraming, SegmentSeen, Side, SideTotals, Summary,
        TcpState, Text, Timestamp, Verdict,
    },
    render::{Actors, Render, Style},
};

/// Start of the tests' connections: 2025-01-01 00:00:00 UTC, in ns since the Unix epoch.
pub(crate) const START: u64 = 1_735_689_600_000_000_000;

/// A connection of `10.0.0.2:45678` to `10.0.0.1:80` on veth0.
pub(crate) fn connection() -> ConnectionIdentity {
    ConnectionIdentity {
        id: ConnectionId { run: 0xc0ff_ee00, number: 1 },
        attributes: Attributes::default(),
        interface: Some("veth0".into()),
        is_one_of_several: false,
        client_address: [10, 0, 0, 2].into(),
        client_port: 45678,
        server_address: [10, 0, 0, 1].into(),
        server_port: 80,
    }
}

/// A record of [`connection`], `after_us` µs after its start.
pub(crate) fn record(after_us: u64, body: Body) -> Record {
    Record { timestamp: Timestamp(START + after_us * 1000), connection: Some(connection()), body }
}

/// A summary, which belongs to no connection.
pub(crate) fn summary() -> Record {
    let summary = Summary {
        duration_ns: 10_000_000_000,
        frames: 1000,
        segments: 900,
        aggregated: 0,
        skipped: Counts(vec![("not_tcp", 90), ("truncated", 0), ("other_port", 10)]),
        events_received: 120,
        events_lost: Counts(vec![("http_ring_full", 3)]),
        opened: 5,
        closed: 4,
        open: 1,
        half_open: 2,
        evicted: 0,
        connections_lost: 7,
        exchanges: 12,
        buffers_dropped: 3,
        records_written: Some(30),
        records_lost: 2,
        records_filtered: 0,
        records_unheld: 0,
        sample: None,
        attachments: vec!["veth0 ingress xdp native".into(), "veth0 egress tcx".into()],
    };
    Record { timestamp: Timestamp(START), connection: None, body: Body::Summary(Box::new(summary)) }
}

/// The head of `GET target`.
pub(crate) fn get(target: &str) -> RequestHead {
    let text = |text: &str| Some(Text::from_wire(text.as_bytes()));
    RequestHead { method: text("GET"), target: text(target), path: text(target), ..RequestHead::default() }
}

/// `GET target` with a response in 3.2 ms.
pub(crate) fn exchange(index: u32, target: &str, status: u16, size: u64) -> Exchange {
    Exchange {
        index,
        request: get(target),
        status: Some(status),
        request_body_size: Some(0),
        response_body_size: Some(size),
        framing: Some(if size > 0 { ResponseFraming::ContentLength } else { ResponseFraming::None }),
        outcome: Outcome::Complete,
        request_ns: Some(0),
        time_to_first_byte_ns: Some(1_100_000),
        response_ns: Some(2_100_000),
        duration_ns: Some(3_200_000),
        ..Exchange::default()
    }
}

/// A SYN flood on a server.
pub(crate) fn flood() -> Flood {
    Flood {
        address: "10.0.0.1".parse().expect("an address"),
        port: 80,
        half_open: 41_000,
        syn_rate: 200_000,
        completion_permille: Some(3),
        sources: 190_000,
        spoofed: true,
        aggregated: 400_000,
    }
}

/// The end of a flood.
pub(crate) fn flood_ended() -> FloodEnded {
    FloodEnded {
        now: Flood { syn_rate: 0, ..flood() },
        duration_ns: 61_000_000_000,
        attempts: 12_000_000,
        completed: 31_000,
        half_open_peak: 44_000,
    }
}

/// Handshake statistics of a server.
pub(crate) fn listener() -> Listener {
    Listener {
        now: Flood {
            half_open: 3,
            syn_rate: 15_000,
            completion_permille: Some(1000),
            sources: 4,
            spoofed: false,
            ..flood()
        },
        verdict: Verdict::Busy,
        attempts: 150_000,
        syn_retransmits: 2,
        answered: 150_000,
        syn_ack_retransmits: 0,
        completed: 149_997,
        refused: 0,
        reset: 0,
        queue: Some(ListenQueue { length: 1, limit: 511 }),
        namespace: Some(NamespaceCounters {
            listen_overflows: 5,
            listen_drops: 6,
            syn_cookies_sent: 7,
            ..NamespaceCounters::default()
        }),
    }
}

/// An ICMP error about the client's first segment.
pub(crate) fn icmp_error() -> IcmpError {
    let kind = IcmpKind { is_v6: false, kind: 3, code: 4 };
    let source = "203.0.113.1".parse().expect("an address");
    IcmpError { cause: IcmpCause { source, kind, mtu: Some(1400) }, sender: Side::Client, seq: 1 }
}

/// The end of a connection with three exchanges.
pub(crate) fn closed() -> Closed {
    Closed {
        conn_state: ConnState::Sf,
        history: "ShADadFf".into(),
        completeness: 31,
        reason: CloseReason::Fin,
        initiator: Some(Side::Server),
        ttl_differs: false,
        duration_ns: 1_234_000_000,
        handshake: Opened { syn_ack_ns: Some(70_000), ack_ns: Some(60_000), ..Opened::default() },
        syn_received_ns: Some(60_000),
        client: SideTotals { bytes: 509, packets: 9, ..SideTotals::default() },
        server: SideTotals { bytes: 41480, packets: 8, ..SideTotals::default() },
        exchanges: 3,
        icmp: None,
        events_lost: 0,
    }
}

/// A segment `after_us` µs after the start of its connection, with `flags`, `(seq, ack, len)`,
/// `purposes` and the states of client and server after it.
pub(crate) fn segment(
    sender: Side,
    after_us: u64,
    flags: &str,
    (seq, ack, len): (i64, Option<i64>, u32),
    purposes: &[Purpose],
    states: (TcpState, TcpState),
) -> Record {
    let seen = SegmentSeen {
        sender,
        since_start_ns: after_us * 1000,
        flags: flags.into(),
        seq,
        ack,
        len,
        window: 64240,
        purposes: purposes.to_vec(),
        client_state: states.0,
        server_state: states.1,
    };
    record(after_us, Body::Segment(Box::new(seen)))
}

/// The output of `renderer` for `records`.
fn rendered(records: &[Record], mut renderer: Box<dyn Render>) -> String {
    let mut bytes = Vec::new();
    for record in records {
        renderer.render(record, &mut bytes).expect("every record has its lines");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "whole lines");
    }
    String::from_utf8(bytes).expect("renderers write UTF-8")
}

/// The output for `records` in `format`.
pub(crate) fn written(records: &[Record], format: Format) -> String {
    rendered(records, format.renderer(Actors::default(), Style::default()))
}

/// The explanation of `records`, with a browser as the client.
pub(crate) fn explained(records: &[Record]) -> String {
    rendered(records, Format::Explain.renderer(Actors::BROWSER, Style::default()))
}
