//! Zeek's history of a connection: what happened, a letter each, in order; upper case from the originator, lower case from
//! the responder. See `scripts/base/protocols/conn/main.zeek` and `src/analyzer/protocol/tcp/TCP_Endpoint.cc`.
//!
//! A segment with a wrong checksum counts like any other, as with Zeek's option `-C`.

use smallvec::SmallVec;
use tracer_common::{seq::Seq, wire::TcpFlags};

/// One letter, of the side that `from_low` says.
#[derive(Clone, Copy, Debug)]
struct Letter {
    time: u64,
    from_low: bool,
    /// Upper case.
    letter: u8,
}

impl Letter {
    fn cased(self) -> u8 {
        if self.from_low { self.letter } else { self.letter.to_ascii_lowercase() }
    }
}

/// The letters that one event brings, in any order.
#[derive(Debug, Default)]
pub(super) struct Letters(SmallVec<[Letter; 4]>);

/// What most connections never have, of one side.
#[derive(Clone, Debug, Default)]
struct Rare {
    /// The number of the last RST.
    last_reset: Option<Seq>,
    /// How often T, W and G came about.
    counts: [u32; 3],
}

/// What a history may take besides its place.
pub(super) const BESIDES: usize = size_of::<[Rare; 2]>() + MAX_LETTERS;

/// Was shown: A, which each side has once at most.
const ACK: u8 = 1 << 0;
/// The same of D.
const DATA: u8 = 1 << 1;
/// The same of I.
const FIN_AND_RST: u8 = 1 << 2;
/// The same of Q.
const MANY: u8 = 1 << 3;
/// A SYN or SYN-ACK was shown, and its number is known.
const SYN: u8 = 1 << 4;
/// The same of a FIN.
const FIN: u8 = 1 << 5;

/// The letters of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// In order; those of the higher endpoint in lower case.
    letters: SmallVec<[u8; 16]>,
    /// Which of [`ACK`] to [`FIN`] the lower endpoint has shown, and the higher one.
    shown: [u8; 2],
    /// The numbers of their last SYN (or SYN-ACK) and their last FIN: with another one, the letter comes again.
    last: [[Seq; 2]; 2],
    rare: Option<Box<[Rare; 2]>>,
    /// Who sent the first segment.
    first_from_low: Option<bool>,
}

/// The most letters kept: those that come with every new number could be forged without end.
const MAX_LETTERS: usize = 64;

/// The place of a letter among those of the same time, and of those that one segment gives.
const fn place(letter: u8) -> u8 {
    match letter {
        b'S' => 0,
        b'H' => 1,
        b'Q' => 2,
        b'I' => 3,
        b'A' => 4,
        b'D' => 5,
        b'F' => 6,
        b'R' => 7,
        b'W' => 8,
        b'T' => 9,
        _ => 10,
    }
}

impl History {
    /// A segment of its own kind: the letters for SYN, FIN and RST. `end` is the number after its payload.
    pub(super) fn on_flags(
        &mut self,
        news: &mut Letters,
        from_low: bool,
        flags: TcpFlags,
        (seq, end): (Seq, Seq),
        time: u64,
    ) {
        self.first_from_low.get_or_insert(from_low);
        let has = |bits| flags.intersects(bits);
        let kinds = flags & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        let side = usize::from(!from_low);
        let (is_new, letter) = if kinds.bits().count_ones() > 1 {
            let letter = if has(TcpFlags::FIN) && has(TcpFlags::RST) { b'I' } else { b'Q' };
            return self.once(news, from_low, letter, time);
        } else if has(TcpFlags::SYN) {
            // A SYN sent again with an ACK, as both opened at once, is still the same.
            (self.is_new(side, SYN, seq), if has(TcpFlags::ACK) { b'H' } else { b'S' })
        } else if has(TcpFlags::FIN) {
            (self.is_new(side, FIN, end), b'F')
        } else if has(TcpFlags::RST) {
            let last = &mut self.rare.get_or_insert_default()[side].last_reset;
            (last.replace(seq) != Some(seq), b'R')
        } else {
            return;
        };
        if is_new {
            news.0.push(Letter { time, from_low, letter });
        }
    }

