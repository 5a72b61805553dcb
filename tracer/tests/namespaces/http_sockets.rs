//! Conversations that ordinary servers and clients do not have, written byte by byte to sockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::{
    TIMEOUT,
    account::{Exchange, Sent, check_closed, check_names, sent_by},
    harness::{Fields, Trace, Tracer},
    pair,
};

/// Both ends of one connection, with tracer at the server's end.
///
/// One thread holds both: it reads what one end writes at the other before the next step.
struct Conversation {
    pair: tracer::lab::netns::VethPair,
    tracer: Tracer,
    client: TcpStream,
    server: TcpStream,
    client_sent: u64,
    server_sent: u64,
}

/// The sender.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}
use Sender::{Client, Server};

impl Conversation {
    #[track_caller]
    fn start() -> Self {
        let pair = pair();
        let address = SocketAddr::from((pair.server.v4, 80));
        let listener = pair.server.namespace.run(|| TcpListener::bind(address)).expect("namespace");
        let listener = listener.expect("nobody else listens");
        let tracer = Tracer::at(&pair.server, &[]);
        let client = pair.client.namespace.run(|| TcpStream::connect(address)).expect("namespace");
        let client = client.expect("the server listens");
        let (server, _) = listener.accept().expect("the client has connected");
        for end in [&client, &server] {
            end.set_read_timeout(Some(TIMEOUT)).expect("a socket has a timeout");
            end.set_write_timeout(Some(TIMEOUT)).expect("a socket has a timeout");
            end.set_nodelay(true).expect("a socket has this option");
        }
        Self { pair, tracer, client, server, client_sent: 0, server_sent: 0 }
    }

    /// Writes `words` at once, and reads them at the other end.
    #[track_caller]
    fn sends(&mut self, sender: Sender, words: impl AsRef<[u8]>) {
        let words = words.as_ref();
        let (writer, reader, sent) = match sender {
            Client => (&mut self.client, &mut self.server, &mut self.client_sent),
            Server => (&mut self.server, &mut self.client, &mut self.server_sent),
        };
        writer.write_all(words).expect("the connection is open");
        let mut received = vec![0; words.len()];
        reader.read_exact(&mut received).expect("the bytes arrive");
        assert!(received == words, "other bytes arrive");
        *sent += words.len() as u64;
    }

    /// Closes both ends, `first` first, stops tracer, and checks the connection with `exchanges`
    /// exchanges.
    #[track_caller]
    fn ends(mut self, first: Sender, exchanges: usize) -> Trace {
        let (first, second) = match first {
            Client => (&mut self.client, &mut self.server),
            Server => (&mut self.server, &mut self.client),
        };
        first.shutdown(Shutdown::Write).expect("the connection is open");
        assert_eq!(second.read(&mut [0; 1]).expect("no error"), 0, "there was more to read");
        second.shutdown(Shutdown::Write).expect("the connection is open");
        assert_eq!(first.read(&mut [0; 1]).expect("no error"), 0, "there was more to read");
        self.tracer.wait_for(1, "connection.closed");
        let trace = self.tracer.stop();
        trace.assert_clean();
        check_names(&trace, exchanges);
        let client = sent_by(&self.pair.client.namespace, self.client_sent);
        let mut server = sent_by(&self.pair.server.namespace, self.server_sent);
        if self.server_sent > LARGE {
            server = Sent { packets: None, ..server };
        }
        check_closed(trace.closed()[0], client, server, exchanges as u64);
        trace
    }
}

