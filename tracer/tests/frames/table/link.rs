//! Rows about the headers before IP.

use tracer_common::wire::Skip;

use super::{Row, build::*};

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;

pub(super) fn rows() -> Vec<Row> {
    let packet = Tcp::default().packet();
    let packet6 = ipv6(TCP, &Tcp::default().bytes());
    let mut rows = vec![
        Row::taken("an Ethernet II frame with IPv4", ethernet(IPV4, &packet)),
        Row::taken("an Ethernet II frame with IPv6", ethernet(IPV6, &packet6)),
        Row::taken("one 802.1Q tag", tagged(&[Q], IPV4, &packet)),
        Row::taken("one 802.1Q tag before IPv6", tagged(&[Q], IPV6, &packet6)),
        Row::taken("one 802.1ad tag alone", tagged(&[AD], IPV4, &packet)),
        Row::taken("a service tag and a customer tag", tagged(&[AD, Q], IPV4, &packet)),
        Row::taken("two 802.1Q tags", tagged(&[Q, Q], IPV6, &packet6)),
        Row::taken("the older stacked tag, 0x9100", tagged(&[0x9100, Q], IPV4, &packet)),
        Row::passed("three tags", tagged(&[AD, Q, Q], IPV4, &packet), Skip::TooManyHeaders),
        Row::passed("four tags", tagged(&[AD, AD, Q, Q], IPV4, &packet), Skip::TooManyHeaders),
        Row::passed("ARP", ethernet(0x0806, &[0; 46]), Skip::NotIp),
        Row::passed("ARP in a VLAN", tagged(&[Q], 0x0806, &[0; 46]), Skip::NotIp),
        Row::passed("LLDP", ethernet(0x88cc, &[2, 7, 4, 2, 0, 0, 0, 0, 1]), Skip::NotIp),
        Row::passed("MPLS", ethernet(0x8847, &packet), Skip::NotIp),
        Row::passed("PPPoE", ethernet(0x8864, &packet), Skip::NotIp),
        Row::passed("an 802.3 frame with a length", ethernet(46, &[0x42; 46]), Skip::NotIp),
        Row::passed("an 802.3 frame of length 0", ethernet(0, &[]), Skip::NotIp),
        Row::passed(
            "an EtherType of IPv4 before an IPv6 header",
            ethernet(IPV4, &packet6),
            Skip::MalformedIp,
        ),
        Row::passed("an EtherType of IPv6 before an IPv4 header", ethernet(IPV6, &packet), Skip::MalformedIp),
        Row::passed("an Ethernet header alone", ethernet(IPV4, &[]), Skip::Truncated),
        Row::passed("a truncated tag", ethernet(Q, &[0, 1]), Skip::Truncated),
        Row::taken("a raw IPv4 packet", packet.clone()).raw_ip(),
        Row::taken("a raw IPv6 packet", packet6.clone()).raw_ip(),
        Row::taken("a raw packet with a request", Tcp::sending(b"GET / HTTP/1.1\r\n\r\n").packet()).raw_ip(),
        Row::passed("a raw UDP packet", ipv4(&[], 17, &[0; 20]), Skip::NotTcp).raw_ip(),
        Row::passed("an Ethernet frame where there is no link layer", Tcp::default().frame(), Skip::NotIp)
            .raw_ip(),
    ];
    rows.extend((0..16).filter(|version| ![4, 6].contains(version)).map(|version: u8| {
        let says = format!("a raw packet of IP version {version}");
        Row::passed(says, with(packet.clone(), 0, &[version << 4 | 5]), Skip::NotIp).raw_ip()
    }));
    rows.extend(runts(&Tcp::sending(b"GET / H").frame()));
    rows
}

/// Frames truncated to every length.
fn runts(frame: &[u8]) -> impl Iterator<Item = Row> {
    // The packet ends where the frame ends, so every shorter frame lacks bytes that the IP header
    // announces.
    (0..frame.len()).map(|len| {
        Row::passed(format!("a frame truncated to {len} bytes"), frame[..len].to_vec(), Skip::Truncated)
    })
}
