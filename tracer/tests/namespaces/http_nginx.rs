//! tracer, nginx and curl report the same exchanges, byte for byte.

use std::process::Command;

use serde_json::Value;
use tracer::lab::netns::{Namespace, VethPair};

use crate::{
    account::{Exchange, Sent, check_closed, check_names, facts, sent_by},
    harness::{Fields, Trace, Tracer},
    pair,
    web::{BIG, BROKEN, Fetched, Folder, Nginx, SMALL, Served, curl, curl_in},
};

/// The reports of tracer, nginx, curl and the kernels on the same transfers over one connection.
struct Reports {
    trace: Trace,
    served: Vec<Served>,
    fetched: Vec<Fetched>,
    client: Sent,
    server: Sent,
}

/// Runs curl against nginx over one connection, with tracer at the server's end.
#[track_caller]
fn fetch(arguments: &[&str]) -> Reports {
    fetch_with(&plain_pair(), &[], arguments)
}

/// A pair whose kernels send single segments, so that they count the same segments as the hooks.
fn plain_pair() -> VethPair {
    let pair = pair();
    for end in [&pair.server, &pair.client] {
        let mut command = Command::new("ip");
        // Disabling offloads is not enough: TCP passes super-segments to TC for any device.
        command.args(["link", "set", "dev", end.interface, "gso_max_segs", "1"]);
        let mut child = end.namespace.command(command).expect("ip (iproute2) is installed");
        assert!(child.wait().expect("ip ends").success(), "ip cannot change {}", end.interface);
    }
    pair
}

#[track_caller]
fn fetch_with(pair: &VethPair, options: &[&str], arguments: &[&str]) -> Reports {
    let nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, options);
    let fetched = curl(&pair.client, arguments);
    collect(pair, nginx, tracer, fetched)
}

#[track_caller]
fn collect(pair: &VethPair, nginx: Nginx, tracer: Tracer, fetched: Vec<Fetched>) -> Reports {
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(fetched.iter().map(|fetched| fetched.connects).sum::<u64>(), 1, "connections made by curl");
    let served = nginx.served(fetched.len());
    let client = sent_by(&pair.client.namespace, served.iter().map(|served| served.request_length).sum());
    let server = sent_by(&pair.server.namespace, served.iter().map(|served| served.bytes_sent).sum());
    Reports { trace, served, fetched, client, server }
}

impl Reports {
    /// Checks the connection in all reports: records, bytes, packets and ports.
    #[track_caller]
    fn check_connection(&self) {
        check_names(&self.trace, self.fetched.len());
        assert_eq!(self.served.len(), self.fetched.len(), "requests that nginx served");
        let closed = self.trace.closed()[0];
        check_closed(closed, self.client, self.server, self.fetched.len() as u64);
        let sent: u64 = self.fetched.iter().map(|fetched| fetched.request + fetched.upload).sum();
        assert_eq!(closed.number("client.bytes"), sent, "the bytes that curl reports as sent");
        let numbers = |field: &str| closed.number(field);
        assert_eq!(numbers("client.port"), self.fetched[0].port);
        assert_eq!(numbers("server.port"), 80);
    }

    /// Checks the connection and its one exchange.
    #[track_caller]
    fn check(&self, expected: &Exchange<'_>) {
        self.check_connection();
        expected.check(self.trace.exchanges()[0]);
        let (served, fetched) = (&self.served[0], &self.fetched[0]);
        assert_eq!((served.status, fetched.status), (expected.status, expected.status));
        assert_eq!(expected.response_body.unwrap_or(0), fetched.content);
        assert_eq!(expected.request_body.unwrap_or(0), fetched.upload);
        if expected.framing != "chunked" {
            assert_eq!(self.closed().number("server.bytes"), fetched.header + fetched.content);
        }
    }