    /// Whether a SYN or a FIN of that side has another number than the last one.
    fn is_new(&mut self, side: usize, kind: u8, number: Seq) -> bool {
        let last = std::mem::replace(&mut self.last[side][usize::from(kind == FIN)], number);
        let was_shown = self.shown[side] & kind != 0;
        self.shown[side] |= kind;
        !was_shown || last != number
    }

    /// Something that is told once for each side.
    pub(super) fn once(&mut self, news: &mut Letters, from_low: bool, letter: u8, time: u64) {
        let bit = match letter {
            b'A' => ACK,
            b'D' => DATA,
            b'I' => FIN_AND_RST,
            _ => MANY,
        };
        let shown = &mut self.shown[usize::from(!from_low)];
        if *shown & bit == 0 {
            *shown |= bit;
            news.0.push(Letter { time, from_low, letter });
        }
    }

    /// Something that came about `more` times: told at the first, tenth, hundredth … time.
    pub(super) fn logarithmic(
        &mut self,
        news: &mut Letters,
        from_low: bool,
        letter: u8,
        more: u64,
        time: u64,
    ) {
        if more == 0 {
            return;
        }
        let kind = match letter {
            b'T' => 0,
            b'W' => 1,
            _ => 2,
        };
        let count = &mut self.rare.get_or_insert_default()[usize::from(!from_low)].counts[kind];
        let before = steps(*count);
        *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        for _ in before..steps(*count) {
            news.0.push(Letter { time, from_low, letter });
        }
    }

    /// Takes in what an event at `time` brought: first what quiet segments before it have shown, then its own letters.
    pub(super) fn add(&mut self, mut news: Letters, time: u64) {
        if news.0.is_empty() {
            return;
        }
        news.0.sort_by_key(|letter| (letter.time == time, letter.time, place(letter.letter)));
        let room = MAX_LETTERS.saturating_sub(self.letters.len());
        self.letters.extend(news.0.into_iter().take(room).map(Letter::cased));
    }

    /// Takes in a SYN (or SYN-ACK) that was before all that is known.
    pub(super) fn add_first(&mut self, news: Letters) {
        for letter in news.0 {
            if self.letters.len() < MAX_LETTERS {
                let is_before = |known: &&u8| place(known.to_ascii_uppercase()) < place(letter.letter);
                let at = self.letters.iter().take_while(is_before).count();
                self.letters.insert(at, letter.cased());
            }
        }
    }

