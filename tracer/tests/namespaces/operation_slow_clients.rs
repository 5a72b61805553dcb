//! Many clients that complete their handshakes late: it looks like a flood at the server, but is
//! not.
//!
//! The clients have spoofed addresses, as in the demo, so that no kernel answers for them. The test
//! reads their SYN-ACKs from the wire.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use socket2::{Domain, Protocol, Socket, Type};
use tracer::lab::{
    demo::half_open::{self, SpoofedSyn},
    netns::VethPair,
};

use crate::{
    TIMEOUT,
    harness::{Fields, Tracer},
    operation_syn_flood::{EVENTS, verdicts},
    pair,
};

/// Number of clients, and SYNs per second. A flood at this rate would raise an alarm after 1.5 s.
const CLIENTS: u32 = 8_000;
const RATE: f64 = 2_000.0;
/// Delay of each handshake's ACK: short enough that the server does not retransmit its SYN-ACK.
const LATE: Duration = Duration::from_millis(700);
/// `ETH_P_IP` in network byte order, as packet sockets expect it: received packets only.
const ARRIVING_IPV4: i32 = 0x0800_u16.to_be() as i32;
/// The protocol number of raw IP (`IPPROTO_RAW`).
const RAW_IP: i32 = 255;
/// Receive window as Linux advertises, in bytes.
const WINDOW: u16 = 64_240;
/// Longer than the largest SYN-ACK, in bytes.
const MAX_FRAME: usize = 256;

/// A listener with a larger backlog than nginx has.
fn listen(pair: &VethPair) -> Socket {
    let listen = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80).into()).expect("port 80 is free");
        socket.listen(4096).expect("it can listen");
        // Also limits how long accept waits.
        socket.set_read_timeout(Some(TIMEOUT)).expect("a socket has a read timeout");
        socket
    };
    pair.server.namespace.run(listen).expect("namespace")
}

/// Accepts every client, and resets its connection.
fn accept_all(listener: &Socket) {
    for number in 0..CLIENTS {
        let (accepted, _) = listener.accept().unwrap_or_else(|why| panic!("{number} confirmed: {why}"));
        accepted.set_linger(Some(Duration::ZERO)).expect("a socket can linger");
    }
}

/// The ACK for a SYN-ACK.
fn confirmation(frame: &[u8]) -> Option<Vec<u8>> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (sliced.net, sliced.transport) else {
        return None;
    };
    if !tcp.syn() || !tcp.ack() {
        return None;
    }
    let (server, client) = (ip.header().source(), ip.header().destination());
    let builder = PacketBuilder::ipv4(client, server, 64)
        .tcp(tcp.destination_port(), tcp.source_port(), tcp.acknowledgment_number(), WINDOW)
        .ack(tcp.sequence_number().wrapping_add(1));
    let mut packet = Vec::with_capacity(builder.size(0));
    builder.write(&mut packet, &[]).expect("a vector takes all that is written");
    Some(packet)
}

/// Sends the SYNs at their rate, and each ACK [`LATE`] after its SYN-ACK. Call it in the client's
/// namespace.
fn connect_late(server: SocketAddrV4) {
    let mut wire = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ARRIVING_IPV4))).expect("root");
    wire.set_nonblocking(true).expect("a socket");
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW_IP))).expect("root");
    let send = |packet: &[u8]| raw.send_to(packet, &server.into()).expect("it can be sent");
    let (start, mut sent, mut confirmed) = (Instant::now(), 0, 0);
    let mut waiting = VecDeque::new();
    let mut frame = [0; MAX_FRAME];
    while confirmed < CLIENTS {
        while sent < CLIENTS && f64::from(sent) < start.elapsed().as_secs_f64() * RATE {
            send(&SpoofedSyn::numbered(sent, server).to_packet());
            sent += 1;
        }
        loop {
            match wire.read(&mut frame) {
                Ok(length) => {
                    waiting.extend(confirmation(&frame[..length]).map(|packet| (Instant::now(), packet)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the wire cannot be read: {error}"),
            }
        }
        while let Some((_, packet)) = waiting.pop_front_if(|(since, _)| since.elapsed() >= LATE) {
            send(&packet);
            confirmed += 1;
        }
        assert!(start.elapsed() < 3 * TIMEOUT, "{confirmed} of {sent} got a SYN-ACK");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn clients_that_complete_their_handshakes_late_are_not_a_flood() {
    let pair = pair();
    half_open::prepare(&pair, None).expect("the spoofed addresses can be routed");
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &EVENTS);
    let server = SocketAddrV4::new(pair.server.v4, 80);
    let clients = pair.client.namespace.spawn(move || connect_late(server));
    accept_all(&listener);
    clients.join().expect("all got a SYN-ACK").expect("namespace");
    tracer.wait_for(CLIENTS as usize, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();

    assert_eq!(verdicts(&trace), [(80, "slow_clients".to_owned())]);
    let late = u64::try_from(LATE.as_nanos()).expect("less than a second");
    assert_eq!(trace.opened().len(), CLIENTS as usize, "each is reported");
    for opened in trace.opened() {
        assert!(!opened.flag("tcp.midstream") && opened.number("tcp.handshake.ack_ns") >= late, "{opened:#}");
    }
    for closed in trace.closed() {
        assert!(closed.number("tcp.syn_received_ns") >= late, "{closed:#}");
        assert_eq!(closed.text("tcp.conn_state"), "RSTR", "{closed:#}");
    }
    let listeners = trace.of("tcp.listener");
    let [listener] = listeners[..] else { panic!("{listeners:#?}") };
    let clients = u64::from(CLIENTS);
    assert_eq!(listener.number("tcp.listener.attempts"), clients, "{listener:#}");
    assert_eq!(listener.number("tcp.listener.completed"), clients, "{listener:#}");
    println!("{listener:#}");
}
