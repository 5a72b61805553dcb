//! Rows about encapsulations.

use tracer_common::{
    wire::Encapsulation::*,
    wire::{Encapsulations, LinkType, Skip},
};

use super::{Facts, Row, build::*};

const MPLS: u16 = 0x8847;
const GRE: u8 = 47;
const UDP: u8 = 17;

pub(super) fn rows() -> Vec<Row> {
    [shims(), in_ip(), gre(), in_udp(), more_in_udp(), links(), nothing()].into_iter().flatten().collect()
}

/// A row whose segment of 7 bytes is found within these encapsulations, outermost first.
fn found(name: &str, frame: Vec<u8>, layers: &[tracer_common::wire::Encapsulation]) -> Row {
    let encapsulation = layers
        .iter()
        .try_fold(Encapsulations::default(), |outer, layer| outer.with(*layer))
        .unwrap_or_else(|| panic!("{name}: too many layers"));
    let facts = Facts { encapsulation, ..straight() };
    Row { tunnel: true, ..Row::matched(name, frame).with_facts(facts) }
}

fn not_found(name: &str, frame: Vec<u8>, reason: Skip) -> Row {
    Row { tunnel: true, ..Row::skipped(name, frame, reason) }
}

fn segment() -> Tcp {
    Tcp::sending(b"\x00nothing"[..7].as_ref())
}

/// The facts of the segment without encapsulation.
fn straight() -> Facts {
    let reasons = tracer_common::flow::SegmentFlags::MIDSTREAM;
    Facts { reasons, payload_len: 7, ..Facts::default() }
}

fn packet() -> Vec<u8> {
    segment().packet()
}

fn frame() -> Vec<u8> {
    segment().frame()
}

/// An IEEE 802.11 QoS data frame with LLC, SNAP and the packet; `flags` is the second byte.
fn wireless(flags: u8) -> Vec<u8> {
    let mut header = vec![0; 26];
    (header[0], header[1]) = (0x88, flags);
    [header, vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0], packet()].concat()
}

fn udp(port: u16, header: &[u8], inner: &[u8]) -> Vec<u8> {
    udp_between([40_001, port], header, inner)
}

fn udp_between(ports: [u16; 2], header: &[u8], inner: &[u8]) -> Vec<u8> {
    let len = (8 + header.len() + inner.len()) as u16;
    let ports = ports.map(u16::to_be_bytes).concat();
    let datagram = [ports.as_slice(), &len.to_be_bytes(), &[0, 0], header, inner].concat();
    ethernet(IPV4, &ipv4(&[], UDP, &datagram))
}

fn ip(protocol: u8, header: &[u8], inner: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &ipv4(&[], protocol, &[header, inner].concat()))
}

