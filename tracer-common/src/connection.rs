//! A connection as the tables keep it between segments: its TCP state, and the state of the message scanner.

use crate::{
    flow::{End, HalfFlags, SegmentFlags, TcpHalf, are_closed, are_confirmed},
    http1::HttpHalf,
    wire::Segment,
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

const _: () = assert!(size_of::<FlowState>() == 424);

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
        let (sender, receiver) = from.split(&mut self.tcp);
        let flags = sender.on_segment(receiver, segment, now);
        if flags.contains(SegmentFlags::MIDSTREAM) && !receiver.expects_start_at(segment.seq) {
            from.of_mut(&mut self.http).lose_sync();
        }
        flags
    }
}
