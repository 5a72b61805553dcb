//! The demo's story and the failures, step by step.
//!
//! The expected texts are in `tests/data`; they are there to be read.

use super::support::records::{closed, connection, exchange, explained, get, record, segment, written};
use Purpose::{
    AcceptsConnection, AckedUnseenSegment, Acknowledges, ConfirmsClose, ConfirmsConnection, Data,
    DuplicateAck, KeepAlive, OutOfOrder, PreviousSegmentNotCaptured, ReadyToClose, Refuses,
    RequestsConnection, Resets, Response, ResponseComplete, Retransmission, WindowUpdate, ZeroWindow,
};
use Side::{Client, Server};
use TcpState::{
    CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, Partial, SynReceived, SynSent, TimeWait,
};
use std::sync::Arc;

use tracer::output::Format;
use tracer_core::record::{
    Attributes, Body, CloseReason, Closed, ConnState, ConnectionId, ConnectionIdentity, Exchange, Opened,
    Outcome, Owner, Purpose, Record, Side, SideTotals, TcpState, Text,
};

/// Both endpoints are open.
const OPEN: (TcpState, TcpState) = (Established, Established);

fn request(target: &str) -> Purpose {
    Purpose::Request(Text::from_wire(b"GET"), Text::from_wire(target.as_bytes()))
}

/// An exchange: its request at the first time, its response from the second to the third.
fn answered(us: [u64; 3], index: u32, target: &str, status: u16, size: u64) -> Record {
    let exchange = Exchange {
        time_to_first_byte_ns: Some((us[1] - us[0]) * 1000),
        response_ns: Some((us[2] - us[1]) * 1000),
        duration_ns: Some((us[2] - us[0]) * 1000),
        ..exchange(index, target, status, size)
    };
    record(us[2], Body::Exchange(Box::new(exchange)))
}

fn handshake() -> Vec<Record> {
    let opened = Opened { syn_ack_ns: Some(43_000), ack_ns: Some(31_000), ..Opened::default() };
    vec![
        segment(Client, 0, "SYN", (0, None, 0), &[RequestsConnection], (SynSent, Listen)),
        segment(Server, 43, "SYN, ACK", (0, Some(1), 0), &[AcceptsConnection], (SynSent, SynReceived)),
        segment(Client, 74, "ACK", (1, Some(1), 0), &[ConfirmsConnection], OPEN),
        record(74, Body::Opened(opened)),
    ]
}

/// The exchanges of the demo. The page takes two segments.
fn demo() -> Vec<Record> {
    let mut records = handshake();
    let client = SideTotals { bytes: 353, ..closed().client };
    let after_the_demo = Closed { duration_ns: 9_120_000, client, ..closed() };
    let data = "PSH, ACK";
    records.extend([
        segment(Client, 131, data, (1, Some(1), 92), &[request("/")], OPEN),
        segment(Server, 150, "ACK", (1, Some(93), 0), &[Acknowledges], OPEN),
        segment(Server, 2250, data, (1, Some(93), 21720), &[Data, Response(200)], OPEN),
        segment(Client, 2264, "ACK", (93, Some(21721), 0), &[Acknowledges], OPEN),
        segment(Server, 2270, data, (21721, Some(93), 19480), &[ResponseComplete(Some(200)), Data], OPEN),
        answered([131, 2250, 2270], 1, "/", 200, 40_960),
        segment(Client, 2281, "ACK", (93, Some(41201), 0), &[Acknowledges], OPEN),
        segment(Client, 2400, data, (93, Some(41201), 130), &[request("/logo.png")], OPEN),
        segment(
            Server,
            4481,
            data,
            (41201, Some(223), 140),
            &[ResponseComplete(Some(304)), Response(304)],
            OPEN,
        ),
        answered([2400, 4481, 4481], 2, "/logo.png", 304, 0),
        segment(Client, 4600, data, (223, Some(41341), 131), &[request("/photo.jpg"), Acknowledges], OPEN),
        segment(
            Server,
            6700,
            data,
            (41341, Some(354), 140),
            &[Response(304), ResponseComplete(Some(304))],
            OPEN,
        ),
        answered([4600, 6700, 6700], 3, "/photo.jpg", 304, 0),
        segment(Client, 6712, "ACK", (354, Some(41481), 0), &[Acknowledges], OPEN),
        segment(Server, 8000, "FIN, ACK", (41481, Some(354), 0), &[ReadyToClose], (CloseWait, FinWait1)),
        segment(Client, 8031, "ACK", (354, Some(41482), 0), &[ConfirmsClose], (CloseWait, FinWait2)),
        segment(Client, 9100, "FIN, ACK", (354, Some(41482), 0), &[ReadyToClose], (LastAck, FinWait2)),
        segment(Server, 9120, "ACK", (41482, Some(355), 0), &[ConfirmsClose], (TcpState::Closed, TimeWait)),
        record(9120, Body::Closed(Box::new(after_the_demo))),
    ]);
    records
}

