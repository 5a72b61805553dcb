//! Zeek's `conn_state`: a summary of how a connection went.
//!
//! Zeek derives it from endpoint states that are coarser than those of RFC 9293 and change with every flag,
//! in the window or not: see `src/packet_analysis/protocol/tcp/TCPSessionAdapter.cc` and
//! `scripts/base/protocols/conn/main.zeek`.

use tracer_common::{flow::End, wire::TcpFlags};

use crate::record::{ConnState, Side};

/// The state of an endpoint, by Zeek's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing sent.
    #[default]
    Inactive,
    /// A SYN sent.
    SynSent,
    /// A SYN-ACK sent by the originator.
    SynAckSent,
    /// Segments sent, and no SYN seen.
    Partial,
    /// Established.
    Established,
    /// A FIN sent.
    Closed,
    /// A RST sent.
    Reset,
}

/// An endpoint: its state and the previous one.
#[derive(Clone, Copy, Debug, Default)]
struct Endpoint {
    state: State,
    previous: State,
}

impl Endpoint {
    fn set(&mut self, state: State) {
        if state != self.state {
            self.previous = std::mem::replace(&mut self.state, state);
        }
    }

    /// Whether it is established, or was until its FIN.
    fn is_clean(self) -> bool {
        self.state == State::Established || self.state == State::Closed && self.previous == State::Established
    }
}

/// Tracks `conn_state` from both endpoints: the lower one, the higher one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnStateTracker([Endpoint; 2]);

impl ConnStateTracker {
    /// Takes in a segment with `flags` and `len` bytes of payload, from one endpoint, which is on this side.
    pub(super) fn on_segment(&mut self, from: End, side: Side, flags: TcpFlags, len: u32) {
        let (sender, receiver) = from.split(&mut self.0);
        let has = |bits| flags.intersects(bits);
        match sender.state {
            State::Inactive => on_first(sender, receiver, side, flags, len),
            State::SynSent | State::SynAckSent => {
                if has(TcpFlags::FIN) {
                    sender.set(State::Closed);
                }
                if has(TcpFlags::RST) {
                    sender.set(State::Reset);
                }
            }
            State::Established | State::Partial => {
                let opens = has(TcpFlags::SYN) && !has(TcpFlags::ACK);
                if opens && sender.state == State::Partial && receiver.state == State::Inactive {
                    sender.set(State::SynSent);
                }
                if has(TcpFlags::RST) {
                    sender.set(State::Reset);
                } else if has(TcpFlags::FIN) {
                    sender.set(State::Closed);
                    // Some hosts close with a FIN and then a RST: that is a normal close.
                    if receiver.state == State::Reset && receiver.previous == State::Closed {
                        receiver.set(State::Closed);
                    }
                }
            }
            State::Closed => {
                if has(TcpFlags::RST) && receiver.state != State::Closed {
                    sender.set(State::Reset);
                }
            }
            // A stray RST says nothing of the connection that starts after it.
            State::Reset if sender.previous == State::Inactive && receiver.state == State::Inactive => {
                if has(TcpFlags::SYN) {
                    *sender = Endpoint::default();
                    on_first(sender, receiver, side, flags, len);
                }
            }
            State::Reset => {}
        }
    }

    /// Whether both endpoints are established, or were until their FIN: only then is a gap a loss.
    pub(super) fn is_clean(&self) -> bool {
        self.0.iter().all(|endpoint| endpoint.is_clean())
    }

    /// Whether a zero window of this side counts: not after its RST or the FIN of the other side.
    pub(super) fn heeds_window(&self, from: End) -> bool {
        from.of(&self.0).state != State::Reset && from.other().of(&self.0).state != State::Closed
    }

    /// Whether this side has sent a RST.
    pub(super) fn has_reset(&self, from: End) -> bool {
        from.of(&self.0).state == State::Reset
    }

    /// The `conn_state`; `empty`: neither side sent payload.
    pub(super) fn conn_state(&self, client: End, empty: bool) -> ConnState {
        let [low, high] = self.0;
        let is_only_rst = |one: Endpoint, other: Endpoint| {
            (one.state, one.previous, other.state) == (State::Reset, State::Inactive, State::Inactive)
        };
        if is_only_rst(low, high) || is_only_rst(high, low) {
            return ConnState::Oth;
        }
        let (client, server) = (client.of(&self.0).state, client.other().of(&self.0).state);
        let is_unseen = |state| matches!(state, State::Inactive | State::Partial);
        match (client, server) {
            (State::SynSent | State::SynAckSent, State::Reset) => ConnState::Rej,
            (State::Reset, State::Reset) if empty => ConnState::Rej,
            (client, State::Reset) if is_unseen(client) => ConnState::Rstrh,
            (_, State::Reset) => ConnState::Rstr,
            (State::Reset, server) if is_unseen(server) => ConnState::Rstos0,
            (State::Reset, _) => ConnState::Rsto,
            (State::Closed, State::Closed) => ConnState::Sf,
            (State::Closed, server) if is_unseen(server) => ConnState::Sh,
            (State::Closed, _) => ConnState::S2,
            (client, State::Closed) if is_unseen(client) => ConnState::Shr,
            (_, State::Closed) => ConnState::S3,
            (State::SynSent, State::Inactive) => ConnState::S0,
            (State::Established, State::Established) => ConnState::S1,
            _ => ConnState::Oth,
        }
    }
}

