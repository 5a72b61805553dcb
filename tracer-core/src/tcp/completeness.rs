//! Wireshark's completeness of a connection (`tcp.completeness`): which kinds of segments were seen.

use tracer_common::flow::half;

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

/// The completeness, from the [`half`] flags of both sides and the number of segments.
pub(crate) fn completeness(client: u32, server: u32, packets: u64) -> u8 {
    let seen = client | server;
    let bits: &[(u32, u8)] = &[
        (half::OPENED, SYN),
        (half::SYN_DATA, DATA),
        (half::SYN_ACK, SYN_ACK),
        (half::BARE_ACK, ACK),
        (half::DATA, DATA),
        (half::FIN_ACK, FIN),
        (half::RST, RST),
    ];
    // In a conversation of one segment Wireshark looks for a SYN only.
    let counted = if packets == 1 { half::OPENED | half::SYN_DATA } else { u32::MAX };
    bits.iter().filter(|(flag, _)| seen & counted & flag != 0).fold(0, |sum, (_, bit)| sum | bit)
}

#[cfg(test)]
mod tests {
    use super::{completeness, half};

    #[test]
    fn completeness_is_that_of_wireshark() {
        let syn = half::STARTED | half::SYN | half::OPENED;
        let syn_ack = half::STARTED | half::SYN | half::SYN_ACK;
        for (what, client, server, packets, sum) in [
            ("a SYN", syn, 0, 1, 1),
            ("a SYN with payload", syn | half::SYN_DATA, 0, 1, 9),
            ("a SYN-ACK", syn, syn_ack, 2, 3),
            ("a complete handshake", syn | half::BARE_ACK, syn_ack, 3, 7),
            ("data completes the handshake", syn | half::DATA, syn_ack, 3, 11),
            (
                "closed",
                syn | half::BARE_ACK | half::DATA | half::FIN_ACK,
                syn_ack | half::BARE_ACK | half::FIN_ACK,
                8,
                31,
            ),
            ("refused: the RST carries an ACK", syn, half::STARTED | half::RST | half::BARE_ACK, 2, 37),
            ("a FIN without ACK", syn | half::FIN, 0, 2, 1),
            ("simultaneous open", syn | half::SYN_ACK, half::STARTED | half::SYN | half::SYN_ACK, 4, 3),
            ("a lone RST", half::RST, 0, 1, 0),
            ("a lone SYN-ACK", 0, syn_ack, 1, 0),
            ("two RSTs", half::RST, 0, 2, 32),
            ("first seen after its SYN", half::STARTED | half::BARE_ACK, syn_ack, 2, 6),
        ] {
            assert_eq!(completeness(client, server, packets), sum, "{what}");
        }
    }
}
