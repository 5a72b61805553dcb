//! How connections end: sockets produce each end, and the records are checked completely.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use tracer::lab::{
    demo::half_open::{self, SpoofedSyn},
    netns::{VethPair, link},
};

use crate::{
    TIMEOUT,
    harness::{Fields, Trace, Tracer},
    pair,
};

/// A listener on port 80 of the server's end.
pub(crate) fn listen(pair: &VethPair) -> TcpListener {
    let address = SocketAddr::new(pair.server.v4.into(), 80);
    pair.server.namespace.run(|| TcpListener::bind(address)).expect("namespace").expect("port 80")
}

/// A connection: the client's and the server's socket.
pub(crate) fn connect(pair: &VethPair, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().expect("a listener has an address");
    let connected = pair.client.namespace.run(|| TcpStream::connect_timeout(&address, TIMEOUT));
    let client = connected.expect("namespace").expect("the server listens");
    let (server, _) = listener.accept().expect("the client has connected");
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a read timeout");
        stream.set_nodelay(true).expect("a socket has the option");
    }
    (client, server)
}

/// Sends `bytes` and waits until all of them have arrived.
pub(crate) fn transfer(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).expect("the connection is open");
    let mut received = vec![0; bytes.len()];
    to.read_exact(&mut received).expect("the bytes arrive");
    assert_eq!(received, bytes);
}

/// Sends a request for `target` and a response with `status` and five bytes of content. Returns the
/// bytes of both.
pub(crate) fn exchange(
    client: &mut TcpStream,
    server: &mut TcpStream,
    target: &str,
    status: u16,
) -> [u64; 2] {
    let request = format!("GET {target} HTTP/1.1\r\nHost: server.test\r\n\r\n");
    let response = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 5\r\n\r\nhello");
    transfer(client, server, request.as_bytes());
    transfer(server, client, response.as_bytes());
    [request.len() as u64, response.len() as u64]
}

/// Waits for the other side's FIN.
pub(crate) fn await_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).expect("the other side closes"), 0);
}

