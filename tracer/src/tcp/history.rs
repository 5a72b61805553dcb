//! Zeek's history of a connection: what happened, a letter each, in order; upper case from the originator, lower case from
//! the responder. See `scripts/base/protocols/conn/main.zeek` and `src/analyzer/protocol/tcp/TCP_Endpoint.cc`.
//!
//! A segment with a wrong checksum counts like any other, as with Zeek's option `-C`.

use tracer_common::{seq::Seq, wire::TcpFlags};

/// One letter, of the side that `from_low` says.
#[derive(Clone, Copy, Debug)]
struct Letter {
    time: u64,
    from_low: bool,
    /// Upper case.
    letter: char,
}

/// What one side has shown.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// The number that the last SYN (or SYN-ACK), FIN and RST had: with another one, its letter comes again.
    last: [Option<Seq>; 3],
    /// How often T, W and G came about.
    counts: [u32; 3],
}

/// The letters of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    letters: Vec<Letter>,
    /// Of the lower endpoint, of the higher one.
    shown: [Shown; 2],
    /// Who sent the first segment.
    first_from_low: Option<bool>,
}

/// The most letters kept: those that come with every new number could be forged without end.
const MAX_LETTERS: usize = 64;

/// The place of a letter among those of the same time, and of those that one segment gives.
const fn place(letter: char) -> u8 {
    match letter {
        'S' => 0,
        'H' => 1,
        'Q' => 2,
        'I' => 3,
        'A' => 4,
        'D' => 5,
        'F' => 6,
        'R' => 7,
        'W' => 8,
        'T' => 9,
        _ => 10,
    }
}

impl History {
    /// A segment of its own kind: the letters for SYN, FIN and RST. `end` is the number after its payload.
    pub(super) fn on_flags(&mut self, from_low: bool, flags: TcpFlags, seq: Seq, end: Seq, time: u64) {
        self.first_from_low.get_or_insert(from_low);
        let has = |bits| flags.has(bits);
        let kinds = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST].into_iter().filter(|&bit| has(bit)).count();
        if kinds > 1 {
            self.once(from_low, if has(TcpFlags::FIN) && has(TcpFlags::RST) { 'I' } else { 'Q' }, time);
        } else if has(TcpFlags::SYN) {
            // A SYN sent again with an ACK, as both opened at once, is still the same.
            self.numbered(from_low, 0, if has(TcpFlags::ACK) { 'H' } else { 'S' }, seq, time);
        } else if has(TcpFlags::FIN) {
            self.numbered(from_low, 1, 'F', end, time);
        } else if has(TcpFlags::RST) {
            self.numbered(from_low, 2, 'R', seq, time);
        }
    }

    fn numbered(&mut self, from_low: bool, kind: usize, letter: char, number: Seq, time: u64) {
        let last = &mut self.shown[usize::from(!from_low)].last[kind];
        if last.replace(number) != Some(number) {
            self.add(from_low, letter, time);
        }
    }

    fn add(&mut self, from_low: bool, letter: char, time: u64) {
        if self.letters.is_empty() {
            // Most of those that never get a third are half-open, and many.
            self.letters.reserve_exact(2);
        }
        if self.letters.len() < MAX_LETTERS {
            self.letters.push(Letter { time, from_low, letter });
        }
    }

    /// Something that is told once for each side.
    pub(super) fn once(&mut self, from_low: bool, letter: char, time: u64) {
        if !self.letters.iter().any(|known| known.from_low == from_low && known.letter == letter) {
            self.add(from_low, letter, time);
        }
    }

    /// Something that came about `more` times: told at the first, tenth, hundredth … time.
    pub(super) fn logarithmic(&mut self, from_low: bool, letter: char, more: u64, time: u64) {
        let kind = match letter {
            'T' => 0,
            'W' => 1,
            _ => 2,
        };
        let count = &mut self.shown[usize::from(!from_low)].counts[kind];
        let before = steps(*count);
        *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        for _ in before..steps(*count) {
            self.add(from_low, letter, time);
        }
    }

    /// The letters, in order; `^` where the first segment came from the side that is taken for the responder.
    pub(super) fn text(&self, client_is_low: bool) -> String {
        let mut letters = self.letters.clone();
        letters.sort_by_key(|letter| (letter.time, place(letter.letter)));
        let flipped = self.first_from_low.is_some_and(|low| low != client_is_low).then_some('^');
        let cased = letters.into_iter().map(|Letter { from_low, letter, .. }| {
            if from_low == client_is_low { letter } else { letter.to_ascii_lowercase() }
        });
        flipped.into_iter().chain(cased).collect()
    }
}

