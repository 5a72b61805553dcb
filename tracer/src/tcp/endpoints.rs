//! Both endpoints' states, advanced by what is new in what they have shown.

use tracer_common::flow::half;

use super::state::Fact;
use crate::record::{Side, StateChange, TcpState};

/// The states of client and server, and who ended the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    states: [TcpState; 2],
    /// Who sent the first FIN.
    pub(super) fin_by: Option<Side>,
    /// Who sent the RST that ended the connection.
    pub(super) reset_by: Option<Side>,
}

impl Endpoints {
    /// The state of one.
    pub(super) fn state(&self, side: Side) -> TcpState {
        self.states[usize::from(side == Side::Server)]
    }

    fn apply(&mut self, side: Side, fact: Fact) {
        let state = &mut self.states[usize::from(side == Side::Server)];
        *state = state.next(fact);
    }

    /// Takes in the [`half`] flags that are `new` in what `side` has shown. `answers`: its SYN carries an ACK;
    /// `syn_acked`: the other side has acknowledged its SYN.
    pub(super) fn on_flags(&mut self, side: Side, new: u32, answers: bool, syn_acked: bool) {
        if new & half::SYN != 0 {
            self.apply(side, if answers { Fact::SentSynAck } else { Fact::SentSyn });
        } else if answers {
            // Both sides opened at once: a second SYN, now with an ACK.
            self.apply(side, Fact::SentSynAck);
        } else if new & half::STARTED != 0 {
            self.apply(side, Fact::SentMidstream);
            self.apply(side.other(), Fact::SentMidstream);
        }
        if answers && syn_acked {
            self.apply(side, Fact::SynAcked);
        }
        if new & half::ACKED_SYN != 0 {
            self.apply(side, Fact::AckedSyn);
            self.apply(side.other(), Fact::SynAcked);
        }
        if new & half::ACKED_FIN != 0 {
            self.apply(side, Fact::AckedFin);
            self.apply(side.other(), Fact::FinAcked);
        }
        if new & half::FIN != 0 {
            self.apply(side, Fact::SentFin);
            self.fin_by = self.fin_by.or(Some(side));
        }
    }

    /// `side` sent a RST that counts.
    pub(super) fn on_reset(&mut self, side: Side) {
        self.apply(side, Fact::Reset);
        self.apply(side.other(), Fact::Reset);
        self.reset_by = self.reset_by.or(Some(side));
    }

    /// Client and server are the other way round.
    pub(super) fn turn(&mut self) {
        self.states.swap(0, 1);
        self.fin_by = self.fin_by.map(Side::other);
        self.reset_by = self.reset_by.map(Side::other);
    }

    /// Both are done with the connection.
    pub(super) fn are_closed(&self) -> bool {
        self.states.iter().all(|state| matches!(state, TcpState::TimeWait | TcpState::Closed))
    }

    /// Both have left the handshake behind, or were picked up after it.
    pub(super) fn are_open(&self) -> bool {
        let opening =
            |state: &TcpState| matches!(state, TcpState::Listen | TcpState::SynSent | TcpState::SynReceived);
        self.reset_by.is_none() && !self.states.iter().any(opening)
    }

    /// The change since `previous`, if there is one.
    pub(super) fn change_since(&self, previous: &Self) -> Option<StateChange> {
        (self.states != previous.states).then(|| StateChange {
            client: self.state(Side::Client),
            server: self.state(Side::Server),
            previous_client: previous.state(Side::Client),
            previous_server: previous.state(Side::Server),
        })
    }
}
