//! One TCP connection: both directions, the states of both endpoints, and Zeek's view.

use tracer_common::{
    event::SegmentEvent,
    flow::{End, HalfCounters, HalfFlags, SegmentFlags},
    wire::TcpFlags,
};

use super::{
    conn_state::ConnStateTracker,
    direction::{self, Delta, Direction, window_scale},
    endpoints::{Endpoints, Evidence},
    history::{self, Entries},
    stats::SegmentKind,
    zeek::{Sender, Zeek},
};
use crate::record::{ConnState, Side, StateChange};

/// What is known of one TCP connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Which endpoint is the client.
    client: End,
    /// From the lower endpoint, from the higher one.
    directions: [Direction; 2],
    endpoints: Endpoints,
    zeek: Zeek,
    /// A RST that its receiver ignores unless bytes before it were missed.
    doubtful_reset: Option<DoubtfulReset>,
    /// The TTL of the RST that ended it is not that of its sender's other segments.
    reset_ttl_differs: bool,
}

/// A RST beyond all that its sender was seen to send (RFC 5961, 3): it ends the connection if its sender sends nothing but
/// RSTs after it.
#[derive(Clone, Copy, Debug)]
struct DoubtfulReset {
    from: End,
    /// Segments of its sender so far.
    packets: u64,
}

/// What one segment, or one lookup in the kernel's table, changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    /// Whether more events of the lower and of the higher endpoint are known to be lost.
    pub(crate) lost: [bool; 2],
    /// The change of the endpoints' states.
    pub(crate) state_change: Option<StateChange>,
    /// What was found out about the segment.
    pub(crate) context: SegmentContext,
    /// The FIN that the segment is.
    pub(crate) fin: Option<Fin>,
}

/// What was found out about a segment besides the reasons of its event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentContext {
    /// It was reordered on its way, not retransmitted.
    pub(crate) out_of_order: bool,
    /// It is a duplicate acknowledgment.
    pub(crate) duplicate_ack: bool,
    /// The server has not answered the SYN yet.
    pub(crate) opening: bool,
}

/// The end of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fin {
    /// Stream offset after the last byte.
    pub(crate) end: u64,
    /// Bytes before it that were not seen.
    pub(crate) missing: u64,
}

impl Session {
    /// The most bytes that one allocates besides its gaps, with what the allocator adds to each piece.
    pub(crate) const MAX_HEAP: usize = 2 * (direction::MAX_HEAP + 16) + history::MAX_HEAP + 2 * 16;

    /// A connection of which nothing was seen yet.
    pub(crate) fn new(client: End) -> Self {
        Self {
            client,
            directions: Default::default(),
            endpoints: Endpoints::default(),
            zeek: Zeek::default(),
            doubtful_reset: None,
            reset_ttl_differs: false,
        }
    }

    /// Takes in a segment; `round_trip_ns` is that of the handshake.
    pub(crate) fn on_segment(&mut self, event: &SegmentEvent, round_trip_ns: u64) -> Update {
        let from = event.header.sender();
        let (own, other) = (from.index(), from.other().index());
        let previous = self.endpoints.states();
        let opening = !self.direction(Side::Server).flags().contains(HalfFlags::SYN) && self.has_syn();

        if event.reasons.contains(SegmentFlags::SYN) && self.endpoints.reset_by.is_some() {
            // A refused SYN is sent again.
            self.endpoints.on_another_attempt(self.side(from));
            self.zeek.conn_state = ConnStateTracker::default();
        }
        let kind = self.directions[own].on_segment(event, round_trip_ns);
        self.on_syn(event);
        let lost = self.note_lost(&event.halves);
        let mut entries = Entries::at(event.header.time);
        let deltas = self.apply(&event.halves, Some(event), &mut entries);
        self.on_reset(event);
        let is_ack = event.flags.contains(TcpFlags::ACK) && !event.reasons.contains(SegmentFlags::STRAY);
        if is_ack && !event.flags.contains(TcpFlags::RST) {
            self.directions[other].on_unseen(event.ack);
        }
        let acked_gaps = if is_ack { self.directions[other].on_acked(event.ack) } else { 0 };
        self.zeek.on_segment(&mut entries, event, deltas[own].zero_windows, acked_gaps);
        self.zeek.history.add(entries);
        self.directions[own].window = event.window;
        Update {
            lost,
            state_change: self.endpoints.change_since(previous),
            context: SegmentContext {
                out_of_order: kind == SegmentKind::OutOfOrder,
                duplicate_ack: deltas[own].duplicate_acks > 0,
                opening,
            },
            fin: self.directions[own].fin(event),
        }
    }