    fn closed(&self) -> &Value {
        self.trace.closed()[0]
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_small_page() {
    let reports = fetch(&["http://10.77.0.1/small"]);
    reports.check(&Exchange { target: "/small", response_body: Some(SMALL as u64), ..Exchange::default() });
    let (trace, closed) = (&reports.trace, reports.closed());
    assert_eq!(closed.text("network.type"), "ipv4");
    assert_eq!(closed.text("network.interface.name"), "veth-server");
    assert_eq!(closed.text("client.address"), "10.77.0.2");
    assert_eq!(closed.text("server.address"), "10.77.0.1");
    assert_eq!(closed.text("tcp.close.initiator"), "client");
    let attachments = &trace.summary()["tracer.attachments"];
    assert_eq!(
        *attachments,
        serde_json::json!(["veth-server ingress xdp native", "veth-server egress tc tcx"])
    );
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn five_megabytes_in_super_segments() {
    let mut reports = fetch_with(&pair(), &[], &["http://10.77.0.1/big"]);
    // TC sees what the server's kernel sends before segmentation.
    let counted = reports.server.packets.take().expect("the kernel counts");
    reports.check(&Exchange { target: "/big", response_body: Some(BIG as u64), ..Exchange::default() });
    let packets = reports.closed().number("server.packets");
    assert!(packets <= counted, "{packets} frames for {counted} segments");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn five_megabytes_in_single_segments() {
    let reports = fetch(&["http://10.77.0.1/big"]);
    reports.check(&Exchange { target: "/big", response_body: Some(BIG as u64), ..Exchange::default() });
    assert!(reports.closed().number("server.packets") > BIG as u64 / 1448, "{:#}", reports.closed());
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_page_that_is_fresh_in_the_cache() {
    let pair = pair();
    let nginx = Nginx::start(&pair.server.namespace);
    let cache = Folder::new();
    let tag = cache.file("etag");
    let tag = tag.to_str().expect("a plain path");
    // Not traced yet: this request only fetches the entity tag.
    curl(&pair.client, &["--etag-save", tag, "http://10.77.0.1/small"]);
    let (client, server) = (sent_by(&pair.client.namespace, 0), sent_by(&pair.server.namespace, 0));
    let tracer = Tracer::at(&pair.server, &[]);
    let fetched = curl(&pair.client, &["--etag-compare", tag, "http://10.77.0.1/small"]);
    let mut reports = collect(&pair, nginx, tracer, fetched);
    reports.served.remove(0);
    for (sent, before, bytes) in [
        (&mut reports.client, client, reports.served[0].request_length),
        (&mut reports.server, server, reports.served[0].bytes_sent),
    ] {
        let packets = sent.packets.zip(before.packets).map(|(now, before)| now - before);
        *sent = Sent { bytes, packets, retransmits: sent.retransmits - before.retransmits, ..*sent };
    }
    reports.check(&Exchange { target: "/small", status: 304, framing: "none", ..Exchange::default() });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_response_to_head_without_content() {
    let reports = fetch(&["--head", "http://10.77.0.1/big"]);
    reports.check(&Exchange { method: "HEAD", target: "/big", framing: "none", ..Exchange::default() });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_page_that_does_not_exist() {
    let reports = fetch(&["http://10.77.0.1/nowhere"]);
    let size = reports.served[0].body_bytes_sent;
    reports.check(&Exchange {
        target: "/nowhere",
        status: 404,
        response_body: Some(size),
        ..Exchange::default()
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_server_that_fails() {
    let reports = fetch(&["http://10.77.0.1/broken"]);
    let size = Some(BROKEN.len() as u64);
    reports.check(&Exchange { target: "/broken", status: 500, response_body: size, ..Exchange::default() });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_form_with_a_body_of_many_segments() {
    let folder = Folder::new();
    let body = folder.file("body");
    std::fs::write(&body, crate::web::content(300_000)).expect("the folder is ours");
    let body = format!("@{}", body.display());
    let reports = fetch(&["--header", "Expect:", "--data-binary", &body, "http://10.77.0.1/form"]);
    reports.check(&Exchange {
        method: "POST",
        target: "/form",
        request_body: Some(300_000),
        response_body: Some("thank you\n".len() as u64),
        ..Exchange::default()
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_form_that_expects_100_continue() {
    let data = "x=".repeat(1_000);
    let reports = fetch(&["--header", "Expect: 100-continue", "--data", &data, "http://10.77.0.1/form"]);
    reports.check(&Exchange {
        method: "POST",
        target: "/form",
        interim: &[100],
        request_body: Some(2_000),
        response_body: Some("thank you\n".len() as u64),
        ..Exchange::default()
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_chunked_page() {
    let reports = fetch(&["http://10.77.0.1/chunked"]);
    reports.check(&Exchange {
        target: "/chunked",
        response_body: Some(5_000),
        framing: "chunked",
        ..Exchange::default()
    });
    let wire = reports.closed().number("server.bytes");
    assert!(wire > reports.fetched[0].header + 5_000, "the chunk framing counts as bytes: {wire}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_http_1_0_page_that_ends_with_its_connection() {
    let reports = fetch(&["--http1.0", "http://10.77.0.1/chunked"]);
    reports.check(&Exchange {
        target: "/chunked",
        version: "1.0",
        response_body: Some(5_000),
        framing: "close",
        ..Exchange::default()
    });
    assert_eq!(reports.closed().text("tcp.close.initiator"), "server");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_hundred_requests_on_one_connection() {
    let reports = fetch(&["http://10.77.0.1/small?number=[1-100]", "--output", "/dev/null"]);
    reports.check_connection();
    assert_eq!(reports.served.len(), 100);
    for (index, (record, served)) in (1..).zip(reports.trace.exchanges().iter().zip(&reports.served)) {
        assert_eq!(record.number("http.exchange.index"), index);
        assert_eq!(served.request, index, "nginx served them in order");
        assert_eq!(record.text("url.query"), format!("number={index}"));
        assert_eq!(record.text("url.path"), "/small");
        assert_eq!(record.number("http.response.status_code"), 200);
        assert_eq!(record.number("http.response.body.size"), SMALL as u64);
        assert_eq!(record.text("http.outcome"), "complete");
        assert_eq!(record.text("http.confidence"), "exact");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_page_over_ipv6() {
    let reports = fetch(&["http://[fd77::1]/small"]);
    reports.check(&Exchange {
        target: "/small",
        host: Some("[fd77::1]"),
        response_body: Some(SMALL as u64),
        ..Exchange::default()
    });
    let closed = reports.closed();
    assert_eq!(closed.text("network.type"), "ipv6");
    assert_eq!(closed.text("client.address"), "fd77::2");
    assert_eq!(closed.text("server.address"), "fd77::1");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn every_segment_of_the_loopback_interface_counts_once() {
    let namespace = Namespace::new().expect("a namespace");
    let nginx = Nginx::start(&namespace);
    let tracer = Tracer::start(&namespace, &["trace", "-i", "lo", "-o", "json"]);
    let fetched = curl_in(&namespace, &["http://127.0.0.1/small"]);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    let served = nginx.served(1);
    check_names(&trace, 1);
    let size = Some(SMALL as u64);
    let host = Some("127.0.0.1");
    Exchange { target: "/small", host, response_body: size, ..Exchange::default() }
        .check(trace.exchanges()[0]);
    let closed = trace.closed()[0];
    // Both ends are in the same namespace, so the kernel counts them together.
    let both = sent_by(&namespace, 0);
    let sent = |bytes| Sent { bytes, packets: None, retransmits: 0, out_of_order: 0 };
    check_closed(closed, sent(served[0].request_length), sent(served[0].bytes_sent), 1);
    assert_eq!(Some(closed.number("client.packets") + closed.number("server.packets")), both.packets);
    assert_eq!(closed.number("client.bytes"), fetched[0].request);
    assert_eq!(closed.text("network.interface.name"), "lo");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn only_selected_ports_are_traced() {
    let pair = pair();
    let nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &["-p", "8080"]);
    curl(&pair.client, &["http://10.77.0.1/small"]);
    let fetched = curl(&pair.client, &["http://10.77.0.1:8080/small"]);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    check_names(&trace, 1);
    let size = Some(SMALL as u64);
    Exchange { target: "/small", response_body: size, ..Exchange::default() }.check(trace.exchanges()[0]);
    let closed = trace.closed()[0];
    assert_eq!(closed.number("server.port"), 8080);
    assert_eq!(closed.number("client.port"), fetched[0].port);
    assert_eq!(closed.number("server.bytes"), nginx.served(2)[1].bytes_sent);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn only_selected_hosts_are_traced() {
    let pair = pair();
    let nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &["--host", "fd77::2/128"]);
    curl(&pair.client, &["http://10.77.0.1/small"]);
    let fetched = curl(&pair.client, &["http://[fd77::1]/small"]);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    check_names(&trace, 1);
    assert_eq!(trace.closed()[0].text("network.type"), "ipv6");
    assert_eq!(trace.closed()[0].number("client.port"), fetched[0].port);
    assert_eq!(nginx.served(2).len(), 2);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn tc_on_both_sides_sees_the_same_as_xdp() {
    let reports = fetch_with(&plain_pair(), &["--attach", "tc"], &["http://10.77.0.1/small"]);
    reports.check(&Exchange { target: "/small", response_body: Some(SMALL as u64), ..Exchange::default() });
    let attachments = &reports.trace.summary()["tracer.attachments"];
    assert_eq!(*attachments, serde_json::json!(["veth-server ingress tc tcx", "veth-server egress tc tcx"]));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn generic_xdp_sees_the_same_as_native_xdp() {
    let options = ["--attach", "xdp", "--xdp-mode", "generic"];
    let reports = fetch_with(&plain_pair(), &options, &["http://10.77.0.1/small"]);
    reports.check(&Exchange { target: "/small", response_body: Some(SMALL as u64), ..Exchange::default() });
    let attachments = &reports.trace.summary()["tracer.attachments"];
    assert_eq!(
        *attachments,
        serde_json::json!(["veth-server ingress xdp generic", "veth-server egress tc tcx"])
    );
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_client_sees_the_same_exchange_as_the_server() {
    let pair = pair();
    let at_client = Tracer::at(&pair.client, &[]);
    let nginx = Nginx::start(&pair.server.namespace);
    let at_server = Tracer::at(&pair.server, &[]);
    let fetched = curl(&pair.client, &["http://10.77.0.1/small"]);
    at_client.wait_for(1, "connection.closed");
    let reports = collect(&pair, nginx, at_server, fetched);
    let trace = at_client.stop();
    trace.assert_clean();
    check_names(&trace, 1);
    reports.check_connection();
    assert_eq!(facts(trace.exchanges()[0]), facts(reports.trace.exchanges()[0]));
    let (here, there) = (trace.closed()[0], reports.closed());
    check_closed(here, reports.client, reports.server, 1);
    assert_eq!(here.text("network.interface.name"), "veth-client");
    for field in ["network.community_id", "client.port", "tcp.history", "tcp.close.initiator"] {
        assert_eq!(here[field], there[field], "{field}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_endpoints_go_through_the_states_of_rfc_9293() {
    let events = ["--events", "connection,state"];
    let reports = fetch_with(&plain_pair(), &events, &["http://10.77.0.1/small"]);
    let records = reports.trace.of("connection.state");
    let mut states = vec![(
        records[0].text("tcp.client.previous_state").to_owned(),
        records[0].text("tcp.server.previous_state").to_owned(),
    )];
    for record in &records {
        let (client, server) = states.last().expect("never empty");
        assert_eq!(record.text("tcp.client.previous_state"), client, "{record:#}");
        assert_eq!(record.text("tcp.server.previous_state"), server, "{record:#}");
        states.push((record.text("tcp.client.state").to_owned(), record.text("tcp.server.state").to_owned()));
    }
    let states: Vec<_> = states.iter().map(|(client, server)| format!("{client} {server}")).collect();
    let opening = [
        "LISTEN LISTEN",
        "SYN-SENT LISTEN",
        "SYN-SENT SYN-RECEIVED",
        "ESTABLISHED ESTABLISHED",
        "FIN-WAIT-1 ESTABLISHED",
    ];
    assert_eq!(states[..5], opening);
    // nginx may send its own FIN in reply to curl's at once, or only an ACK first.
    let closings = [
        &["FIN-WAIT-2 LAST-ACK", "TIME-WAIT CLOSED"][..],
        &["FIN-WAIT-2 CLOSE-WAIT", "FIN-WAIT-2 LAST-ACK", "TIME-WAIT CLOSED"],
    ];
    assert!(
        closings.contains(&&states[5..].iter().map(String::as_str).collect::<Vec<_>>()[..]),
        "{states:?}"
    );
}
