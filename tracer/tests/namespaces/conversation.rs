//! The demo's server and browser agree, and their segments come in the order that the demo
//! explains.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracer::lab::{
    demo::{
        Conversation,
        browser::{BrowserOptions, browse},
        server::{ServerOptions, serve, serve_one},
    },
    netns::{Namespace, VethPair},
};

use crate::{TIMEOUT, pair, sniffer::Sniffer};

/// One visit of the browser at port 80 of `address`: the server's view and the browser's.
fn visit(pair: &VethPair, address: IpAddr) -> (Conversation, Conversation) {
    let address = SocketAddr::new(address, 80);
    let listener =
        pair.server.namespace.run(|| TcpListener::bind(address)).expect("namespace").expect("port 80");
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve_one(&listener, &ServerOptions::default()));
        let visit = || browse(address, "demo.test", &BrowserOptions::default());
        let browser = pair.client.namespace.run(visit).expect("namespace").expect("the browser is served");
        let server = server.join().expect("no panic").expect("the browser behaves");
        (server, browser)
    })
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn server_and_browser_agree_on_statuses_and_bytes() {
    let pair = pair();
    for address in [IpAddr::V4(pair.server.v4), IpAddr::V6(pair.server.v6)] {
        let (server, browser) = visit(&pair, address);
        assert_eq!(server.statuses, [200, 304, 304], "over {address}");
        assert_eq!(browser.statuses, server.statuses);
        assert_eq!(browser.bytes_received, server.bytes_sent);
        assert_eq!(server.bytes_received, browser.bytes_sent);
        assert!(
            server.bytes_sent > 40 * 1024,
            "the page has 40 KiB, but {} bytes were sent",
            server.bytes_sent
        );
        assert_eq!((server.local, server.peer), (browser.peer, browser.local));
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_segments_come_in_the_order_that_the_demo_explains() {
    let pair = pair();
    let sniffer = Sniffer::start(&pair.server.namespace, 80);
    visit(&pair, pair.server.v4.into());
    let segments = sniffer.finish();

    let first = |text: &str| segments.iter().position(|segment| segment.contains(text));
    let (page, pictures) = (first("200 OK").expect("the page came"), first("/logo.png").expect("requested"));
    let close = 1 + segments.iter().rposition(|segment| segment.contains("304")).expect("use your cache");

    assert_eq!(
        segments[..page],
        ["client SYN", "server SYN ACK", "client ACK", "client GET / HTTP/1.1", "server ACK"]
    );
    // The number of segments and ACKs for the page depends on the kernel.
    let transfer = &segments[page + 1..pictures];
    assert!(transfer.iter().all(|text| text == "server more" || text == "client ACK"), "{transfer:?}");
    assert_eq!(transfer.last().map(String::as_str), Some("client ACK"), "{transfer:?}");
    // On a busy machine, the timer of a delayed ACK may fire before the next message carries the
    // ACK.
    let messages: Vec<_> = segments[pictures..close].iter().filter(|text| !text.ends_with(" ACK")).collect();
    assert_eq!(
        messages,
        [
            "client GET /logo.png HTTP/1.1",
            "server HTTP/1.1 304 Not Modified",
            "client GET /photo.jpg HTTP/1.1",
            "server HTTP/1.1 304 Not Modified",
        ]
    );
    assert_eq!(
        segments[close..],
        ["client ACK", "server FIN ACK", "client ACK", "client FIN ACK", "server ACK"]
    );
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_server_serves_until_it_is_stopped_and_closes_a_silent_connection() {
    let namespace = Namespace::new().expect("namespace");
    let (received, conversations) = namespace.run(serve_three).expect("namespace");
    let sent: Vec<_> = conversations.iter().map(|conversation| conversation.bytes_sent).collect();
    assert_eq!(sent, received);
    let statuses: Vec<_> = conversations.iter().map(|conversation| &conversation.statuses[..]).collect();
    assert_eq!(statuses, [&[][..], &[200], &[404, 200]]);
}

/// Three connections over the loopback interface of this namespace: the bytes that each received,
/// and the server's view.
fn serve_three() -> ([u64; 3], Vec<Conversation>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let options = ServerOptions { idle: Duration::from_millis(50), ..ServerOptions::default() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener, &options, &stop));
        let received = [
            send_and_count(address, b""),
            send_and_count(address, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
            send_and_count(
                address,
                b"GET /no HTTP/1.1\r\nHost: a\r\n\r\nGET /logo.png HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
        ];
        stop.store(true, Ordering::Relaxed);
        let conversations = server.join().expect("no panic").expect("the connections are served");
        (received, conversations)
    })
}

/// Sends `bytes` and counts the bytes received until the server closes.
fn send_and_count(address: SocketAddr, bytes: &[u8]) -> u64 {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a read timeout");
    stream.write_all(bytes).expect("the server reads");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("the server closes");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    response.len() as u64
}
