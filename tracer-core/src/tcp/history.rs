//! Zeek's `history` of a connection: what happened, an entry each, in order; upper case from the originator,
//! lower case from the responder. See `scripts/base/protocols/conn/main.zeek` and
//! `src/analyzer/protocol/tcp/TCP_Endpoint.cc`.
//!
//! A segment with a bad checksum counts like any other, as with Zeek's option `-C`.

use smallvec::SmallVec;
use tracer_common::{flow::End, seq::Seq, wire::TcpFlags};

/// One entry of an endpoint.
#[derive(Clone, Copy, Debug)]
struct Entry {
    time: u64,
    from: End,
    /// Zeek's letter in upper case.
    kind: u8,
}

impl Entry {
    /// The letter in upper case if it is from the lower endpoint, else in lower case.
    fn cased(self) -> u8 {
        match self.from {
            End::Low => self.kind,
            End::High => self.kind.to_ascii_lowercase(),
        }
    }
}

/// The new entries of one event, in any order.
#[derive(Debug)]
pub(super) struct Entries {
    /// Time of the event, in ns.
    time: u64,
    list: SmallVec<[Entry; 4]>,
}

impl Entries {
    /// No entries yet, of an event at `time`.
    pub(super) fn at(time: u64) -> Self {
        Self { time, list: SmallVec::new() }
    }

    /// Time of the event, in ns.
    pub(super) const fn time(&self) -> u64 {
        self.time
    }

    fn push(&mut self, from: End, kind: u8) {
        self.list.push(Entry { time: self.time, from, kind });
    }
}

/// What most connections never need, of one side.
#[derive(Clone, Debug, Default)]
struct Rare {
    /// Sequence number of the last RST.
    last_reset: Option<Seq>,
    /// Occurrences of T, W and G.
    counts: [u32; 3],
}

/// The most bytes that a history allocates.
pub(crate) const MAX_HEAP: usize = size_of::<[Rare; 2]>() + MAX_ENTRIES;

/// The entry A was added; each side has it once at most.
const ACK: u8 = 1 << 0;
/// The same of D.
const DATA: u8 = 1 << 1;
/// The same of I.
const FIN_AND_RST: u8 = 1 << 2;
/// The same of Q.
const MULTIPLE_FLAGS: u8 = 1 << 3;
/// A SYN or SYN-ACK was added, and its sequence number is known.
const SYN: u8 = 1 << 4;
/// The same of a FIN.
const FIN: u8 = 1 << 5;

/// The history of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The entries in order; those of the higher endpoint in lower case.
    entries: SmallVec<[u8; 16]>,
    /// Which of [`ACK`] to [`FIN`] were added for the lower endpoint, and for the higher one.
    added: [u8; 2],
    /// Sequence numbers of their last SYN (or SYN-ACK) and their last FIN: another number is another entry.
    last: [[Seq; 2]; 2],
    rare: Option<Box<[Rare; 2]>>,
    /// The endpoint that sent the first segment.
    first: Option<End>,
}

/// The most entries kept: those with a sequence number could be spoofed without end.
const MAX_ENTRIES: usize = 64;

