//! A builder of frames with correct headers. Rows that need an incorrect one overwrite bytes with
//! [`with`].

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, TcpHeader};

/// EtherType of IPv4.
pub(crate) const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;
/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// Offset of the IP header after an Ethernet header without tags.
pub(crate) const IP: usize = 14;
/// Offset of the TCP header after an IPv4 header without options.
pub(crate) const TCP4: usize = IP + 20;
/// Offset of the byte with the data offset, three reserved bits and AE.
pub(crate) const DATA_OFFSET: usize = TCP4 + 12;

/// FIN.
pub(crate) const FIN: u8 = 0x01;
/// SYN.
pub(crate) const SYN: u8 = 0x02;
/// RST.
pub(crate) const RST: u8 = 0x04;
/// PSH.
pub(crate) const PSH: u8 = 0x08;
/// ACK.
pub(crate) const ACK: u8 = 0x10;

/// The client's IPv4 address.
pub(crate) const CLIENT: [u8; 4] = [10, 0, 0, 1];
/// The server's IPv4 address.
pub(crate) const SERVER: [u8; 4] = [10, 0, 0, 2];
/// The client's port.
pub(crate) const CLIENT_PORT: u16 = 40_000;
/// The traced port.
pub(crate) const SERVER_PORT: u16 = 80;

/// One TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    /// Source port.
    pub(crate) from: u16,
    /// Destination port.
    pub(crate) to: u16,
    /// Sequence number.
    pub(crate) seq: u32,
    /// Acknowledgment number.
    pub(crate) ack: u32,
    /// Control bits.
    pub(crate) flags: u8,
    /// Window, not scaled.
    pub(crate) window: u16,
    /// Options, a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// Payload.
    pub(crate) payload: Vec<u8>,
}

impl Default for Tcp {
    /// A pure acknowledgment from the client.
    fn default() -> Self {
        Self {
            from: CLIENT_PORT,
            to: SERVER_PORT,
            seq: 1_000,
            ack: 5_000,
            flags: ACK,
            window: 512,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }
}

impl Tcp {
    /// A segment with payload from the client.
    pub(crate) fn sending(payload: &[u8]) -> Self {
        Self { flags: ACK | PSH, payload: payload.to_vec(), ..Self::default() }
    }

    /// Header and payload.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut header = TcpHeader::new(self.from, self.to, self.seq, self.window);
        header.acknowledgment_number = self.ack;
        header.set_options_raw(&self.options).unwrap_or_else(|error| panic!("options: {error}"));
        let mut bytes = header.to_bytes().to_vec();
        bytes[13] = self.flags;
        bytes.extend(&self.payload);
        bytes
    }

    /// The segment in IPv4 in Ethernet, from the client if it is to the server's port.
    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(IPV4, &self.packet())
    }

    /// The segment in IPv4.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let from_client = self.to == SERVER_PORT;
        let (from, to) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        ipv4_between(from, to, &[], TCP, &self.bytes())
    }

    /// The segment in IPv6 in Ethernet.
    pub(crate) fn frame6(&self) -> Vec<u8> {
        ethernet(IPV6, &ipv6(TCP, &self.bytes()))
    }
}

/// An Ethernet II frame.
pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header {
        source: [2, 0, 0, 0, 0, 1],
        destination: [2, 0, 0, 0, 0, 2],
        ether_type: EtherType(ethertype),
    };
    [header.to_bytes().as_slice(), payload].concat()
}

/// An Ethernet II frame with VLAN tags of these EtherTypes.
pub(crate) fn tagged(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut inner = payload.to_vec();
    let mut next = ethertype;
    for (number, tag) in tags.iter().enumerate().rev() {
        let identifier = 100 + number as u16;
        inner = [identifier.to_be_bytes().as_slice(), &next.to_be_bytes(), &inner].concat();
        next = *tag;
    }
    ethernet(next, &inner)
}

/// An IPv4 packet from the client to the server; `options` are a multiple of four bytes.
pub(crate) fn ipv4(options: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_between(CLIENT, SERVER, options, protocol, payload)
}

/// An IPv4 packet.
pub(crate) fn ipv4_between(
    from: [u8; 4],
    to: [u8; 4],
    options: &[u8],
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = Ipv4Header::new(0, 64, IpNumber(protocol), from, to)
        .unwrap_or_else(|error| panic!("IPv4 header: {error}"));
    header.options = Ipv4Options::try_from(options).unwrap_or_else(|error| panic!("IPv4 options: {error:?}"));
    header.total_len = (header.header_len() + payload.len()) as u16;
    [header.to_bytes().as_slice(), payload].concat()
}

/// An IPv6 packet from the client to the server.
pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let address = |last| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let header = Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: IpNumber(next),
        hop_limit: 64,
        source: address(1),
        destination: address(2),
        ..Ipv6Header::default()
    };
    [header.to_bytes().as_slice(), payload].concat()
}

/// An IPv6 extension header of `units` times eight bytes, followed by `payload`.
pub(crate) fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(units) * 8];
    bytes[0] = next;
    bytes[1] = units - 1;
    [bytes.as_slice(), payload].concat()
}

/// An IPv6 fragment header (`offset` in units of eight bytes), followed by `payload`.
pub(crate) fn fragment6(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let field = (offset << 3 | u16::from(more)).to_be_bytes();
    [[next, 0, field[0], field[1], 0, 0, 0, 7].as_slice(), payload].concat()
}

/// `frame` with the bytes at `offset` overwritten by `bytes`.
pub(crate) fn with(mut frame: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

/// `frame` followed by `count` zero bytes.
pub(crate) fn padded(mut frame: Vec<u8>, count: usize) -> Vec<u8> {
    frame.resize(frame.len() + count, 0);
    frame
}