fn shims() -> Vec<Row> {
    let label = |last: u8| [0, 1, last, 64];
    let pppoe = |protocol: &[u8], inner: &[u8]| {
        ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 49], protocol, inner].concat())
    };
    let snap = |organization: [u8; 3], kind: u16, inner: &[u8]| {
        let kind = kind.to_be_bytes();
        ethernet(60, &[&[0xaa, 0xaa, 3], organization.as_slice(), &kind, inner].concat())
    };
    vec![
        found("one MPLS label", ethernet(MPLS, &[label(1).as_slice(), &packet()].concat()), &[Mpls]),
        found(
            "three labels are one encapsulation",
            ethernet(
                MPLS,
                &[label(0), label(0), label(1)].concat().into_iter().chain(packet()).collect::<Vec<_>>(),
            ),
            &[Mpls],
        ),
        found(
            "Ethernet after a control word",
            ethernet(MPLS, &[label(1).as_slice(), &[0; 4], &frame()].concat()),
            &[Mpls],
        ),
        found("IEEE 802.11 in Ethernet", ethernet(0x2452, &wireless(1)), &[]),
        not_found("encrypted IEEE 802.11 in Ethernet", ethernet(0x2452, &wireless(0x41)), Skip::NotIp),
        found("a PPPoE session", pppoe(&[0, 0x21], &packet()), &[Pppoe]),
        found("PPPoE, the protocol in one byte", pppoe(&[0x21], &packet()), &[Pppoe]),
        not_found("PPPoE with LCP", pppoe(&[0xc0, 0x21], &packet()), Skip::NotIp),
        found(
            "a PPPoE session after two tags",
            tagged(
                &[0x88a8, 0x8100],
                0x8864,
                &[&[0x11, 0, 0, 1, 0, 49, 0, 0x21], packet().as_slice()].concat(),
            ),
            &[Pppoe],
        ),
        found("three VLAN tags", tagged(&[0x88a8, 0x8100, 0x8100], IPV4, &packet()), &[]),
        found("SNAP", snap([0; 3], IPV4, &packet()), &[]),
        found("SNAP of a bridge", snap([0, 0x80, 0xc2], 7, &frame()), &[]),
        not_found("SNAP of another organisation", snap([0, 0, 0x0c], 0x2000, &packet()), Skip::NotIp),
        found("LLC with the old SAP of IP", ethernet(60, &[&[6, 6, 3], packet().as_slice()].concat()), &[]),
        not_found(
            "spanning tree",
            ethernet(38, &[&[0x42, 0x42, 3], packet().as_slice()].concat()),
            Skip::NotIp,
        ),
        found("a backbone bridge", ethernet(0x88e7, &[&[0, 0, 0, 1], frame().as_slice()].concat()), &[Pbb]),
        found("FabricPath", ethernet(0x8903, &[&[0, 1], frame().as_slice()].concat()), &[FabricPath]),
        found("a VN-Tag", ethernet(0x8926, &[&[0, 0, 0, 1, 8, 0], packet().as_slice()].concat()), &[]),
        found(
            "Cisco MetaData",
            ethernet(0x8909, &[&[1, 1, 0, 1, 0, 5, 8, 0], packet().as_slice()].concat()),
            &[],
        ),
    ]
}

fn in_ip() -> Vec<Row> {
    let inner6 = ipv6(TCP, &segment().bytes());
    let nested = |times: usize| {
        let mut nested = packet();
        for _ in 0..times {
            nested = ipv4(&[], 4, &nested);
        }
        ethernet(IPV4, &nested)
    };
    vec![
        found("IPv4 in IPv4", nested(1), &[IpInIp]),
        found("IPv4 in IPv4 in IPv4", nested(2), &[IpInIp, IpInIp]),
        not_found("IP in IP without end", nested(20), Skip::TooManyHeaders),
        found("IPv6 in IPv4", ip(41, &[], &inner6), &[IpInIp]),
        found("IPv4 in IPv6", ethernet(IPV6, &ipv6(4, &packet())), &[IpInIp]),
        found("IPv6 in IPv6", ethernet(IPV6, &ipv6(41, &inner6)), &[IpInIp]),
        found("Ethernet in IP", ip(97, &[0x30, 0], &frame()), &[EtherIp]),
        found("MPLS in IP", ip(137, &[0, 1, 1, 64], &packet()), &[Mpls]),
        found(
            "IPv4 with an authentication header",
            ip(51, &[TCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &segment().bytes()),
            &[],
        ),
        not_found("a truncated IPv4 packet in IPv4", ip(4, &[], &packet()[..30]), Skip::Truncated),
        Row {
            link: LinkType::RawIp,
            ..found("IP in IP on an interface without a link layer", ipv4(&[], 4, &packet()), &[IpInIp])
        },
    ]
}

fn gre() -> Vec<Row> {
    let gre = |header: &[u8], inner: &[u8]| ip(GRE, header, inner);
    let optional = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let all = [[0xb0, 0, 8, 0].as_slice(), &optional].concat();
    let erspan3 =
        |last: u8| [[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1].as_slice(), &[0; 8], &[0, last]].concat();
    vec![
        found("GRE", gre(&[0, 0, 8, 0], &packet()), &[Gre]),
        found("GRE with checksum, key and sequence number", gre(&all, &packet()), &[Gre]),
        found("GRE with Ethernet", gre(&[0, 0, 0x65, 0x58], &frame()), &[Gre]),
        found("GRE with IEEE 802.11", gre(&[0, 0, 0x82, 0], &wireless(1)), &[Gre]),
        found("GRE with IEEE 802.11, another radio", gre(&[0, 0, 0x82, 0xf0], &wireless(2)), &[Gre]),
        found("GRE with MPLS", gre(&[0, 0, 0x88, 0x47, 0, 1, 1, 64], &packet()), &[Gre, Mpls]),
        found(
            "GRE of PPTP",
            gre(&[0x30, 1, 0x88, 0x0b, 0, 50, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21], &packet()),
            &[Gre],
        ),
        found(
            "GRE of PPTP with an acknowledgment",
            gre(&[0x30, 0x81, 0x88, 0x0b, 0, 50, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x21], &packet()),
            &[Gre],
        ),
        not_found(
            "GRE of PPTP with an acknowledgment only",
            gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 1], &packet()),
            Skip::NotTcp,
        ),
        not_found("GRE with a route", gre(&[0x40, 0, 8, 0, 0, 0, 0, 0], &packet()), Skip::NotTcp),
        not_found("GRE of an unknown version", gre(&[0, 2, 8, 0], &packet()), Skip::NotTcp),
        found("ERSPAN type I", gre(&[0, 0, 0x88, 0xbe], &frame()), &[Gre, Erspan]),
        found(
            "ERSPAN type II",
            gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &frame()),
            &[Gre, Erspan],
        ),
        found("ERSPAN type III", gre(&erspan3(0), &frame()), &[Gre, Erspan]),
        found(
            "ERSPAN type III with a subheader",
            gre(&[erspan3(1).as_slice(), &[0; 8]].concat(), &frame()),
            &[Gre, Erspan],
        ),
        found("a redirected WCCP request", gre(&[0, 0, 0x88, 0x3e], &packet()), &[Gre]),
        found(
            "a redirected WCCP request with a header",
            gre(&[0, 0, 0x88, 0x3e, 0, 0, 1, 2], &packet()),
            &[Gre],
        ),
    ]
}

