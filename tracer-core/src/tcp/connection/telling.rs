//! What is told of a connection.

use tracer_common::{event::SegmentEvent, flow::HalfFlags, wire::TcpFlags};

use super::{
    super::{completeness::completeness, endpoints::Endpoints, purpose::flags_text},
    Connection, Phase,
};
use crate::{
    http::End,
    record::{Body, CloseReason, Closed, HalfOpen, Opened, Purpose, Said, SegmentSeen, Side, SideTotals},
};

impl Connection {
    pub(super) fn tell_change(&self, previous: &Endpoints, time: u64, said: &mut Said) {
        if self.wanted.states
            && let Some(change) = self.ends.change_since(previous)
        {
            said.push((time, Body::State(change)));
        }
    }

    /// `confirmed` by the segment at `time`; it may also have been opened by one that was not told.
    pub(super) fn tell_opened(&mut self, confirmed: bool, time: u64, said: &mut Said) {
        if self.opened || !self.ends.are_open() {
            return;
        }
        self.opened = true;
        let midstream = !self.has_syn();
        let answered = self.syn_ack_at.get().filter(|_| confirmed);
        self.ack_ns = answered.map(|at| time.saturating_sub(at)).into();
        let body = Body::Opened(Opened {
            syn_ack_ns: self.syn_ack_ns.get(),
            ack_ns: self.ack_ns.get(),
            syn_retransmits: self.syn_retransmits,
            syn_ack_retransmits: self.syn_ack_retransmits,
            midstream,
        });
        said.push((time, body));
    }

    /// How long the server was in SYN-RECEIVED, as far as the wire shows it: until the confirmation, or at least until the
    /// last segment. Not known where the SYN-ACK or the confirmation was not seen.
    fn syn_received_ns(&self) -> Option<u64> {
        let answered = self.syn_ack_at.get()?;
        if self.opened { self.ack_ns.get() } else { Some(self.last.saturating_sub(answered)) }
    }

    /// What there is to say at `now` about a handshake that is not confirmed.
    #[must_use]
    pub fn half_open(&self, now: u64) -> HalfOpen {
        HalfOpen {
            since_ns: now.saturating_sub(self.first),
            syn_received_ns: self.syn_ack_at.get().map(|at| now.saturating_sub(at)),
            syn_retransmits: self.syn_retransmits,
            syn_ack_retransmits: self.syn_ack_retransmits,
        }
    }

    pub(super) fn segment_seen(
        &self,
        event: &SegmentEvent,
        sender: Side,
        purposes: Vec<Purpose>,
    ) -> SegmentSeen {
        let own = self.direction(sender);
        let other = self.direction(sender.other());
        let scale = if !event.flags.contains(TcpFlags::SYN) { own.window_scale.unwrap_or(0) } else { 0 };
        let acknowledges = event.flags.contains(TcpFlags::ACK) && other.flags().contains(HalfFlags::STARTED);
        SegmentSeen {
            sender,
            since_start_ns: event.header.time.saturating_sub(self.first),
            flags: flags_text(event.flags),
            seq: own.relative(event.seq),
            ack: acknowledges.then(|| other.relative(event.ack)),
            len: event.payload_len,
            window: u64::from(event.window) << scale,
            purposes,
            client_state: self.ends.state(Side::Client),
            server_state: self.ends.state(Side::Server),
        }
    }

    /// The connection is over for `reason`, at `now`: what is pending, and then the record of its end.
    pub fn close(&mut self, reason: CloseReason, now: u64, said: &mut Said) {
        let end = match reason {
            CloseReason::Fin => End::Closed,
            CloseReason::Reset | CloseReason::Refused => End::Reset,
            CloseReason::Unanswered
            | CloseReason::HalfOpenTimeout
            | CloseReason::IdleTimeout
            | CloseReason::Evicted => End::NotObserved,
            CloseReason::EndOfCapture => End::ObservationOver,
        };
        if let Some(carried) = &mut self.carried {
            said.append(&mut carried.held);
        }
        self.finish_http(end, now, said);
        said.push((now, Body::Closed(Box::new(self.closed(reason)))));
    }

    /// Why it is over although it was not seen to close: of the last acknowledgments one was missed, or of all of it nothing
    /// but RSTs was seen.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        let all = |bits| self.directions.iter().all(|direction| direction.flags().contains(bits));
        let any = |bits| self.directions.iter().any(|direction| direction.flags().contains(bits));
        if all(HalfFlags::FIN) {
            Some(CloseReason::Fin)
        } else {
            (any(HalfFlags::RST) && !any(HalfFlags::STARTED)).then_some(CloseReason::Reset)
        }
    }

    /// Why it is over, if it closed by itself.
    #[must_use]
    pub fn close_reason(&self) -> CloseReason {
        let server_silent = !self.direction(Side::Server).flags().contains(HalfFlags::SYN);
        match self.phase() {
            Phase::Closed if self.ends.reset_by.is_none() => CloseReason::Fin,
            Phase::Closed if self.ends.reset_by == Some(Side::Server) && self.has_syn() && server_silent => {
                CloseReason::Refused
            }
            Phase::Closed => CloseReason::Reset,
            phase @ (Phase::Open | Phase::HalfOpen) => self.ended().unwrap_or(match phase {
                Phase::Open | Phase::Closed => CloseReason::IdleTimeout,
                Phase::HalfOpen if server_silent => CloseReason::Unanswered,
                Phase::HalfOpen => CloseReason::HalfOpenTimeout,
            }),
        }
    }

    fn closed(&self, reason: CloseReason) -> Closed {
        let (client, server) = (self.direction(Side::Client), self.direction(Side::Server));
        let empty = client.stream_bytes() == 0 && server.stream_bytes() == 0;
        let packets = client.packets() + server.packets();
        let verified = |totals: SideTotals| SideTotals {
            checksum_errors: totals.checksum_errors.filter(|_| self.captured),
            ..totals
        };
        Closed {
            conn_state: self.course.conn_state(self.client_is_low, empty),
            history: self.history.text(self.client_is_low),
            completeness: completeness(client.flags(), server.flags(), packets),
            reason,
            initiator: match reason {
                CloseReason::Reset | CloseReason::Refused => self.ends.reset_by,
                CloseReason::Fin => self.ends.fin_by,
                CloseReason::Unanswered
                | CloseReason::HalfOpenTimeout
                | CloseReason::IdleTimeout
                | CloseReason::Evicted
                | CloseReason::EndOfCapture => None,
            },
            duration_ns: self.last.saturating_sub(self.first),
            syn_received_ns: self.syn_received_ns(),
            client: verified(client.side_totals(server)),
            server: verified(server.side_totals(client)),
            exchanges: self.exchanges(),
            events_lost: client.lost() + server.lost(),
        }
    }
}
