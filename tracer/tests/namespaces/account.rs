//! Expected records, and the kernel's own counters.

use serde_json::{Map, Value, json};
use tracer::lab::netns::Namespace;

use crate::harness::{Fields, Trace};

/// The expected record of an exchange. Times are only checked for consistency.
#[derive(Clone, Debug)]
pub(crate) struct Exchange<'a> {
    /// Number in its connection, from 1.
    pub(crate) index: u64,
    /// Method.
    pub(crate) method: &'a str,
    /// Request target without a query.
    pub(crate) target: &'a str,
    /// Host; none if the request has no Host field.
    pub(crate) host: Option<&'a str>,
    /// HTTP version of the request.
    pub(crate) version: &'a str,
    /// Status code.
    pub(crate) status: u64,
    /// Status codes of interim responses.
    pub(crate) interim: &'a [u64],
    /// Bytes of the request's content; none if its end was not observed.
    pub(crate) request_body: Option<u64>,
    /// Bytes of the response's content; none if it has no end.
    pub(crate) response_body: Option<u64>,
    /// Framing of the response's content.
    pub(crate) framing: &'a str,
}

impl Default for Exchange<'_> {
    fn default() -> Self {
        Self {
            index: 1,
            method: "GET",
            target: "/",
            host: Some("10.77.0.1"),
            version: "1.1",
            status: 200,
            interim: &[],
            request_body: Some(0),
            response_body: Some(0),
            framing: "content-length",
        }
    }
}

impl Exchange<'_> {
    /// Compares every field of the record; it must have no others.
    #[track_caller]
    pub(crate) fn check(&self, record: &Value) {
        let mut expected = Map::new();
        let mut expect = |name: &str, value: Value| expected.insert(name.to_owned(), value);
        expect("http.exchange.index", json!(self.index));
        expect("http.request.method", json!(self.method));
        expect("url.original", json!(self.target));
        if self.target.starts_with('/') {
            expect("url.path", json!(self.target));
        }
        if let Some(host) = self.host {
            expect("url.domain", json!(host));
        }
        expect("network.protocol.version", json!(self.version));
        expect("http.response.status_code", json!(self.status));
        if !self.interim.is_empty() {
            expect("http.response.interim_status_codes", json!(self.interim));
        }
        if let Some(size) = self.request_body {
            expect("http.request.body.size", json!(size));
        }
        if let Some(size) = self.response_body {
            expect("http.response.body.size", json!(size));
        }
        expect("http.response.framing", json!(self.framing));
        expect("http.outcome", json!("complete"));
        expect("http.confidence", json!("exact"));
        assert_eq!(Value::from(facts(record)), Value::from(expected), "in {record:#}");
        check_times(record);
    }
}

/// The HTTP fields of an exchange, without times.
pub(crate) fn facts(exchange: &Value) -> Map<String, Value> {
    let fields = exchange.as_object().expect("a record is an object").clone();
    let is_fact = |name: &str| {
        let http =
            name.starts_with("http.") || name.starts_with("url.") || name == "network.protocol.version";
        http && !name.ends_with("_ns")
    };
    fields.into_iter().filter(|(name, _)| is_fact(name)).collect()
}

/// Checks that the times of a complete exchange add up.
#[track_caller]
fn check_times(record: &Value) {
    let duration = record.number("http.duration_ns");
    if record.has("http.request_ns") {
        let parts = record.number("http.request_ns")
            + record.number("http.time_to_first_byte_ns")
            + record.number("http.response_ns");
        // An early response overlaps its request.
        let early = record.number("http.time_to_first_byte_ns") == 0;
        assert!(parts == duration || early, "the parts add up to {parts} ns in {record:#}");
    }
    assert!(duration > 0, "the duration is 0 in {record:#}");
}

/// The expected totals of one side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// TCP payload bytes.
    pub(crate) bytes: u64,
    /// Segments, including retransmissions; none if the hook saw super-segments, which the kernel
    /// counts differently.
    pub(crate) packets: Option<u64>,
    /// Retransmitted segments.
    pub(crate) retransmits: u64,
    /// Segments that this side received out of order. If nothing was lost, they were reordered
    /// after the hook. Each causes a duplicate ACK.
    pub(crate) out_of_order: u64,
}

