//! Half-open handshakes: SYNs from spoofed addresses, where nobody answers the SYN-ACK.
//!
//! ```text
//!   client namespace                                     server namespace
//!   raw socket ── SYN from 10.77.66.1 ─────────────────► kernel: SYN-RECEIVED
//!   10.77.66.1 is not local here: dropped, no RST ◄───── SYN-ACK, again after 1 s, 3 s, 7 s, …
//! ```
//!
//! The server's kernel routes the spoofed addresses to the client, so that its SYN-ACKs are sent on
//! the wire. The handshake expires after `ipv4/tcp_synack_retries` retransmissions: 5 by default,
//! which takes about 63 s; 1 takes about 3 s.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result};
use etherparse::{PacketBuilder, TcpOptionElement};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::netns::{VethPair, link};

/// The network of the spoofed addresses: routed to the client's namespace, but not configured
/// there.
const SPOOFED_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 77, 66, 0);
/// Its prefix length in bits.
const SPOOFED_PREFIX: u8 = 24;
/// The protocol number of raw IP (`IPPROTO_RAW`): the sender writes the IP header, and the socket
/// receives nothing.
const RAW_IP: i32 = 255;
/// The setting for how often the kernel retransmits a SYN-ACK before a half-open handshake expires.
const SYN_ACK_RETRIES: &str = "ipv4/tcp_synack_retries";
/// `TCP_SYN_RECV` of the kernel, as `/proc/net/tcp` prints it.
const SYN_RECEIVED: &str = "03";
/// TTL of the packet; the kernel's default.
const TTL: u8 = 64;
/// Receive window of the SYN in bytes, as Linux advertises.
const WINDOW: u16 = 64_240;
/// Maximum segment size of the SYN in bytes: Ethernet's 1500 less the IP and TCP headers.
const MSS: u16 = 1460;

/// Step between the initial sequence numbers of two SYNs: odd, so that all differ, and large.
const SEQUENCE_STEP: u32 = 2_654_435_761;

/// A SYN with a spoofed source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoofedSyn {
    /// The spoofed source.
    pub source: SocketAddrV4,
    /// The server.
    pub destination: SocketAddrV4,
    /// Initial sequence number.
    pub sequence: u32,
}

impl SpoofedSyn {
    /// The SYN number `number` to `destination`. About 16 million numbers have different sources.
    #[must_use]
    pub fn numbered(number: u32, destination: SocketAddrV4) -> Self {
        // Hosts 1 to 254 of the network first, then the next port.
        let (host, port) = (number % 254 + 1, number / 254 % 64_000 + 1024);
        let source = Ipv4Addr::from_bits(SPOOFED_NETWORK.to_bits() | host);
        let port = u16::try_from(port).expect("at most 65023");
        Self {
            source: SocketAddrV4::new(source, port),
            destination,
            sequence: number.wrapping_add(1).wrapping_mul(SEQUENCE_STEP),
        }
    }

    /// The IP packet, with its checksums.
    #[must_use]
    pub fn to_packet(&self) -> Vec<u8> {
        let options = [TcpOptionElement::MaximumSegmentSize(MSS)];
        let builder = PacketBuilder::ipv4(self.source.ip().octets(), self.destination.ip().octets(), TTL)
            .tcp(self.source.port(), self.destination.port(), self.sequence, WINDOW)
            .syn()
            .options(&options)
            .expect("one option fits");
        let mut packet = Vec::with_capacity(builder.size(0));
        builder.write(&mut packet, &[]).expect("a vector takes all that is written");
        packet
    }
}

/// Routes the spoofed addresses to the client's namespace, and sets how often the server
/// retransmits each SYN-ACK.
pub fn prepare(pair: &VethPair, retries: Option<u8>) -> Result<()> {
    if let Some(retries) = retries {
        pair.server.namespace.change_setting(SYN_ACK_RETRIES, &retries.to_string())?;
    }
    let gateway = pair.client.v4;
    pair.server.namespace.run(|| link::add_route(SPOOFED_NETWORK, SPOOFED_PREFIX, gateway))?
}

/// Sends the SYNs one after the other. Call it in the client's namespace.
pub fn send(syns: impl IntoIterator<Item = SpoofedSyn>) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW_IP)))
        .context("cannot open a raw socket, which needs CAP_NET_RAW: run as root with sudo")?;
    for syn in syns {
        socket
            .send_to(&syn.to_packet(), &syn.destination.into())
            .with_context(|| format!("cannot send a SYN to {}", syn.destination))?;
    }
    Ok(())
}

/// Number of handshakes in SYN-RECEIVED at `port`, as the kernel lists them in the calling thread's
/// namespace.
pub fn syn_received(port: u16) -> io::Result<usize> {
    let table = fs::read_to_string("/proc/thread-self/net/tcp")?;
    Ok(table.lines().skip(1).filter(|line| is_syn_received(line, port)).count())
}

/// Whether a line of `/proc/net/tcp` describes a handshake in SYN-RECEIVED at the local port
/// `port`.
fn is_syn_received(line: &str, port: u16) -> bool {
    // "sl: local_address:port remote_address:port state …", addresses and ports in hexadecimal.
    let mut columns = line.split_whitespace().skip(1);
    let local = columns.next().and_then(|local| local.rsplit_once(':')).map(|(_, port)| port);
    let state = columns.nth(1);
    local.and_then(|digits| u16::from_str_radix(digits, 16).ok()) == Some(port) && state == Some(SYN_RECEIVED)
}

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;

    const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 80);

    #[test]
    fn a_spoofed_syn_is_a_valid_packet() {
        let packet = SpoofedSyn::numbered(7, SERVER).to_packet();
        let sliced = SlicedPacket::from_ip(&packet).expect("the packet is valid");
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("not TCP: {sliced:?}") };
        assert!(tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin());
        assert_eq!((tcp.source_port(), tcp.destination_port()), (1024, 80));
        let expected = tcp.calc_checksum_ipv4([10, 77, 66, 8], [10, 77, 0, 1]).expect("short enough");
        assert_eq!(tcp.checksum(), expected);
        assert_eq!(tcp.options(), [2, 4, 0x05, 0xb4]);
    }

    #[test]
    fn spoofed_syns_have_different_sources() {
        let sources: std::collections::HashSet<_> =
            (0..1000).map(|number| SpoofedSyn::numbered(number, SERVER).source).collect();
        assert_eq!(sources.len(), 1000);
        assert!(sources.iter().all(|source| source.ip().octets()[..3] == [10, 77, 66]));
        assert!(sources.iter().all(|source| !matches!(source.ip().octets()[3], 0 | 255)));
    }

    #[test]
    fn only_syn_received_at_the_port_counts() {
        let half_open =
            "   1: 01004D0A:0050 01424D0A:0400 03 00000000:00000000 01:00000063 00000000 0 0 0 1 0";
        let listening =
            "   0: 01004D0A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1 0";
        assert!(is_syn_received(half_open, 80));
        assert!(!is_syn_received(half_open, 81));
        assert!(!is_syn_received(listening, 80));
        assert!(!is_syn_received("", 80));
    }
}