/// A half-open handshake: the server sends the SYN-ACK three times, and drops the attempt.
fn half_open() -> Vec<Record> {
    let waiting = (SynSent, SynReceived);
    let closed = Closed {
        conn_state: ConnState::S0,
        history: "Sh".into(),
        completeness: 3,
        reason: CloseReason::HalfOpenTimeout,
        initiator: None,
        ttl_differs: false,
        duration_ns: 3_012_000_000,
        handshake: Opened { syn_ack_retransmits: 2, ..Opened::default() },
        syn_received_ns: None,
        client: SideTotals { packets: 1, ..SideTotals::default() },
        server: SideTotals { packets: 3, retransmits: 2, ..SideTotals::default() },
        exchanges: 0,
        icmp: None,
        events_lost: 0,
    };
    let again = [Retransmission, AcceptsConnection];
    vec![
        segment(Client, 0, "SYN", (0, None, 0), &[RequestsConnection], (SynSent, Listen)),
        segment(Server, 21, "SYN, ACK", (0, Some(1), 0), &[AcceptsConnection], waiting),
        segment(Server, 1_004_021, "SYN, ACK", (0, Some(1), 0), &again, waiting),
        segment(Server, 3_012_021, "SYN, ACK", (0, Some(1), 0), &again, waiting),
        record(7_012_021, Body::Closed(Box::new(closed))),
    ]
}

/// Compares with the file. Prints the whole text if it differs, which is easier to read than a diff.
fn assert_reads(text: &str, expected: &str) {
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "{longest:?} columns\n{text}");
    assert!(text == expected, "expected\n{expected}\nbut it reads\n{text}");
}

#[test]
fn the_demo_explains_a_page_and_two_cached_pictures() {
    assert_reads(&explained(&demo()), include_str!("../data/explain-demo.txt"));
}

#[test]
fn a_half_open_handshake_mentions_syn_floods() {
    assert_reads(&explained(&half_open()), include_str!("../data/explain-half-open.txt"));
}

#[test]
fn tcp_anomalies_are_explained() {
    let mut records = handshake();
    let empty = |sender, at, numbers: (i64, i64), purpose| {
        segment(sender, at, "ACK", (numbers.0, Some(numbers.1), 0), &[purpose], OPEN)
    };
    records.extend([
        segment(Client, 200, "PSH, ACK", (1, Some(1), 90), &[request("/a.css?v=1")], OPEN),
        segment(Client, 400, "PSH, ACK", (1, Some(1), 90), &[request("/a.css?v=1"), Retransmission], OPEN),
        segment(Server, 500, "ACK", (1449, Some(91), 1448), &[Data, PreviousSegmentNotCaptured], OPEN),
        empty(Client, 510, (91, 1), DuplicateAck),
        segment(Server, 520, "ACK", (1, Some(91), 1448), &[OutOfOrder, Response(404)], OPEN),
        empty(Client, 530, (91, 2897), ZeroWindow),
        empty(Client, 900, (91, 2897), WindowUpdate),
        empty(Server, 60_000_000, (2896, 91), KeepAlive),
        empty(Client, 60_000_040, (91, 5793), AckedUnseenSegment),
        segment(Client, 61_000_000, "RST", (91, None, 0), &[Resets], (TcpState::Closed, TcpState::Closed)),
    ]);
    let truncated = Exchange {
        outcome: Outcome::ResponseTruncated,
        response_body_size: Some(2700),
        response_content_length: Some(5793),
        initiator: Some(Client),
        duration_ns: None,
        ..exchange(1, "/a.css?v=1", 404, 2700)
    };
    let reset = Closed {
        reason: CloseReason::Reset,
        initiator: Some(Client),
        ttl_differs: false,
        duration_ns: 61_000_000_000,
        exchanges: 1,
        events_lost: 2,
        client: SideTotals {
            bytes: 90,
            packets: 6,
            retransmits: 1,
            zero_windows: 1,
            ..SideTotals::default()
        },
        server: SideTotals {
            bytes: 2896,
            packets: 4,
            gap_bytes: 2896,
            unacked_bytes: 1448,
            ..SideTotals::default()
        },
        ..closed()
    };
    records.push(record(61_000_000, Body::Exchange(Box::new(truncated))));
    records.push(record(61_000_000, Body::Closed(Box::new(reset))));
    assert_reads(&written(&records, Format::Explain), include_str!("../data/explain-anomalies.txt"));
}

