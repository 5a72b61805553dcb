//! Lines for a terminal.

use std::sync::Arc;

use tracer::output::Format;
use tracer_core::record::{
    Anomaly, Attributes, Body, CloseReason, Closed, Confidence, ConnState, ConnectionIdentity, Degraded,
    DegradedReason, DegradedState, Exchange, HalfOpen, IcmpTotals, Opened, Outcome, Owner, Purpose, Record,
    Request, Response, ResponseFraming, ShedClass, Side, SideTotals, StateChange, TcpState, Text,
};

use super::support::records::{
    closed, connection, exchange, flood, flood_ended, get, icmp_error, listener, record, segment, summary,
    written,
};

/// The text after the time and the connection.
fn phrase(body: Body) -> String {
    let line = written(&[record(0, body)], Format::Text);
    let begin = "00:00:00.000  10.0.0.2:45678 → 10.0.0.1:80  ";
    line.strip_prefix(begin).and_then(|rest| rest.strip_suffix('\n')).expect("the line's frame").to_owned()
}

fn exchange_phrase(change: impl FnOnce(&mut Exchange)) -> String {
    let mut exchange = exchange(1, "/index.html", 200, 41_200);
    change(&mut exchange);
    phrase(Body::Exchange(Box::new(exchange)))
}

fn closed_phrase(change: impl FnOnce(&mut Closed)) -> String {
    let mut closed = closed();
    change(&mut closed);
    phrase(Body::Closed(Box::new(closed)))
}

#[test]
fn an_opened_connection_says_how_long_it_took_and_what_was_repeated() {
    let opened = Opened { syn_ack_ns: Some(150_000), ack_ns: Some(60_000), ..Opened::default() };
    assert_eq!(phrase(Body::Opened(opened)), "opened in 0.21 ms");
    let repeated = Opened { syn_retransmits: 1, syn_ack_retransmits: 2, ..opened };
    let expected = "opened in 0.21 ms, SYN repeated 1 time, SYN-ACK repeated 2 times";
    assert_eq!(phrase(Body::Opened(repeated)), expected);
    let midstream = Opened { midstream: true, ..Opened::default() };
    assert_eq!(phrase(Body::Opened(midstream)), "first seen midstream: its start was not captured");
}

#[test]
fn an_exchange_begins_with_its_status_and_ends_with_its_problems() {
    let complete = "200  GET /index.html            41.2 kB   3.2 ms";
    assert_eq!(exchange_phrase(|_| {}), complete);
    let inferred = format!("{complete} [inferred]");
    assert_eq!(exchange_phrase(|exchange| exchange.confidence = Confidence::Inferred), inferred);
    let odd = format!("{complete}  [odd: bare_lf, http_0_9]");
    let anomalies = [Anomaly::Http09, Anomaly::BareLf];
    assert_eq!(exchange_phrase(|exchange| exchange.anomalies = anomalies.into()), odd);
    let with_content = format!("{complete}  1.2 kB sent");
    assert_eq!(exchange_phrase(|exchange| exchange.request_body_size = Some(1_200)), with_content);
    let truncated = exchange_phrase(|exchange| {
        exchange.outcome = Outcome::ResponseTruncated;
        exchange.confidence = Confidence::Resynced;
        exchange.interim_statuses = vec![103];
        exchange.response_content_length = Some(200_000);
        exchange.initiator = Some(Side::Server);
    });
    let expected = "200  GET /index.html           41.2 kB of 200.0 kB   3.2 ms  TRUNCATED, ended by server  after 103 [resynced]";
    assert_eq!(truncated, expected);
    let unanswered =
        Exchange { index: 1, request: get("/"), outcome: Outcome::NoResponse, ..Exchange::default() };
    assert_eq!(
        phrase(Body::Exchange(Box::new(unanswered))),
        "-    GET /                                        NO RESPONSE"
    );
    let unseen = Exchange { index: 1, status: Some(200), ..Exchange::default() };
    assert_eq!(
        phrase(Body::Exchange(Box::new(unseen))),
        "200  ? ?                                          not fully observed"
    );
}

