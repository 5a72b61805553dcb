//! Wireshark's completeness of a connection (`tcp.completeness`): which kinds of segments were seen.

use tracer_common::flow::HalfFlags;

/// A SYN.
const SYN: u8 = 1;
/// A SYN-ACK.
const SYN_ACK: u8 = 2;
/// A segment with ACK and without payload, also a FIN or a RST.
const ACK: u8 = 4;
/// Payload.
const DATA: u8 = 8;
/// A FIN with ACK.
const FIN: u8 = 16;
/// A RST.
const RST: u8 = 32;

/// The completeness, from the flags of both sides and the number of segments.
pub(crate) fn completeness(client: HalfFlags, server: HalfFlags, packets: u64) -> u8 {
    let seen = client | server;
    let bits: &[(HalfFlags, u8)] = &[
        (HalfFlags::OPENED, SYN),
        (HalfFlags::SYN_DATA, DATA),
        (HalfFlags::SYN_ACK, SYN_ACK),
        (HalfFlags::BARE_ACK, ACK),
        (HalfFlags::DATA, DATA),
        (HalfFlags::FIN_ACK, FIN),
        (HalfFlags::RST, RST),
    ];
    // In a conversation of one segment Wireshark looks for a SYN only.
    let counted = if packets == 1 { seen & (HalfFlags::OPENED | HalfFlags::SYN_DATA) } else { seen };
    bits.iter().filter(|(flag, _)| counted.contains(*flag)).fold(0, |sum, (_, bit)| sum | bit)
}

#[cfg(test)]
mod tests {
    use super::{HalfFlags, completeness};

    #[test]
    fn completeness_is_that_of_wireshark() {
        let syn = HalfFlags::STARTED | HalfFlags::SYN | HalfFlags::OPENED;
        let syn_ack = HalfFlags::STARTED | HalfFlags::SYN | HalfFlags::SYN_ACK;
        for (what, client, server, packets, sum) in [
            ("a SYN", syn, HalfFlags::EMPTY, 1, 1),
            ("a SYN with payload", syn | HalfFlags::SYN_DATA, HalfFlags::EMPTY, 1, 9),
            ("a SYN-ACK", syn, syn_ack, 2, 3),
            ("a complete handshake", syn | HalfFlags::BARE_ACK, syn_ack, 3, 7),
            ("data completes the handshake", syn | HalfFlags::DATA, syn_ack, 3, 11),
            (
                "closed",
                syn | HalfFlags::BARE_ACK | HalfFlags::DATA | HalfFlags::FIN_ACK,
                syn_ack | HalfFlags::BARE_ACK | HalfFlags::FIN_ACK,
                8,
                31,
            ),
            (
                "refused: the RST carries an ACK",
                syn,
                HalfFlags::STARTED | HalfFlags::RST | HalfFlags::BARE_ACK,
                2,
                37,
            ),
            ("a FIN without ACK", syn | HalfFlags::FIN, HalfFlags::EMPTY, 2, 1),
            (
                "simultaneous open",
                syn | HalfFlags::SYN_ACK,
                HalfFlags::STARTED | HalfFlags::SYN | HalfFlags::SYN_ACK,
                4,
                3,
            ),
            ("a lone RST", HalfFlags::RST, HalfFlags::EMPTY, 1, 0),
            ("a lone SYN-ACK", HalfFlags::EMPTY, syn_ack, 1, 0),
            ("two RSTs", HalfFlags::RST, HalfFlags::EMPTY, 2, 32),
            ("first seen after its SYN", HalfFlags::STARTED | HalfFlags::BARE_ACK, syn_ack, 2, 6),
        ] {
            assert_eq!(completeness(client, server, packets), sum, "{what}");
        }
    }
}