fn in_udp() -> Vec<Row> {
    let vxlan = [8, 0, 0, 0, 0, 0, 1, 0];
    let gtp = |flags: u8, more: &[u8]| [[flags, 0xff, 0, 60, 0, 0, 0, 1].as_slice(), more].concat();
    vec![
        found("VXLAN", udp(4789, &vxlan, &frame()), &[Vxlan]),
        found(
            "VXLAN with reserved bits set",
            udp(4789, &with(vxlan.to_vec(), 0, &[0xff, 1, 2, 3]), &frame()),
            &[Vxlan],
        ),
        found("VXLAN on Linux's default port", udp(8472, &vxlan, &frame()), &[Vxlan]),
        not_found(
            "the port of VXLAN without the flag for an identifier",
            udp(4789, &[0; 8], &frame()),
            Skip::NotTcp,
        ),
        found("VXLAN-GPE with IP", udp(4790, &with(vxlan.to_vec(), 3, &[1]), &packet()), &[Vxlan]),
        found("VXLAN-GPE with Ethernet", udp(4790, &with(vxlan.to_vec(), 3, &[3]), &frame()), &[Vxlan]),
        found("VXLAN with a tag inside", udp(4789, &vxlan, &tagged(&[0x8100], IPV4, &packet())), &[Vxlan]),
        found("VXLAN in VXLAN", udp(4789, &vxlan, &udp(4789, &vxlan, &frame())), &[Vxlan, Vxlan]),
        found("Geneve", udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 1, 0], &frame()), &[Geneve]),
        found(
            "Geneve with options",
            udp(6081, &[2, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 2, 3, 4], &packet()),
            &[Geneve],
        ),
        not_found(
            "Geneve of an unknown version",
            udp(6081, &[0x40, 0, 8, 0, 0, 0, 1, 0], &packet()),
            Skip::NotTcp,
        ),
        found("GTP", udp(2152, &gtp(0x30, &[]), &packet()), &[Gtp]),
        found("GTP with a sequence number", udp(2152, &gtp(0x32, &[0, 1, 0, 0]), &packet()), &[Gtp]),
        found(
            "GTP with two extension headers",
            udp(2152, &gtp(0x34, &[0, 0, 0, 0x85, 1, 0, 0, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0]), &packet()),
            &[Gtp],
        ),
        not_found(
            "GTP with an extension header of length 0",
            udp(2152, &gtp(0x34, &[0, 0, 0, 0x85, 0, 0, 0, 0]), &packet()),
            Skip::NotTcp,
        ),
        not_found(
            "a GTP echo request",
            udp(2152, &with(gtp(0x32, &[0; 4]), 1, &[1]), &packet()),
            Skip::NotTcp,
        ),
    ]
}

