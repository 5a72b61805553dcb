//! What tracer says of nginx and curl is what nginx and curl say themselves, byte by byte.

use std::process::Command;

use serde_json::Value;
use tracer::lab::netns::{Namespace, VethPair};

use crate::{
    account::{Exchange, Sent, check_closed, check_names, facts, sent_by},
    harness::{Fields, Trace, Tracer},
    pair,
    web::{BIG, BROKEN, Fetched, Folder, Nginx, SMALL, Served, curl, curl_in},
};

/// Everybody's account of the same transfers over one connection.
struct Story {
    trace: Trace,
    served: Vec<Served>,
    fetched: Vec<Fetched>,
    client: Sent,
    server: Sent,
}

/// curl fetches from nginx over one connection, while tracer watches at the server's end.
#[track_caller]
fn fetch(arguments: &[&str]) -> Story {
    fetch_with(&plain_pair(), &[], arguments)
}

/// A pair whose kernels send segment by segment: then they count what the hooks see.
fn plain_pair() -> VethPair {
    let pair = pair();
    for end in [&pair.server, &pair.client] {
        let mut command = Command::new("ip");
        // Offloads make no difference here: TCP hands super-segments down to TC even to a device without any.
        command.args(["link", "set", "dev", end.interface, "gso_max_segs", "1"]);
        let mut child = end.namespace.command(command).expect("ip (iproute2) is installed");
        assert!(child.wait().expect("ip ends").success(), "ip cannot change {}", end.interface);
    }
    pair
}

#[track_caller]
fn fetch_with(pair: &VethPair, options: &[&str], arguments: &[&str]) -> Story {
    let nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, options);
    let fetched = curl(&pair.client, arguments);
    tell(pair, nginx, tracer, fetched)
}

#[track_caller]
fn tell(pair: &VethPair, nginx: Nginx, tracer: Tracer, fetched: Vec<Fetched>) -> Story {
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(fetched.iter().map(|fetched| fetched.connects).sum::<u64>(), 1, "connections made by curl");
    let served = nginx.served(fetched.len());
    let client = sent_by(&pair.client.namespace, served.iter().map(|served| served.request_length).sum());
    let server = sent_by(&pair.server.namespace, served.iter().map(|served| served.bytes_sent).sum());
    Story { trace, served, fetched, client, server }
}

impl Story {
    /// The connection as everybody tells it: records, bytes, packets, ports.
    #[track_caller]
    fn check_connection(&self) {
        check_names(&self.trace, self.fetched.len());
        assert_eq!(self.served.len(), self.fetched.len(), "requests that nginx served");
        let closed = self.trace.closed()[0];
        check_closed(closed, self.client, self.server, self.fetched.len() as u64);
        let asked: u64 = self.fetched.iter().map(|fetched| fetched.request + fetched.upload).sum();
        assert_eq!(closed.number("client.bytes"), asked, "what curl says it sent");
        let numbers = |field: &str| closed.number(field);
        assert_eq!(numbers("client.port"), self.fetched[0].port);
        assert_eq!(numbers("server.port"), 80);
    }