/// Checks the record of a normal connection, from SYN to FIN.
#[track_caller]
pub(crate) fn check_closed(record: &Value, client: Sent, server: Sent, exchanges: u64) {
    assert_eq!(record.text("tcp.conn_state"), "SF", "{record:#}");
    assert_eq!(record.number("tcp.completeness"), 31, "{record:#}");
    assert_eq!(record.text("tcp.close.reason"), "fin", "{record:#}");
    assert!(record.has("tcp.close.initiator"), "{record:#}");
    assert_eq!(record.number("http.exchanges"), exchanges, "{record:#}");
    assert_eq!(record.count("events.lost"), 0, "{record:#}");
    assert!(record.number("tcp.duration_ns") > 0, "{record:#}");
    check_history(record, client.retransmits + server.retransmits);
    for (side, sent) in [("client", client), ("server", server)] {
        let number = |name: &str| record.number(&format!("{side}.{name}"));
        let count = |name: &str| record.count(&format!("{side}.{name}"));
        assert_eq!(number("bytes"), sent.bytes, "bytes of the {side} in {record:#}");
        if sent.retransmits == 0 {
            if let Some(packets) = sent.packets {
                assert_eq!(number("packets"), packets, "packets of the {side} in {record:#}");
            }
            assert_eq!(count("retransmits"), 0, "of the {side} in {record:#}");
        } else {
            // On a busy machine a segment may be lost before the hook, and a super-segment may be
            // retransmitted as a whole.
            let packets = sent.packets.unwrap_or(u64::MAX);
            assert!(number("packets") <= packets, "packets of the {side} in {record:#}");
            assert!(count("retransmits") <= sent.retransmits, "of the {side} in {record:#}");
        }
        assert_eq!(count("gap_bytes"), 0, "of the {side} in {record:#}");
        if client.retransmits + server.retransmits == 0 {
            assert!(count("duplicate_acks") <= sent.out_of_order, "{sent:?} of the {side} in {record:#}");
            assert_eq!(count("out_of_order"), 0, "of the {side} in {record:#}");
        }
    }
}

/// Checks that the history has the handshake, then data, then both FINs, and no anomalies.
#[track_caller]
fn check_history(record: &Value, retransmits: u64) {
    let history = record.text("tcp.history");
    let place =
        |event| history.find(event).unwrap_or_else(|| panic!("no {event} in the history of {record:#}"));
    assert!(history.starts_with("ShA"), "{record:#}");
    assert!(place('D') < place('F') && place('d') < place('f'), "{record:#}");
    // w and W: a full window is not an anomaly.
    let ordinary = history.chars().all(|event| "ShAaDdFfWw".contains(event));
    assert!(ordinary || retransmits > 0, "{record:#}");
}

/// Checks that the records are those of one connection with `exchanges` exchanges, in order, and no
/// others.
#[track_caller]
pub(crate) fn check_names(trace: &Trace, exchanges: usize) {
    let mut names = vec!["connection.opened"];
    names.extend(std::iter::repeat_n("http.exchange", exchanges));
    names.extend(["connection.closed", "tracer.summary"]);
    assert_eq!(trace.names(), names);
    let opened = trace.opened()[0];
    assert!(!opened.flag("tcp.midstream"), "{opened:#}");
    assert_eq!(opened.count("tcp.syn_retransmits"), 0, "{opened:#}");
    assert_eq!(opened.count("tcp.syn_ack_retransmits"), 0, "{opened:#}");
    assert!(opened.has("tcp.handshake.syn_ack_ns") && opened.has("tcp.handshake.ack_ns"), "{opened:#}");
    let of_connection = ["connection.id", "network.community_id", "client.port"];
    for record in &trace.records[..trace.records.len() - 1] {
        for field in of_connection {
            assert_eq!(record[field], opened[field], "{field} of {record:#}");
        }
    }
    let summary = trace.summary();
    for (name, number) in [
        ("tracer.connections.opened", 1),
        ("tracer.connections.closed", 1),
        ("tracer.connections.open", 0),
        ("tracer.connections.half_open", 0),
        ("tracer.connections.evicted", 0),
        ("tracer.exchanges", exchanges as u64),
    ] {
        assert_eq!(summary.count(name), number, "{name} in {summary:#}");
    }
    let closed = trace.closed()[0];
    assert_eq!(
        summary.number("tracer.segments"),
        closed.number("client.packets") + closed.number("server.packets"),
        "{summary:#}"
    );
}

/// The TCP totals that the kernel counts in a namespace, with `bytes` from another source.
#[track_caller]
pub(crate) fn sent_by(namespace: &Namespace, bytes: u64) -> Sent {
    let retransmits = tcp_counter(namespace, "RetransSegs");
    // The kernel counts retransmissions separately.
    let packets = Some(tcp_counter(namespace, "OutSegs") + retransmits);
    Sent { bytes, packets, retransmits, out_of_order: counter(namespace, "TcpExt:", "TCPOFOQueue") }
}

/// A TCP counter of the namespace (RFC 4022), for IPv4 and IPv6 together.
#[track_caller]
fn tcp_counter(namespace: &Namespace, name: &str) -> u64 {
    counter(namespace, "Tcp:", name)
}

/// A protocol counter of the namespace, from the group "Tcp:" (RFC 4022) or "TcpExt:" (Linux).
#[track_caller]
pub(crate) fn counter(namespace: &Namespace, group: &str, name: &str) -> u64 {
    let read =
        || ["snmp", "netstat"].map(|file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")));
    let texts = namespace.run(read).expect("the namespace can be entered");
    let text = texts.map(|text| text.expect("proc is mounted")).concat();
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next().expect("a line of names"), lines.next().expect("a line of values"));
    let (_, value) = names
        .split(' ')
        .zip(values.split(' '))
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no counter {name} in {names}"));
    value.parse().expect("a number")
}
