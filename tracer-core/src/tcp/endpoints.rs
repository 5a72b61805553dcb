//! Both endpoints' states, advanced by what is new in what they have shown.

use tracer_common::flow::HalfFlags;

use super::state::Fact;
use crate::record::{Side, StateChange, TcpState};

/// The states of client and server, and who ended the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    states: [TcpState; 2],
    /// Who sent the first FIN, if that is known.
    pub(super) fin_by: Option<Side>,
    fin_seen: bool,
    /// Who sent the RST that ended the connection.
    pub(super) reset_by: Option<Side>,
}

/// What one side has newly shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) side: Side,
    /// The flags that are new.
    pub(super) flags: HalfFlags,
    /// Its SYN carries an ACK, and is new or seen again.
    pub(super) answers: bool,
    /// The other side has acknowledged its SYN.
    pub(super) syn_acked: bool,
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

    /// Takes in what is new, in an order in which it can have happened: when events were lost, several things at once.
    pub(super) fn on_news(&mut self, news: [News; 2]) {
        for News { side, flags, answers, .. } in news {
            self.on_start(side, flags, answers);
        }
        for News { side, flags, answers, syn_acked } in news {
            if answers && syn_acked {
                self.apply(side, Fact::SynAcked);
            }
            if flags.contains(HalfFlags::ACKED_SYN) {
                self.apply(side, Fact::AckedSyn);
                self.apply(side.other(), Fact::SynAcked);
            }
        }
        // A segment that acknowledges a FIN and is one itself does the first first.
        let fresh = |side| news.iter().any(|news| news.side == side && news.flags.contains(HalfFlags::FIN));
        self.on_fin_acks(news, |side| !fresh(side.other()));
        self.on_fins(news);
        self.on_fin_acks(news, |side| fresh(side.other()));
    }

    fn on_start(&mut self, side: Side, flags: HalfFlags, answers: bool) {
        if answers {
            // Who is answered has asked, seen or not.
            if self.state(side.other()) == TcpState::Listen {
                self.apply(side.other(), Fact::SentSyn);
            }
            // Also when both sides opened at once: a second SYN, now with an ACK.
            self.apply(side, Fact::SentSynAck);
        } else if flags.contains(HalfFlags::SYN) {
            self.apply(side, Fact::SentSyn);
        } else if flags.contains(HalfFlags::STARTED) {
            self.apply(side, Fact::SentMidstream);
            self.apply(side.other(), Fact::SentMidstream);
        }
    }

    fn on_fin_acks(&mut self, news: [News; 2], wanted: impl Fn(Side) -> bool) {
        for News { side, flags, .. } in news {
            if flags.contains(HalfFlags::ACKED_FIN) && wanted(side) {
                self.apply(side, Fact::AckedFin);
                self.apply(side.other(), Fact::FinAcked);
            }
        }
    }

    fn on_fins(&mut self, news: [News; 2]) {
        let [first, second] = news.map(|news| (news.flags.contains(HalfFlags::FIN)).then_some(news.side));
        if !self.fin_seen {
            // Of two at once, nobody knows which was the first.
            self.fin_by = first.xor(second);
            self.fin_seen = first.or(second).is_some();
        }
        for side in [first, second].into_iter().flatten() {
            self.apply(side, Fact::SentFin);
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
