//! A connection as the tables keep it between segments: its TCP state, and the state of the message scanner.

use crate::{
    flow::{End, HalfFlags, SegmentFlags, TcpHalf, are_closed, are_confirmed},
    http1::{HttpHalf, Payload, Role},
    wire::{Segment, TcpFlags},
};

/// The state of a connection, each part once per direction: from the lower endpoint, from the higher one.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct FlowState {
    /// When the connection was first seen, in ns; identifies one incarnation of the key.
    pub id: u64,
    /// TCP.
    pub tcp: [TcpHalf; 2],
    /// HTTP/1.
    pub http: [HttpHalf; 2],
}

const _: () = assert!(size_of::<FlowState>() == 488);

impl FlowState {
    /// Nothing seen yet.
    pub const NEW: Self = Self { id: 0, tcp: [TcpHalf::NEW; 2], http: [HttpHalf::NEW; 2] };

    /// Whether both sides have had their FIN acknowledged, or one has reset the connection.
    #[inline(always)]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let [low, high] = &self.tcp;
        are_closed(low, high)
    }

    /// Whether the handshake is complete or data was seen: a connection, not only an attempt at one.
    #[inline(always)]
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let [low, high] = &self.tcp;
        are_confirmed(low, high)
    }

    /// Whether it was reported to userspace since it was confirmed; if not, those events were lost.
    #[inline(always)]
    #[must_use]
    pub fn is_reported(&self) -> bool {
        let [low, high] = &self.tcp;
        low.has(HalfFlags::REPORTED) || high.has(HalfFlags::REPORTED)
    }

    /// Takes in one segment. `now` reads the clock, in ns; it is only called when needed.
    ///
    /// This does not run the message scanner: see [`crate::http1`].
    #[inline(always)]
    pub fn on_segment(&mut self, segment: &Segment, from: End, now: impl Fn() -> u64) -> SegmentFlags {
        // What a socket that is connected to itself sends, it also receives.
        let is_own = segment.source_port == segment.destination_port && segment.source == segment.destination;
        if is_own {
            self.tcp[End::High as usize] = self.tcp[End::Low as usize];
        }
        let flags = self.on_segment_from(segment, from, now);
        if is_own {
            self.tcp[End::High as usize] = self.tcp[End::Low as usize];
        }
        flags
    }

    #[inline(always)]
    fn on_segment_from(&mut self, segment: &Segment, from: End, now: impl Fn() -> u64) -> SegmentFlags {
        let (sender, receiver) = from.split(&mut self.tcp);
        if sender.tries_again(receiver, segment) {
            sender.counters.flags.remove(HalfFlags::RESET);
            receiver.counters.flags.remove(HalfFlags::RESET);
        }
        receiver.choose_start(sender, segment);
        let flags = sender.on_segment(receiver, segment, now);
        if flags.contains(SegmentFlags::MIDSTREAM) && !receiver.expects_start_at(segment.seq) {
            from.of_mut(&mut self.http).lose_sync();
        }
        flags
    }

    /// Whether the message scanner has something to read in `segment`, which [`on_segment`](Self::on_segment) took in with
    /// `flags`.
    #[inline(always)]
    pub fn has_payload(&mut self, segment: &Segment, from: End, flags: SegmentFlags) -> bool {
        let (sender, receiver) = from.split(&mut self.tcp);
        let start = sender.offset_of(segment.payload_seq());
        let end = start + u64::from(segment.payload_len);
        // Bytes sent before the first segment seen have no offset, and must not be taken for the start of the stream.
        let readable = segment.payload_len > 0
            && !flags.intersects(SegmentFlags::KEEP_ALIVE | SegmentFlags::RST)
            && !sender.is_before_start(segment.payload_seq());
        if !readable {
            return false;
        }
        let (half, peer) = from.split(&mut self.http);
        half.set_role(role(sender, receiver));
        half.wants(peer, start, end)
    }

    /// Describes the payload of `segment` to the message scanner. Not returned, because that would take more of the BPF stack.
    #[inline(always)]
    pub fn set_payload(&self, segment: &Segment, from: End, flags: SegmentFlags, payload: &mut Payload) {
        let (sender, receiver) = (from.of(&self.tcp), from.other().of(&self.tcp));
        let acked = receiver.has(HalfFlags::ACKED);
        let acknowledges = segment.flags.contains(TcpFlags::ACK) && receiver.has(HalfFlags::STARTED);
        payload.start = sender.offset_of(segment.payload_seq());
        payload.end = payload.start + u64::from(segment.payload_len);
        payload.acked = if acked { sender.offset_of(receiver.counters.ack) } else { Payload::NOTHING_ACKED };
        payload.peer_acked =
            if acknowledges { receiver.acked_offset(segment.ack) } else { Payload::NOTHING_ACKED };
        payload.frame_offset = segment.payload_offset;
        payload.is_new = u16::from(!flags.contains(SegmentFlags::OLD_DATA));
        payload.after_gap = u16::from(flags.contains(SegmentFlags::GAP));
    }
}

/// Who sends the direction of `sender`: the client sends the first SYN, the server answers it.
#[inline(always)]
fn role(sender: &TcpHalf, receiver: &TcpHalf) -> Role {
    let is_client = |half: &TcpHalf| half.has(HalfFlags::SYN) && !half.has(HalfFlags::SYN_ACK);
    match (is_client(sender), is_client(receiver)) {
        (true, false) => Role::Client,
        (false, true) => Role::Server,
        // Where only the SYN-ACK was seen.
        _ if sender.has(HalfFlags::SYN_ACK) && !receiver.has(HalfFlags::SYN) => Role::Server,
        _ if receiver.has(HalfFlags::SYN_ACK) && !sender.has(HalfFlags::SYN) => Role::Client,
        _ => Role::Unknown,
    }
}