#[test]
fn a_closed_connection_is_one_line_with_its_problems_at_the_end() {
    let fin = "fin  by server: 3 exchanges, ↑509 B ↓41.5 kB, 1.2 s";
    assert_eq!(closed_phrase(|_| {}), fin);
    let with_anomalies = closed_phrase(|closed| {
        closed.client = SideTotals { retransmits: 1, zero_windows: 1, ..closed.client };
        closed.server = SideTotals { retransmits: 2, out_of_order: 3, gap_bytes: 1448, ..closed.server };
        closed.events_lost = 4;
    });
    assert!(
        with_anomalies.ends_with(
            " ↓41.5 kB, 1.2 s, 3 retransmits, 3 out of order, 1 zero window, 1448 B never seen, 4 EVENTS LOST"
        ),
        "{with_anomalies}"
    );
    let half_open = closed_phrase(|closed| {
        *closed = Closed {
            conn_state: ConnState::S0,
            history: "Sh".into(),
            reason: CloseReason::HalfOpenTimeout,
            initiator: None,
            exchanges: 0,
            client: SideTotals::default(),
            server: SideTotals { retransmits: 1, ..SideTotals::default() },
            ..closed.clone()
        };
    });
    let expected = "SYN  HALF-OPEN TIMEOUT: 0 exchanges, ↑0 B ↓0 B, 1.2 s, 1 retransmit";
    assert_eq!(half_open, expected);
}

#[test]
fn heads_states_and_segments_have_their_lines() {
    let request =
        Request { index: 2, head: get("/logo.png"), confidence: Confidence::Exact, ..Default::default() };
    assert_eq!(phrase(Body::Request(request.into())), "request 2 GET /logo.png");
    let framing = Some(ResponseFraming::Chunked);
    let response = Response {
        index: 2,
        status: Some(200),
        framing,
        confidence: Confidence::Exact,
        ..Default::default()
    };
    assert_eq!(phrase(Body::Response(response.into())), "response 2 200, in chunks");
    let change = StateChange {
        client: TcpState::Established,
        server: TcpState::SynReceived,
        previous_client: TcpState::SynSent,
        previous_server: TcpState::SynReceived,
    };
    assert_eq!(phrase(Body::State(change)), "client SYN-SENT → ESTABLISHED, server SYN-RECEIVED");
    let purposes = [Purpose::AcceptsConnection, Purpose::Retransmission];
    let states = (TcpState::SynSent, TcpState::SynReceived);
    let segment = segment(Side::Server, 0, "SYN, ACK", (0, Some(1), 0), &purposes, states);
    let expected = "← [SYN, ACK] seq 0 ack 1 len 0 win 64240: accepts connection, retransmission";
    assert_eq!(phrase(segment.body), expected);
}

#[test]
fn an_ipv6_address_is_in_brackets() {
    let connection = ConnectionIdentity {
        client_address: "2001:db8::2".parse().expect("an address"),
        server_address: "2001:db8::1".parse().expect("an address"),
        ..connection()
    };
    let record = Record { connection: Some(connection), ..record(0, Body::Opened(Opened::default())) };
    let expected = "00:00:00.000  [2001:db8::2]:45678 → [2001:db8::1]:80  opened\n";
    assert_eq!(written(&[record], Format::Text), expected);
}

#[test]
fn processes_are_named_where_they_are_known() {
    let owner =
        |name: &[u8], pid| Some(Arc::new(Owner { pid, name: Text::from_wire(name), ..Owner::default() }));
    let line = |attributes| {
        let connection = ConnectionIdentity { attributes, ..connection() };
        let record = Record { connection: Some(connection), ..record(0, Body::Opened(Opened::default())) };
        written(&[record], Format::Text)
    };
    let server = Attributes { server_owner: owner(b"nginx", 812), ..Attributes::default() };
    assert_eq!(line(server), "00:00:00.000  10.0.0.2:45678 → nginx[812]:80  opened\n");
    let client = Attributes { client_owner: owner(b"cu\x1brl", 99), ..Attributes::default() };
    assert_eq!(line(client), "00:00:00.000  cu\\x1brl[99] 10.0.0.2:45678 → 10.0.0.1:80  opened\n");
}

#[test]
fn an_interface_is_named_where_several_are_traced() {
    let line = |is_one_of_several| {
        let connection = ConnectionIdentity { is_one_of_several, ..connection() };
        let record = Record { connection: Some(connection), ..record(0, Body::Opened(Opened::default())) };
        written(&[record], Format::Text)
    };
    let ends = "10.0.0.2:45678 → 10.0.0.1:80  opened\n";
    assert_eq!(line(false), format!("00:00:00.000  {ends}"));
    assert_eq!(line(true), format!("00:00:00.000  veth0  {ends}"));
}