/// The first segment of a side.
fn on_first(sender: &mut Endpoint, receiver: &mut Endpoint, side: Side, flags: TcpFlags, len: u32) {
    let has = |bits| flags.intersects(bits);
    if has(TcpFlags::SYN) && side == Side::Client {
        sender.set(if has(TcpFlags::ACK) { State::SynAckSent } else { State::SynSent });
    } else if has(TcpFlags::SYN) {
        if receiver.state == State::SynSent {
            receiver.set(State::Established);
        }
        sender.set(State::Established);
    }
    if has(TcpFlags::FIN) {
        sender.set(State::Closed);
    }
    if has(TcpFlags::RST) {
        sender.set(State::Reset);
    }
    if sender.state != State::Inactive {
        return;
    }
    // Some hosts acknowledge a SYN before they answer it.
    if side == Side::Server && len == 0 && receiver.state == State::SynSent {
        return;
    }
    // After a SYN-ACK, only the SYN was missed.
    let confirms = has(TcpFlags::ACK) && receiver.state == State::Established;
    sender.set(if confirms { State::Established } else { State::Partial });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(script: &str) -> ConnStateTracker {
        let mut tracker = ConnStateTracker::default();
        for step in script.split_whitespace() {
            let is_client = step.starts_with('>');
            let (from, side) = if is_client { (End::Low, Side::Client) } else { (End::High, Side::Server) };
            let segment = &step[1..];
            let mut flags = TcpFlags::EMPTY;
            for (name, bit) in
                [('S', TcpFlags::SYN), ('A', TcpFlags::ACK), ('F', TcpFlags::FIN), ('R', TcpFlags::RST)]
            {
                flags |= if segment.contains(name) { bit } else { TcpFlags::EMPTY };
            }
            tracker.on_segment(from, side, flags, u32::from(segment.contains('D')));
        }
        tracker
    }

    #[test]
    fn conn_state_is_that_of_zeek() {
        for (what, script, state) in [
            ("no reply", ">S >S", ConnState::S0),
            ("refused", ">S <RA", ConnState::Rej),
            ("refused, and reset back", ">S <RA >R", ConnState::Rej),
            ("aborted before the SYN-ACK", ">S >R", ConnState::Rstos0),
            ("handshake not completed", ">S <SA", ConnState::S1),
            ("established", ">S <SA >A >AD <AD", ConnState::S1),
            ("closed by both", ">S <SA >A >FA <FA >A", ConnState::Sf),
            ("closed by the client only", ">S <SA >A >FA <A", ConnState::S2),
            ("closed by the server only", ">S <SA >A <FA >A", ConnState::S3),
            ("reset by the client", ">S <SA >A >R", ConnState::Rsto),
            ("reset by the server", ">S <SA >A <R", ConnState::Rstr),
            ("reset by both", ">S <SA >AD <R >R", ConnState::Rstr),
            ("a RST after both FINs", ">S <SA >A >FA <FA >R", ConnState::Sf),
            ("a RST after its own FIN", ">S <SA >A >FA >R", ConnState::Rsto),
            ("a FIN, a RST, and the other FIN", ">S <SA >A >FA >R <FA", ConnState::Sf),
            ("SYN and FIN, no reply", ">S >FA", ConnState::Sh),
            ("only the SYN-ACK", "<SA", ConnState::Oth),
            ("the SYN-ACK and the ACK", "<SA >A >AD", ConnState::S1),
            ("closed, the SYN not seen", "<SA >A >FA <FA", ConnState::Sf),
            ("the SYN-ACK and a FIN", "<SA <FA", ConnState::Shr),
            ("the SYN-ACK and a RST", "<SA <R", ConnState::Rstrh),
            ("no SYN", ">AD <A", ConnState::Oth),
            ("no SYN, both FINs", ">AD <AD >FA <FA", ConnState::Sf),
            ("no SYN, a FIN of the server", ">AD <FA", ConnState::Shr),
            ("no SYN, a FIN of the client", ">AD <A >FA", ConnState::Sh),
            ("a stray RST", ">R", ConnState::Oth),
            ("stray RSTs of the server", "<R <R", ConnState::Oth),
            ("simultaneous open", ">S <S >SA <SA", ConnState::S1),
            ("a SYN acknowledged before the SYN-ACK", ">S <A <SA >A", ConnState::S1),
            ("a SYN after segments taken for midstream", ">A >S <SA >A", ConnState::S1),
        ] {
            assert_eq!(track(script).conn_state(End::Low, !script.contains('D')), state, "{what}");
        }
    }

    #[test]
    fn gaps_are_losses_only_between_established_endpoints() {
        for (script, clean) in
            [(">S <SA", true), (">S <SA >FA", true), (">AD <AD", false), (">S", false), (">S <SA <R", false)]
        {
            assert_eq!(track(script).is_clean(), clean, "{script}");
        }
    }
}