    /// Takes in the counters of the kernel's table, whose last segment was seen at `time`.
    pub(crate) fn on_lookup(&mut self, halves: &[HalfCounters; 2], time: u64) -> Update {
        let previous = self.endpoints.states();
        let lost = self.note_lost(halves);
        let mut entries = Entries::at(time);
        self.apply(halves, None, &mut entries);
        self.zeek.history.add(entries);
        Update { lost, state_change: self.endpoints.change_since(previous), ..Update::default() }
    }

    /// Reads the window scale of a SYN or a SYN-ACK, and who is the client if no SYN was seen before.
    fn on_syn(&mut self, event: &SegmentEvent) {
        if !event.reasons.intersects(SegmentFlags::SYN | SegmentFlags::SYN_ACK) {
            return;
        }
        let from = event.header.sender();
        from.of_mut(&mut self.directions).window_scale = window_scale(event);
        if !self.has_syn() {
            let is_answer = event.reasons.contains(SegmentFlags::SYN_ACK);
            self.set_client(if is_answer { from.other() } else { from });
        }
    }

    fn note_lost(&mut self, halves: &[HalfCounters; 2]) -> [bool; 2] {
        End::BOTH.map(|from| self.on_lost(from, from.of(halves).lost))
    }

    /// Applies the counters of both directions: advances the endpoints by what is new, which may be more than
    /// `event` shows if events were lost before it.
    fn apply(
        &mut self,
        halves: &[HalfCounters; 2],
        event: Option<&SegmentEvent>,
        entries: &mut Entries,
    ) -> [Delta; 2] {
        let [low, high] = &mut self.directions;
        let deltas = [low.apply(&halves[0]), high.apply(&halves[1])];
        // What the sender shows comes first.
        let first = event.map_or(End::Low, |event| event.header.sender());
        let order = [first, first.other()];
        let own = |from| event.filter(|event| event.header.sender() == from);
        let reasons = |from| own(from).map_or(SegmentFlags::EMPTY, |event| event.reasons);
        self.endpoints.on_evidence(order.map(|from| {
            let index = from.index();
            // A reordered SYN changes nothing any more.
            let mut flags = deltas[index].flags;
            if deltas[index].had_started {
                flags.remove(HalfFlags::SYN);
            }
            let new_syn_ack =
                flags.contains(HalfFlags::SYN) && halves[index].flags.contains(HalfFlags::SYN_ACK);
            Evidence {
                side: self.side(from),
                flags,
                sent_syn_ack: new_syn_ack || reasons(from).contains(SegmentFlags::SYN_ACK),
                syn_acked: self.directions[1 - index].flags().contains(HalfFlags::ACKED_SYN),
            }
        }));
        for from in order {
            let index = from.index();
            let direction = &self.directions[index];
            let new = deltas[index].flags;
            let sender = Sender { end: from, side: self.side(from) };
            self.zeek.on_flags(entries, direction, sender, new, own(from));
            self.zeek.on_counters(entries, from, &halves[index]);
            if new.contains(HalfFlags::RESET) {
                self.endpoints.on_reset(self.side(from));
            }
        }
        self.on_alive(|doubtful| doubtful.from.of(halves).packets > doubtful.packets);
        deltas
    }

    /// Judges the RST that `event` may be.
    fn on_reset(&mut self, event: &SegmentEvent) {
        if !event.reasons.contains(SegmentFlags::RST) {
            return;
        }
        let from = event.header.sender();
        let half = from.of(&event.halves);
        if is_doubtful_reset(event) {
            self.doubtful_reset = Some(DoubtfulReset { from, packets: half.packets });
        }
        self.reset_ttl_differs |= event.reasons.contains(SegmentFlags::OTHER_TTL)
            && half.flags.contains(HalfFlags::RESET)
            && !event.reasons.contains(SegmentFlags::AFTER_CLOSE);
    }

