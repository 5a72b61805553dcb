//! Spoofed SYNs leave the server's kernel in SYN-RECEIVED until the handshakes expire.

use std::net::{SocketAddrV4, TcpListener};

use tracer::lab::{
    demo::half_open::{self, SpoofedSyn},
    netns::VethPair,
};

use crate::{eventually, pair, sniffer::Sniffer};

/// Listens on port 80 of the server and sends it `count` spoofed SYNs.
fn send_spoofed(pair: &VethPair, count: u32, retries: Option<u8>) -> TcpListener {
    half_open::prepare(pair, retries).expect("the spoofed addresses can be routed");
    let server = SocketAddrV4::new(pair.server.v4, 80);
    let listener =
        pair.server.namespace.run(|| TcpListener::bind(server)).expect("namespace").expect("port 80");
    let syns = (0..count).map(|number| SpoofedSyn::numbered(number, server));
    pair.client.namespace.run(|| half_open::send(syns)).expect("namespace").expect("the SYNs can be sent");
    listener
}

fn syn_received(pair: &VethPair) -> usize {
    pair.server.namespace.run(|| half_open::syn_received(80)).expect("namespace").expect("proc is mounted")
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_half_open_handshake_leaves_the_server_in_syn_received_until_it_expires() {
    let pair = pair();
    let sniffer = Sniffer::start(&pair.server.namespace, 80);
    let _listener = send_spoofed(&pair, 1, Some(1));
    assert!(eventually(|| syn_received(&pair) == 1), "the server never was in SYN-RECEIVED");
    // One retransmission after 1 s, expired 2 s later.
    assert!(eventually(|| syn_received(&pair) == 0), "the handshake never expired");
    assert_eq!(sniffer.finish(), ["client SYN", "server SYN ACK", "server SYN ACK"]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn many_spoofed_handshakes_are_half_open_at_once() {
    let pair = pair();
    let _listener = send_spoofed(&pair, 50, None);
    assert!(eventually(|| syn_received(&pair) == 50), "{} are in SYN-RECEIVED, not 50", syn_received(&pair));
}