#[test]
fn shedding_is_reported_when_it_begins_and_when_it_ends() {
    let phrase = |state, shed, reason, duration_ns| {
        phrase(Body::Degraded(Degraded { state, shed, reason, lost: 12, duration_ns }))
    };
    assert_eq!(
        phrase(DegradedState::Entered, ShedClass::Segments, DegradedReason::ReaderBehind, None),
        "DEGRADED: shedding rows of segments, because the ring buffer fills faster than it is read: 12 lost so far \
         (give it more with --ring-bytes)"
    );
    assert_eq!(
        phrase(DegradedState::Left, ShedClass::Records, DegradedReason::OutputFull, Some(2_000_000_000)),
        "no longer degraded: 12 records were lost in 2.0 s, because the disk is full"
    );
}

#[test]
fn a_summary_is_a_short_block_that_names_what_was_skipped_and_lost() {
    let expected = "\
00:00:00.000  summary after 10 s at veth0 ingress xdp native, veth0 egress tcx
  frames       1000 seen, 900 analysed, 100 skipped (not_tcp 90, other_port 10)
  connections  5 opened, 4 closed, 1 open, 2 half-open, 0 evicted, 7 lost
  exchanges    12
  events       120 received, 3 lost (http_ring_full 3)
  buffers      those of 3 connections dropped
  records      30 written, 2 lost
";
    assert_eq!(written(&[summary()], Format::Text), expected);
}

/// The line of a record without a connection, without its time.
fn line(body: Body, format: Format) -> String {
    let text = written(&[Record { connection: None, ..record(0, body) }], format);
    text.trim_start_matches("00:00:00.000  ").trim().to_owned()
}

#[test]
fn a_flood_has_a_line_at_its_start_and_at_its_end() {
    assert_eq!(
        line(Body::FloodStarted(Box::new(flood())), Format::Text),
        "SYN FLOOD at 10.0.0.1:80: 41000 half-open, 200000 SYN/s, 0.3 % confirmed, about 190000 sources, \
         probably spoofed"
    );
    assert_eq!(
        line(Body::FloodEnded(Box::new(flood_ended())), Format::Text),
        "SYN flood at 10.0.0.1:80 is over after 61 s: 12000000 attempts, 31000 confirmed, at most 44000 half-open; \
         now 41000 half-open, 0 SYN/s, 0.3 % confirmed, about 190000 sources, probably spoofed; \
         400000 handshake segments aggregated"
    );
    let explained = line(Body::FloodStarted(Box::new(flood())), Format::Explain);
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        explained,
        "SYN flood: 10.0.0.1:80 receives 200000 SYNs a second, and 41000 handshakes are half-open now; the SYNs \
         came from about 190000 addresses, probably spoofed."
    );
}

#[test]
fn a_server_has_a_line_with_its_verdict() {
    assert_eq!(
        line(Body::Listener(Box::new(listener())), Format::Text),
        "server 10.0.0.1:80 busy: 3 half-open, 15000 SYN/s, 100.0 % confirmed, about 4 sources; so far 150000 \
         attempts, 150000 answered, 149997 confirmed, 0 refused, 0 reset, SYN repeated 2 times, 400000 handshake segments \
         aggregated; listen queue 1 of 511, namespace: 5 overflows, 6 drops, 7 SYN cookies sent"
    );
}

#[test]
fn icmp_errors_say_who_reports_what() {
    let error = icmp_error();
    assert_eq!(
        phrase(Body::Icmp(Box::new(error))),
        "ICMP error from 203.0.113.1: destination unreachable, fragmentation needed (MTU 1400); quotes client seq 1"
    );
    for (errors, words) in [(1, "1 ICMP error from"), (2, "2 ICMP errors, the last from")] {
        let phrase = closed_phrase(|closed| closed.icmp = Some(IcmpTotals { errors, last: error.cause }));
        let expected =
            format!(", {words} 203.0.113.1: destination unreachable, fragmentation needed (MTU 1400)");
        assert!(phrase.ends_with(&expected), "{phrase}");
    }
}

#[test]
fn a_half_open_handshake_says_for_how_long() {
    let half_open = HalfOpen { since_ns: 1_000_000_000, syn_retransmits: 1, ..HalfOpen::default() };
    let expected = "half-open for 1.0 s: not answered, SYN repeated 1 time";
    assert_eq!(phrase(Body::HalfOpen(half_open.clone())), expected);
    let answered = HalfOpen { syn_received_ns: Some(990_000_000), syn_retransmits: 0, ..half_open };
    assert_eq!(phrase(Body::HalfOpen(answered)), "half-open for 1.0 s: in SYN-RECEIVED for 990 ms");
}