    fn on_alive(&mut self, is_alive: impl Fn(DoubtfulReset) -> bool) {
        self.doubtful_reset = self.doubtful_reset.filter(|doubtful| !is_alive(*doubtful));
    }

    /// An endpoint has sent a message: it has not reset the connection.
    pub(crate) fn on_message(&mut self, from: End) {
        self.on_alive(|doubtful| doubtful.from == from);
    }

    /// Whether a RST ends the connection if its sender sends nothing more.
    pub(crate) const fn is_reset_doubtful(&self) -> bool {
        self.doubtful_reset.is_some()
    }

    /// The sender of a doubtful RST has sent nothing more: it ends the connection.
    pub(crate) fn conclude_reset(&mut self) {
        if let Some(DoubtfulReset { from, .. }) = self.doubtful_reset.take() {
            let side = self.side(from);
            self.endpoints.on_reset(side);
            self.zeek.conn_state.on_segment(from, side, TcpFlags::RST, 0);
        }
    }

    /// Whether the TTL, or hop limit, of the RST that ended the connection is not that of its sender's other segments.
    pub(crate) const fn reset_ttl_differs(&self) -> bool {
        self.reset_ttl_differs
    }

    /// Notes that `lost` events of an endpoint were lost in all; returns whether that is more than before.
    pub(crate) fn on_lost(&mut self, from: End, lost: u32) -> bool {
        from.of_mut(&mut self.directions).note_lost(lost)
    }

    /// Whether a SYN or a SYN-ACK of the connection was seen.
    pub(crate) fn has_syn(&self) -> bool {
        self.directions.iter().any(|direction| direction.flags().contains(HalfFlags::SYN))
    }

    /// Which endpoint is the client.
    pub(crate) const fn client(&self) -> End {
        self.client
    }

    /// Sets which endpoint is the client.
    pub(crate) fn set_client(&mut self, client: End) {
        if client != self.client {
            self.client = client;
            self.endpoints.swap();
        }
    }

    /// The side of an endpoint.
    pub(crate) fn side(&self, end: End) -> Side {
        if end == self.client { Side::Client } else { Side::Server }
    }

    /// What `side` sent.
    pub(crate) fn direction(&self, side: Side) -> &Direction {
        let end = match side {
            Side::Client => self.client,
            Side::Server => self.client.other(),
        };
        end.of(&self.directions)
    }

    /// Both directions.
    pub(crate) const fn directions(&self) -> &[Direction; 2] {
        &self.directions
    }

    /// The states of both endpoints.
    pub(crate) const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Zeek's `conn_state`.
    pub(crate) fn conn_state(&self) -> ConnState {
        let is_empty = self.directions.iter().all(|direction| direction.stream_bytes() == 0);
        self.zeek.conn_state.conn_state(self.client, is_empty)
    }

    /// Zeek's `history`.
    pub(crate) fn history(&self) -> String {
        self.zeek.history.text(self.client)
    }

    /// Bytes of memory that the gaps take.
    pub(crate) fn buffered(&self) -> usize {
        self.directions.iter().map(Direction::buffered).sum()
    }

    /// Drops the gaps; their bytes count as never seen.
    pub(crate) fn drop_buffers(&mut self) {
        self.directions.iter_mut().for_each(Direction::drop_gaps);
    }

    /// The kernel lost its state of the connection, and counts from zero again.
    pub(crate) fn restart(&mut self) {
        self.directions.iter_mut().for_each(Direction::restart);
    }

    /// Counts one lost event that the kernel does not count.
    pub(crate) fn count_lost(&mut self) {
        self.directions[0].count_lost();
    }
}

/// Whether `event` is a RST that its receiver ignores unless bytes before it were missed.
pub(super) fn is_doubtful_reset(event: &SegmentEvent) -> bool {
    let flags = event.header.sender().of(&event.halves).flags;
    event.reasons & (SegmentFlags::RST | SegmentFlags::AFTER_CLOSE) == SegmentFlags::RST
        && flags & (HalfFlags::STARTED | HalfFlags::RESET) == HalfFlags::STARTED
}
