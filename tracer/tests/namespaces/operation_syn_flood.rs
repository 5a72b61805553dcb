//! SYN floods raise and end an alarm; other load that looks like a flood does not.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tracer::lab::{
    demo::half_open,
    netns::{VethPair, link},
};

use crate::{
    footprint::check_footprint,
    harness::{Fields, Trace, Tracer},
    pair,
    web::Nginx,
};

/// Duration of the flood.
const FLOOD: Duration = Duration::from_secs(5);
/// Interval between two SYNs, in µs; hping3 takes a little longer.
const INTERVAL: &str = "u50";
/// Limits for the delay of the alarm and of its end.
const ALARM: Duration = Duration::from_secs(2);
const ALL_CLEAR: Duration = Duration::from_secs(10);
/// Options for the events of these tests.
pub(crate) const EVENTS: [&str; 2] = ["--events", "connection,exchange,stats"];

/// A flood of SYNs from random addresses. Dropping it ends the flood.
struct Flood(Child);

impl Flood {
    fn start(pair: &VethPair) -> Self {
        // Route the server's SYN-ACKs to the client, which has none of these addresses.
        let gateway = pair.client.v4;
        let routed = pair.server.namespace.run(|| link::add_route(Ipv4Addr::UNSPECIFIED, 0, gateway));
        routed.expect("namespace").expect("there is no other default route");
        let mut hping = Command::new("hping3");
        hping.args(["-q", "-S", "-p", "80", "--rand-source", "-i", INTERVAL]).arg(pair.server.v4.to_string());
        hping.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(pair.client.namespace.command(hping).expect("hping3 is installed"))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fetches a page over a new connection, and returns the client's port.
fn fetch(server: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(server).expect("nginx listens");
    let port = stream.local_addr().expect("it is connected").port();
    let request = format!("GET /small?{port} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("open");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("nginx answers and closes");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
    port.into()
}

/// Fetches pages one after the other until `stop` is set, and returns the client's ports.
fn visitor(pair: &VethPair, stop: &AtomicBool) -> Vec<u64> {
    let server = SocketAddr::from((pair.server.v4, 80));
    let visit = || {
        let mut ports = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            ports.push(fetch(server));
            thread::sleep(Duration::from_millis(2));
        }
        ports
    };
    pair.client.namespace.run(visit).expect("namespace")
}

/// The timestamp of a record.
fn time_of(record: &Value) -> SystemTime {
    humantime::parse_rfc3339(record.text("timestamp")).expect("a time")
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_flood_is_reported_and_visitors_during_it_are_traced_as_usual() {
    let pair = Arc::new(pair());
    let _nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &EVENTS);
    let stop = Arc::new(AtomicBool::new(false));
    let visitor = thread::spawn({
        let (pair, stop) = (Arc::clone(&pair), Arc::clone(&stop));
        move || visitor(&pair, &stop)
    });
    thread::sleep(Duration::from_secs(1));
    let begin = SystemTime::now();
    let flood = Flood::start(&pair);
    thread::sleep(FLOOD);
    drop(flood);
    let end = SystemTime::now();
    tracer.wait_for(1, "syn_flood.ended");
    stop.store(true, Ordering::Relaxed);
    let ports = visitor.join().expect("each page was served");
    thread::sleep(Duration::from_secs(1));
    check_footprint(&tracer);
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);

    let [started] = trace.of("syn_flood.started")[..] else { panic!("{:#?}", trace.names()) };
    let [ended] = trace.of("syn_flood.ended")[..] else { panic!("{:#?}", trace.names()) };
    let after = time_of(started).duration_since(begin).expect("after its start");
    assert!(after <= ALARM, "the alarm came after {after:?}: {started:#}");
    let after = time_of(ended).duration_since(end).expect("after its end");
    assert!(after <= ALL_CLEAR, "it was over after {after:?}: {ended:#}");
    println!("{started:#}\n{ended:#}\n{} visits, over {after:?} after the end", ports.len());
    assert!(started.flag("tcp.sources.spoofed") && ended.flag("tcp.sources.spoofed"), "{ended:#}");
    assert!(started.number("tcp.half_open") > 0, "{started:#}");
    check_visits(&trace, &ports);

    // All SYNs are counted, and hardly any is reported individually.
    let summary = trace.records.last().expect("a summary");
    assert_eq!(summary.count("tracer.connections.evicted"), 0, "{summary:#}");
    let reported = summary.number("tracer.connections.opened") - ports.len() as u64;
    let attempts = ended.number("syn_flood.attempts") - ended.number("syn_flood.completed");
    assert!(
        reported < 1000 && reported < attempts / 4,
        "{reported} attempts of {attempts} were reported: {summary:#}"
    );
    let listeners = trace.of("tcp.listener");
    let server = listeners.last().expect("the server has statistics");
    let sum = |name| server.number(name);
    assert_eq!(sum("tcp.listener.completed"), ports.len() as u64, "{server:#}");
    assert!(
        server.has("tcp.listener.queue.limit") && server.has("tcp.namespace.syn_cookies_sent"),
        "{server:#}"
    );
}

/// Checks that each visit is reported from its SYN to its end, with nothing lost.
fn check_visits(trace: &Trace, ports: &[u64]) {
    assert!(ports.len() > 100, "{} visits", ports.len());
    let visits = trace.records.iter().filter(|record| record["client.address"] == "10.77.0.2");
    let by_port: HashMap<(&str, u64), &Value> =
        visits.map(|record| ((record.text("event.name"), record.number("client.port")), record)).collect();
    for port in ports {
        let of_port = |name: &'static str| {
            *by_port.get(&(name, *port)).unwrap_or_else(|| panic!("no {name} of port {port}"))
        };
        let opened = of_port("connection.opened");
        assert!(opened.has("tcp.handshake.syn_ack_ns") && opened.has("tcp.handshake.ack_ns"), "{opened:#}");
        let exchange = of_port("http.exchange");
        assert_eq!(exchange.text("url.original"), format!("/small?{port}"));
        assert_eq!(exchange.text("http.outcome"), "complete");
        assert_eq!(exchange.text("http.confidence"), "exact");
        let closed = of_port("connection.closed");
        assert_eq!(closed.text("tcp.conn_state"), "SF", "{closed:#}");
        assert!(closed.text("tcp.history").starts_with("Sh"), "{closed:#}");
        assert_eq!(closed.number("tcp.completeness"), 31, "{closed:#}");
        assert_eq!(closed.count("events.lost"), 0, "{closed:#}");
    }
}

