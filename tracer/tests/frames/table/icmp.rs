//! ICMP errors in conversations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    build::*,
    conversations::GET,
    talk::{Conversation, Talk},
};

/// Type, code, MTU, quoted sequence number and source of an error.
pub(crate) type Reported = (u8, u8, u32, u32, IpAddr);

/// A router on the way.
const ROUTER: [u8; 4] = [203, 0, 113, 1];
/// Initial sequence numbers of the client and of the server.
const FIRST: [u32; 2] = [100, 0xffff_fff0];
/// IP protocol numbers.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A message with this type and code, `rest` of its header, and the packet that it quotes.
fn message(kind: u8, code: u8, rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    [[kind, code, 0, 0].as_slice(), &rest, quoted].concat()
}

/// The IP packet of the router with this message.
fn from_router(message: &[u8]) -> Vec<u8> {
    ipv4_between(ROUTER, CLIENT, &[], ICMP, message)
}

fn frame(kind: u8, code: u8, rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &from_router(&message(kind, code, rest, quoted)))
}

/// What every error quotes: the IP header and eight bytes.
fn quote(tcp: &Tcp) -> Vec<u8> {
    tcp.packet()[..28].to_vec()
}

/// An ICMPv6 error from 2001:db8::99.
fn frame6(kind: u8, code: u8, rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    let packet = ethernet(IPV6, &ipv6(ICMPV6, &message(kind, code, rest, quoted)));
    with(packet, IP + 23, &[0x99])
}

/// Conversations, and the errors that are reported in each.
pub(crate) fn conversations() -> Vec<(Conversation, Vec<Reported>)> {
    let mut all = vec![refused_syn(), in_both_directions(), over_ipv6(), too_many()];
    all.extend(elsewhere());
    all.extend(not_reported());
    all
}

fn refused_syn() -> (Conversation, Vec<Reported>) {
    let mut talk = Talk::new(40_300, FIRST);
    let syn = talk.segment(0, SYN, b"");
    talk.put(&syn);
    talk.put_frame(frame(3, 13, [0; 4], &quote(&syn)));
    talk.put(&syn);
    // All of it, as RFC 1812, 4.3.2.3 allows.
    talk.put_frame(frame(3, 1, [0; 4], &syn.packet()));
    let router = IpAddr::from(ROUTER);
    (talk.done([0, 0], "a SYN that a router refuses"), vec![(3, 13, 0, 100, router), (3, 1, 0, 100, router)])
}

fn in_both_directions() -> (Conversation, Vec<Reported>) {
    let mut talk = Talk::connected(40_301, FIRST);
    let (request, acknowledgment) = (talk.segment(0, ACK | PSH, GET), talk.segment(1, ACK, b""));
    talk.client(ACK | PSH, GET);
    talk.put_frame(frame(3, 4, [0, 0, 0x05, 0x78], &quote(&request)));
    talk.put_frame(frame(11, 0, [0; 4], &quote(&acknowledgment)));
    talk.close();
    // The numbers of the FIN and after it.
    for ahead in [0, 1] {
        let last = talk.segment(0, ACK, b"");
        talk.put_frame(frame(3, 3, [0; 4], &quote(&Tcp { seq: last.seq - 1 + ahead, ..last })));
    }
    let router = IpAddr::from(ROUTER);
    let fin = 101 + GET.len() as u32;
    let reported = [
        (3, 4, 1400, 101, router),
        (11, 0, 0, 0xffff_fff1, router),
        (3, 3, 0, fin, router),
        (3, 3, 0, fin + 1, router),
    ];
    (talk.done([1, 0], "ICMP errors about both sides"), reported.to_vec())
}

fn over_ipv6() -> (Conversation, Vec<Reported>) {
    let mut talk = Talk::new(40_302, FIRST);
    let syn = talk.segment(0, SYN, b"");
    talk.put_frame(syn.frame6());
    let quoted = ipv6(TCP, &syn.bytes());
    for (kind, code) in [(2, 0), (1, 1), (3, 0), (4, 1), (128, 0), (136, 0)] {
        talk.put_frame(frame6(kind, code, [0, 0, 5, 0], &quoted));
    }
    talk.put_frame(frame6(1, 4, [0; 4], &ipv6(60, &extension(TCP, 1, &syn.bytes()))));
    let router = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99));
    let reported = [(2, 0, 1280), (1, 1, 0), (3, 0, 0), (4, 1, 0), (1, 4, 0)];
    let reported = reported.map(|(kind, code, mtu)| (kind, code, mtu, 100, router));
    (talk.done([0, 0], "errors of ICMPv6"), reported.to_vec())
}

