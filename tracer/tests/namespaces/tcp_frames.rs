//! Crafted frames that the kernel would not send here, VLAN tags and fragments, through the real
//! hooks.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, SingleVlanHeader, TcpHeader, VlanId,
};
use nix::sys::socket::{MsgFlags, sendto};
use socket2::{Domain, Socket, Type};
use tracer::lab::netns::{PairEnd, VethPair};

use crate::{
    harness::{Fields, Tracer},
    pair,
};

/// Unused addresses, so that no kernel answers.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 5, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 5, 1);
const CLIENT_PORT: u16 = 40_000;
/// Initial sequence number of each side.
const FIRST: u32 = 1000;

const REQUEST: &[u8] = b"GET /tagged HTTP/1.1\r\nHost: server.test\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Control bits of a segment.
#[derive(Clone, Copy, PartialEq)]
enum Flags {
    Syn,
    SynAck,
    Ack,
    FinAck,
}

/// One TCP segment with its IP header.
struct Packet {
    from_client: bool,
    /// The TCP header and the payload.
    segment: Vec<u8>,
}

/// The sequence numbers of both sides.
#[derive(Default)]
struct Streams {
    /// Sequence numbers used by the server and by the client.
    sent: [u32; 2],
}

impl Streams {
    fn packet(&mut self, from_client: bool, flags: Flags, payload: &[u8]) -> Packet {
        let (own, other) = (usize::from(from_client), usize::from(!from_client));
        let ports = if from_client { (CLIENT_PORT, 80) } else { (80, CLIENT_PORT) };
        let mut tcp = TcpHeader::new(ports.0, ports.1, FIRST + self.sent[own], 1000);
        tcp.syn = matches!(flags, Flags::Syn | Flags::SynAck);
        tcp.fin = flags == Flags::FinAck;
        tcp.ack = flags != Flags::Syn;
        if tcp.ack {
            tcp.acknowledgment_number = FIRST + self.sent[other];
        }
        self.sent[own] +=
            u32::try_from(payload.len()).expect("short") + u32::from(tcp.syn) + u32::from(tcp.fin);
        let mut segment = tcp.to_bytes().to_vec();
        segment.extend_from_slice(payload);
        Packet { from_client, segment }
    }

    /// A whole conversation.
    fn conversation(mut self) -> Vec<Packet> {
        [
            (true, Flags::Syn, &b""[..]),
            (false, Flags::SynAck, b""),
            (true, Flags::Ack, b""),
            (true, Flags::Ack, REQUEST),
            (false, Flags::Ack, RESPONSE),
            (true, Flags::FinAck, b""),
            (false, Flags::FinAck, b""),
            (true, Flags::Ack, b""),
        ]
        .map(|(from_client, flags, payload)| self.packet(from_client, flags, payload))
        .into()
    }
}

impl Packet {
    fn ip(&self) -> Ipv4Header {
        let (source, destination) = if self.from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let length = u16::try_from(self.segment.len()).expect("short");
        let mut ip = Ipv4Header::new(length, 64, IpNumber::TCP, source.octets(), destination.octets())
            .expect("the length fits");
        ip.dont_fragment = false;
        ip.header_checksum = ip.calc_header_checksum();
        ip
    }

    /// The packet in a frame with these tags.
    fn frame(&self, pair: &VethPair, tags: &[(EtherType, u16)]) -> Vec<u8> {
        framed(self.from_client, pair, tags, &self.ip(), &self.segment)
    }

    /// The packet as two fragments in frames, the first with `first` bytes of the segment.
    fn fragments(&self, pair: &VethPair, first: usize) -> [Vec<u8>; 2] {
        assert_eq!(first % 8, 0, "fragment offsets are in units of eight bytes");
        let (front, back) = self.segment.split_at(first);
        [(front, 0), (back, first / 8)].map(|(part, offset)| {
            let mut ip = self.ip();
            ip.set_payload_len(part.len()).expect("the length fits");
            ip.more_fragments = offset == 0;
            ip.fragment_offset = IpFragOffset::try_new(u16::try_from(offset).expect("short")).expect("short");
            ip.header_checksum = ip.calc_header_checksum();
            framed(self.from_client, pair, &[], &ip, part)
        })
    }
}

fn framed(
    from_client: bool,
    pair: &VethPair,
    tags: &[(EtherType, u16)],
    ip: &Ipv4Header,
    rest: &[u8],
) -> Vec<u8> {
    let (source, destination) =
        if from_client { (pair.client.mac, pair.server.mac) } else { (pair.server.mac, pair.client.mac) };
    let types: Vec<_> = tags.iter().map(|(kind, _)| *kind).chain([EtherType::IPV4]).collect();
    let ethernet = Ethernet2Header { source, destination, ether_type: types[0] };
    let mut frame = ethernet.to_bytes().to_vec();
    for ((_, id), ether_type) in tags.iter().zip(&types[1..]) {
        let tag = SingleVlanHeader {
            vlan_id: VlanId::try_new(*id).expect("twelve bits"),
            ether_type: *ether_type,
            ..SingleVlanHeader::default()
        };
        frame.extend_from_slice(&tag.to_bytes());
    }
    frame.extend_from_slice(&ip.to_bytes());
    frame.extend_from_slice(rest);
    frame
}

