//! The recorded scenes.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use socket2::SockRef;
use tracer::lab::{
    demo::half_open::{self, SpoofedSyn},
    netns::{PairEnd, VethPair},
};

use crate::{
    SILENCE, TIMEOUT, eventually,
    web::{Nginx, curl},
};

/// A scene between two namespaces.
type Scene = fn(&VethPair);

/// The name of each capture and its scene.
pub(super) const SCENES: [(&str, Scene); 11] = [
    ("page_and_two_cached", page_and_two_cached),
    ("pipelined", pipelined),
    ("chunked", chunked),
    ("head", head),
    ("not_found_on_a_reused_connection", not_found_on_a_reused_connection),
    ("refused", refused),
    ("unanswered", unanswered),
    ("never_confirmed", never_confirmed),
    ("reset_in_mid_transfer", reset_in_mid_transfer),
    ("ipv6", ipv6),
    ("retransmission", retransmission),
];

/// An unused address of the server's network.
const UNUSED_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// An unused MAC address.
const UNUSED_MAC: &str = "02:00:00:77:00:99";

fn with_nginx(pair: &VethPair, arguments: &[&str]) {
    let _nginx = Nginx::start(&pair.server.namespace);
    curl(&pair.client, arguments);
}

fn page_and_two_cached(pair: &VethPair) {
    let cached = ["--header", "If-None-Match: *", "http://10.77.0.1/small", "http://10.77.0.1/chunked"];
    with_nginx(pair, &[&["http://10.77.0.1/small", "--next", "--silent"][..], &cached].concat());
}

fn pipelined(pair: &VethPair) {
    let _nginx = Nginx::start(&pair.server.namespace);
    let mut stream = connect(pair, pair.server.v4.into()).expect("nginx listens");
    let request =
        |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: server.test\r\n{more}\r\n");
    let requests =
        [request("/small", ""), request("/nowhere", ""), request("/broken", "Connection: close\r\n")]
            .concat();
    stream.write_all(requests.as_bytes()).expect("nginx reads");
    stream.read_to_end(&mut Vec::new()).expect("nginx answers and closes");
}

fn chunked(pair: &VethPair) {
    with_nginx(pair, &["http://10.77.0.1/chunked"]);
}

fn head(pair: &VethPair) {
    with_nginx(pair, &["--head", "http://10.77.0.1/big"]);
}

fn not_found_on_a_reused_connection(pair: &VethPair) {
    with_nginx(pair, &["http://10.77.0.1/small", "--output", "/dev/null", "http://10.77.0.1/nowhere"]);
}

fn refused(pair: &VethPair) {
    connect(pair, pair.server.v4.into()).expect_err("nobody listens");
}

fn unanswered(pair: &VethPair) {
    // The SYN reaches the server's kernel, which does not have this address.
    neighbour(&pair.client, UNUSED_ADDRESS, &pair.server.mac.map(|byte| format!("{byte:02x}")).join(":"));
    let address = SocketAddr::new(UNUSED_ADDRESS.into(), 80);
    // The SYN is retransmitted after 1 s and 3 s.
    let timeout = Duration::from_millis(3500);
    let connected = pair.client.namespace.run(|| TcpStream::connect_timeout(&address, timeout));
    connected.expect("namespace").expect_err("nobody answers");
}

fn never_confirmed(pair: &VethPair) {
    half_open::prepare(pair, Some(1)).expect("the spoofed addresses can be routed");
    let server = SocketAddrV4::new(pair.server.v4, 80);
    let _listener = listen(pair);
    let syns = [SpoofedSyn::numbered(0, server)];
    pair.client.namespace.run(|| half_open::send(syns)).expect("namespace").expect("the SYN can be sent");
    let waiting = || pair.server.namespace.run(|| half_open::syn_received(80)).expect("namespace");
    // One retransmission after 1 s, expired 2 s later.
    assert!(eventually(|| waiting().is_ok_and(|count| count == 1)), "the server answers");
    assert!(eventually(|| waiting().is_ok_and(|count| count == 0)), "the handshake expires");
}

fn reset_in_mid_transfer(pair: &VethPair) {
    let listener = listen(pair);
    let mut client = connect(pair, pair.server.v4.into()).expect("somebody listens");
    client.write_all(b"GET /long HTTP/1.1\r\nHost: server.test\r\n\r\n").expect("connected");
    let (mut server, _) = listener.accept().expect("a client");
    let received = server.read(&mut [0; 100]).expect("a request");
    assert!(received > 0, "the request has arrived");
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n").expect("connected");
    server.write_all(&[b'x'; 1000]).expect("connected");
    thread::sleep(SILENCE);
    SockRef::from(&server).set_linger(Some(Duration::ZERO)).expect("an open socket");
    drop(server);
    client.read_to_end(&mut Vec::new()).expect_err("reset");
}

fn ipv6(pair: &VethPair) {
    with_nginx(pair, &["--globoff", "http://[fd77::1]/small"]);
}

fn retransmission(pair: &VethPair) {
    let _nginx = Nginx::start(&pair.server.namespace);
    let mut stream = connect(pair, pair.server.v4.into()).expect("nginx listens");
    // The segment is sent on the wire, but received by nobody.
    neighbour(&pair.client, pair.server.v4, UNUSED_MAC);
    stream.write_all(b"GET /small HTTP/1.0\r\n\r\n").expect("connected");
    thread::sleep(Duration::from_millis(100));
    neighbour(&pair.client, pair.server.v4, &pair.server.mac.map(|byte| format!("{byte:02x}")).join(":"));
    stream.read_to_end(&mut Vec::new()).expect("nginx answers and closes");
}

fn listen(pair: &VethPair) -> TcpListener {
    let listener = pair.server.namespace.run(|| TcpListener::bind((pair.server.v4, 80)));
    listener.expect("namespace").expect("port 80")
}

fn connect(pair: &VethPair, server: IpAddr) -> std::io::Result<TcpStream> {
    let address = SocketAddr::new(server, 80);
    pair.client.namespace.run(|| TcpStream::connect_timeout(&address, TIMEOUT)).expect("namespace")
}

/// Sends frames for `address` to `mac`.
fn neighbour(end: &PairEnd, address: Ipv4Addr, mac: &str) {
    let mut command = Command::new("ip");
    let address = address.to_string();
    command.args(["neighbour", "replace", &address, "lladdr", mac, "dev", end.interface, "nud", "permanent"]);
    let mut child = end.namespace.command(command).expect("ip (iproute2) is installed");
    assert!(child.wait().expect("ip ends").success(), "ip cannot set the neighbour {address} to {mac}");
}
