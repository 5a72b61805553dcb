//! Rows about IPv4 and IPv6.

use tracer_common::wire::Skip;

use super::{Row, build::*};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ESP: u8 = 50;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const NONE: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
/// Offset of the flags and the fragment offset in an Ethernet frame.
const FRAGMENT_FIELD: usize = IP + 6;
/// Offset of the total length in an Ethernet frame.
const TOTAL: usize = IP + 2;

pub(super) fn rows() -> Vec<Row> {
    [version_4(), source_routes(), fragments(), lengths(), version_6(), chains()]
        .into_iter()
        .flatten()
        .collect()
}

fn version_4() -> Vec<Row> {
    let tcp = Tcp::default().bytes();
    let frame = Tcp::default().frame();
    let mut rows: Vec<Row> = (1..=10)
        .map(|words| {
            let packet = ipv4(&vec![1; words * 4], TCP, &tcp);
            Row::matched(format!("an IPv4 header of {} bytes", 20 + words * 4), ethernet(IPV4, &packet))
        })
        .collect();
    rows.extend((0..5).map(|words: u8| {
        let name = format!("an IPv4 header that claims {} bytes", words * 4);
        Row::skipped(name, with(frame.clone(), IP, &[0x40 | words]), Skip::MalformedIp)
    }));
    rows.extend(
        [(1, "ICMP"), (2, "IGMP"), (17, "UDP"), (41, "IPv6 in IPv4"), (47, "GRE"), (132, "SCTP")].map(
            |(protocol, name)| Row::skipped(name, ethernet(IPV4, &ipv4(&[], protocol, &tcp)), Skip::NotTcp),
        ),
    );
    rows.push(Row::skipped(
        "UDP of the traced port",
        ethernet(IPV4, &ipv4(&[], 17, &[0x9c, 0x40, 0, 80, 0, 8, 0, 0])),
        Skip::NotTcp,
    ));
    rows.push(Row::skipped(
        "an IPv4 header that claims the rest of the frame as options",
        with(frame, IP, &[0x4f]),
        // Nothing is left for TCP.
        Skip::MalformedIp,
    ));
    rows
}

/// Source routes. One that applies leads from a router to [`SERVER`], any other away from it.
fn source_routes() -> Vec<Row> {
    const ROUTER: [u8; 4] = [192, 0, 2, 1];
    let tcp = Tcp::default().bytes();
    let frame = |to, options: &[u8]| ethernet(IPV4, &ipv4_between(CLIENT, to, options, TCP, &tcp));
    let route =
        |kind, len, pointer, last: [u8; 4]| [&[kind, len, pointer][..], &ROUTER, &last, &[0]].concat();
    let applies = |name: &str, options: &[u8]| Row::matched(name, frame(ROUTER, options));
    let applies_not = |name: &str, options: &[u8]| Row::matched(name, frame(SERVER, options));
    let loose = route(131, 11, 4, SERVER);
    let away = route(131, 11, 4, ROUTER);
    vec![
        applies("a loose source route", &loose),
        applies("a strict source route at its last hop", &route(137, 11, 8, SERVER)),
        applies("a source route after another option", &[&[68, 8, 5, 0, 0, 0, 0, 0][..], &loose].concat()),
        applies("a source route after padding", &[&[1; 4][..], &loose].concat()),
        applies_not("an exhausted source route", &route(131, 11, 12, ROUTER)),
        applies_not("a source route after the end of the options", &[&[0; 4][..], &away].concat()),
        applies_not("a source route longer than the header", &route(131, 200, 4, ROUTER)),
        applies_not("a source route of length 0", &route(131, 0, 4, ROUTER)),
        applies_not("a source route without addresses", &[131, 3, 4, 0]),
        applies_not("an option of length 0", &[&[7, 0, 0, 0][..], &away].concat()),
        applies_not("a source route after more options than are followed", &[&[1; 28][..], &away].concat()),
    ]
}

fn fragments() -> Vec<Row> {
    let frame = Tcp::sending(b"GET / HTTP/1.1\r\n").frame();
    let v4 = |field: u16| with(frame.clone(), FRAGMENT_FIELD, &field.to_be_bytes());
    let tcp = Tcp::sending(b"GET / HTTP/1.1\r\n").bytes();
    let v6 = |offset, more| ethernet(IPV6, &ipv6(FRAGMENT, &fragment6(TCP, offset, more, &tcp)));
    vec![
        Row::matched("IPv4, don't fragment", v4(0x4000)),
        Row::matched("IPv4, the reserved flag", v4(0x8000)),
        Row::matched("IPv4, the first of several fragments", v4(0x2000)),
        Row::skipped("IPv4, a fragment in the middle", v4(0x2000 | 185), Skip::Fragment),
        Row::skipped("IPv4, the last fragment", v4(185), Skip::Fragment),
        Row::skipped("IPv4, the highest fragment offset", v4(0x1fff), Skip::Fragment),
        Row::matched("IPv6, the first of several fragments", v6(0, true)),
        Row::matched("IPv6, an atomic fragment", v6(0, false)),
        Row::skipped("IPv6, a fragment in the middle", v6(181, true), Skip::Fragment),
        Row::skipped("IPv6, the last fragment", v6(181, false), Skip::Fragment),
        Row::skipped("IPv6, the highest fragment offset", v6(0x1fff, false), Skip::Fragment),
    ]
}

