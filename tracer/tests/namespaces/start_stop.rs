//! Starts and stops under load: what was under way is reported as far as it was seen, and nothing
//! else.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tracer::lab::netns::VethPair;

use crate::{
    TIMEOUT,
    harness::{Fields, Trace, Tracer},
    pair,
    web::{Folder, Nginx, SMALL, Served},
};

/// Starts and stops of a test.
const ROUNDS: usize = 3;
/// How long each run lasts: the client's ports are reused several times.
const RUN: Duration = Duration::from_millis(2_500);
/// The client's ports. At 400 connections a second each is reused every second.
const PORTS: &str = "20000 20399";
/// Clients that send one request a connection, and each one's pause after it: together 400
/// connections a second.
const SHORT: u64 = 4;
const SHORT_PAUSE: Duration = Duration::from_millis(10);
/// Clients that keep their connection for some requests, and each one's pause after a request.
const LONG: u64 = 4;
const LONG_PAUSE: Duration = Duration::from_millis(5);
/// Requests on such a connection.
const LONG_REQUESTS: u64 = 100;
/// How much earlier a record may be than one before it: a closed connection is reported after it
/// has waited for stray segments.
const LATE: Duration = Duration::from_secs(1);
/// No exchange of this load takes that long.
const TOO_LONG: u64 = 5_000_000_000;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_start_and_a_stop_under_load_report_nothing_false() {
    check_rounds(|pair| vec!["-i", pair.server.interface]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_start_and_a_stop_at_every_interface_under_load_report_nothing_false() {
    check_rounds(|_| vec!["-i", "any"]);
}

/// Starts and stops tracer with these interfaces under load, and compares each run with the
/// server's log.
#[track_caller]
fn check_rounds(interfaces: impl Fn(&VethPair) -> Vec<&'static str>) {
    let pair = pair();
    pair.client.namespace.change_setting("ipv4/ip_local_port_range", PORTS).expect("a setting");
    let nginx = Nginx::start(&pair.server.namespace);
    let folder = Folder::new();
    let address = SocketAddr::from((pair.server.v4, 80));
    let (stop, number) = (AtomicBool::new(false), AtomicU64::new(0));
    let traces: Vec<Trace> = thread::scope(|scope| {
        let _stop_at_the_end = SetOnDrop(&stop);
        for worker in 0..SHORT + LONG {
            let client: Client = if worker < SHORT { short } else { long };
            let (namespace, number, stop) = (&pair.client.namespace, &number, &stop);
            scope.spawn(move || namespace.run(|| client(address, number, stop)).expect("namespace"));
        }
        let run = |round: usize| {
            let file = folder.file(&format!("records-{round}"));
            let options = ["trace", "-o", "json", "-w", file.to_str().expect("a plain path")];
            let tracer = Tracer::start(&pair.server.namespace, &[&options, &interfaces(&pair)[..]].concat());
            thread::sleep(RUN);
            tracer.stop()
        };
        (0..ROUNDS).map(run).collect()
    });
    let served: HashMap<String, Served> =
        nginx.stop().into_iter().map(|served| (served.target.clone(), served)).collect();
    let mut false_records = Vec::new();
    for (round, trace) in traces.iter().enumerate() {
        assert_eq!((trace.code, trace.events_lost()), (Some(0), 0), "{}", trace.errors);
        let exact = trace.exchanges().iter().filter(|record| is_exact(record)).count();
        assert!(exact > 500, "only {exact} exchanges are exact in round {round}");
        false_records.extend(trace.exchanges().into_iter().filter(|record| !is_right(record, &served)));
        false_records.extend(ghosts(trace));
        assert!(lateness(trace) < LATE, "round {round}: a record is {:?} late", lateness(trace));
        let summary = trace.summary();
        let count = |what: &str| summary.count(&format!("tracer.connections.{what}"));
        assert_eq!(count("opened"), count("closed") + count("open") + count("half_open"), "{summary:#}");
    }
    assert!(false_records.is_empty(), "{} are false: {false_records:#?}", false_records.len());
}

/// Sets a flag when it is dropped, so that the load ends if the test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_exact(exchange: &Value) -> bool {
    exchange.text("http.confidence") == "exact"
}

/// Whether the record of an exchange agrees with the server's log. The load has no unanswered
/// request: what was not seen is not observed.
fn is_right(exchange: &Value, served: &HashMap<String, Served>) -> bool {
    let is_complete = exchange.text("http.outcome") == "complete";
    let Some(target) = exchange.get("url.original").and_then(Value::as_str) else {
        return !is_exact(exchange);
    };
    let Some(served) = served.get(target) else { return false };
    let agrees = served.port == exchange.number("client.port")
        && (!is_complete
            || exchange.number("http.response.status_code") == served.status
                && exchange.number("http.response.body.size") == SMALL as u64
                && exchange.count("http.duration_ns") < TOO_LONG);
    agrees && (is_complete || exchange.text("http.outcome") == "not_observed")
}

/// The connections that this load does not have: those without a regular end, beyond the ones that
/// were open when tracer stopped. Of a connection that was ending when tracer started, a last
/// segment may be all that was seen: it is midstream, and ends when its ports are used again.
fn ghosts(trace: &Trace) -> Vec<&Value> {
    let closed = trace.closed().into_iter();
    let (open, ended): (Vec<_>, Vec<_>) =
        closed.partition(|record| record.text("tcp.close.reason") == "end_of_trace");
    let is_ghost = |record: &&Value| {
        let seen =
            record.number("client.bytes") + record.number("server.bytes") + record.number("http.exchanges");
        record.text("tcp.close.reason") != "fin" && (seen > 0 || !record.flag("tcp.midstream"))
    };
    let mut ghosts: Vec<_> = ended.into_iter().filter(is_ghost).collect();
    if open.len() as u64 > SHORT + LONG {
        ghosts.extend(open);
    }
    ghosts
}

/// How much earlier than the latest one before it a record is at most.
fn lateness(trace: &Trace) -> Duration {
    let mut latest = SystemTime::UNIX_EPOCH;
    let times = trace.records.iter().map(|record| record.text("timestamp"));
    let late = times.map(|time| {
        let time = humantime::parse_rfc3339(time).expect("a time stamp");
        latest = latest.max(time);
        latest.duration_since(time).expect("not later")
    });
    late.max().unwrap_or_default()
}

/// A client of this address that numbers its requests, and ends when the flag is set.
type Client = fn(SocketAddr, &AtomicU64, &AtomicBool);

/// Sends one request a connection until `stop`.
fn short(address: SocketAddr, number: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        last_request(&mut connect(address), number);
        thread::sleep(SHORT_PAUSE);
    }
}

