//! The demo's server and browser tell the same story, and their segments come in the order the demo explains.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;

use tracer::demo::Conversation;
use tracer::demo::browser::{BrowserOptions, browse};
use tracer::demo::server::{ServerOptions, serve_one};
use tracer::netns::VethPair;

use crate::pair;
use crate::sniffer::Sniffer;

/// One visit of the browser at port 80 of `address`; the server's account and the browser's.
fn visit(pair: &VethPair, address: IpAddr) -> (Conversation, Conversation) {
    let address = SocketAddr::new(address, 80);
    let listener =
        pair.server.namespace.run(|| TcpListener::bind(address)).expect("namespace").expect("port 80");
    let never = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve_one(&listener, &ServerOptions::default(), &never));
        let visit = || browse(address, "demo.test", &BrowserOptions::default());
        let browser = pair.client.namespace.run(visit).expect("namespace").expect("the browser is served");
        let server =
            server.join().expect("no panic").expect("the browser behaves").expect("nobody stopped it");
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
        assert!(server.bytes_sent > 40 * 1024, "the page has 40 KiB, sent were {}", server.bytes_sent);
        assert_eq!((server.local, server.peer), (browser.peer, browser.local));
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_segments_come_in_the_order_the_demo_explains() {
    let pair = pair();
    let sniffer = Sniffer::start(&pair.server.namespace, 80);
    visit(&pair, pair.server.v4.into());
    let segments = sniffer.finish();

    let first = |text: &str| segments.iter().position(|segment| segment.contains(text));
    let (page, pictures) = (first("200 OK").expect("the page came"), first("/logo.png").expect("asked for"));
    let farewell = 1 + segments.iter().rposition(|segment| segment.contains("304")).expect("use your cache");

    assert_eq!(
        segments[..page],
        ["client SYN", "server SYN ACK", "client ACK", "client GET / HTTP/1.1", "server ACK"]
    );
    // How many segments the page takes, and how many acknowledgments, is the kernel's business.
    let transfer = &segments[page + 1..pictures];
    assert!(transfer.iter().all(|text| text == "server more" || text == "client ACK"), "{transfer:?}");
    assert_eq!(transfer.last().map(String::as_str), Some("client ACK"), "{transfer:?}");
    // A busy machine may let the timer of an acknowledgment fire before the next message carries it.
    let messages: Vec<_> =
        segments[pictures..farewell].iter().filter(|text| !text.ends_with(" ACK")).collect();
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
        segments[farewell..],
        ["client ACK", "server FIN ACK", "client ACK", "client FIN ACK", "server ACK"]
    );
}
