//! The JSON lines against their schema.

use serde_json::{Map, Value, json};
use tracer::output::Format;
use tracer_common::counter::Counter;
use tracer_core::record::{
    Anomaly, Body, CloseReason, Closed, Confidence, ConnState, ConnectionIdentity, Degraded, DegradedReason,
    DegradedState, Exchange, Flood, HalfOpen, IcmpCause, IcmpError, IcmpTotals, Listener, Opened, Outcome,
    Purpose, Record, Request, RequestHead, Response, ResponseFraming, ShedClass, Side, StateChange, TcpState,
    Text, TraceContext, Verdict,
};
use tracer_core::{
    summary::{Counted, Received},
    tracker::Totals,
};

use super::support::records::{
    closed, connection, exchange, flood, flood_ended, get, icmp_error, listener, record, segment, summary,
    written,
};
use super::support::schema::check_line;

/// All variants of an enum. A new variant fails to compile until it is listed.
macro_rules! all {
    ($name:ident { $($variant:ident $(($($value:expr),*))?),* $(,)? }) => {{
        #[expect(dead_code, reason = "only checked for completeness by the compiler")]
        const fn is_complete(value: &$name) {
            match value { $($name::$variant { .. } => {})* }
        }
        vec![$($name::$variant $(($($value),*))?),*]
    }};
}

fn states() -> Vec<TcpState> {
    all!(TcpState {
        Listen,
        SynSent,
        SynReceived,
        Established,
        FinWait1,
        FinWait2,
        CloseWait,
        Closing,
        LastAck,
        TimeWait,
        Closed,
        Partial,
    })
}

fn purposes() -> Vec<Purpose> {
    let text = |text: &str| Text::from_wire(text.as_bytes());
    all!(Purpose {
        RequestsConnection, AcceptsConnection, ConfirmsConnection, Request(text("GET"), text("/")), Response(200),
        RequestComplete, ResponseComplete(Some(304)), Data, Acknowledges, ReadyToClose, ConfirmsClose, Refuses, Resets,
        Retransmission, PreviousSegmentNotCaptured, OutOfOrder, DuplicateAck, ZeroWindow, WindowUpdate, KeepAlive, AckedUnseenSegment, Stray,
        Other,
    })
}

fn of_connection(connection: ConnectionIdentity) -> Record {
    Record { connection: Some(connection), ..record(0, Body::Opened(Opened::default())) }
}

fn seen(purposes: Vec<Purpose>, flags: &str) -> Body {
    let states = (TcpState::SynSent, TcpState::Listen);
    segment(Side::Client, 0, flags, (0, None, 0), &purposes, states).body
}

fn with_exchange(change: impl FnOnce(&mut Exchange)) -> Body {
    let mut exchange = exchange(1, "/", 200, 41_000);
    change(&mut exchange);
    Body::Exchange(Box::new(exchange))
}

fn with_closed(change: impl FnOnce(&mut Closed)) -> Body {
    let mut closed = closed();
    change(&mut closed);
    Body::Closed(Box::new(closed))
}