fn lengths() -> Vec<Row> {
    let frame = Tcp::sending(b"GET /").frame();
    let v4 = |total: u16| with(frame.clone(), TOTAL, &total.to_be_bytes());
    let frame6 = Tcp::sending(b"GET /").frame6();
    let v6 = |len: u16| with(frame6.clone(), IP + 4, &len.to_be_bytes());
    vec![
        Row::skipped("IPv4 of 1 byte", v4(1), Skip::MalformedIp),
        Row::skipped("IPv4 shorter than its header", v4(19), Skip::MalformedIp),
        Row::skipped("IPv4 with nothing after its header", v4(20), Skip::MalformedTcp),
        Row::skipped("IPv4 that ends inside the TCP header", v4(39), Skip::MalformedTcp),
        Row::matched("IPv4 that ends after the TCP header", v4(40)),
        Row::matched("IPv4 that ends before the frame does", v4(43)),
        Row::skipped("IPv4 one byte longer than its frame", v4(46), Skip::Truncated),
        Row::skipped("IPv4 of 65535 bytes", v4(0xffff), Skip::Truncated),
        Row::matched("IPv4 of length 0: as long as the frame", v4(0)),
        Row::skipped("IPv6 that ends inside the TCP header", v6(19), Skip::MalformedTcp),
        Row::matched("IPv6 that ends after the TCP header", v6(20)),
        Row::skipped("IPv6 one byte longer than its frame", v6(26), Skip::Truncated),
        Row::skipped("IPv6 of 65535 bytes", v6(0xffff), Skip::Truncated),
        Row::matched("IPv6 of length 0: as long as the frame", v6(0)),
        Row::matched("a short packet with Ethernet padding", padded(Tcp::default().frame(), 6)),
        Row::matched("a short IPv6 packet with padding", padded(Tcp::default().frame6(), 4)),
        Row::matched("a packet with a kilobyte of padding", padded(Tcp::default().frame(), 1024)),
    ]
}

fn version_6() -> Vec<Row> {
    let tcp = Tcp::sending(b"GET / HTTP/1.1\r\n\r\n").bytes();
    let v6 = |next, payload: &[u8]| ethernet(IPV6, &ipv6(next, payload));
    let mut rows: Vec<Row> = [
        (HOP_BY_HOP, "hop-by-hop options"),
        (ROUTING, "a routing header"),
        (DESTINATION, "destination options"),
    ]
    .into_iter()
    .flat_map(|(next, name)| [(next, name, 1), (next, name, 3), (next, name, 32)])
    .map(|(next, name, units)| {
        let name = format!("{name} of {} bytes", u32::from(units) * 8);
        Row::matched(name, v6(next, &extension(TCP, units, &tcp)))
    })
    .collect();
    let authenticated = |words: u8| {
        let mut header = vec![0; (usize::from(words) + 2) * 4];
        (header[0], header[1]) = (TCP, words);
        v6(AUTHENTICATION, &[header.as_slice(), &tcp].concat())
    };
    rows.extend([
        Row::matched("an authentication header of 12 bytes", authenticated(1)),
        Row::matched("an authentication header of 24 bytes", authenticated(4)),
        Row::skipped("ESP", v6(ESP, &tcp), Skip::NotTcp),
        Row::skipped("ICMPv6", v6(ICMPV6, &tcp), Skip::NotTcp),
        Row::skipped("UDP over IPv6", v6(17, &tcp), Skip::NotTcp),
        Row::skipped("no next header", v6(NONE, &tcp), Skip::NotTcp),
        Row::skipped("a mobility header, which is not followed", v6(MOBILITY, &tcp), Skip::NotTcp),
        Row::skipped("an unknown next header", v6(253, &tcp), Skip::NotTcp),
        Row::skipped("a truncated extension header", v6(DESTINATION, &[TCP, 0]), Skip::Truncated),
    ]);
    rows
}

/// Several extension headers.
fn chains() -> Vec<Row> {
    let tcp = Tcp::sending(b"GET / HTTP/1.1\r\n\r\n").bytes();
    let chain = |count: usize, units: u8, last: u8| {
        let mut payload = tcp.clone();
        let mut next = last;
        for _ in 0..count {
            payload = extension(next, units, &payload);
            next = DESTINATION;
        }
        ethernet(IPV6, &ipv6(next, &payload))
    };
    let mixed = extension(
        ROUTING,
        1,
        &extension(FRAGMENT, 2, &fragment6(DESTINATION, 0, true, &extension(TCP, 1, &tcp))),
    );
    vec![
        Row::matched("two extension headers", chain(2, 1, TCP)),
        Row::matched("as many extension headers as are followed", chain(6, 1, TCP)),
        Row::skipped("one extension header too many", chain(7, 1, TCP), Skip::TooManyHeaders),
        Row::skipped("thirty extension headers", chain(30, 1, TCP), Skip::TooManyHeaders),
        Row::skipped("extension headers that end in UDP", chain(3, 1, 17), Skip::NotTcp),
        Row::matched(
            "hop-by-hop, routing, fragment and destination",
            ethernet(IPV6, &ipv6(HOP_BY_HOP, &mixed)),
        ),
        Row::matched("a TCP header at the highest offset that is followed", chain(3, 19, TCP)),
        Row::skipped("a TCP header beyond that offset", chain(3, 20, TCP), Skip::TooManyHeaders),
        Row::skipped("an extension header of 2 KiB", chain(1, 255, TCP), Skip::TooManyHeaders),
        Row::skipped(
            "an extension header longer than the packet",
            with(chain(1, 1, TCP), IP + 41, &[20]),
            Skip::MalformedIp,
        ),
        Row::skipped(
            "an IPv6 packet that ends inside its extension headers",
            with(chain(2, 1, TCP), IP + 4, &[0, 12]),
            Skip::MalformedIp,
        ),
    ]
}
