//! What is new in a segment, or in what the kernel's table says, and what follows from it.

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfCounters, cause, half},
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
        if event.causes & (cause::SYN | cause::SYN_ACK) == 0 {
            return;
        }
        self.directions[usize::from(!low)].window_scale = window_scale(event);
        let repeated = event.causes & cause::REPEATED != 0;
        let answer = event.causes & cause::SYN_ACK != 0;
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
                && event.flags & (TcpFlags::SYN | TcpFlags::FIN) != 0
                && event.flags & TcpFlags::RST == 0;
            self.history.logarithmic(letters, low, b'W', quiet + u64::from(closing), time);
        }
        if event.causes & cause::NO_NEWS != 0 && !self.course.has_reset(low) {
            self.history.logarithmic(letters, low, b'T', 1, time);
        }
        if event.flags & TcpFlags::ACK != 0 {
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
        new: u32,
        event: Option<&SegmentEvent>,
        time: u64,
        letters: &mut Letters,
    ) {
        let told = event.map_or(0, |event| event.flags);
        let direction = &self.directions[usize::from(!low)];
        let (base, end) = (direction.base(), direction.end());
        let is_client = low == self.client_is_low;
        let is_lost = |flag: u32, bit: u8| new & flag != 0 && told & bit == 0;
        if is_lost(half::SYN, TcpFlags::SYN) {
            let bits = if new & half::SYN_ACK == 0 { TcpFlags::SYN } else { TcpFlags::SYN | TcpFlags::ACK };
            let mut first = Letters::default();
            self.history.on_flags(&mut first, low, TcpFlags(bits), (base, base), self.first);
            self.history.add_first(first);
            self.course.on_segment(low, is_client, TcpFlags(bits), 0);
        }
        for (flag, bits) in [(half::FIN, TcpFlags::FIN), (half::RST, TcpFlags::RST)] {
            if is_lost(flag, bits) {
                self.history.on_flags(letters, low, TcpFlags(bits), (end, end), time);
                self.course.on_segment(low, is_client, TcpFlags(bits), 0);
            }
        }
        if let Some(event) = event {
            let seq = event.payload_seq();
            let numbers = (seq, seq.add(event.payload_len));
            self.history.on_flags(letters, low, TcpFlags(event.flags), numbers, time);
            self.course.on_segment(low, is_client, TcpFlags(event.flags), event.payload_len);
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
        let had_started = self.directions.each_ref().map(|direction| direction.flags() & half::STARTED != 0);
        let mut news = [0; 2];
        for ((direction, told), news) in self.directions.iter_mut().zip(halves).zip(&mut news) {
            *news = direction.take(told);
        }
        let sender = event.map(|event| event.header.from_low != 0);
        let time = event.map_or(self.last, |event| event.header.time);
        // What the sender shows comes first.
        let first = sender.unwrap_or(true);
        let order = [first, !first];
        let causes = |low| event.filter(|_| sender == Some(low)).map_or(0, |event| event.causes);
        self.ends.on_news(order.map(|low| {
            let index = usize::from(!low);
            // A SYN that was overtaken changes nothing any more.
            let flags = if had_started[index] { news[index] & !half::SYN } else { news[index] };
            let fresh_syn_ack = flags & half::SYN != 0 && halves[index].flags & half::SYN_ACK != 0;
            endpoints::News {
                side: self.side(low),
                flags,
                answers: fresh_syn_ack || causes(low) & cause::SYN_ACK != 0,
                syn_acked: self.directions[1 - index].flags() & half::ACKED_SYN != 0,
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
            if now & cause::RST != 0 || event.is_none() && new & half::RESET != 0 {
                let peer = &self.directions[1 - index];
                // A RST out of nothing ends nothing that is known.
                let is_known = self.directions[index].flags() & half::STARTED != 0;
                if is_known && event.is_none_or(|event| peer.accepts_reset(event.seq)) {
                    self.ends.on_reset(side);
                }
            }
        }
    }
}