/// A record for every variant of every enum.
fn variants() -> Vec<(String, Body)> {
    let mut rows = Vec::new();
    let mut add = |name: String, body| rows.push((name, body));
    for framing in all!(ResponseFraming { ContentLength, Chunked, Close, None, Tunnel }) {
        add(format!("exchange, {framing:?}"), with_exchange(|exchange| exchange.framing = Some(framing)));
        let response =
            Response { index: 1, status: Some(200), framing: Some(framing), ..Response::default() };
        add(format!("response, {framing:?}"), Body::Response(Box::new(response)));
    }
    for anomaly in all!(Anomaly {
        LeadingEmptyLine,
        BareLf,
        ExtraSpace,
        Http09,
        UnknownVersion,
        InvalidStatus,
        MissingReason,
        ObsFold,
        SpaceBeforeColon,
        InvalidField,
        MissingHost,
        DuplicateHost,
        LengthAndEncoding,
        DuplicateLength,
        ConflictingLength,
        InvalidLength,
        UnknownCoding,
        InvalidChunk,
        BareCr,
        ControlCharacter,
        MissingTarget,
        SpaceInTarget,
        FragmentInTarget,
        InvalidTarget,
        InvalidHost,
        HostMismatch,
        RepeatedChunked,
        FinalCodingNotChunked,
        EncodingInHttp10,
        UnexpectedFraming,
        SpaceAroundChunkSize,
        InvalidChunkExtension,
        ForbiddenTrailer,
        ExcessBytes,
        AfterClose,
        ResponseBeforeRequest,
        LeadingSpace,
        InvalidRequestLine,
        InvalidRequest,
        TlsHandshake,
        Http2Preface,
    }) {
        add(
            format!("exchange, {anomaly:?}"),
            with_exchange(|exchange| exchange.anomalies = [anomaly].into()),
        );
    }
    for state in all!(DegradedState { Entered, Left }) {
        for shed in all!(ShedClass { Segments, Anomalies, Control, Records }) {
            for reason in
                all!(DegradedReason { ReaderBehind, RingFull, OutputBlocked, OutputFull, OutputFailed })
            {
                let duration_ns = (state == DegradedState::Left).then_some(1);
                let degraded = Degraded { state, shed, reason, lost: 1, duration_ns };
                add(format!("degraded, {degraded:?}"), Body::Degraded(degraded));
            }
        }
    }
    for outcome in all!(Outcome {
        Complete,
        EarlyResponse,
        InvalidResponse,
        NoResponse,
        RequestAborted,
        ResponseTruncated,
        NotObserved
    }) {
        add(format!("exchange, {outcome:?}"), with_exchange(|exchange| exchange.outcome = outcome));
    }
    for confidence in all!(Confidence { Exact, Resynced, Inferred }) {
        add(format!("exchange, {confidence:?}"), with_exchange(|exchange| exchange.confidence = confidence));
        add(
            format!("request, {confidence:?}"),
            Body::Request(Box::new(Request { index: 1, head: get("/"), confidence, ..Request::default() })),
        );
    }
    for reason in all!(CloseReason {
        Fin,
        Reset,
        Refused,
        Unanswered,
        HalfOpenTimeout,
        IdleTimeout,
        PortsReused,
        Evicted,
        EndOfCapture,
        EndOfTrace,
    }) {
        add(format!("closed, {reason:?}"), with_closed(|closed| closed.reason = reason));
    }
    for state in all!(ConnState { S0, S1, Sf, Rej, S2, S3, Rsto, Rstr, Rstos0, Rstrh, Sh, Shr, Oth }) {
        add(format!("closed, {state:?}"), with_closed(|closed| closed.conn_state = state));
    }
    for side in all!(Side { Client, Server }) {
        add(format!("closed by {side:?}"), with_closed(|closed| closed.initiator = Some(side)));
    }
    for state in states() {
        let change =
            StateChange { client: state, server: state, previous_client: state, previous_server: state };
        add(format!("state {state:?}"), Body::State(change));
    }
    for verdict in
        all!(Verdict { Idle, Ok, Busy, SynFlood, Refusing, Silent, SynAcksLost, PortScan, SlowClients })
    {
        add(format!("listener {verdict:?}"), Body::Listener(Box::new(Listener { verdict, ..listener() })));
    }
    for purpose in purposes() {
        add(format!("segment for {purpose:?}"), seen(vec![purpose], "SYN"));
    }
    rows
}