/// Fields of the only `connection.closed`: state, reason, initiator, bytes of client and server.
fn end(trace: &Trace) -> (&str, &str, Option<&str>, u64, u64) {
    let closed = trace.closed();
    let [closed] = closed[..] else { panic!("expected one connection: {closed:#?}") };
    let initiator = closed.has("tcp.close.initiator").then(|| closed.text("tcp.close.initiator"));
    (
        closed.text("tcp.conn_state"),
        closed.text("tcp.close.reason"),
        initiator,
        closed.number("client.bytes"),
        closed.number("server.bytes"),
    )
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_refused_connection_is_reported_as_refused() {
    let pair = pair();
    let tracer = Tracer::at(&pair.server, &[]);
    let address = SocketAddr::new(pair.server.v4.into(), 80);
    let refused = pair.client.namespace.run(|| TcpStream::connect_timeout(&address, TIMEOUT));
    assert_eq!(refused.expect("namespace").expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.closed", "tracer.summary"]);
    assert_eq!(end(&trace), ("REJ", "refused", Some("server"), 0, 0));
    let closed = trace.closed()[0];
    assert_eq!((closed.text("tcp.history"), closed.number("tcp.completeness")), ("Sr", 37));
    assert_eq!((closed.number("client.packets"), closed.number("server.packets")), (1, 1));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_unanswered_connection_is_reported_with_its_retransmissions() {
    let pair = pair();
    // The server is the gateway to this network, but does not forward the SYN.
    let gateway = pair.server.v4;
    let network = Ipv4Addr::new(10, 77, 99, 0);
    let routed = pair.client.namespace.run(|| link::add_route(network, 24, gateway));
    routed.expect("namespace").expect("the network can be routed");
    let tracer = Tracer::at(&pair.client, &["--half-open-timeout", "1500ms"]);
    let address = SocketAddr::from(([10, 77, 99, 9], 80));
    // Long enough for one retransmission, after a second.
    let unanswered =
        pair.client.namespace.run(|| TcpStream::connect_timeout(&address, Duration::from_millis(1300)));
    assert_eq!(unanswered.expect("namespace").expect_err("nobody is there").kind(), ErrorKind::TimedOut);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.closed", "tracer.summary"]);
    assert_eq!(end(&trace), ("S0", "unanswered", None, 0, 0));
    let closed = trace.closed()[0];
    assert_eq!((closed.text("tcp.history"), closed.number("tcp.completeness")), ("S", 1));
    assert_eq!((closed.number("client.packets"), closed.count("client.retransmits")), (2, 1));
    assert_eq!(closed.number("server.packets"), 0);
    assert_eq!(closed.text("server.address"), "10.77.99.9");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_half_open_handshake_is_reported_when_it_expires() {
    let pair = pair();
    half_open::prepare(&pair, Some(1)).expect("the spoofed addresses can be routed");
    let _listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &["--half-open-timeout", "1500ms"]);
    let spoofed = SpoofedSyn::numbered(0, SocketAddrV4::new(pair.server.v4, 80));
    pair.client.namespace.run(|| half_open::send([spoofed])).expect("namespace").expect("a SYN can be sent");
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.closed", "tracer.summary"]);
    assert_eq!(end(&trace), ("S1", "half_open_timeout", None, 0, 0));
    let closed = trace.closed()[0];
    assert_eq!((closed.text("tcp.history"), closed.number("tcp.completeness")), ("Sh", 3));
    assert_eq!((closed.number("client.packets"), closed.number("server.packets")), (1, 2));
    assert_eq!(closed.count("server.retransmits"), 1);
    assert_eq!(closed.text("client.address"), spoofed.source.ip().to_string());
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_response_is_truncated_when_the_client_resets_in_the_middle() {
    let pair = pair();
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &[]);
    let (mut client, mut server) = connect(&pair, &listener);
    let request = b"GET /long HTTP/1.1\r\nHost: server.test\r\n\r\n";
    let beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nonly so much";
    transfer(&mut client, &mut server, request);
    transfer(&mut server, &mut client, beginning);
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket can linger");
    drop(client);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
    let exchange = trace.exchanges()[0];
    assert_eq!(exchange.text("http.outcome"), "response_truncated");
    assert_eq!(exchange.number("http.response.status_code"), 200);
    assert_eq!(exchange.number("http.response.body.size"), 12, "{exchange:#}");
    assert_eq!(exchange.number("http.response.content_length"), 100_000, "{exchange:#}");
    assert_eq!(end(&trace), ("RSTO", "reset", Some("client"), request.len() as u64, beginning.len() as u64));
    assert_eq!(trace.closed()[0].number("tcp.completeness"), 1 + 2 + 4 + 8 + 32);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_response_after_the_client_has_closed_its_direction_is_complete() {
    let pair = pair();
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &[]);
    let (mut client, mut server) = connect(&pair, &listener);
    let request = b"GET /late HTTP/1.1\r\nHost: server.test\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
    transfer(&mut client, &mut server, request);
    client.shutdown(Shutdown::Write).expect("one direction can be closed");
    await_end(&mut server);
    transfer(&mut server, &mut client, response);
    drop(server);
    await_end(&mut client);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
    let exchange = trace.exchanges()[0];
    assert_eq!(
        (exchange.text("http.outcome"), exchange.text("http.response.framing")),
        ("complete", "close")
    );
    assert_eq!(exchange.number("http.response.body.size"), "until the end".len() as u64);
    assert_eq!(end(&trace), ("SF", "fin", Some("client"), request.len() as u64, response.len() as u64));
    let history = trace.closed()[0].text("tcp.history");
    let at = |event| history.find(event).unwrap_or_else(|| panic!("no {event} in {history}"));
    assert!(history.starts_with("ShAD") && at('F') < at('d') && at('d') < at('f'), "{history}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn each_state_is_reported_when_the_server_closes_first() {
    let pair = pair();
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &["--events", "connection,exchange,state"]);
    let (mut client, mut server) = connect(&pair, &listener);
    let [request_bytes, response_bytes] = exchange(&mut client, &mut server, "/", 200);
    drop(server);
    await_end(&mut client);
    // Wait for the ACK of the server's FIN: an immediate close could send both in one segment.
    tracer.wait_for_lines(1, "CLOSE-WAIT", |line| line.contains(r#""tcp.client.state":"CLOSE-WAIT""#));
    drop(client);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    let states: Vec<_> = trace
        .of("connection.state")
        .iter()
        .map(|state| format!("{} {}", state.text("tcp.client.state"), state.text("tcp.server.state")))
        .collect();
    assert_eq!(
        states,
        [
            "SYN-SENT LISTEN",
            "SYN-SENT SYN-RECEIVED",
            "ESTABLISHED ESTABLISHED",
            "ESTABLISHED FIN-WAIT-1",
            "CLOSE-WAIT FIN-WAIT-2",
            "LAST-ACK FIN-WAIT-2",
            "CLOSED TIME-WAIT",
        ]
    );
    let names: Vec<_> = trace.names().into_iter().filter(|name| *name != "connection.state").collect();
    assert_eq!(names, ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
    assert_eq!(end(&trace), ("SF", "fin", Some("server"), request_bytes, response_bytes));
}