/// The most bytes that fit into one segment. More may be sent as a super-segment, which the kernel
/// counts differently.
const LARGE: u64 = 1_400;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn ten_pipelined_requests_with_responses_in_one_write() {
    let mut conversation = Conversation::start();
    let requests: String =
        (1..=10).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let responses: String = (1..=10)
        .map(|number| {
            format!("HTTP/1.1 20{} OK\r\nContent-Length: {number}\r\n\r\n{}", number % 3, "x".repeat(number))
        })
        .collect();
    assert!(requests.len() < 1_400 && responses.len() < 1_400, "one segment each");
    conversation.sends(Client, requests);
    conversation.sends(Server, responses);
    let trace = conversation.ends(Client, 10);
    for (index, record) in (1..).zip(trace.exchanges()) {
        let target = format!("/{index}");
        let status = 200 + index % 3;
        let (host, body) = (Some("a"), Some(index));
        Exchange { index, target: &target, host, status, response_body: body, ..Exchange::default() }
            .check(record);
    }
    let closed = trace.closed()[0];
    // SYN, ACK, the requests in one segment, FIN, and ACKs.
    assert!(closed.number("client.packets") <= 6, "{closed:#}");
    assert!(closed.number("server.packets") <= 5, "{closed:#}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn heads_sent_byte_by_byte() {
    let mut conversation = Conversation::start();
    let request = "GET /slow HTTP/1.1\r\nHost: a\r\nX-Filler: something\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    for byte in request.bytes() {
        conversation.sends(Client, [byte]);
    }
    for byte in response.bytes() {
        conversation.sends(Server, [byte]);
    }
    let trace = conversation.ends(Client, 1);
    let expected =
        Exchange { target: "/slow", host: Some("a"), response_body: Some(3), ..Exchange::default() };
    expected.check(trace.exchanges()[0]);
    let closed = trace.closed()[0];
    assert!(closed.number("client.packets") >= request.len() as u64, "{closed:#}");
    assert!(closed.number("server.packets") >= response.len() as u64, "{closed:#}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn several_interim_responses() {
    let mut conversation = Conversation::start();
    conversation
        .sends(Client, "POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    conversation.sends(Server, "HTTP/1.1 100 Continue\r\n\r\n");
    conversation.sends(Client, "body");
    conversation
        .sends(Server, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    conversation.sends(Server, "HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n");
    conversation.sends(Server, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let trace = conversation.ends(Client, 1);
    Exchange {
        method: "POST",
        target: "/up",
        host: Some("a"),
        status: 201,
        interim: &[100, 102, 103, 103],
        // A Content-Length of 0 means no content.
        framing: "none",
        request_body: Some(4),
        ..Exchange::default()
    }
    .check(trace.exchanges()[0]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_connection_that_changes_its_protocol() {
    let mut conversation = Conversation::start();
    conversation
        .sends(Client, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    conversation.sends(
        Server,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    // From here on nothing is HTTP, even if it looks like it.
    conversation.sends(Client, "GET /not-a-request HTTP/1.1\r\n\r\n");
    conversation.sends(Server, "HTTP/1.1 200 OK\r\n\r\n");
    conversation.sends(Client, b"\x81\x05hello");
    let trace = conversation.ends(Server, 1);
    let record = trace.exchanges()[0];
    Exchange {
        target: "/chat",
        host: Some("a"),
        status: 101,
        response_body: None,
        framing: "tunnel",
        ..Exchange::default()
    }
    .check(record);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_tunnel_through_a_proxy() {
    let mut conversation = Conversation::start();
    conversation.sends(Client, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    conversation.sends(Server, "HTTP/1.1 200 Connection established\r\n\r\n");
    conversation.sends(Client, [0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]);
    conversation.sends(Server, [0x16, 3, 3, 0, 2, 1, 2]);
    let trace = conversation.ends(Client, 1);
    Exchange {
        method: "CONNECT",
        target: "example.org:443",
        host: Some("example.org"),
        response_body: None,
        framing: "tunnel",
        ..Exchange::default()
    }
    .check(trace.exchanges()[0]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_response_before_the_request_is_complete() {
    let mut conversation = Conversation::start();
    conversation.sends(Client, "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    conversation.sends(Client, [b'x'; 1_000]);
    conversation.sends(Server, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    conversation.sends(Client, [b'y'; 9_000]);
    // The connection is still in sync.
    conversation.sends(Client, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    conversation.sends(Server, "HTTP/1.1 204 No Content\r\n\r\n");
    let trace = conversation.ends(Client, 2);
    let early = trace.exchanges()[0];
    Exchange {
        method: "POST",
        target: "/big",
        host: Some("a"),
        status: 413,
        request_body: Some(10_000),
        response_body: Some(2),
        ..Exchange::default()
    }
    .check(early);
    assert_eq!(early.number("http.time_to_first_byte_ns"), 0, "{early:#}");
    Exchange {
        index: 2,
        target: "/next",
        host: Some("a"),
        status: 204,
        framing: "none",
        ..Exchange::default()
    }
    .check(trace.exchanges()[1]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_response_to_a_request_that_is_never_completed() {
    let mut conversation = Conversation::start();
    conversation.sends(Client, "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    conversation.sends(Client, [b'x'; 1_000]);
    conversation.sends(Server, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let trace = conversation.ends(Client, 1);
    let exchange = trace.exchanges()[0];
    assert_eq!(exchange.text("http.outcome"), "early_response", "{exchange:#}");
    assert_eq!(exchange.text("http.confidence"), "exact", "{exchange:#}");
    assert_eq!(exchange.number("http.response.status_code"), 413, "{exchange:#}");
    let sizes = ["http.request.body.size", "http.request.content_length", "http.response.body.size"];
    assert_eq!(sizes.map(|name| exchange.number(name)), [1_000, 10_000, 2], "{exchange:#}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn chunks_with_extensions_and_trailers_in_both_directions() {
    let mut conversation = Conversation::start();
    conversation
        .sends(Client, "PUT /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhel");
    conversation.sends(Client, "lo\r\n1");
    conversation.sends(Client, "0\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n");
    conversation
        .sends(Server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n");
    let trace = conversation.ends(Client, 1);
    Exchange {
        method: "PUT",
        target: "/f",
        host: Some("a"),
        request_body: Some(21),
        response_body: Some(3),
        framing: "chunked",
        ..Exchange::default()
    }
    .check(trace.exchanges()[0]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_host_filter_selects_by_address() {
    let pair = pair();
    let other = Ipv4Addr::new(10, 77, 0, 3);
    let add = || tracer::lab::netns::link::add_address(pair.client.interface, other.into(), 24);
    pair.client.namespace.run(add).expect("namespace").expect("the address is free");
    let address = SocketAddr::from((pair.server.v4, 80));
    let listener = pair.server.namespace.run(|| TcpListener::bind(address)).expect("namespace");
    let listener = listener.expect("nobody else listens");
    let tracer = Tracer::at(&pair.server, &["--host", "10.77.0.3"]);
    for source in [pair.client.v4, other] {
        let connect = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((source, 0)).into())?;
            socket.connect(&address.into())?;
            std::io::Result::Ok(TcpStream::from(socket))
        };
        let client = pair.client.namespace.run(connect).expect("namespace").expect("the server listens");
        let (mut server, _) = listener.accept().expect("the client has connected");
        client.shutdown(Shutdown::Write).expect("open");
        assert_eq!(server.read(&mut [0; 1]).expect("no error"), 0);
    }
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    check_names(&trace, 0);
    assert_eq!(trace.closed()[0].text("client.address"), "10.77.0.3");
}
