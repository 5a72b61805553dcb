//! What is new in a segment, or in what the kernel's table says, and what follows from it.

use tracer_common::{
    event::SegmentEvent,
    flow::{End, HalfCounters, HalfFlags, SegmentFlags},
    wire::TcpFlags,
};

use super::{
    super::{direction::window_scale, endpoints, history::Letters},
    Connection,
};

impl Connection {
    /// SYN and SYN-ACK: when, and how often again.
    pub(super) fn note_handshake(&mut self, event: &SegmentEvent, low: bool) {
        let time = event.header.time;
        if !event.reasons.intersects(SegmentFlags::SYN | SegmentFlags::SYN_ACK) {
            return;
        }
        self.directions[usize::from(!low)].window_scale = window_scale(event);
        let repeated = event.reasons.contains(SegmentFlags::REPEATED);
        let answer = event.reasons.contains(SegmentFlags::SYN_ACK);
        if !self.has_syn() {
            // Until now it was a guess who is the client.
            self.turn(low != answer);
        }
        if repeated {
            *if answer { &mut self.syn_ack_retransmits } else { &mut self.syn_retransmits } += 1;
        } else if answer {
            self.syn_ack_at = Some(time).into();
            self.syn_ack_ns = self.syn_at.get().map(|syn| time.saturating_sub(syn)).into();
        } else {
            self.syn_at = self.syn_at.get().or(Some(time)).into();
        }
    }

    /// What Zeek's history says of a segment besides its control bits; `zero_windows` were known before.
    pub(super) fn note_history(
        &mut self,
        event: &SegmentEvent,
        low: bool,
        zero_windows: u64,
        letters: &mut Letters,
    ) {
        let (time, own, other) = (event.header.time, usize::from(!low), usize::from(low));
        if self.course.heeds_window(low) {
            let quiet = self.directions[own].zero_windows().saturating_sub(zero_windows);
            let closing = event.window == 0
                && event.flags.intersects(TcpFlags::SYN | TcpFlags::FIN)
                && !event.flags.contains(TcpFlags::RST);
            self.history.logarithmic(letters, low, b'W', quiet + u64::from(closing), time);
        }
        if event.reasons.contains(SegmentFlags::NO_NEW_DATA) && !self.course.has_reset(low) {
            self.history.logarithmic(letters, low, b'T', 1, time);
        }
        if event.flags.contains(TcpFlags::ACK) {
            let unseen = self.directions[other].note_acked(event.ack);
            if self.course.is_clean() {
                self.history.logarithmic(letters, !low, b'G', unseen, time);
            }
        }
    }

    /// What Zeek makes of the control bits: of those of `event`, and before it of those `new` ones whose own event was lost.
    fn note_flags(
        &mut self,
        low: bool,
        new: HalfFlags,
        event: Option<&SegmentEvent>,
        time: u64,
        letters: &mut Letters,
    ) {
        let told = event.map_or(TcpFlags::EMPTY, |event| event.flags);
        let direction = &self.directions[usize::from(!low)];
        let (base, end) = (direction.base(), direction.end());
        let is_client = low == self.client_is_low;
        let is_lost = |flag, bit| new.contains(flag) && !told.contains(bit);
        if is_lost(HalfFlags::SYN, TcpFlags::SYN) {
            let bits =
                if !new.contains(HalfFlags::SYN_ACK) { TcpFlags::SYN } else { TcpFlags::SYN | TcpFlags::ACK };
            let mut first = Letters::default();
            self.history.on_flags(&mut first, low, bits, (base, base), self.first);
            self.history.add_first(first);
            self.course.on_segment(low, is_client, bits, 0);
        }
        for (flag, bits) in [(HalfFlags::FIN, TcpFlags::FIN), (HalfFlags::RST, TcpFlags::RST)] {
            if is_lost(flag, bits) {
                self.history.on_flags(letters, low, bits, (end, end), time);
                self.course.on_segment(low, is_client, bits, 0);
            }
        }
        if let Some(event) = event {
            let seq = event.payload_seq();
            let numbers = (seq, seq.add(event.payload_len));
            self.history.on_flags(letters, low, event.flags, numbers, time);
            self.course.on_segment(low, is_client, event.flags, event.payload_len);
        }
    }

    /// Takes in what both directions have shown, and advances the endpoints by what is new in it. Also right when events
    /// were lost in between. `event` is the segment that brought the news, if one did.
    pub(super) fn take_counters(
        &mut self,
        halves: &[HalfCounters; 2],
        event: Option<&SegmentEvent>,
        letters: &mut Letters,
    ) {
        let had_started =
            self.directions.each_ref().map(|direction| direction.flags().contains(HalfFlags::STARTED));
        let mut news = [HalfFlags::EMPTY; 2];
        for ((direction, told), news) in self.directions.iter_mut().zip(halves).zip(&mut news) {
            *news = direction.take(told);
        }
        let sender = event.map(|event| event.header.sender() == End::Low);
        let time = event.map_or(self.last, |event| event.header.time);
        // What the sender shows comes first.
        let first = sender.unwrap_or(true);
        let order = [first, !first];
        let causes =
            |low| event.filter(|_| sender == Some(low)).map_or(SegmentFlags::EMPTY, |event| event.reasons);
        self.ends.on_news(order.map(|low| {
            let index = usize::from(!low);
            // A SYN that was overtaken changes nothing any more.
            let mut flags = news[index];
            if had_started[index] {
                flags.remove(HalfFlags::SYN);
            }
            let fresh_syn_ack =
                flags.contains(HalfFlags::SYN) && halves[index].flags.contains(HalfFlags::SYN_ACK);
            endpoints::News {
                side: self.side(low),
                flags,
                answers: fresh_syn_ack || causes(low).contains(SegmentFlags::SYN_ACK),
                syn_acked: self.directions[1 - index].flags().contains(HalfFlags::ACKED_SYN),
            }
        }));
        for low in order {
            let index = usize::from(!low);
            let (side, new, now) = (self.side(low), news[index], causes(low));
            self.note_flags(low, new, event.filter(|_| sender == Some(low)), time, letters);
            for (letter, at) in [(b'A', halves[index].first_ack_ns), (b'D', halves[index].first_data_ns)] {
                if at != 0 {
                    self.history.once(letters, low, letter, at);
                }
            }
            if now.contains(SegmentFlags::RST) || event.is_none() && new.contains(HalfFlags::RESET) {
                let peer = &self.directions[1 - index];
                // A RST out of nothing ends nothing that is known.
                let is_known = self.directions[index].flags().contains(HalfFlags::STARTED);
                if is_known && event.is_none_or(|event| peer.accepts_reset(event.seq)) {
                    self.ends.on_reset(side);
                }
            }
        }
    }
}
