//! High load: nothing is lost, delayed or counted twice.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tracer::lab::netns::{Namespace, VethPair};

use crate::{
    TIMEOUT,
    account::{Exchange, Sent, check_closed, check_names, sent_by},
    harness::{Fields, Trace, Tracer},
    pair,
    web::{Folder, Nginx, SMALL, Served},
};

/// Concurrent connections.
const CONCURRENT: usize = 500;
/// Least number of requests in a test with wrk.
const MANY_REQUESTS: u64 = 30_000;
/// Connections of wrk.
const WRK_CONNECTIONS: u64 = 8;
/// Bytes of a large transfer.
const GIBIBYTE: u64 = 1 << 30;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn five_hundred_connections_at_once() {
    let pair = pair();
    let nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &[]);
    let address = SocketAddr::from((pair.server.v4, 80));
    let ports = pair.client.namespace.run(|| fetch_from_all(address)).expect("namespace");
    tracer.wait_for(CONCURRENT, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.opened().len(), CONCURRENT);
    assert_eq!(trace.exchanges().len(), CONCURRENT);
    assert_eq!(trace.closed().len(), CONCURRENT);
    assert_eq!(trace.records.len(), 3 * CONCURRENT + 1, "three records each, and the summary");
    let served = nginx.served(CONCURRENT);
    for port in ports {
        let of_port = |records: Vec<_>| {
            let mut records: Vec<&Value> = records;
            records.retain(|record| record.number("client.port") == port);
            assert_eq!(records.len(), 1, "records of port {port}: {records:#?}");
            records[0].clone()
        };
        let served = served.iter().find(|served| served.port == port).expect("nginx served it");
        let exchange = of_port(trace.exchanges());
        assert_eq!(exchange.text("url.original"), format!("/small?{port}"));
        assert_eq!(exchange.number("http.response.body.size"), SMALL as u64);
        assert_eq!(exchange.text("http.outcome"), "complete");
        assert_eq!(exchange.text("http.confidence"), "exact");
        let closed = of_port(trace.closed());
        assert_eq!(closed.text("tcp.conn_state"), "SF", "{closed:#}");
        assert_eq!(closed.number("tcp.completeness"), 31, "{closed:#}");
        assert_eq!(closed.number("client.bytes"), served.request_length, "{closed:#}");
        assert_eq!(closed.number("server.bytes"), served.bytes_sent, "{closed:#}");
    }
    let packets = |side: &str| {
        trace.closed().iter().map(|record| record.number(&format!("{side}.packets"))).sum::<u64>()
    };
    assert_eq!(Some(packets("client")), sent_by(&pair.client.namespace, 0).packets);
    assert_eq!(Some(packets("server")), sent_by(&pair.server.namespace, 0).packets);
}

/// Opens all connections, sends a request on each, reads all responses, and closes all. Returns the
/// client ports.
fn fetch_from_all(address: SocketAddr) -> Vec<u64> {
    let mut streams: Vec<_> = (0..CONCURRENT)
        .map(|_| {
            let stream = TcpStream::connect(address).expect("nginx listens");
            stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a timeout");
            stream
        })
        .collect();
    let port = |stream: &TcpStream| u64::from(stream.local_addr().expect("it is connected").port());
    let ports = streams.iter().map(port).collect();
    for stream in &mut streams {
        let request = format!("GET /small?{} HTTP/1.1\r\nHost: a\r\n\r\n", port(stream));
        stream.write_all(request.as_bytes()).expect("open");
    }
    for stream in &mut streams {
        let mut response = Vec::new();
        let mut buffer = [0; 4096];
        while !response.windows(4).any(|bytes| bytes == b"\r\n\r\n") || !response.ends_with(&ending()) {
            let length = stream.read(&mut buffer).expect("nginx answers");
            assert!(length > 0, "nginx closed");
            response.extend_from_slice(&buffer[..length]);
        }
        stream.shutdown(Shutdown::Write).expect("open");
        assert_eq!(stream.read(&mut buffer).expect("nginx closes"), 0, "more than the response");
    }
    ports
}

