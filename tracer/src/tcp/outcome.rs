//! How a connection went, in the vocabularies of Zeek and Wireshark.

use tracer_common::flow::half;

use crate::record::{ConnState, Side};

/// Letters of Zeek's history that stand for something that may happen often are repeated at these counts only.
fn is_logarithmic_step(count: u64) -> bool {
    let mut step = 1;
    while step < count {
        step *= 10;
    }
    step == count
}

/// Zeek's history: what happened, in order; upper case from the originator, lower case from the responder.
/// See `scripts/base/protocols/conn/main.zeek`.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    letters: Vec<(u64, u8, char)>,
    repeated: [u64; 6],
}

/// The order of letters that one segment gives at once.
fn rank(letter: char) -> u8 {
    match letter.to_ascii_uppercase() {
        'S' | 'H' => 0,
        'D' => 2,
        'F' => 3,
        'R' => 4,
        _ => 1,
    }
}

impl History {
    /// Something that is told once for each side.
    pub(super) fn once(&mut self, side: Side, letter: char, time: u64) {
        let letter = cased(side, letter);
        if !self.letters.iter().any(|(_, _, known)| *known == letter) {
            self.letters.push((time, rank(letter), letter));
        }
    }

    /// Something that is told at the first, tenth, hundredth … time.
    pub(super) fn logarithmic(&mut self, side: Side, letter: char, time: u64) {
        let kind = match letter {
            'T' => 0,
            'W' => 1,
            _ => 2,
        };
        let index = kind * 2 + usize::from(side == Side::Server);
        let Some(count) = self.repeated.get_mut(index) else { return };
        *count += 1;
        if is_logarithmic_step(*count) {
            let letter = cased(side, letter);
            self.letters.push((time, rank(letter), letter));
        }
    }

    /// The letters, in order.
    pub(super) fn text(&self) -> String {
        let mut letters = self.letters.clone();
        letters.sort_by_key(|(time, rank, _)| (*time, *rank));
        letters.into_iter().map(|(_, _, letter)| letter).collect()
    }
}

fn cased(side: Side, letter: char) -> char {
    match side {
        Side::Client => letter,
        Side::Server => letter.to_ascii_lowercase(),
    }
}

/// Zeek's conn_state, from the [`half`] flags of both sides and who sent the first RST.
pub(super) fn conn_state(client: u32, server: u32, reset_by: Option<Side>) -> ConnState {
    let opened = client & half::SYN != 0;
    let answered = server & half::SYN != 0;
    match (opened, answered, reset_by) {
        (false, true, Some(Side::Server)) if client & half::STARTED == 0 => ConnState::Rstrh,
        (false, true, None) if client & half::STARTED == 0 && server & half::FIN != 0 => ConnState::Shr,
        (false, _, _) => ConnState::Oth,
        (true, false, Some(Side::Client)) => ConnState::Rstos0,
        (true, false, Some(Side::Server)) => ConnState::Rej,
        (true, false, None) if client & half::FIN != 0 => ConnState::Sh,
        (true, false, None) if server & half::STARTED == 0 => ConnState::S0,
        (true, false, None) => ConnState::Oth,
        (true, true, Some(Side::Client)) => ConnState::Rsto,
        (true, true, Some(Side::Server)) => ConnState::Rstr,
        (true, true, None) => match (client & half::FIN != 0, server & half::FIN != 0) {
            (true, true) => ConnState::Sf,
            (true, false) => ConnState::S2,
            (false, true) => ConnState::S3,
            (false, false) => ConnState::S1,
        },
    }
}

/// Wireshark's completeness: 1 SYN, 2 SYN-ACK, 4 ACK, 8 data, 16 FIN, 32 RST (`tcp.completeness`).
pub(super) fn completeness(client: u32, server: u32, data: bool) -> u8 {
    let either = client | server;
    let is_syn_ack = |flags: u32| flags & half::SYN_ACK != 0;
    let is_syn = |flags: u32| flags & half::SYN != 0 && !is_syn_ack(flags);
    u8::from(is_syn(client) || is_syn(server))
        | u8::from(is_syn_ack(client) || is_syn_ack(server)) << 1
        | u8::from(client & half::ACKED != 0 || server & half::ACKED != 0 && !is_syn_ack(server)) << 2
        | u8::from(data) << 3
        | u8::from(either & half::FIN != 0) << 4
        | u8::from(either & half::RST != 0) << 5
}

#[cfg(test)]
mod tests {
    use super::{ConnState, History, Side, completeness, conn_state, half};

    #[test]
    fn conn_state_is_zeeks_word_for_what_was_seen() {
        let client = half::STARTED | half::SYN;
        let server = half::STARTED | half::SYN | half::SYN_ACK;
        for (what, client, server, reset_by, state) in [
            ("no answer", client, 0, None, ConnState::S0),
            ("refused", client, half::STARTED | half::RST, Some(Side::Server), ConnState::Rej),
            ("given up before the answer", client | half::RST, 0, Some(Side::Client), ConnState::Rstos0),
            ("open", client, server, None, ConnState::S1),
            ("closed by both", client | half::FIN, server | half::FIN, None, ConnState::Sf),
            ("closed by the client only", client | half::FIN, server, None, ConnState::S2),
            ("closed by the server only", client, server | half::FIN, None, ConnState::S3),
            ("reset by the client", client | half::RST, server, Some(Side::Client), ConnState::Rsto),
            ("reset by the server", client, server | half::RST, Some(Side::Server), ConnState::Rstr),
            ("SYN and FIN, no answer", client | half::FIN, 0, None, ConnState::Sh),
            ("no SYN", half::STARTED, half::STARTED, None, ConnState::Oth),
        ] {
            assert_eq!(conn_state(client, server, reset_by), state, "{what}");
        }
    }

    #[test]
    fn completeness_adds_up_what_wireshark_asks_for() {
        let client = half::STARTED | half::SYN | half::ACKED;
        let server = half::STARTED | half::SYN | half::SYN_ACK | half::ACKED;
        assert_eq!(completeness(half::STARTED | half::SYN, 0, false), 1);
        assert_eq!(completeness(half::STARTED | half::SYN, server, false), 3);
        assert_eq!(completeness(client, server, false), 7);
        assert_eq!(completeness(client | half::FIN, server | half::FIN, true), 31);
        assert_eq!(completeness(client, server | half::RST, true), 47);
    }

    #[test]
    fn history_is_in_order_and_counts_by_powers_of_ten() {
        let mut history = History::default();
        history.once(Side::Client, 'S', 1);
        history.once(Side::Server, 'H', 2);
        for time in 10..30 {
            history.logarithmic(Side::Server, 'T', time);
        }
        history.once(Side::Client, 'D', 5);
        history.once(Side::Client, 'D', 6);
        assert_eq!(history.text(), "ShDtt");
    }
}
