//! One direction of a connection.

use super::{HalfFlags, SegmentFlags};
use crate::{seq::Seq, wire::NO_SCALE};

/// What one direction has shown so far; part of every segment event.
///
/// Times are nanoseconds of the observer's clock, 0 where the thing has not happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct HalfCounters {
    /// Segments.
    pub packets: u64,
    /// Payload bytes, retransmitted ones included.
    pub bytes: u64,
    /// Stream offset after the highest payload byte seen; the byte after the SYN is 0. Except for gaps, every byte before
    /// it was sent once.
    pub stream_end: u64,
    /// When the first pure acknowledgment was seen.
    pub first_ack_ns: u64,
    /// When the first payload without SYN, FIN or RST was seen.
    pub first_data_ns: u64,
    /// When the SYN was seen.
    pub syn_ns: u64,
    /// Sequence number of stream offset 0.
    pub base: Seq,
    /// Highest acknowledgment number sent.
    pub ack: Seq,
    /// Pure acknowledgments that repeat the previous number and window while data is outstanding (RFC 5681, 2).
    pub duplicate_acks: u32,
    /// Segments with a window of zero (SYN, FIN and RST excluded).
    pub zero_windows: u32,
    /// Events about this direction that were lost.
    pub lost: u32,
    /// What was seen.
    pub flags: HalfFlags,
}

impl HalfCounters {
    /// Nothing seen yet.
    pub const ZERO: Self = Self {
        packets: 0,
        bytes: 0,
        stream_end: 0,
        first_ack_ns: 0,
        first_data_ns: 0,
        syn_ns: 0,
        base: Seq(0),
        ack: Seq(0),
        duplicate_acks: 0,
        zero_windows: 0,
        lost: 0,
        flags: HalfFlags::EMPTY,
    };
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct TcpHalf {
    /// What segment events carry.
    pub counters: HalfCounters,
    /// Sequence number after the highest payload byte seen.
    pub next: Seq,
    /// Sequence number after the FIN.
    pub fin: Seq,
    /// The interface that owns this direction, as [`owner`]; 0: none yet.
    pub owner: u32,
    /// The last window, not scaled.
    pub window: u32,
    /// The flags of the current segment.
    pub(super) segment: SegmentFlags,
    /// With [`SegmentFlags::GAP`]: the bytes missing before the payload of the current segment.
    pub(crate) gap: u32,
    /// With [`HalfFlags::HOLE`]: the first missing byte that the other side had not acknowledged when it was skipped.
    pub(super) hole: Seq,
    /// The acknowledgment number of the last duplicate acknowledgment.
    pub(super) duplicate_ack: Seq,
    /// How many duplicate acknowledgments in a row have this number.
    pub(super) duplicates_in_row: u32,
    /// With its SYN seen: the shift count that it offers for its windows, or [`NO_SCALE`].
    pub(super) scale: u8,
    /// TTL, or hop limit, of its last segment other than a RST; 0: none was seen.
    pub(super) ttl: u8,
    /// ICMP errors about segments of this direction that were emitted.
    pub(crate) icmp_errors: u16,
    /// The last acknowledgment number that was too far ahead; 0: none.
    pub(super) far_ack: Seq,
    /// The end of the last payload that was too far ahead, or of a SYN-ACK with another number than the first; 0: none.
    pub(super) far_end: Seq,
    /// When the last segment was seen, in ns of the observer's coarse clock; 0: never.
    pub last_ns: u64,
}

const _: () = assert!(size_of::<HalfCounters>() == 72);
const _: () = assert!(size_of::<TcpHalf>() == 128);

impl TcpHalf {
    /// Nothing seen yet.
    pub const NEW: Self = Self {
        counters: HalfCounters::ZERO,
        next: Seq(0),
        fin: Seq(0),
        owner: 0,
        window: 0,
        segment: SegmentFlags::EMPTY,
        gap: 0,
        hole: Seq(0),
        duplicate_ack: Seq(0),
        duplicates_in_row: 0,
        scale: NO_SCALE,
        ttl: 0,
        icmp_errors: 0,
        far_ack: Seq(0),
        far_end: Seq(0),
        last_ns: 0,
    };

