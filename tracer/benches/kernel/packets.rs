//! The packets that are measured.

use crate::{
    SINGLE,
    table::{
        build::{ACK, FIN, SYN, Tcp},
        talk::Talk,
    },
};

/// Kinds of packets that cost the same each time, or of which each one changes something.
pub(crate) struct Packet {
    pub(crate) says: &'static str,
    /// What must come before.
    pub(crate) before: Vec<Vec<u8>>,
    /// One, which is run again and again; or many, run once each.
    pub(crate) measured: Vec<Vec<u8>>,
}

impl Packet {
    fn alone(says: &'static str, frame: Vec<u8>) -> Self {
        Self { says, before: Vec::new(), measured: vec![frame] }
    }

    /// On a connection after its handshake.
    fn connected(says: &'static str, packet: impl FnOnce(&mut Talk) -> Vec<Vec<u8>>) -> Self {
        let mut talk = Talk::connected(40_000, [1_000, 5_000]);
        let measured = packet(&mut talk);
        let before = talk.done(None, "").steps.into_iter().map(|step| step.frame).collect();
        Self { says, before, measured }
    }
}

/// All of them.
pub(crate) fn packets() -> Vec<Packet> {
    let tcp = |to: u16| Tcp { to, ..Tcp::default() };
    let mut udp = tcp(53).frame();
    // The protocol field of IPv4.
    udp[23] = 17;
    let mut arp = tcp(80).frame();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut tagged = tcp(443).frame();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    let request = head(b"GET / HTTP/1.1\r\n");
    let response = head(b"HTTP/1.1 304 Not Modified\r\n");
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
        Packet::alone("TCP, another port", tcp(443).frame()),
        Packet::alone("TCP over IPv6, another port", tcp(443).frame6()),
        Packet::alone("TCP in a VLAN, another port", tagged),
        Packet::connected("pure ACK", |talk| vec![talk.segment(0, ACK, b"").frame()]),
        Packet::connected("1448 bytes of content, once each", |talk| {
            talk.client(ACK, b"GET / HTTP/1.1\r\n\r\n");
            talk.server(ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
            many(talk, 1, ACK, &[b'x'; 1448])
        }),
        Packet::alone("SYN again", Tcp { flags: SYN, ack: 0, ..Tcp::default() }.frame()),
        Packet {
            says: "SYN of a new connection, once each",
            before: Vec::new(),
            measured: (0..SINGLE as u16)
                .map(|number| Tcp { from: 10_000 + number, flags: SYN, ack: 0, ..Tcp::default() }.frame())
                .collect(),
        },
        Packet::connected("request head of 18 bytes, once each", |talk| {
            many(talk, 0, ACK, b"GET / HTTP/1.1\r\n\r\n")
        }),
        Packet::connected("request head of 512 bytes, once each", |talk| many(talk, 0, ACK, &request)),
        Packet::connected("response head of 512 bytes, once each", |talk| many(talk, 1, ACK, &response)),
        Packet::connected("FIN again", |talk| {
            talk.client(FIN | ACK, b"");
            let mut fin = talk.segment(0, FIN | ACK, b"");
            fin.seq = fin.seq.wrapping_sub(1);
            vec![fin.frame()]
        }),
    ]
}

/// A message head of 512 bytes, as long as those of browsers and servers, with lines as long as theirs.
fn head(start: &[u8]) -> Vec<u8> {
    let mut head = start.to_vec();
    while head.len() < 470 {
        head.extend(b"Accept-Encoding: gzip, deflate, br\r\n");
    }
    head.extend(b"X: ");
    head.resize(508, b'x');
    head.extend(b"\r\n\r\n");
    head
}