/// The end of the content of `/small`.
fn ending() -> Vec<u8> {
    crate::web::content(SMALL)[SMALL - 20..].to_vec()
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn many_requests_on_few_connections() {
    let load = Load::of_wrk("keep-alive", &[]);
    load.check();
    // wrk opens one more connection to check for the server, and closes it without a request.
    assert_eq!(load.trace.closed().len() as u64, load.runs * (WRK_CONNECTIONS + 1));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn many_connections_of_one_request() {
    let load = Load::of_wrk("Connection: close", &["-H", "Connection: close"]);
    load.check();
    let connections = load.trace.closed().len() as u64;
    assert!(connections >= load.requests, "{connections} connections, {} requests", load.requests);
}

/// The results of wrk, nginx and tracer for the same load.
struct Load {
    /// Requests for which wrk received a response.
    requests: u64,
    /// Runs of wrk.
    runs: u64,
    served: Vec<Served>,
    trace: Trace,
}

impl Load {
    /// Runs wrk against nginx until it has sent [`MANY_REQUESTS`], traced into a file.
    #[track_caller]
    fn of_wrk(name: &str, options: &[&str]) -> Self {
        let pair = pair();
        let nginx = Nginx::start(&pair.server.namespace);
        let folder = Folder::new();
        let file = folder.file("records");
        let tracer = Tracer::at(&pair.server, &["-w", file.to_str().expect("a plain path")]);
        let (mut requests, mut runs) = (0, 0);
        while requests < MANY_REQUESTS {
            let output = wrk(&pair, options);
            assert!(!output.contains("Non-2xx") && !output.contains("Socket errors"), "{output}");
            let before = |line: &str, words: &str| line.trim().split_once(words)?.0.parse::<u64>().ok();
            let of_run = output.lines().find_map(|line| before(line, " requests in "));
            requests += of_run.unwrap_or_else(|| panic!("wrk said\n{output}"));
            runs += 1;
            let rate = output.lines().find(|line| line.starts_with("Requests/sec")).unwrap_or_default();
            eprintln!("wrk, {name}: {rate}");
        }
        let trace = tracer.stop();
        trace.assert_clean();
        Self { requests, runs, served: nginx.stop(), trace }
    }

    /// All records of the connection of a record.
    fn of_connection(&self, record: &Value) -> Vec<String> {
        let field = "connection.id";
        let records = self.trace.records.iter().filter(|other| other.get(field) == record.get(field));
        records.map(Value::to_string).collect()
    }

    /// Checks that every response of nginx is one exchange, and that wrk received all but those
    /// that were open when it stopped.
    #[track_caller]
    fn check(&self) {
        let exchanges = self.trace.exchanges();
        let (answered, unanswered): (Vec<&Value>, Vec<&Value>) =
            exchanges.iter().copied().partition(|exchange| exchange.has("http.response.status_code"));
        for exchange in &answered {
            let right = exchange.number("http.response.status_code") == 200
                && exchange.text("http.confidence") == "exact"
                && exchange.text("http.outcome") == "complete"
                && exchange.number("http.response.body.size") == SMALL as u64;
            assert!(right, "{:#?}", self.of_connection(exchange));
        }
        let sorted = |mut list: Vec<(u64, u64)>| {
            list.sort_unstable();
            list
        };
        let reported = sorted(
            answered
                .iter()
                .map(|record| (record.number("client.port"), record.number("http.exchange.index")))
                .collect(),
        );
        let answers = self.served.iter().filter(|served| served.status == 200);
        let logged = sorted(answers.map(|served| (served.port, served.request)).collect());
        assert_eq!(reported.len(), logged.len(), "exchanges, and lines of the access log");
        assert!(reported == logged, "other requests than in the access log");
        let cut_off = exchanges.len() as u64 - self.requests;
        eprintln!("wrk {}, nginx {}, tracer {} exchanges", self.requests, logged.len(), exchanges.len());
        assert!(cut_off <= self.runs * WRK_CONNECTIONS, "{cut_off} exchanges that wrk does not count");
        assert!(unanswered.len() as u64 <= cut_off, "{unanswered:#?}");
        let summary = self.trace.summary();
        assert_eq!(summary.number("tracer.exchanges"), exchanges.len() as u64);
        let opened = summary.number("tracer.connections.opened");
        assert_eq!(self.trace.closed().len() as u64, opened);
        assert_eq!(summary.count("tracer.connections.evicted"), 0);
    }
}

fn wrk(pair: &VethPair, options: &[&str]) -> String {
    let mut command = Command::new("wrk");
    let connections = WRK_CONNECTIONS.to_string();
    command.args(["-t", "1", "-c", &connections, "-d", "2s"]).args(options).arg("http://10.77.0.1/small");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = pair.client.namespace.command(command).expect("wrk is installed");
    let output = child.wait_with_output().expect("wrk ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_gibibyte_passes_unchanged_through_both_ends() {
    let pair = pair();
    let ends = [&pair.server, &pair.client];
    let tracers = ends.map(|end| Tracer::at(end, &[]));
    let before = ends.map(|end| frames(&end.namespace, end.interface));
    let started = Instant::now();
    let (sent, received) = transfer(&pair);
    assert_eq!(sent, received, "the checksums of both ends");
    let rate = (GIBIBYTE >> 20) as f64 / started.elapsed().as_secs_f64();
    eprintln!("1 GiB, checksums included: {rate:.0} MiB/s");
    for tracer in &tracers {
        tracer.wait_for(1, "connection.closed");
    }
    let after = ends.map(|end| frames(&end.namespace, end.interface));
    let traces = tracers.map(Tracer::stop);
    let client = sent_by(&pair.client.namespace, REQUEST.len() as u64);
    let server = sent_by(&pair.server.namespace, HEAD.len() as u64 + GIBIBYTE);
    for trace in &traces {
        trace.assert_clean();
        check_names(trace, 1);
        let size = Some(GIBIBYTE);
        let expected =
            Exchange { target: "/gibibyte", host: Some("a"), response_body: size, ..Exchange::default() };
        expected.check(trace.exchanges()[0]);
    }
    let [at_server, at_client] = &traces;
    // TC at the server sees super-segments, which are segmented after it.
    check_closed(at_server.closed()[0], client, Sent { packets: None, ..server }, 1);
    // The client's XDP sees every segment that the server's kernel counts.
    check_closed(at_client.closed()[0], client, server, 1);
    // The interface counts the same frames, except for an occasional neighbour discovery between
    // two readings.
    let passed = after[1] - before[1];
    let seen = at_client.summary().number("tracer.frames");
    assert!((passed..passed + 20).contains(&seen), "{seen} frames seen, {passed} passed");
}

const REQUEST: &str = "GET /gibibyte HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";

/// Sends 1 GiB from the server to the client, and returns the SHA-256 of the bytes sent and
/// received.
fn transfer(pair: &VethPair) -> (String, String) {
    let address = SocketAddr::from((pair.server.v4, 80));
    let listener = pair.server.namespace.run(|| TcpListener::bind(address)).expect("namespace");
    let listener = listener.expect("nobody else listens");
    let client = pair.client.namespace.run(|| TcpStream::connect(address)).expect("namespace");
    let mut client = client.expect("the server listens");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket has a timeout");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client has connected");
        let mut request = vec![0; REQUEST.len()];
        stream.read_exact(&mut request).expect("the client sends a request");
        stream.write_all(HEAD.as_bytes()).expect("open");
        let mut sum = Sum::start();
        let mut block = crate::web::content(1 << 20);
        for number in 0..GIBIBYTE >> 20 {
            // Blocks differ, so that a repeated or misplaced one changes the checksum.
            block[..8].copy_from_slice(&number.to_be_bytes());
            sum.add(&block);
            stream.write_all(&block).expect("open");
        }
        stream.shutdown(Shutdown::Write).expect("open");
        assert_eq!(stream.read(&mut block).expect("the client closes"), 0);
        sum.end()
    });
    client.write_all(REQUEST.as_bytes()).expect("open");
    let mut head = vec![0; HEAD.len()];
    client.read_exact(&mut head).expect("the server answers");
    let mut sum = Sum::start();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match client.read(&mut buffer).expect("the server sends") {
            0 => break,
            length => sum.add(&buffer[..length]),
        }
    }
    drop(client);
    (server.join().expect("the server did its part"), sum.end())
}

/// A running sha256sum.
struct Sum(std::process::Child);

impl Sum {
    fn start() -> Self {
        let mut command = Command::new("sha256sum");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(child.expect("sha256sum (coreutils) is installed"))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.stdin.as_mut().expect("piped").write_all(bytes).expect("sha256sum reads");
    }

    fn end(self) -> String {
        let output = self.0.wait_with_output().expect("sha256sum ends");
        String::from_utf8(output.stdout).expect("hexadecimal")
    }
}

/// Number of frames that the interface has received and sent.
fn frames(namespace: &Namespace, interface: &str) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/dev");
    let text = namespace.run(read).expect("namespace").expect("proc is mounted");
    let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    let numbers: Vec<u64> =
        line.expect("listed").split_whitespace().map(|number| number.parse().expect("a number")).collect();
    // Packets received, packets sent.
    numbers[1] + numbers[9]
}