    /// The same for one exchange.
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
    let story = fetch(&["http://10.77.0.1/small"]);
    story.check(&Exchange { target: "/small", response_body: Some(SMALL as u64), ..Exchange::default() });
    let (trace, closed) = (&story.trace, story.closed());
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
    let mut story = fetch_with(&pair(), &[], &["http://10.77.0.1/big"]);
    // TC sees what the server's kernel sends before it is cut into segments.
    let counted = story.server.packets.take().expect("the kernel counts");
    story.check(&Exchange { target: "/big", response_body: Some(BIG as u64), ..Exchange::default() });
    let packets = story.closed().number("server.packets");
    assert!(packets <= counted, "{packets} frames for {counted} segments");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn five_megabytes_in_segments_as_on_a_wire() {
    let story = fetch(&["http://10.77.0.1/big"]);
    story.check(&Exchange { target: "/big", response_body: Some(BIG as u64), ..Exchange::default() });
    assert!(story.closed().number("server.packets") > BIG as u64 / 1448, "{:#}", story.closed());
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_page_that_the_browser_may_take_from_its_cache() {
    let pair = pair();
    let nginx = Nginx::start(&pair.server.namespace);
    let cache = Folder::new();
    let tag = cache.file("etag");
    let tag = tag.to_str().expect("a plain path");
    // Not traced yet: this fetch only learns the tag.
    curl(&pair.client, &["--etag-save", tag, "http://10.77.0.1/small"]);
    let (client, server) = (sent_by(&pair.client.namespace, 0), sent_by(&pair.server.namespace, 0));
    let tracer = Tracer::at(&pair.server, &[]);
    let fetched = curl(&pair.client, &["--etag-compare", tag, "http://10.77.0.1/small"]);
    let mut story = tell(&pair, nginx, tracer, fetched);
    story.served.remove(0);
    for (sent, before, bytes) in [
        (&mut story.client, client, story.served[0].request_length),
        (&mut story.server, server, story.served[0].bytes_sent),
    ] {
        let packets = sent.packets.zip(before.packets).map(|(now, before)| now - before);
        *sent = Sent { bytes, packets, retransmits: sent.retransmits - before.retransmits, ..*sent };
    }
    story.check(&Exchange { target: "/small", status: 304, framing: "none", ..Exchange::default() });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_head_without_its_content() {
    let story = fetch(&["--head", "http://10.77.0.1/big"]);
    story.check(&Exchange { method: "HEAD", target: "/big", framing: "none", ..Exchange::default() });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_page_that_is_not_there() {
    let story = fetch(&["http://10.77.0.1/nowhere"]);
    let size = story.served[0].body_bytes_sent;
    story.check(&Exchange {
        target: "/nowhere",
        status: 404,
        response_body: Some(size),
        ..Exchange::default()
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_server_that_fails() {
    let story = fetch(&["http://10.77.0.1/broken"]);
    let size = Some(BROKEN.len() as u64);
    story.check(&Exchange { target: "/broken", status: 500, response_body: size, ..Exchange::default() });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_form_with_a_body_of_many_segments() {
    let folder = Folder::new();
    let body = folder.file("body");
    std::fs::write(&body, crate::web::content(300_000)).expect("the folder is ours");
    let body = format!("@{}", body.display());
    let story = fetch(&["--header", "Expect:", "--data-binary", &body, "http://10.77.0.1/form"]);
    story.check(&Exchange {
        method: "POST",
        target: "/form",
        request_body: Some(300_000),
        response_body: Some("thank you\n".len() as u64),
        ..Exchange::default()
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_form_that_asks_first_whether_it_may_send_its_body() {
    let data = "x=".repeat(1_000);
    let story = fetch(&["--header", "Expect: 100-continue", "--data", &data, "http://10.77.0.1/form"]);
    story.check(&Exchange {
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
fn a_page_in_chunks() {
    let story = fetch(&["http://10.77.0.1/chunked"]);
    story.check(&Exchange {
        target: "/chunked",
        response_body: Some(5_000),
        framing: "chunked",
        ..Exchange::default()
    });
    let wire = story.closed().number("server.bytes");
    assert!(wire > story.fetched[0].header + 5_000, "the chunks' own framing is on the wire: {wire}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_page_of_http_1_0_that_ends_with_its_connection() {
    let story = fetch(&["--http1.0", "http://10.77.0.1/chunked"]);
    story.check(&Exchange {
        target: "/chunked",
        version: "1.0",
        response_body: Some(5_000),
        framing: "close",
        ..Exchange::default()
    });
    assert_eq!(story.closed().text("tcp.close.initiator"), "server");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_hundred_requests_on_one_connection() {
    let story = fetch(&["http://10.77.0.1/small?number=[1-100]", "--output", "/dev/null"]);
    story.check_connection();
    assert_eq!(story.served.len(), 100);
    for (index, (record, served)) in (1..).zip(story.trace.exchanges().iter().zip(&story.served)) {
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
    let story = fetch(&["http://[fd77::1]/small"]);
    story.check(&Exchange {
        target: "/small",
        host: Some("[fd77::1]"),
        response_body: Some(SMALL as u64),
        ..Exchange::default()
    });
    let closed = story.closed();
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
    // Both ends send from the same namespace: the kernel counts them together.
    let both = sent_by(&namespace, 0);
    let sent = |bytes| Sent { bytes, packets: None, retransmits: 0, overtaken: 0 };
    check_closed(closed, sent(served[0].request_length), sent(served[0].bytes_sent), 1);
    assert_eq!(Some(closed.number("client.packets") + closed.number("server.packets")), both.packets);
    assert_eq!(closed.number("client.bytes"), fetched[0].request);
    assert_eq!(closed.text("network.interface.name"), "lo");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn only_the_ports_asked_for_are_traced() {
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
fn only_the_hosts_asked_for_are_traced() {
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
    let story = fetch_with(&plain_pair(), &["--attach", "tc"], &["http://10.77.0.1/small"]);
    story.check(&Exchange { target: "/small", response_body: Some(SMALL as u64), ..Exchange::default() });
    let attachments = &story.trace.summary()["tracer.attachments"];
    assert_eq!(*attachments, serde_json::json!(["veth-server ingress tc tcx", "veth-server egress tc tcx"]));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn generic_xdp_sees_the_same_as_native_xdp() {
    let options = ["--attach", "xdp", "--xdp-mode", "generic"];
    let story = fetch_with(&plain_pair(), &options, &["http://10.77.0.1/small"]);
    story.check(&Exchange { target: "/small", response_body: Some(SMALL as u64), ..Exchange::default() });
    let attachments = &story.trace.summary()["tracer.attachments"];
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
    let story = tell(&pair, nginx, at_server, fetched);
    let trace = at_client.stop();
    trace.assert_clean();
    check_names(&trace, 1);
    story.check_connection();
    assert_eq!(facts(trace.exchanges()[0]), facts(story.trace.exchanges()[0]));
    let (here, there) = (trace.closed()[0], story.closed());
    check_closed(here, story.client, story.server, 1);
    assert_eq!(here.text("network.interface.name"), "veth-client");
    for field in ["network.community_id", "client.port", "tcp.history", "tcp.close.initiator"] {
        assert_eq!(here[field], there[field], "{field}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_endpoints_go_through_the_states_of_rfc_9293() {
    let events = ["--events", "connection,state"];
    let story = fetch_with(&plain_pair(), &events, &["http://10.77.0.1/small"]);
    let records = story.trace.of("connection.state");
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
    // nginx may answer curl's FIN with its own at once, or acknowledge it first.
    let farewells = [
        &["FIN-WAIT-2 LAST-ACK", "TIME-WAIT CLOSED"][..],
        &["FIN-WAIT-2 CLOSE-WAIT", "FIN-WAIT-2 LAST-ACK", "TIME-WAIT CLOSED"],
    ];
    assert!(
        farewells.contains(&&states[5..].iter().map(String::as_str).collect::<Vec<_>>()[..]),
        "{states:?}"
    );
}
