//! The packets to measure.

use crate::{
    SINGLE,
    table::{
        build::{ACK, FIN, SYN, Tcp},
        talk::Talk,
    },
};

/// A kind of packet: one that takes the same time in each run, or several that each change the
/// state.
pub(crate) struct Packet {
    pub(crate) name: &'static str,
    /// The packets before the measured one.
    pub(crate) before: Vec<Vec<u8>>,
    /// One frame that is run repeatedly, or many that are run once each.
    pub(crate) measured: Vec<Vec<u8>>,
}

impl Packet {
    fn alone(name: &'static str, frame: Vec<u8>) -> Self {
        Self { name, before: Vec::new(), measured: vec![frame] }
    }

    /// Packets on a connection after its handshake.
    fn connected(name: &'static str, packet: impl FnOnce(&mut Talk) -> Vec<Vec<u8>>) -> Self {
        let mut talk = Talk::connected(40_000, [1_000, 5_000]);
        let measured = packet(&mut talk);
        let before = talk.done(None, "").steps.into_iter().map(|step| step.frame).collect();
        Self { name, before, measured }
    }
}

/// All kinds of packets.
pub(crate) fn packets() -> Vec<Packet> {
    let tcp = |to: u16| Tcp { to, ..Tcp::default() };
    let mut udp = tcp(53).frame();
    // The protocol field of IPv4.
    udp[23] = 17;
    let mut arp = tcp(80).frame();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut tagged = tcp(443).frame();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    let request = header(b"GET / HTTP/1.1\r\n");
    let response = header(b"HTTP/1.1 304 Not Modified\r\n");
    let many = |talk: &mut Talk, side: usize, flags: u8, payload: &[u8]| -> Vec<Vec<u8>> {
        let mut next = || {
            let frame = talk.segment(side, flags, payload).frame();
            talk.next[side] = talk.next[side].wrapping_add(payload.len() as u32);
            frame
        };
        (0..SINGLE).map(|_| next()).collect()
    };
    vec![
        Packet::alone("not IP", arp),
        Packet::alone("UDP", udp),
        Packet::alone("TCP, other port", tcp(443).frame()),
        Packet::alone("TCP over IPv6, other port", tcp(443).frame6()),
        Packet::alone("TCP in a VLAN, other port", tagged),
        Packet::connected("pure ACK", |talk| vec![talk.segment(0, ACK, b"").frame()]),
        Packet::connected("1448 bytes of content, once each", |talk| {
            talk.client(ACK, b"GET / HTTP/1.1\r\n\r\n");
            talk.server(ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
            many(talk, 1, ACK, &[b'x'; 1448])
        }),
        Packet::alone("repeated SYN", Tcp { flags: SYN, ack: 0, ..Tcp::default() }.frame()),
        Packet {
            name: "SYN of a new connection, once each",
            before: Vec::new(),
            measured: (0..SINGLE as u16)
                .map(|number| Tcp { from: 10_000 + number, flags: SYN, ack: 0, ..Tcp::default() }.frame())
                .collect(),
        },
        Packet::connected("request header of 18 bytes, once each", |talk| {
            many(talk, 0, ACK, b"GET / HTTP/1.1\r\n\r\n")
        }),
        Packet::connected("request header of 512 bytes, once each", |talk| many(talk, 0, ACK, &request)),
        Packet::connected("response header of 512 bytes, once each", |talk| many(talk, 1, ACK, &response)),
        Packet::connected("repeated FIN", |talk| {
            talk.client(FIN | ACK, b"");
            let mut fin = talk.segment(0, FIN | ACK, b"");
            fin.seq = fin.seq.wrapping_sub(1);
            vec![fin.frame()]
        }),
    ]
}

/// A message header of 512 bytes, with fields of the usual length in messages of browsers and
/// servers.
fn header(start: &[u8]) -> Vec<u8> {
    let mut header = start.to_vec();
    while header.len() < 470 {
        header.extend(b"Accept-Encoding: gzip, deflate, br\r\n");
    }
    header.extend(b"X: ");
    header.resize(508, b'x');
    header.extend(b"\r\n\r\n");
    header
}