#[test]
fn connections_that_interleave_keep_their_numbers() {
    let other =
        ConnectionIdentity { id: ConnectionId { run: 1, number: 2 }, client_port: 45679, ..connection() };
    let of_other = |record: Record| Record { connection: Some(other.clone()), ..record };
    let refuses =
        segment(Server, 9, "RST, ACK", (0, Some(1), 0), &[Refuses], (TcpState::Closed, TcpState::Closed));
    let refused = Closed {
        reason: CloseReason::Refused,
        client: SideTotals::default(),
        server: SideTotals::default(),
        ..closed()
    };
    let mut steps = handshake().into_iter();
    let mut next = || steps.next().expect("a handshake has three segments");
    let records = [
        next(),
        of_other(segment(Client, 0, "SYN", (0, None, 0), &[RequestsConnection], (SynSent, Listen))),
        next(),
        of_other(refuses),
        of_other(record(9, Body::Closed(Box::new(refused)))),
        next(),
    ];
    let text = written(&records, Format::Explain);
    let numbers: Vec<&str> =
        text.lines().filter(|line| line.starts_with('#')).map(|line| &line[..2]).collect();
    assert_eq!(numbers, ["#1", "#1", "#2", "#2", "#1", "#2", "#2", "#1"]);
    assert!(text.contains("#2                 = No connection: the server refused it.\n"), "{text}");
}

/// RFC 9110, 15.2.
#[test]
fn an_interim_response_is_not_the_complete_answer() {
    for (status, sentence) in [
        (100, "The server answers 100 for now: send the content."),
        (103, "The server answers 103 for now: the final answer follows."),
        (101, "The server answers 101: the protocol changes now."),
    ] {
        let purposes = [Response(status), ResponseComplete(Some(status))];
        let mut records = handshake();
        records.push(segment(Server, 90, "PSH, ACK", (1, Some(1), 25), &purposes, OPEN));
        let text = written(&records, Format::Explain);
        assert!(text.contains(sentence) && !text.contains("complete"), "{text}");
    }
}

#[test]
fn without_segments_the_other_records_are_explained() {
    let opened = Opened { syn_ack_ns: Some(43_000), ack_ns: Some(31_000), ..Opened::default() };
    let records = [
        record(74, Body::Opened(opened)),
        answered([131, 2250, 2270], 1, "/", 200, 40_960),
        record(9120, Body::Closed(Box::new(closed()))),
    ];
    let text = written(&records, Format::Explain);
    let expected = "\
#1 client 10.0.0.2:45678, server 10.0.0.1:80, on veth0, at 2025-01-01 00:00:00.000 UTC
#1                 = opened in 74 µs
#1                 = GET /: answered with 200, 41.0 kB, in 2.1 ms, its first byte after 2.1 ms.
#1                 = Closed in good order: both sides sent FIN and were acknowledged. 3 exchanges in
                   1.2 s: 509 B from the client, 41480 B from the server.
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn a_midstream_connection_is_explained_as_such() {
    let states = (Partial, Partial);
    let records = [
        segment(Server, 0, "ACK", (0, Some(0), 1448), &[Data], states),
        record(0, Body::Opened(Opened { midstream: true, ..Opened::default() })),
        record(9, Body::Exchange(Box::new(Exchange { index: 1, request: get("/"), ..Exchange::default() }))),
    ];
    let text = written(&records, Format::Explain);
    assert!(
        text.contains("= This connection is older than the observation: its handshake was not seen.\n"),
        "{text}"
    );
    assert!(text.contains("= GET /: how it ended was not seen.\n"), "{text}");
    let unseen = Exchange { index: 1, status: Some(200), request: get("/"), ..Exchange::default() };
    let text = written(&[record(9, Body::Exchange(Box::new(unseen)))], Format::Explain);
    assert!(text.contains("= GET /: answered with 200, but the end was not seen.\n"), "{text}");
}

#[test]
fn processes_are_named_once_when_they_are_known() {
    let owned = |container: Option<&str>| {
        let id = container.map(|id| Text::from_wire(id.as_bytes()));
        let owner = Owner { pid: 812, name: Text::from_wire(b"nginx"), container: id, ..Owner::default() };
        let attributes = Attributes { server_owner: Some(Arc::new(owner)), ..Attributes::default() };
        let body = Body::Exchange(Box::new(exchange(1, "/", 200, 41_000)));
        Record { connection: Some(ConnectionIdentity { attributes, ..connection() }), ..record(900, body) }
    };
    let opened = record(74, Body::Opened(Opened::default()));
    let text = written(&[opened, owned(None), owned(None)], Format::Explain);
    assert_eq!(text.matches("#1                 = The server is nginx (pid 812).\n").count(), 1, "{text}");
    let text = written(&[owned(Some("3f0c9a1b2c3d4e5f"))], Format::Explain);
    assert!(text.contains("The server is nginx (pid 812, container 3f0c9a1b2c3d)."), "{text}");
}
