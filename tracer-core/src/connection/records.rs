//! The records of a connection.

use tracer_common::{event::SegmentEvent, flow::HalfFlags, wire::TcpFlags};

use super::{Connection, Phase, purpose::flags_text};
use crate::{
    record::{CloseReason, Closed, HalfOpen, Opened, Purpose, SegmentSeen, Side, SideTotals},
    tcp::completeness,
};

impl Connection {
    pub(super) fn opened(&self) -> Opened {
        Opened {
            syn_ack_ns: self.handshake.syn_ack_ns(),
            ack_ns: self.handshake.ack_ns(),
            syn_retransmits: self.handshake.syn_retransmits,
            syn_ack_retransmits: self.handshake.syn_ack_retransmits,
            midstream: !self.has_syn(),
        }
    }

    /// The record of a half-open handshake at `now`.
    #[must_use]
    pub fn half_open(&self, now: u64) -> HalfOpen {
        HalfOpen {
            since_ns: now.saturating_sub(self.first),
            syn_received_ns: self.handshake.since_syn_ack(now),
            syn_retransmits: self.handshake.syn_retransmits,
            syn_ack_retransmits: self.handshake.syn_ack_retransmits,
        }
    }

    /// How long the server was in SYN-RECEIVED, as seen on the wire: until the ACK, or at least until the
    /// last segment. `None` if the SYN-ACK or the ACK was not seen.
    fn syn_received_ns(&self) -> Option<u64> {
        if self.opened { self.handshake.ack_ns() } else { self.handshake.since_syn_ack(self.last) }
    }

    pub(super) fn segment_seen(&self, event: &SegmentEvent, purposes: Vec<Purpose>) -> SegmentSeen {
        let sender = self.session.side(event.header.sender());
        let (own, other) = (self.session.direction(sender), self.session.direction(sender.other()));
        // Only if both offer it (RFC 7323, 2.2); the SYN of the other side may not have been seen.
        let scales = !event.flags.contains(TcpFlags::SYN)
            && (other.window_scale.is_some() || !other.flags().contains(HalfFlags::SYN));
        let scale = own.window_scale.filter(|_| scales).unwrap_or(0);
        let acknowledges = event.flags.contains(TcpFlags::ACK) && other.flags().contains(HalfFlags::STARTED);
        let endpoints = self.session.endpoints();
        SegmentSeen {
            sender,
            since_start_ns: event.header.time.saturating_sub(self.first),
            flags: flags_text(event.flags),
            seq: own.relative(event.seq),
            ack: acknowledges.then(|| other.relative(event.ack)),
            len: event.payload_len,
            window: u64::from(event.window) << scale,
            purposes,
            client_state: endpoints.state(Side::Client),
            server_state: endpoints.state(Side::Server),
        }
    }

    /// Why it is over although it was not seen to close: the last acknowledgment of a FIN was missed, or
    /// nothing but RSTs was seen.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        if self.session.is_reset_doubtful() {
            return Some(CloseReason::Reset);
        }
        let directions = self.session.directions();
        let any = |bits| directions.iter().any(|direction| direction.flags().contains(bits));
        if directions.iter().all(|direction| direction.flags().contains(HalfFlags::FIN)) {
            Some(CloseReason::Fin)
        } else {
            (any(HalfFlags::RST) && !any(HalfFlags::STARTED)).then_some(CloseReason::Reset)
        }
    }

    /// Why it is over, unless the observation ended it.
    #[must_use]
    pub fn close_reason(&self) -> CloseReason {
        let server_silent = !self.session.direction(Side::Server).flags().contains(HalfFlags::SYN);
        match (self.phase(), self.session.endpoints().reset_by) {
            (Phase::Closed, None) => CloseReason::Fin,
            (Phase::Closed, Some(Side::Server)) if self.has_syn() && server_silent => CloseReason::Refused,
            (Phase::Closed, Some(_)) => CloseReason::Reset,
            (Phase::Open, _) => self.ended().unwrap_or(CloseReason::IdleTimeout),
            (Phase::HalfOpen, _) if server_silent => self.ended().unwrap_or(CloseReason::Unanswered),
            (Phase::HalfOpen, _) => self.ended().unwrap_or(CloseReason::HalfOpenTimeout),
        }
    }

    /// Who sent the RSTs, if nothing else of the connection was seen.
    fn lone_reset_by(&self) -> Option<Side> {
        let has_reset = |side: &Side| self.session.direction(*side).flags().contains(HalfFlags::RST);
        let [client, server] = [Side::Client, Side::Server].map(|side| Some(side).filter(has_reset));
        client.xor(server)
    }

    /// Why it ends with the observation at `now`: `end`, unless it is a handshake that was not answered. Nothing is said of one that may still be
    /// answered: a SYN is sent again after one second (RFC 6298, 2).
    #[must_use]
    pub fn reason_at_end(&self, end: CloseReason, now: u64) -> CloseReason {
        const SYN_TIMEOUT_NS: u64 = 1_000_000_000;
        let waited = now.saturating_sub(self.first) >= SYN_TIMEOUT_NS;
        let reason = self.close_reason();
        let unanswered = self.phase() == Phase::HalfOpen && reason == CloseReason::Unanswered;
        if waited && unanswered { reason } else { end }
    }

    pub(super) fn closed(&self, reason: CloseReason) -> Closed {
        let session = &self.session;
        let (client, server) = (session.direction(Side::Client), session.direction(Side::Server));
        let packets = client.packets() + server.packets();
        let verified = |totals: SideTotals| SideTotals {
            checksum_errors: if self.captured { totals.checksum_errors } else { 0 },
            ..totals
        };
        Closed {
            conn_state: session.conn_state(),
            history: session.history(),
            completeness: completeness(client.flags(), server.flags(), packets),
            reason,
            initiator: match reason {
                CloseReason::Reset | CloseReason::Refused => {
                    session.endpoints().reset_by.or_else(|| self.lone_reset_by())
                }
                CloseReason::Fin => session.endpoints().fin_by,
                CloseReason::Unanswered
                | CloseReason::HalfOpenTimeout
                | CloseReason::IdleTimeout
                | CloseReason::PortsReused
                | CloseReason::Evicted
                | CloseReason::EndOfCapture
                | CloseReason::EndOfTrace => None,
            },
            ttl_differs: session.reset_ttl_differs(),
            duration_ns: self.last.saturating_sub(self.first),
            handshake: self.opened(),
            syn_received_ns: self.syn_received_ns(),
            client: verified(client.side_totals(server)),
            server: verified(server.side_totals(client)),
            exchanges: self.exchanges(),
            icmp: self.icmp_totals(),
            events_lost: client.lost() + server.lost(),
        }
    }
}