/// Checks that there was no alarm, and returns the last verdict of each port.
#[track_caller]
pub(crate) fn verdicts(trace: &Trace) -> Vec<(u64, String)> {
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    let alarms = trace.of("syn_flood.started");
    assert!(alarms.is_empty(), "a false alarm: {alarms:#?}");
    let verdict = |one: &&Value| (one.number("server.port"), one.text("tcp.listener.verdict").to_owned());
    trace.of("tcp.listener").iter().map(verdict).collect()
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_busy_client_is_not_a_flood() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &EVENTS);
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", "-d4s", "-H", "Connection: close", "http://10.77.0.1/small"]);
    wrk.stdin(Stdio::null()).stdout(Stdio::null());
    let mut wrk = pair.client.namespace.command(wrk).expect("wrk is installed");
    assert!(wrk.wait().expect("a child can be waited for").success());
    let trace = tracer.stop();
    assert_eq!(verdicts(&trace), [(80, "busy".to_owned())]);
    let server = trace.of("tcp.listener")[0];
    let summary = trace.records.last().expect("a summary");
    let (lost, connections_lost) = (trace.events_lost(), summary["tracer.connections.lost"].as_u64());
    println!("{server:#}\n{summary:#}");
    // Each is reported, or counted if all its events were lost: a debug build is too slow for so
    // many.
    let (opened, connections_lost) = (trace.opened().len() as u64, connections_lost.unwrap_or(0));
    assert_eq!(server.number("tcp.listener.completed"), opened + connections_lost, "{server:#}");
    assert_eq!(trace.closed().len() as u64, summary.number("tracer.connections.opened"));
    assert_eq!(summary.count("tracer.records.lost"), 0, "{summary:#}");
    assert!(lost > 0 || connections_lost == 0, "{summary:#}");
    assert_eq!(lost > 0, trace.errors.contains("DEGRADED"), "{}", trace.errors);
    assert!(lost == 0 || cfg!(debug_assertions), "an optimised build loses nothing: {summary:#}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_server_that_refuses_is_not_a_flood() {
    let pair = pair();
    let tracer = Tracer::at(&pair.server, &EVENTS);
    let server = SocketAddr::from((pair.server.v4, 80));
    let connect = || {
        let until = Instant::now() + Duration::from_secs(3);
        let mut refused = 0;
        while Instant::now() < until {
            TcpStream::connect(server).expect_err("nobody listens");
            refused += 1;
        }
        refused
    };
    let refused: u64 = pair.client.namespace.run(connect).expect("namespace");
    let trace = tracer.stop();
    assert_eq!(verdicts(&trace), [(80, "refusing".to_owned())]);
    let server = trace.of("tcp.listener")[0].clone();
    assert_eq!(server.count("tcp.listener.refused"), refused, "each is counted: {server:#}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_silent_server_is_not_a_flood() {
    let pair = pair();
    // The server is the gateway to this network, but does not forward.
    let gateway = pair.server.v4;
    let routed = pair.client.namespace.run(|| link::add_route(Ipv4Addr::new(10, 77, 99, 0), 24, gateway));
    routed.expect("namespace").expect("it can be routed");
    let tracer = Tracer::at(&pair.server, &EVENTS);
    let connect = || {
        let address = SocketAddr::from(([10, 77, 99, 9], 80)).into();
        let mut sockets = Vec::new();
        for _ in 0..8 {
            for _ in 0..100 {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
                socket.set_nonblocking(true).expect("a socket");
                let _ = socket.connect(&address);
                sockets.push(socket);
            }
            thread::sleep(Duration::from_millis(500));
        }
    };
    pair.client.namespace.run(connect).expect("namespace");
    let trace = tracer.stop();
    assert_eq!(verdicts(&trace), [(80, "silent".to_owned())]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_port_scan_is_not_a_flood() {
    let pair = pair();
    let tracer = Tracer::at(&pair.server, &[&EVENTS[..], &["-p", "1000-1199"]].concat());
    let address = pair.server.v4;
    let scan = || {
        for port in 1000..1200 {
            TcpStream::connect((address, port)).expect_err("nobody listens");
        }
        thread::sleep(Duration::from_millis(1500));
    };
    pair.client.namespace.run(scan).expect("namespace");
    let trace = tracer.stop();
    let verdicts = verdicts(&trace);
    assert_eq!(verdicts.len(), 200);
    assert!(verdicts.iter().all(|(_, verdict)| verdict == "port_scan"), "{verdicts:?}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_half_open_handshake_is_reported() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    half_open::prepare(&pair, None).expect("the spoofed addresses can be routed");
    let tracer = Tracer::at(&pair.server, &["--events", "half-open"]);
    let target = std::net::SocketAddrV4::new(pair.server.v4, 80);
    let syns = (0..3).map(|number| half_open::SpoofedSyn::numbered(number, target));
    pair.client.namespace.run(|| half_open::send(syns)).expect("namespace").expect("SYNs can be sent");
    tracer.wait_for(3, "connection.half_open");
    let trace = tracer.stop();
    trace.assert_clean();
    for record in trace.of("connection.half_open") {
        let (since, received) = (record.number("tcp.half_open_ns"), record.number("tcp.syn_received_ns"));
        assert!(since >= 1_000_000_000 && received <= since && received > 900_000_000, "{record:#}");
    }
    assert_eq!(trace.summary().number("tracer.connections.half_open"), 3);
}
