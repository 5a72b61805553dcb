//! The states of both endpoints, advanced by new evidence.

use tracer_common::flow::HalfFlags;

use super::state::Fact;
use crate::record::{Side, StateChange, TcpState};

/// The states of client and server, and who ended the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    states: [TcpState; 2],
    /// Who sent the first FIN, if that is known.
    pub(crate) fin_by: Option<Side>,
    fin_seen: bool,
    /// Who sent the RST that ended the connection.
    pub(crate) reset_by: Option<Side>,
}

/// What an event proves of one side for the first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    pub(super) side: Side,
    /// The flags that are new.
    pub(super) flags: HalfFlags,
    /// It sent a SYN-ACK, a first one or a retransmission.
    pub(super) sent_syn_ack: bool,
    /// The other side has acknowledged its SYN.
    pub(super) syn_acked: bool,
}

impl Endpoints {
    /// The state of one side.
    pub(crate) fn state(&self, side: Side) -> TcpState {
        self.states[usize::from(side == Side::Server)]
    }

    fn apply(&mut self, side: Side, fact: Fact) {
        let state = &mut self.states[usize::from(side == Side::Server)];
        *state = state.next(fact);
    }

    /// Takes in evidence of both sides, of several segments if events were lost, in an order in which it can
    /// have happened.
    pub(super) fn on_evidence(&mut self, evidence: [Evidence; 2]) {
        for Evidence { side, flags, sent_syn_ack, .. } in evidence {
            self.on_start(side, flags, sent_syn_ack);
        }
        for Evidence { side, flags, sent_syn_ack, syn_acked } in evidence {
            if sent_syn_ack && syn_acked {
                self.apply(side, Fact::SynAcked);
            }
            if flags.contains(HalfFlags::ACKED_SYN) {
                self.apply(side, Fact::AckedSyn);
                self.apply(side.other(), Fact::SynAcked);
            }
        }
        // A FIN that also acknowledges an earlier FIN acknowledges it first.
        let is_new_fin =
            |side| evidence.iter().any(|one| one.side == side && one.flags.contains(HalfFlags::FIN));
        self.on_fin_acks(evidence, |side| !is_new_fin(side.other()));
        self.on_fins(evidence);
        self.on_fin_acks(evidence, |side| is_new_fin(side.other()));
    }

    fn on_start(&mut self, side: Side, flags: HalfFlags, sent_syn_ack: bool) {
        if sent_syn_ack {
            // A SYN-ACK proves that the other side sent a SYN.
            if self.state(side.other()) == TcpState::Listen {
                self.apply(side.other(), Fact::SentSyn);
            }
            // In a simultaneous open, the SYN-ACK follows a SYN of the same side.
            self.apply(side, Fact::SentSynAck);
        } else if flags.contains(HalfFlags::SYN) {
            self.apply(side, Fact::SentSyn);
        } else if flags.contains(HalfFlags::STARTED) {
            self.apply(side, Fact::SentMidstream);
            self.apply(side.other(), Fact::SentMidstream);
        }
    }

    fn on_fin_acks(&mut self, evidence: [Evidence; 2], includes: impl Fn(Side) -> bool) {
        for Evidence { side, flags, .. } in evidence {
            if flags.contains(HalfFlags::ACKED_FIN) && includes(side) {
                self.apply(side, Fact::AckedFin);
                self.apply(side.other(), Fact::FinAcked);
            }
        }
    }

    fn on_fins(&mut self, evidence: [Evidence; 2]) {
        let [first, second] = evidence.map(|one| (one.flags.contains(HalfFlags::FIN)).then_some(one.side));
        if !self.fin_seen {
            // If both are new, their order is unknown.
            self.fin_by = first.xor(second);
            self.fin_seen = first.or(second).is_some();
        }
        for side in [first, second].into_iter().flatten() {
            self.apply(side, Fact::SentFin);
        }
    }

    /// `side` sends its SYN again after it was refused.
    pub(super) fn on_another_attempt(&mut self, side: Side) {
        *self = Self::default();
        self.apply(side, Fact::SentSyn);
    }

    /// `side` sent a valid RST.
    pub(super) fn on_reset(&mut self, side: Side) {
        self.apply(side, Fact::Reset);
        self.apply(side.other(), Fact::Reset);
        self.reset_by = self.reset_by.or(Some(side));
    }

    /// Swaps client and server.
    pub(super) fn swap(&mut self) {
        self.states.swap(0, 1);
        self.fin_by = self.fin_by.map(Side::other);
        self.reset_by = self.reset_by.map(Side::other);
    }

    /// Whether both have closed.
    pub(crate) fn are_closed(&self) -> bool {
        self.states.iter().all(|state| matches!(state, TcpState::TimeWait | TcpState::Closed))
    }

    /// Whether both have completed the handshake, or were seen midstream.
    pub(crate) fn are_open(&self) -> bool {
        let opening =
            |state: &TcpState| matches!(state, TcpState::Listen | TcpState::SynSent | TcpState::SynReceived);
        self.reset_by.is_none() && !self.states.iter().any(opening)
    }

    /// The states of client and server.
    pub(super) const fn states(&self) -> [TcpState; 2] {
        self.states
    }

    /// The change since the states were `previous`, if there is one.
    pub(super) fn change_since(&self, previous: [TcpState; 2]) -> Option<StateChange> {
        let ([client, server], [previous_client, previous_server]) = (self.states, previous);
        let change = StateChange { client, server, previous_client, previous_server };
        (self.states != previous).then_some(change)
    }
}