/// Every body with all fields, and with required fields only.
fn extremes() -> Vec<(&'static str, Body)> {
    let trace = Some(Box::new(TraceContext { trace_id: 1, span_id: u64::MAX }));
    let truncated =
        RequestHead { query: Some(Text::from_wire(b"a=1")), truncated: true, trace, ..get("/a?a=1") };
    let full = Opened {
        syn_ack_ns: Some(u64::MAX),
        ack_ns: Some(0),
        syn_retransmits: u32::MAX,
        syn_ack_retransmits: 1,
        midstream: true,
    };
    vec![
        ("opened, nothing known", Body::Opened(Opened::default())),
        ("opened, everything known", Body::Opened(full)),
        (
            "request, only that it was there",
            Body::Request(Box::new(Request { index: 1, ..Request::default() })),
        ),
        (
            "request, cut",
            Body::Request(Box::new(Request { index: 1, head: truncated, ..Request::default() })),
        ),
        (
            "response, only that it was there",
            Body::Response(Box::new(Response { index: 1, ..Response::default() })),
        ),
        (
            "exchange, only that it was there",
            Body::Exchange(Box::new(Exchange { index: 1, ..Exchange::default() })),
        ),
        (
            "exchange, with interim responses",
            with_exchange(|exchange| exchange.interim_statuses = vec![100, 103]),
        ),
        (
            "exchange, ended before it was complete",
            with_exchange(|exchange| {
                exchange.initiator = Some(Side::Server);
                exchange.request_content_length = Some(u64::MAX);
                exchange.response_content_length = Some(u64::MAX);
            }),
        ),
        ("half-open, not answered", Body::HalfOpen(HalfOpen::default())),
        (
            "half-open, answered",
            Body::HalfOpen(HalfOpen { syn_received_ns: Some(u64::MAX), ..HalfOpen::default() }),
        ),
        ("flood, started", Body::FloodStarted(Box::new(flood()))),
        ("flood, ended", Body::FloodEnded(Box::new(flood_ended()))),
        ("listener here", Body::Listener(Box::new(listener()))),
        (
            "listener elsewhere",
            Body::Listener(Box::new(Listener { queue: None, namespace: None, ..listener() })),
        ),
        (
            "listener without attempts",
            Body::Listener(Box::new(Listener {
                now: Flood { completion_permille: None, ..flood() },
                ..listener()
            })),
        ),
        ("icmp error", Body::Icmp(Box::new(icmp_error()))),
        (
            "icmp error without an MTU",
            Body::Icmp(Box::new(IcmpError {
                cause: IcmpCause { mtu: None, ..icmp_error().cause },
                ..icmp_error()
            })),
        ),
        (
            "closed, with ICMP errors",
            with_closed(|closed| closed.icmp = Some(IcmpTotals { errors: 3, last: icmp_error().cause })),
        ),
        ("closed, never in SYN-RECEIVED", with_closed(|closed| closed.syn_received_ns = None)),
        ("closed, by nobody", with_closed(|closed| closed.initiator = None)),
        ("segment, for everything at once", seen(purposes(), "FIN, SYN, RST, PSH, ACK, URG, ECE, CWR")),
        ("segment, for nothing and without control bits", seen(Vec::new(), "")),
    ]
}

/// A record with this body: about a connection, if such records are.
fn record_of(body: Body) -> Record {
    let connected =
        !matches!(body, Body::FloodStarted(_) | Body::FloodEnded(_) | Body::Listener(_) | Body::Degraded(_));
    let record = record(0, body);
    Record { connection: record.connection.filter(|_| connected), ..record }
}

/// The JSON line of one record.
fn line(record: Record) -> String {
    written(&[record], Format::Json)
}

