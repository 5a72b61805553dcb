//! The clock of a handshake: its round trips and its retransmissions.

use tracer_common::{event::SegmentEvent, flow::SegmentFlags};

use super::optional_ns::OptionalNs;

/// Times and retransmissions of one handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshake {
    syn_at: OptionalNs,
    syn_ack_at: OptionalNs,
    syn_ack_ns: OptionalNs,
    ack_ns: OptionalNs,
    /// Retransmissions of the SYN.
    pub(crate) syn_retransmits: u32,
    /// Retransmissions of the SYN-ACK.
    pub(crate) syn_ack_retransmits: u32,
}

impl Handshake {
    /// Records a SYN or a SYN-ACK; ignores other segments.
    pub(crate) fn on_segment(&mut self, event: &SegmentEvent) {
        if !event.reasons.intersects(SegmentFlags::SYN | SegmentFlags::SYN_ACK) {
            return;
        }
        let time = event.header.time;
        let is_syn_ack = event.reasons.contains(SegmentFlags::SYN_ACK);
        if event.reasons.contains(SegmentFlags::REPEATED) {
            *if is_syn_ack { &mut self.syn_ack_retransmits } else { &mut self.syn_retransmits } += 1;
        } else if is_syn_ack {
            self.syn_ack_at = Some(time).into();
            self.syn_ack_ns = self.syn_at.get().map(|syn| time.saturating_sub(syn)).into();
        } else {
            self.syn_at = self.syn_at.get().or(Some(time)).into();
        }
    }

    /// Records the ACK at `time` that confirms the handshake.
    pub(crate) fn on_confirmed(&mut self, time: u64) {
        self.ack_ns = self.since_syn_ack(time).into();
    }

    /// Time from the SYN to the SYN-ACK.
    pub(crate) fn syn_ack_ns(&self) -> Option<u64> {
        self.syn_ack_ns.get()
    }

    /// Time from the SYN-ACK to the ACK that confirms it.
    pub(crate) fn ack_ns(&self) -> Option<u64> {
        self.ack_ns.get()
    }

    /// Time from the SYN-ACK to `time`; `None` if the SYN-ACK was not seen.
    pub(crate) fn since_syn_ack(&self, time: u64) -> Option<u64> {
        Some(time.saturating_sub(self.syn_ack_at.get()?))
    }
}