/// Sends some requests a connection until `stop`.
fn long(address: SocketAddr, number: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut stream = connect(address);
        for _ in 1..LONG_REQUESTS {
            request(&mut stream, number, "");
            let (mut response, mut buffer) = (Vec::new(), [0; 4096]);
            let ending = &crate::web::content(SMALL)[SMALL - 20..];
            while !response.ends_with(ending) {
                let length = stream.read(&mut buffer).expect("nginx answers");
                assert!(length > 0, "nginx closed");
                response.extend_from_slice(&buffer[..length]);
            }
            thread::sleep(LONG_PAUSE);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        last_request(&mut stream, number);
    }
}

/// Sends the last request of a connection, and waits until the server has closed it: a client that
/// closes first would keep its port for a minute.
fn last_request(stream: &mut TcpStream, number: &AtomicU64) {
    request(stream, number, "Connection: close\r\n");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("nginx answers and closes");
    assert!(response.len() > SMALL, "a response");
}

/// Connects, again for a while if all ports are taken.
fn connect(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + TIMEOUT;
    let stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::sleep(SHORT_PAUSE);
    };
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a timeout");
    stream
}

/// Sends a request with a target that no other request has.
fn request(stream: &mut TcpStream, number: &AtomicU64, fields: &str) {
    let number = number.fetch_add(1, Ordering::Relaxed);
    let request = format!("GET /small?{number} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("open");
}