fn too_many() -> (Conversation, Vec<Reported>) {
    let mut talk = Talk::new(40_303, FIRST);
    let syn = talk.segment(0, SYN, b"");
    talk.put(&syn);
    for _ in 0..20 {
        talk.put_frame(frame(3, 0, [0; 4], &quote(&syn)));
    }
    (talk.done([0, 0], "many ICMP errors about a SYN"), vec![(3, 0, 0, 100, ROUTER.into()); 8])
}

/// Errors in other frames than a plain one.
fn elsewhere() -> Vec<(Conversation, Vec<Reported>)> {
    let talk = Talk::new(40_304, FIRST);
    let syn = talk.segment(0, SYN, b"");
    let error = message(3, 2, [0; 4], &quote(&syn));
    let options = ipv4_between(CLIENT, SERVER, &[1; 8], TCP, &syn.bytes());
    let from_server = Ipv4Addr::from(SERVER).into();
    [
        ("a tag", tagged(&[0x8100], IPV4, &from_router(&error)), ROUTER.into()),
        ("two tags", tagged(&[0x88a8, 0x8100], IPV4, &from_router(&error)), ROUTER.into()),
        ("IP options", ethernet(IPV4, &ipv4_between(SERVER, CLIENT, &[1; 40], ICMP, &error)), from_server),
        ("options in the quoted header", frame(3, 2, [0; 4], &options), ROUTER.into()),
    ]
    .map(|(name, frame, source)| {
        let mut talk = talk.clone();
        talk.put(&syn);
        talk.put_frame(frame);
        (talk.done([0, 0], format!("an ICMP error with {name}")), vec![(3, 2, 0, 100, source)])
    })
    .into()
}

/// Frames that are not about a segment that was sent.
fn not_reported() -> Vec<(Conversation, Vec<Reported>)> {
    let talk = Talk::connected(40_305, FIRST);
    let sent = talk.segment(0, ACK, b"");
    let error = |tcp: &Tcp| frame(3, 1, [0; 4], &quote(tcp));
    let whole = frame(3, 1, [0; 4], &quote(&sent));
    let udp = ipv4(&[], 17, &sent.bytes())[..28].to_vec();
    let later = with(quote(&sent), 6, &[0, 9]);
    [
        ("a sequence number before all", error(&Tcp { seq: 99, ..sent.clone() })),
        ("a sequence number that was not sent yet", error(&Tcp { seq: 102, ..sent.clone() })),
        ("a sequence number far ahead", error(&Tcp { seq: 0x7000_0000, ..sent.clone() })),
        ("another client", error(&Tcp { from: 40_306, ..sent.clone() })),
        ("another port", error(&Tcp { to: 81, from: 40_305, ..sent.clone() })),
        ("UDP", frame(3, 1, [0; 4], &udp)),
        ("a later fragment", frame(3, 1, [0; 4], &later)),
        ("a packet of IPv6", frame(3, 1, [0; 4], &ipv6(TCP, &sent.bytes()))),
        ("seven bytes of TCP", whole[..whole.len() - 1].to_vec()),
        ("a segment, in a later fragment itself", with(whole.clone(), IP + 6, &[0, 9])),
        ("a segment, and is an echo reply", frame(0, 0, [0; 4], &quote(&sent))),
        ("a segment, and is source quench", frame(4, 0, [0; 4], &quote(&sent))),
        ("a segment, and is a redirect", frame(5, 1, ROUTER, &quote(&sent))),
        ("a segment, and is ICMPv6 in IPv4", {
            let message = message(1, 0, [0; 4], &quote(&sent));
            ethernet(IPV4, &ipv4_between(ROUTER, CLIENT, &[], ICMPV6, &message))
        }),
    ]
    .map(|(name, frame)| {
        let mut talk = talk.clone();
        talk.put_frame(frame);
        talk.client(ACK | PSH, GET);
        (talk.done([1, 0], format!("an ICMP message that quotes {name}")), Vec::new())
    })
    .into()
}