    /// Whether all of `flags` were seen.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flags: HalfFlags) -> bool {
        self.counters.flags.contains(flags)
    }

    /// The stream offset of `seq`, taken near the highest offset seen; 0 before the start of the stream.
    #[inline(always)]
    #[must_use]
    pub fn offset_of(&self, seq: Seq) -> u64 {
        let distance = seq.since(self.next);
        let offset = self.counters.stream_end.wrapping_add_signed(i64::from(distance));
        if distance < 0 && offset > self.counters.stream_end { 0 } else { offset }
    }

    /// The stream offset up to which an acknowledgment of `ack` acknowledges: a FIN takes a number, but is no byte.
    #[inline(always)]
    #[must_use]
    pub fn acked_offset(&self, ack: Seq) -> u64 {
        self.offset_of(ack).saturating_sub(u64::from(self.has(HalfFlags::FIN) && ack == self.fin))
    }

    /// Whether `seq` lies before the first known byte of the stream, and so has no offset.
    #[inline(always)]
    #[must_use]
    pub fn is_before_start(&self, seq: Seq) -> bool {
        let distance = seq.since(self.next);
        distance < 0 && u64::from(distance.unsigned_abs()) > self.counters.stream_end
    }

    /// The sequence number after everything sent, a FIN included.
    #[inline(always)]
    pub(super) fn sent(&self) -> Seq {
        if self.has(HalfFlags::FIN) { self.fin } else { self.next }
    }

    /// The most bytes that `peer` may have in flight to this side: twice the window, because windows change; the largest
    /// possible window where a SYN was not seen. Windows are only scaled if both sides offer it (RFC 7323, 2.2).
    #[inline(always)]
    pub(super) fn window_limit(&self, peer: &Self) -> i32 {
        /// The largest possible window: 16 bits, scaled by 14 (RFC 7323, 2.3).
        const MAX_WINDOW: u32 = UNSCALED << 14;
        /// The largest window without scaling.
        const UNSCALED: u32 = 0xffff;
        if !self.has(HalfFlags::SYN) || !peer.has(HalfFlags::SYN) {
            return MAX_WINDOW.cast_signed();
        }
        let scale = if self.scale == NO_SCALE || peer.scale == NO_SCALE { 0 } else { self.scale & 15 };
        let window = (self.window.min(UNSCALED) << scale).max(UNSCALED);
        (window.min(MAX_WINDOW / 2) * 2).cast_signed()
    }

    /// The interface that owns this direction; 0: none yet.
    #[must_use]
    pub const fn interface(&self) -> u32 {
        self.owner >> 1
    }
}

/// The owner of a direction as a number other than 0: an interface, which is not 0 either, and its hook's direction.
#[inline(always)]
#[must_use]
pub const fn owner(interface: u32, is_egress: bool) -> u32 {
    interface << 1 | is_egress as u32
}

/// Whether both sides have had their FIN acknowledged, or one has reset the connection.
#[inline(always)]
#[must_use]
pub fn are_closed(one: &TcpHalf, other: &TcpHalf) -> bool {
    let (one, other) = (one.counters.flags, other.counters.flags);
    (one & other).contains(HalfFlags::ACKED_FIN) || (one | other).contains(HalfFlags::RESET)
}

/// Whether the handshake is complete or data was seen: a connection, not only an attempt at one. Payload of a SYN does not
/// count.
#[inline(always)]
#[must_use]
pub fn are_confirmed(one: &TcpHalf, other: &TcpHalf) -> bool {
    let (one, other) = (one.counters.flags, other.counters.flags);
    (one & other).contains(HalfFlags::SYN | HalfFlags::ACKED_SYN) || (one | other).contains(HalfFlags::DATA)
}