fn more_in_udp() -> Vec<Row> {
    let inner6 = ipv6(TCP, &segment().bytes());
    let ayiya = |operation: u8, next: u8| {
        [[0x42, 0x52, operation, next].as_slice(), &[0; 4], &[0; 16], &[0; 20]].concat()
    };
    vec![
        found("GRE in UDP", udp(4754, &[0, 0, 8, 0], &packet()), &[Gre]),
        found("MPLS in UDP", udp(6635, &[0, 1, 1, 64], &packet()), &[Mpls]),
        found("Teredo", udp(3544, &[], &inner6), &[Teredo]),
        found(
            "Teredo from the server, with the origin",
            udp_between([3544, 40_001], &[0, 0, 1, 2, 3, 4, 5, 6], &inner6),
            &[Teredo],
        ),
        found(
            "Teredo with an authentication",
            udp(3544, &[0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0], &inner6),
            &[Teredo],
        ),
        not_found("the port of Teredo with IPv4", udp(3544, &[], &packet()), Skip::NotTcp),
        found("L2TP", udp(1701, &[0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21], &packet()), &[L2tp]),
        found(
            "L2TP with all fields",
            udp(1701, &[0x4a, 2, 0, 60, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 0, 0, 0, 0x21], &packet()),
            &[L2tp],
        ),
        not_found(
            "an L2TP control message",
            udp(1701, &[0xc8, 2, 0, 60, 0, 1, 0, 1, 0, 1, 0, 1], &packet()),
            Skip::NotTcp,
        ),
        found("AYIYA", udp(5072, &ayiya(1, 41), &inner6), &[Ayiya]),
        not_found("an AYIYA echo request", udp(5072, &ayiya(4, 59), &[]), Skip::NotTcp),
    ]
}

/// Link types that occur in captures only.
fn links() -> Vec<Row> {
    let at = |link, row: Row| Row { link, ..row };
    vec![
        at(LinkType::EtherType(IPV4), found("IPv4 after an EtherType", packet(), &[])),
        at(
            LinkType::EtherType(0x8100),
            found("a tag after an EtherType", [&[0, 1, 8, 0], packet().as_slice()].concat(), &[]),
        ),
        at(LinkType::Ppp, found("PPP", [&[0, 0x21], packet().as_slice()].concat(), &[])),
        at(LinkType::Ppp, found("PPP in HDLC", [&[0xff, 3, 0x21], packet().as_slice()].concat(), &[])),
        at(
            LinkType::Ppp,
            found("PPP with MPLS", [&[2, 0x81, 0, 1, 1, 64], packet().as_slice()].concat(), &[Mpls]),
        ),
        at(LinkType::Llc, found("LLC", [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], packet().as_slice()].concat(), &[])),
    ]
}

/// Frames that carry no TCP segment, even with decapsulation.
fn nothing() -> Vec<Row> {
    vec![
        not_found("ICMP, not a tunnel", ip(1, &[], &packet()), Skip::NotTcp),
        not_found("ARP, not a tunnel", ethernet(0x0806, &packet()), Skip::NotIp),
        not_found("UDP on a port of no tunnel", udp(53, &[], &packet()), Skip::NotTcp),
        not_found("truncated UDP", ip(UDP, &[0, 53], &[]), Skip::Truncated),
    ]
}