/// How many of 1, 10, 100 … are not above `count`.
fn steps(count: u32) -> u32 {
    count.checked_ilog10().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u8 = TcpFlags::SYN;
    const A: u8 = TcpFlags::ACK;
    const F: u8 = TcpFlags::FIN;
    const R: u8 = TcpFlags::RST;

    #[test]
    fn each_kind_of_segment_has_its_letter() {
        type Row = (&'static str, &'static [(bool, u8, u32)], &'static str);
        let rows: &[Row] = &[
            ("a handshake", &[(true, S, 1), (false, S | A, 9), (true, A, 2)], "Sh"),
            ("a SYN again", &[(true, S, 1), (true, S, 1)], "S"),
            ("another SYN", &[(true, S, 1), (true, S, 5)], "SS"),
            ("both open at once", &[(true, S, 1), (false, S, 9), (true, S | A, 1), (false, S | A, 9)], "Ss"),
            ("a FIN again", &[(true, F | A, 3), (true, F | A, 3)], "F"),
            ("another FIN", &[(true, F | A, 3), (true, F | A, 4)], "FF"),
            ("a RST again", &[(false, R, 3), (false, R, 3), (false, R, 4)], "^rr"),
            ("the answer first", &[(false, S | A, 9), (true, A, 2), (false, F | A, 10)], "^hf"),
            ("SYN and FIN", &[(true, S | F, 1), (true, S | F, 2)], "Q"),
            ("SYN and RST", &[(true, S | R, 1)], "Q"),
            ("FIN and RST", &[(true, F | R, 1), (true, S | F | R, 1)], "I"),
        ];
        for (what, segments, text) in rows {
            let mut history = History::default();
            for (time, (low, flags, seq)) in segments.iter().enumerate() {
                history.on_flags(*low, TcpFlags(*flags), Seq(*seq), Seq(*seq), time as u64);
            }
            assert_eq!(history.text(true), *text, "{what}");
        }
    }

    #[test]
    fn what_may_happen_often_is_told_at_powers_of_ten() {
        for (count, text) in [(0, ""), (1, "T"), (9, "T"), (10, "TT"), (99, "TT"), (100, "TTT")] {
            let mut one_by_one = History::default();
            (0..count).for_each(|time| one_by_one.logarithmic(true, 'T', 1, time));
            let mut at_once = History::default();
            at_once.logarithmic(true, 'T', count, 1);
            assert_eq!(
                (one_by_one.text(true), at_once.text(true)),
                (text.to_owned(), text.to_owned()),
                "{count}"
            );
        }
    }

    #[test]
    fn letters_are_in_order_of_time_and_turn_with_the_connection() {
        let mut history = History::default();
        history.on_flags(true, TcpFlags(S), Seq(1), Seq(2), 1);
        history.on_flags(false, TcpFlags(S | A), Seq(1), Seq(2), 2);
        history.logarithmic(false, 'T', 1, 10);
        history.once(false, 'D', 10);
        history.once(true, 'D', 5);
        history.once(true, 'D', 6);
        assert_eq!(history.text(true), "ShDdt");
        assert_eq!(history.text(false), "^sHdDT");
    }

    #[test]
    fn a_flood_of_letters_is_cut() {
        let mut history = History::default();
        for number in 0..1000 {
            history.on_flags(true, TcpFlags(R), Seq(number), Seq(number), 1);
        }
        assert_eq!(history.text(true).len(), MAX_LETTERS);
    }
}