/// The order of entries that have the same time, and of those of one segment.
const fn rank(kind: u8) -> u8 {
    match kind {
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
    /// Adds the entries for SYN, FIN and RST of a segment. `seq` is the number of its payload, `end` the one
    /// after it.
    pub(super) fn on_flags(
        &mut self,
        entries: &mut Entries,
        from: End,
        flags: TcpFlags,
        (seq, end): (Seq, Seq),
    ) {
        self.first.get_or_insert(from);
        let has = |bits| flags.intersects(bits);
        let kinds = flags & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        let side = from.index();
        let (is_new, kind) = if kinds.bits().count_ones() > 1 {
            let kind = if has(TcpFlags::FIN) && has(TcpFlags::RST) { b'I' } else { b'Q' };
            let time = entries.time;
            return self.once(entries, from, kind, time);
        } else if has(TcpFlags::SYN) {
            // In a simultaneous open the SYN is retransmitted with an ACK, and is the same one.
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
            entries.push(from, kind);
        }
    }

    /// Whether a SYN or a FIN of that side has another sequence number than the last one.
    fn is_new(&mut self, side: usize, flag: u8, number: Seq) -> bool {
        let last = std::mem::replace(&mut self.last[side][usize::from(flag == FIN)], number);
        let was_added = self.added[side] & flag != 0;
        self.added[side] |= flag;
        !was_added || last != number
    }

    /// Adds an entry that each side has once at most.
    pub(super) fn once(&mut self, entries: &mut Entries, from: End, kind: u8, time: u64) {
        let bit = match kind {
            b'A' => ACK,
            b'D' => DATA,
            b'I' => FIN_AND_RST,
            _ => MULTIPLE_FLAGS,
        };
        let added = from.of_mut(&mut self.added);
        if *added & bit == 0 {
            *added |= bit;
            entries.list.push(Entry { time, from, kind });
        }
    }

    /// Counts `more` occurrences, and adds an entry at the first, tenth, hundredth … one.
    pub(super) fn logarithmic(&mut self, entries: &mut Entries, from: End, kind: u8, more: u64) {
        if more == 0 {
            return;
        }
        let index = match kind {
            b'T' => 0,
            b'W' => 1,
            _ => 2,
        };
        let count = &mut from.of_mut(self.rare.get_or_insert_default()).counts[index];
        let before = steps(*count);
        *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        for _ in before..steps(*count) {
            entries.push(from, kind);
        }
    }

    /// Adds the entries of an event: first those of unreported segments before it, then its own.
    pub(super) fn add(&mut self, entries: Entries) {
        let Entries { time, mut list } = entries;
        if list.is_empty() {
            return;
        }
        list.sort_by_key(|entry| (entry.time == time, entry.time, rank(entry.kind)));
        let free = MAX_ENTRIES.saturating_sub(self.entries.len());
        self.entries.extend(list.into_iter().take(free).map(Entry::cased));
    }

    /// Adds a SYN (or SYN-ACK) that was sent before all that is known.
    pub(super) fn add_first(&mut self, entries: Entries) {
        for entry in entries.list {
            if self.entries.len() < MAX_ENTRIES {
                let is_before = |known: &&u8| rank(known.to_ascii_uppercase()) < rank(entry.kind);
                let at = self.entries.iter().take_while(is_before).count();
                self.entries.insert(at, entry.cased());
            }
        }
    }

    /// The history as text; it starts with `^` if the first segment came from the side taken for the
    /// responder.
    pub(super) fn text(&self, client: End) -> String {
        let flipped = self.first.is_some_and(|first| first != client).then_some('^');
        let entries = self
            .entries
            .iter()
            .map(|kind| char::from(if client == End::Low { *kind } else { *kind ^ (b'a' - b'A') }));
        flipped.into_iter().chain(entries).collect()
    }
}

/// How many of 1, 10, 100 … are at most `count`.
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
    fn each_kind_of_segment_has_its_entry() {
        type Row = (&'static str, &'static [(End, TcpFlags, u32)], &'static str);
        let rows: &[Row] = &[
            ("a handshake", &[(End::Low, S, 1), (End::High, SA, 9), (End::Low, A, 2)], "Sh"),
            ("a SYN retransmitted", &[(End::Low, S, 1), (End::Low, S, 1)], "S"),
            ("another SYN", &[(End::Low, S, 1), (End::Low, S, 5)], "SS"),
            (
                "simultaneous open",
                &[(End::Low, S, 1), (End::High, S, 9), (End::Low, SA, 1), (End::High, SA, 9)],
                "Ss",
            ),
            ("a FIN retransmitted", &[(End::Low, FA, 3), (End::Low, FA, 3)], "F"),
            ("another FIN", &[(End::Low, FA, 3), (End::Low, FA, 4)], "FF"),
            ("a RST retransmitted", &[(End::High, R, 3), (End::High, R, 3), (End::High, R, 4)], "^rr"),
            ("the SYN-ACK first", &[(End::High, SA, 9), (End::Low, A, 2), (End::High, FA, 10)], "^hf"),
            ("SYN and FIN", &[(End::Low, SF, 1), (End::Low, SF, 2)], "Q"),
            ("SYN and RST", &[(End::Low, SR, 1)], "Q"),
            ("FIN and RST", &[(End::Low, FR, 1), (End::Low, SFR, 1)], "I"),
        ];
        for (what, segments, text) in rows {
            let mut history = History::default();
            for (time, (from, flags, seq)) in segments.iter().enumerate() {
                let mut entries = Entries::at(time as u64);
                history.on_flags(&mut entries, *from, *flags, (Seq(*seq), Seq(*seq)));
                history.add(entries);
            }
            assert_eq!(history.text(End::Low), *text, "{what}");
        }
    }

    #[test]
    fn frequent_entries_are_added_at_powers_of_ten() {
        let text_of = |each: &[u64]| {
            let mut history = History::default();
            for (time, more) in (1..).zip(each) {
                let mut entries = Entries::at(time);
                history.logarithmic(&mut entries, End::Low, b'T', *more);
                history.add(entries);
            }
            history.text(End::Low)
        };
        for (count, text) in [(0, ""), (1, "T"), (9, "T"), (10, "TT"), (99, "TT"), (100, "TTT")] {
            let one_by_one = vec![1; count as usize];
            assert_eq!((text_of(&one_by_one).as_str(), text_of(&[count]).as_str()), (text, text), "{count}");
        }
    }

    /// A history of events, each with a time and its entries with theirs; lower case is from the higher
    /// endpoint.
    fn history(events: &[(u64, &[(u8, u64)])]) -> History {
        let mut history = History { first: Some(End::Low), ..History::default() };
        for (time, entries) in events {
            let entry = |(kind, time): &(u8, u64)| Entry {
                time: *time,
                from: if kind.is_ascii_uppercase() { End::Low } else { End::High },
                kind: kind.to_ascii_uppercase(),
            };
            history.add(Entries { time: *time, list: entries.iter().map(entry).collect() });
        }
        history
    }

    #[test]
    fn entries_are_in_order_of_time_and_change_case_with_the_client() {
        type Row = (&'static str, &'static [(u64, &'static [(u8, u64)])], &'static str);
        let rows: &[Row] = &[
            ("one event", &[(10, &[(b't', 10), (b'd', 10), (b'D', 5), (b'A', 4)])], "ADdt"),
            ("of the same time, by event", &[(5, &[(b'F', 5)]), (5, &[(b'a', 5)])], "Fa"),
            ("two clocks: the unreported segment was before", &[(5, &[(b'F', 5), (b'a', 9)])], "aF"),
            ("two clocks: the event was after", &[(9, &[(b'h', 9)]), (5, &[(b'A', 5)])], "hA"),
        ];
        for (what, events, text) in rows {
            assert_eq!(history(events).text(End::Low), *text, "{what}");
        }
        assert_eq!(history(rows[0].1).text(End::High), "^adDT");
    }

    #[test]
    fn an_unreported_handshake_comes_first() {
        let mut history = history(&[(5, &[(b'A', 5)]), (9, &[(b'F', 9)])]);
        for (from, flags) in [(End::High, S | A), (End::Low, S)] {
            let mut entries = Entries::at(1);
            history.on_flags(&mut entries, from, flags, (Seq(1), Seq(1)));
            history.add_first(entries);
        }
        assert_eq!(history.text(End::Low), "ShAF");
    }

    #[test]
    fn a_history_has_a_maximum_length() {
        let mut history = History::default();
        for number in 0..1000 {
            let mut entries = Entries::at(1);
            history.on_flags(&mut entries, End::Low, R, (Seq(number), Seq(number)));
            history.add(entries);
        }
        assert_eq!(history.text(End::Low).len(), MAX_ENTRIES);
    }
}
