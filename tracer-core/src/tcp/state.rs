//! The state of an endpoint (RFC 9293, 3.3.2) from what an observer sees it send and acknowledge.
//!
//! Before working on this file read RFC 9293, 3.3.2 and figure 5. An endpoint knows a segment when it arrives; an
//! observer knows only that it was sent. So a state changes here on what proves it: the endpoint's own segment, or the
//! other side's acknowledgment of one.

use crate::record::TcpState;

/// One thing that a segment proves about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It sent a SYN.
    SentSyn,
    /// It sent a SYN that acknowledges one.
    SentSynAck,
    /// It acknowledged the other side's SYN.
    AckedSyn,
    /// Its SYN was acknowledged.
    SynAcked,
    /// It sent a segment, and its SYN was not seen.
    SentMidstream,
    /// It sent a FIN.
    SentFin,
    /// It acknowledged the other side's FIN.
    AckedFin,
    /// Its FIN was acknowledged.
    FinAcked,
    /// It sent or received a RST.
    Reset,
}

impl TcpState {
    /// The state after `fact`.
    #[must_use]
    pub(crate) const fn next(self, fact: Fact) -> Self {
        match fact {
            // An active open, also one that uses the ports again.
            Fact::SentSyn => match self {
                Self::Listen | Self::Closed | Self::TimeWait => Self::SynSent,
                Self::SynSent
                | Self::SynReceived
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::Partial => self,
            },
            // A passive open, or both sides opening at once: SYN-SENT goes to SYN-RECEIVED too.
            Fact::SentSynAck => match self {
                Self::Listen | Self::Closed | Self::TimeWait | Self::SynSent => Self::SynReceived,
                Self::SynReceived
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::Partial => self,
            },
            // The side that opened has got the SYN-ACK: that is the end of its handshake.
            Fact::AckedSyn => match self {
                Self::SynSent => Self::Established,
                // Its own SYN is not acknowledged yet, or this is no news.
                Self::Listen
                | Self::SynReceived
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait
                | Self::Closed
                | Self::Partial => self,
            },
            // The side that was asked has got the confirmation: that is the end of its handshake.
            Fact::SynAcked => match self {
                Self::SynReceived => Self::Established,
                // A SYN-SENT side leaves that state when it is seen to acknowledge the SYN-ACK.
                Self::Listen
                | Self::SynSent
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait
                | Self::Closed
                | Self::Partial => self,
            },
            // Picked up in the middle: it is open, and that is all that is known.
            Fact::SentMidstream => match self {
                Self::Listen => Self::Partial,
                Self::SynSent
                | Self::SynReceived
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait
                | Self::Closed
                | Self::Partial => self,
            },
            Fact::SentFin => match self {
                // The first to close; a FIN may even follow the SYN at once.
                Self::Listen | Self::SynSent | Self::SynReceived | Self::Established | Self::Partial => {
                    Self::FinWait1
                }
                // The second to close.
                Self::CloseWait => Self::LastAck,
                // The FIN again.
                Self::FinWait1
                | Self::FinWait2
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait
                | Self::Closed => self,
            },
            Fact::AckedFin => match self {
                // It knows that the other side has no more to send.
                Self::Listen | Self::SynSent | Self::SynReceived | Self::Established | Self::Partial => {
                    Self::CloseWait
                }
                // Both FINs crossed on the way.
                Self::FinWait1 => Self::Closing,
                // Its own FIN was acknowledged before: it waits for stray segments.
                Self::FinWait2 => Self::TimeWait,
                Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait | Self::Closed => self,
            },
            Fact::FinAcked => match self {
                // Its direction is closed; the other one is not.
                Self::FinWait1 => Self::FinWait2,
                // Both directions are closed, after FINs that crossed.
                Self::Closing => Self::TimeWait,
                // Both directions are closed, and it was the second.
                Self::LastAck => Self::Closed,
                Self::Listen
                | Self::SynSent
                | Self::SynReceived
                | Self::Established
                | Self::FinWait2
                | Self::CloseWait
                | Self::TimeWait
                | Self::Closed
                | Self::Partial => self,
            },
            // A reset ends the connection at once, on both sides.
            Fact::Reset => Self::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Fact::{
            self, AckedFin, AckedSyn, FinAcked, Reset, SentFin, SentMidstream, SentSyn, SentSynAck, SynAcked,
        },
        TcpState,
    };

    fn walk(facts: &[Fact]) -> Vec<&'static str> {
        facts
            .iter()
            .scan(TcpState::default(), |state, fact| {
                *state = state.next(*fact);
                Some(state.as_str())
            })
            .collect()
    }

    #[test]
    fn an_endpoint_goes_through_the_states_of_rfc_9293() {
        for (what, facts, states) in [
            (
                "active open, active close",
                &[SentSyn, AckedSyn, SentFin, FinAcked, AckedFin][..],
                &["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"][..],
            ),
            (
                "passive open, passive close",
                &[SentSynAck, SynAcked, AckedFin, SentFin, FinAcked],
                &["SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
            ),
            (
                "simultaneous open",
                &[SentSyn, SentSynAck, SynAcked],
                &["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"],
            ),
            (
                "simultaneous close",
                &[SentSyn, AckedSyn, SentFin, AckedFin, FinAcked],
                &["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"],
            ),
            ("refused", &[SentSyn, Reset], &["SYN-SENT", "CLOSED"]),
            (
                "picked up in the middle",
                &[SentMidstream, AckedFin, SentFin, FinAcked],
                &["PARTIAL", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
            ),
            (
                "a repeated FIN changes nothing",
                &[SentSyn, AckedSyn, SentFin, SentFin],
                &["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-1"],
            ),
            ("a SYN-ACK never confirmed", &[SentSynAck, SentSynAck], &["SYN-RECEIVED", "SYN-RECEIVED"]),
        ] {
            assert_eq!(walk(facts), states, "{what}");
        }
    }
}