    /// The letters, in order; `^` where the first segment came from the side that is taken for the responder.
    pub(super) fn text(&self, client_is_low: bool) -> String {
        let flipped = self.first_from_low.is_some_and(|low| low != client_is_low).then_some('^');
        let cased = self
            .letters
            .iter()
            .map(|letter| char::from(if client_is_low { *letter } else { *letter ^ (b'a' - b'A') }));
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

    const S: TcpFlags = TcpFlags::SYN;
    const A: TcpFlags = TcpFlags::ACK;
    const F: TcpFlags = TcpFlags::FIN;
    const R: TcpFlags = TcpFlags::RST;
    const SA: TcpFlags = S.union(A);
    const FA: TcpFlags = F.union(A);
    const SF: TcpFlags = S.union(F);
    const SR: TcpFlags = S.union(R);
    const FR: TcpFlags = F.union(R);
    const SFR: TcpFlags = SF.union(R);

    #[test]
    fn each_kind_of_segment_has_its_letter() {
        type Row = (&'static str, &'static [(bool, TcpFlags, u32)], &'static str);
        let rows: &[Row] = &[
            ("a handshake", &[(true, S, 1), (false, SA, 9), (true, A, 2)], "Sh"),
            ("a SYN again", &[(true, S, 1), (true, S, 1)], "S"),
            ("another SYN", &[(true, S, 1), (true, S, 5)], "SS"),
            ("both open at once", &[(true, S, 1), (false, S, 9), (true, SA, 1), (false, SA, 9)], "Ss"),
            ("a FIN again", &[(true, FA, 3), (true, FA, 3)], "F"),
            ("another FIN", &[(true, FA, 3), (true, FA, 4)], "FF"),
            ("a RST again", &[(false, R, 3), (false, R, 3), (false, R, 4)], "^rr"),
            ("the answer first", &[(false, SA, 9), (true, A, 2), (false, FA, 10)], "^hf"),
            ("SYN and FIN", &[(true, SF, 1), (true, SF, 2)], "Q"),
            ("SYN and RST", &[(true, SR, 1)], "Q"),
            ("FIN and RST", &[(true, FR, 1), (true, SFR, 1)], "I"),
        ];
        for (what, segments, text) in rows {
            let mut history = History::default();
            for (time, (low, flags, seq)) in segments.iter().enumerate() {
                let mut news = Letters::default();
                history.on_flags(&mut news, *low, *flags, (Seq(*seq), Seq(*seq)), time as u64);
                history.add(news, time as u64);
            }
            assert_eq!(history.text(true), *text, "{what}");
        }
    }

    #[test]
    fn what_may_happen_often_is_told_at_powers_of_ten() {
        let letters = |each: &[u64]| {
            let mut history = History::default();
            for (time, more) in (1..).zip(each) {
                let mut news = Letters::default();
                history.logarithmic(&mut news, true, b'T', *more, time);
                history.add(news, time);
            }
            history.text(true)
        };
        for (count, text) in [(0, ""), (1, "T"), (9, "T"), (10, "TT"), (99, "TT"), (100, "TTT")] {
            let one_by_one = vec![1; count as usize];
            assert_eq!((letters(&one_by_one).as_str(), letters(&[count]).as_str()), (text, text), "{count}");
        }
    }

    /// A history of events, each with a time and its letters with theirs; lower case is from the higher endpoint.
    fn history(events: &[(u64, &[(u8, u64)])]) -> History {
        let mut history = History { first_from_low: Some(true), ..History::default() };
        for (time, letters) in events {
            let letter = |(letter, time): &(u8, u64)| Letter {
                time: *time,
                from_low: letter.is_ascii_uppercase(),
                letter: letter.to_ascii_uppercase(),
            };
            history.add(Letters(letters.iter().map(letter).collect()), *time);
        }
        history
    }

    #[test]
    fn letters_are_in_order_of_time_and_turn_with_the_connection() {
        type Row = (&'static str, &'static [(u64, &'static [(u8, u64)])], &'static str);
        let rows: &[Row] = &[
            ("one event", &[(10, &[(b't', 10), (b'd', 10), (b'D', 5), (b'A', 4)])], "ADdt"),
            ("of the same time, by event", &[(5, &[(b'F', 5)]), (5, &[(b'a', 5)])], "Fa"),
            ("two clocks: the quiet segment was before", &[(5, &[(b'F', 5), (b'a', 9)])], "aF"),
            ("two clocks: the event was after", &[(9, &[(b'h', 9)]), (5, &[(b'A', 5)])], "hA"),
        ];
        for (what, events, text) in rows {
            assert_eq!(history(events).text(true), *text, "{what}");
        }
        assert_eq!(history(rows[0].1).text(false), "^adDT");
    }

    #[test]
    fn a_handshake_that_was_not_told_comes_first() {
        let mut history = history(&[(5, &[(b'A', 5)]), (9, &[(b'F', 9)])]);
        for (low, flags) in [(false, S | A), (true, S)] {
            let mut news = Letters::default();
            history.on_flags(&mut news, low, flags, (Seq(1), Seq(1)), 1);
            history.add_first(news);
        }
        assert_eq!(history.text(true), "ShAF");
    }

    #[test]
    fn a_flood_of_letters_is_cut() {
        let mut history = History::default();
        for number in 0..1000 {
            let mut news = Letters::default();
            history.on_flags(&mut news, true, R, (Seq(number), Seq(number)), 1);
            history.add(news, 1);
        }
        assert_eq!(history.text(true).len(), MAX_LETTERS);
    }
}
