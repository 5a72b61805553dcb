//! The state of an endpoint (RFC 9293, 3.3.2), from what an observer sees it send and acknowledge.
//!
//! Before working on this file read RFC 9293, 3.3.2 and figure 5. An endpoint knows a segment when it arrives; an observer
//! knows only that it was sent. So a state changes here on proof: the endpoint's own segment, or the other side's
//! acknowledgment of one.

use crate::record::TcpState;

/// A fact that a segment proves about an endpoint.
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
    /// The state after `fact`: the transitions of RFC 9293, figure 5.
    #[must_use]
    pub(crate) const fn next(self, fact: Fact) -> Self {
        use Fact::{
            AckedFin, AckedSyn, FinAcked, Reset, SentFin, SentMidstream, SentSyn, SentSynAck, SynAcked,
        };
        use TcpState::{
            CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, Partial,
            SynReceived, SynSent, TimeWait,
        };
        match (self, fact) {
            // A SYN opens a connection, also one that reuses the ports (3.5).
            (Listen | Closed | TimeWait, SentSyn) => SynSent,
            // A SYN-ACK answers a SYN, also in a simultaneous open (3.5, figure 7).
            (Listen | Closed | TimeWait | SynSent, SentSynAck) => SynReceived,
            // The client completes its handshake when it acknowledges the SYN-ACK (3.10.7.3).
            (SynSent, AckedSyn) => Established,
            // The server completes its handshake when its SYN-ACK is acknowledged (3.10.7.4).
            (SynReceived, SynAcked) => Established,
            // An endpoint that is first seen midstream is open, and that is all that is known.
            (Listen, SentMidstream) => Partial,
            // The first FIN starts an active close; it may even follow the SYN at once (3.6).
            (Listen | SynSent | SynReceived | Established | Partial, SentFin) => FinWait1,
            // The second FIN ends a passive close (3.6).
            (CloseWait, SentFin) => LastAck,
            // An endpoint that acknowledges the first FIN starts a passive close (3.6).
            (Listen | SynSent | SynReceived | Established | Partial, AckedFin) => CloseWait,
            // The FINs crossed: both endpoints close at the same time (3.6, figure 13).
            (FinWait1, AckedFin) => Closing,
            // The second FIN ends an active close, and the endpoint waits for stray segments (3.6).
            (FinWait2, AckedFin) => TimeWait,
            // The first FIN was acknowledged: this direction is closed, the other one is not (3.6).
            (FinWait1, FinAcked) => FinWait2,
            // Both FINs of a simultaneous close were acknowledged (3.6, figure 13).
            (Closing, FinAcked) => TimeWait,
            // The second FIN was acknowledged: both directions are closed (3.6).
            (LastAck, FinAcked) => Closed,
            // A reset closes the connection at once, on both sides (3.5.3).
            (_, Reset) => Closed,
            // A SYN, or an acknowledgment of one, means nothing new once the handshake has passed that point.
            (
                SynSent | SynReceived | Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck | Partial,
                SentSyn,
            )
            | (
                SynReceived | Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck | Partial,
                SentSynAck,
            )
            | (
                Listen | SynReceived | Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck
                | TimeWait | Closed | Partial,
                AckedSyn,
            )
            | (
                Listen | SynSent | Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck | TimeWait
                | Closed | Partial,
                SynAcked,
            )
            // A segment of an endpoint that is known to be open means nothing new.
            | (
                SynSent | SynReceived | Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck
                | TimeWait | Closed | Partial,
                SentMidstream,
            )
            // A FIN, or an acknowledgment of one, means nothing new after the first.
            | (FinWait1 | FinWait2 | Closing | LastAck | TimeWait | Closed, SentFin)
            | (CloseWait | Closing | LastAck | TimeWait | Closed, AckedFin)
            | (
                Listen | SynSent | SynReceived | Established | FinWait2 | CloseWait | TimeWait | Closed | Partial,
                FinAcked,
            ) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Fact::{
            self, AckedFin, AckedSyn, FinAcked, Reset, SentFin, SentMidstream, SentSyn, SentSynAck, SynAcked,
        },
        TcpState::{
            self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, Partial,
            SynReceived, SynSent, TimeWait,
        },
    };

    #[test]
    fn every_fact_leads_from_every_state_to_the_state_of_the_table() {
        const FACTS: [Fact; 9] =
            [SentSyn, SentSynAck, AckedSyn, SynAcked, SentMidstream, SentFin, AckedFin, FinAcked, Reset];
        #[rustfmt::skip]
        let table: [(TcpState, [TcpState; 9]); 12] = [
            // From         SentSyn      SentSynAck   AckedSyn     SynAcked     SentMidstream SentFin   AckedFin   FinAcked    Reset
            (Listen,      [SynSent,     SynReceived, Listen,      Listen,      Partial,     FinWait1, CloseWait, Listen,      Closed]),
            (SynSent,     [SynSent,     SynReceived, Established, SynSent,     SynSent,     FinWait1, CloseWait, SynSent,     Closed]),
            (SynReceived, [SynReceived, SynReceived, SynReceived, Established, SynReceived, FinWait1, CloseWait, SynReceived, Closed]),
            (Established, [Established, Established, Established, Established, Established, FinWait1, CloseWait, Established, Closed]),
            (FinWait1,    [FinWait1,    FinWait1,    FinWait1,    FinWait1,    FinWait1,    FinWait1, Closing,   FinWait2,    Closed]),
            (FinWait2,    [FinWait2,    FinWait2,    FinWait2,    FinWait2,    FinWait2,    FinWait2, TimeWait,  FinWait2,    Closed]),
            (CloseWait,   [CloseWait,   CloseWait,   CloseWait,   CloseWait,   CloseWait,   LastAck,  CloseWait, CloseWait,   Closed]),
            (Closing,     [Closing,     Closing,     Closing,     Closing,     Closing,     Closing,  Closing,   TimeWait,    Closed]),
            (LastAck,     [LastAck,     LastAck,     LastAck,     LastAck,     LastAck,     LastAck,  LastAck,   Closed,      Closed]),
            (TimeWait,    [SynSent,     SynReceived, TimeWait,    TimeWait,    TimeWait,    TimeWait, TimeWait,  TimeWait,    Closed]),
            (Closed,      [SynSent,     SynReceived, Closed,      Closed,      Closed,      Closed,   Closed,    Closed,      Closed]),
            (Partial,     [Partial,     Partial,     Partial,     Partial,     Partial,     FinWait1, CloseWait, Partial,     Closed]),
        ];
        for (state, expected) in table {
            assert_eq!(FACTS.map(|fact| state.next(fact)), expected, "from {state:?}");
        }
    }

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
                "first seen midstream",
                &[SentMidstream, AckedFin, SentFin, FinAcked],
                &["PARTIAL", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
            ),
            (
                "a retransmitted FIN changes nothing",
                &[SentSyn, AckedSyn, SentFin, SentFin],
                &["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-1"],
            ),
            ("a SYN-ACK never acknowledged", &[SentSynAck, SentSynAck], &["SYN-RECEIVED", "SYN-RECEIVED"]),
        ] {
            assert_eq!(walk(facts), states, "{what}");
        }
    }
}
