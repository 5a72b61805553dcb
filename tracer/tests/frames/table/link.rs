//! Rows about the headers before IP.

use tracer_common::wire::Skip;

use super::{Row, build::*};

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;

pub(super) fn rows() -> Vec<Row> {
    let packet = Tcp::default().packet();
    let packet6 = ipv6(TCP, &Tcp::default().bytes());
    let mut rows = vec![
        Row::matched("an Ethernet II frame with IPv4", ethernet(IPV4, &packet)),
        Row::matched("an Ethernet II frame with IPv6", ethernet(IPV6, &packet6)),
        Row::matched("one 802.1Q tag", tagged(&[Q], IPV4, &packet)),
        Row::matched("one 802.1Q tag before IPv6", tagged(&[Q], IPV6, &packet6)),
        Row::matched("one 802.1ad tag alone", tagged(&[AD], IPV4, &packet)),
        Row::matched("a service tag and a customer tag", tagged(&[AD, Q], IPV4, &packet)),
        Row::matched("two 802.1Q tags", tagged(&[Q, Q], IPV6, &packet6)),
        Row::matched("the older stacked tag, 0x9100", tagged(&[0x9100, Q], IPV4, &packet)),
        Row::skipped("three tags", tagged(&[AD, Q, Q], IPV4, &packet), Skip::TooManyHeaders),
        Row::skipped("four tags", tagged(&[AD, AD, Q, Q], IPV4, &packet), Skip::TooManyHeaders),
        Row::skipped("ARP", ethernet(0x0806, &[0; 46]), Skip::NotIp),
        Row::skipped("ARP in a VLAN", tagged(&[Q], 0x0806, &[0; 46]), Skip::NotIp),
        Row::skipped("LLDP", ethernet(0x88cc, &[2, 7, 4, 2, 0, 0, 0, 0, 1]), Skip::NotIp),
        Row::skipped("MPLS", ethernet(0x8847, &packet), Skip::NotIp),
        Row::skipped("PPPoE", ethernet(0x8864, &packet), Skip::NotIp),
        Row::skipped("an 802.3 frame with a length", ethernet(46, &[0x42; 46]), Skip::NotIp),
        Row::skipped("an 802.3 frame of length 0", ethernet(0, &[]), Skip::NotIp),
        Row::skipped(
            "an EtherType of IPv4 before an IPv6 header",
            ethernet(IPV4, &packet6),
            Skip::MalformedIp,
        ),
        Row::skipped(
            "an EtherType of IPv6 before an IPv4 header",
            ethernet(IPV6, &packet),
            Skip::MalformedIp,
        ),
        Row::skipped("an Ethernet header alone", ethernet(IPV4, &[]), Skip::Truncated),
        Row::skipped("a truncated tag", ethernet(Q, &[0, 1]), Skip::Truncated),
        Row::matched("a raw IPv4 packet", packet.clone()).raw_ip(),
        Row::matched("a raw IPv6 packet", packet6.clone()).raw_ip(),
        Row::matched("a raw packet with a request", Tcp::sending(b"GET / HTTP/1.1\r\n\r\n").packet())
            .raw_ip(),
        Row::skipped("a raw UDP packet", ipv4(&[], 17, &[0; 20]), Skip::NotTcp).raw_ip(),
        Row::skipped("an Ethernet frame where there is no link layer", Tcp::default().frame(), Skip::NotIp)
            .raw_ip(),
    ];
    rows.extend((0..16).filter(|version| ![4, 6].contains(version)).map(|version: u8| {
        let name = format!("a raw packet of IP version {version}");
        Row::skipped(name, with(packet.clone(), 0, &[version << 4 | 5]), Skip::NotIp).raw_ip()
    }));
    rows.extend(runts(&Tcp::sending(b"GET / H").frame()));
    rows
}

/// Frames truncated to every length.
fn runts(frame: &[u8]) -> impl Iterator<Item = Row> {
    // The packet ends where the frame ends, so every shorter frame lacks bytes that the IP header
    // announces.
    (0..frame.len()).map(|len| {
        Row::skipped(format!("a frame truncated to {len} bytes"), frame[..len].to_vec(), Skip::Truncated)
    })
}
