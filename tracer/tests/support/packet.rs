//! The packets of a connection from port 40000 of 10.0.0.1 to port 80 of 10.0.0.2.

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// The next packet of one side, an IPv4 packet; `next` has the next sequence numbers of client and server.
pub(crate) fn packet(next: &mut [u32; 2], server: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (own, other) = (usize::from(server), usize::from(!server));
    let (ports, hosts) = if server { ([80, 40_000], [2, 1]) } else { ([40_000, 80], [1, 2]) };
    let len = u16::try_from(40 + payload.len()).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(hosts.map(|host| [10, 0, 0, host]).as_flattened());
    packet.extend(ports.map(u16::to_be_bytes).as_flattened());
    packet.extend(next[own].to_be_bytes());
    packet.extend(if flags & ACK == 0 { 0 } else { next[other] }.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    let used = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    next[own] = next[own].wrapping_add(used);
    packet
}