fn check(name: &str, line: &str) {
    assert!(line.ends_with('\n') && line.trim_end().chars().all(|c| !c.is_control()), "{name}: {line:?}");
    check_line(line).unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn every_variant_of_every_enum_is_in_the_schema() {
    for (name, body) in variants() {
        check(&name, &line(record_of(body)));
    }
}

#[test]
fn every_body_is_in_the_schema_with_all_and_with_required_fields() {
    for (name, body) in extremes() {
        check(name, &line(record_of(body)));
    }
    check("summary", &line(summary()));
    check("no interface", &line(of_connection(ConnectionIdentity { interface: None, ..connection() })));
    let address = |text: &str| text.parse().expect("an address");
    let ipv6 = ConnectionIdentity {
        client_address: address("2001:db8::2"),
        server_address: address("::ffff:10.0.0.1"),
        ..connection()
    };
    check("IPv6", &line(of_connection(ipv6)));
}

#[test]
fn the_schema_names_exactly_the_counters_of_the_summary() {
    let mut counted = Counted::from_totals(&[1; Counter::COUNT]);
    counted.skipped.0.push(("unknown_link", 1));
    let received = Received { undecodable: 1, ..Received::default() };
    let summary = tracer_core::summary::summary(1, counted, received, Totals::default(), Vec::new());
    let line = line(Record { connection: None, ..record(0, Body::Summary(Box::new(summary))) });
    check("summary with all counters", &line);
    let schema: Value =
        serde_json::from_str(include_str!("../../schema/record.schema.json")).expect("the schema is JSON");
    let fields = schema["$defs"]["tracer.summary"]["properties"].as_object().expect("properties");
    for field in fields.keys() {
        let is_counter = field.starts_with("tracer.skipped.") || field.starts_with("tracer.events.lost.");
        assert!(!is_counter || line.contains(&format!("\"{field}\":1")), "{field} is not in {line}");
    }
}

#[test]
fn a_line_is_flat_and_begins_with_the_time_and_the_name() {
    let text = line(record(42, with_exchange(|_| {})));
    let begin = "{\"timestamp\":\"2025-01-01T00:00:00.000042000Z\",\"event.name\":\"http.exchange\",\"connection.id\":";
    assert!(text.starts_with(begin), "{text}");
    let mut rows = variants();
    rows.extend(extremes().into_iter().map(|(name, body)| (name.to_owned(), body)));
    for (name, body) in rows {
        let value: Value = serde_json::from_str(&line(record_of(body))).expect("JSON");
        for (key, value) in value.as_object().expect("an object") {
            let list = value.as_array().into_iter().flatten();
            let is_flat = |value: &Value| !value.is_object() && !value.is_array() && !value.is_f64();
            assert!(is_flat(value) || value.is_array() && list.clone().all(is_flat), "{name}: {key} {value}");
        }
    }
}

#[test]
fn hostile_text_reaches_no_line_unescaped() {
    let hostile = "/\u{1b}[2J\n\r\u{7f}\u{85}\u{202e}\"\\";
    let names = connection();
    let with_name = ConnectionIdentity { interface: Some(hostile.into()), ..names };
    for format in Format::ALL {
        let purpose = Purpose::Request(Text::from_wire(b"\x1b[1m"), Text::from_wire(hostile.as_bytes()));
        let records = [
            of_connection(with_name.clone()),
            record(0, with_exchange(|exchange| exchange.request = get(hostile))),
            record(
                0,
                Body::Request(Box::new(Request { index: 1, head: get(hostile), ..Request::default() })),
            ),
            record(0, seen(vec![purpose], "PSH, ACK")),
        ];
        let text = written(&records, format);
        let is_bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(is_bad), "{format}: {text:?}");
        if format != Format::Explain {
            assert_eq!(text.lines().count(), records.len(), "{format}: {text:?}");
        }
        if format == Format::Json {
            text.split_inclusive('\n').for_each(|line| check("hostile", line));
        }
    }
}

/// A change to the fields of a record.
type Change = fn(&mut Map<String, Value>);

#[test]
fn a_renamed_an_extra_a_missing_or_a_wrong_field_fails() {
    let good: Value = serde_json::from_str(&line(record(0, with_exchange(|_| {})))).expect("JSON");
    let rows: [(&str, Change); 7] = [
        ("renamed", |record| {
            let method = record.remove("http.request.method").expect("it was there");
            record.insert("http.method".into(), method);
        }),
        ("extra", |record| drop(record.insert("http.response.size".into(), json!(1)))),
        ("of another event", |record| drop(record.insert("tcp.history".into(), json!("Sh")))),
        ("missing", |record| drop(record.remove("http.outcome"))),
        ("no event", |record| drop(record.insert("event.name".into(), json!("http.exchanged")))),
        ("not a number of its kind", |record| drop(record.insert("http.duration_ns".into(), json!(1.5)))),
        ("not harmless", |record| drop(record.insert("url.path".into(), json!("/\u{1b}[2J")))),
    ];
    check_line(&good.to_string()).expect("the record is good before it is changed");
    for (name, change) in rows {
        let mut record = good.clone();
        change(record.as_object_mut().expect("an object"));
        assert!(check_line(&record.to_string()).is_err(), "{name}: {record}");
    }
}
