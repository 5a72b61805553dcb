//! A connection in Zeek's vocabulary: its `conn_state` and its `history`.

use tracer_common::{
    event::SegmentEvent,
    flow::{End, HalfCounters, HalfFlags, SegmentFlags},
    wire::TcpFlags,
};

use super::{
    conn_state::ConnStateTracker,
    direction::Direction,
    history::{Entries, History},
    session::is_doubtful_reset,
};

use crate::record::Side;

/// What Zeek says of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Zeek {
    pub(super) history: History,
    pub(super) conn_state: ConnStateTracker,
}

/// The endpoint that a segment or a flag comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) end: End,
    pub(super) side: Side,
}

impl Zeek {
    /// Takes in the control bits of `event`, and before them those of `new` ([`half`] flags) whose own event
    /// was lost.
    pub(super) fn on_flags(
        &mut self,
        entries: &mut Entries,
        direction: &Direction,
        sender: Sender,
        new: HalfFlags,
        event: Option<&SegmentEvent>,
    ) {
        let Sender { end: from, side } = sender;
        let reported = event.map_or(TcpFlags::EMPTY, |event| event.flags);
        let is_lost = |flag, bit| new.contains(flag) && !reported.contains(bit);
        if is_lost(HalfFlags::SYN, TcpFlags::SYN) {
            let bits =
                if !new.contains(HalfFlags::SYN_ACK) { TcpFlags::SYN } else { TcpFlags::SYN | TcpFlags::ACK };
            let mut first = Entries::at(entries.time());
            let base = direction.base();
            self.history.on_flags(&mut first, from, bits, (base, base));
            self.history.add_first(first);
            self.conn_state.on_segment(from, side, bits, 0);
        }
        for (flag, bits) in [(HalfFlags::FIN, TcpFlags::FIN), (HalfFlags::RST, TcpFlags::RST)] {
            if is_lost(flag, bits) {
                let end = direction.end();
                self.history.on_flags(entries, from, bits, (end, end));
                self.conn_state.on_segment(from, side, bits, 0);
            }
        }
        if let Some(event) = event {
            let seq = event.payload_seq();
            let numbers = (seq, seq.add(event.payload_len));
            self.history.on_flags(entries, from, event.flags, numbers);
            if !is_doubtful_reset(event) && !event.reasons.contains(SegmentFlags::STRAY) {
                self.conn_state.on_segment(from, side, event.flags, event.payload_len);
            }
        }
    }

    /// Takes in the first acknowledgment and the first data of a direction.
    pub(super) fn on_counters(&mut self, entries: &mut Entries, from: End, counters: &HalfCounters) {
        for (kind, at) in [(b'A', counters.first_ack_ns), (b'D', counters.first_data_ns)] {
            if at != 0 {
                self.history.once(entries, from, kind, at);
            }
        }
    }

    /// Takes in what history says of a segment besides its control bits. `zero_windows` and `acked_gaps` are
    /// new with it: its sender's segments with a window of zero, and the gaps of the other side that it
    /// acknowledges.
    pub(super) fn on_segment(
        &mut self,
        entries: &mut Entries,
        event: &SegmentEvent,
        zero_windows: u64,
        acked_gaps: u64,
    ) {
        let from = event.header.sender();
        if self.conn_state.heeds_window(from) {
            let on_close = event.window == 0
                && event.flags.intersects(TcpFlags::SYN | TcpFlags::FIN)
                && !event.flags.contains(TcpFlags::RST);
            self.history.logarithmic(entries, from, b'W', zero_windows + u64::from(on_close));
        }
        if event.reasons.contains(SegmentFlags::NO_NEW_DATA) && !self.conn_state.has_reset(from) {
            self.history.logarithmic(entries, from, b'T', 1);
        }
        if self.conn_state.is_clean() {
            self.history.logarithmic(entries, from.other(), b'G', acked_gaps);
        }
    }
}