/// Sends a frame at one end.
fn send(end: &PairEnd, frame: &[u8]) {
    let sent = end.namespace.run(|| {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        let there = nix::ifaddrs::getifaddrs()?.find_map(|interface| {
            let is_it = interface.interface_name == end.interface;
            interface.address.filter(|_| is_it)?.as_link_addr().copied()
        });
        let there = there.ok_or(nix::errno::Errno::ENODEV)?;
        sendto(socket.as_raw_fd(), frame, &there, MsgFlags::empty()).map_err(std::io::Error::from)
    });
    assert_eq!(sent.expect("namespace").expect("a frame can be sent"), frame.len());
}

fn sender(pair: &VethPair, packet: &Packet) -> PairEnd {
    if packet.from_client { pair.client.clone() } else { pair.server.clone() }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn tagged_frames_are_traced_by_xdp_and_tc() {
    let (c_tag, s_tag) = (EtherType::VLAN_TAGGED_FRAME, EtherType::PROVIDER_BRIDGING);
    for hook in ["xdp", "tc"] {
        for tags in [&[(c_tag, 42)][..], &[(s_tag, 7), (c_tag, 42)]] {
            let pair = pair();
            let tracer =
                Tracer::at(&pair.server, &["--attach", hook, "--events", "connection,exchange,segment"]);
            for (number, packet) in (1..).zip(Streams::default().conversation()) {
                send(&sender(&pair, &packet), &packet.frame(&pair, tags));
                // The two directions use different queues, so wait for each segment.
                tracer.wait_for(number, "tcp.segment");
            }
            tracer.wait_for(1, "connection.closed");
            let trace = tracer.stop();
            trace.assert_clean();
            let names: Vec<_> = trace.names().into_iter().filter(|name| *name != "tcp.segment").collect();
            let expected = ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"];
            assert_eq!(names, expected, "{hook} {tags:?}");
            assert_eq!(trace.of("tcp.segment").len(), 8);
            let exchange = trace.exchanges()[0];
            assert_eq!(exchange.text("url.path"), "/tagged");
            assert_eq!(exchange.number("http.response.status_code"), 200);
            assert_eq!(exchange.number("http.response.body.size"), 5);
            assert_eq!(
                (exchange.text("http.outcome"), exchange.text("http.confidence")),
                ("complete", "exact")
            );
            let closed = trace.closed()[0];
            assert_eq!((closed.text("tcp.conn_state"), closed.text("tcp.history")), ("SF", "ShADdFf"));
            assert_eq!((closed.number("client.packets"), closed.number("server.packets")), (5, 3));
            let bytes = (REQUEST.len() as u64, RESPONSE.len() as u64);
            assert_eq!((closed.number("client.bytes"), closed.number("server.bytes")), bytes);
            assert_eq!(closed.text("client.address"), CLIENT.to_string());
        }
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn fragments_are_counted_and_their_content_is_not_invented() {
    for hook in ["xdp", "tc"] {
        let pair = pair();
        let tracer = Tracer::at(&pair.server, &["--attach", hook, "--events", "connection,exchange,segment"]);
        for (number, packet) in (1..).zip(Streams::default().conversation()) {
            let end = sender(&pair, &packet);
            if packet.segment.ends_with(RESPONSE) {
                // The header and the status line; the end of the head is in the second fragment.
                for frame in packet.fragments(&pair, 40) {
                    send(&end, &frame);
                }
            } else {
                send(&end, &packet.frame(&pair, &[]));
            }
            tracer.wait_for(number, "tcp.segment");
        }
        tracer.wait_for(1, "connection.closed");
        let trace = tracer.stop();
        trace.assert_clean();
        assert_eq!(trace.summary().number("tracer.skipped.fragment"), 1, "{hook}");
        let names: Vec<_> = trace.names().into_iter().filter(|name| *name != "tcp.segment").collect();
        assert_eq!(names, ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
        let exchange = trace.exchanges()[0];
        assert_eq!(exchange.text("http.outcome"), "not_observed", "{exchange:#}");
        let closed = trace.closed()[0];
        assert_eq!(closed.number("server.bytes"), 20);
        assert_eq!(closed.count("server.gap_bytes"), RESPONSE.len() as u64 - 20);
        assert_eq!((closed.text("tcp.conn_state"), closed.count("client.gap_bytes")), ("SF", 0));
    }
}
