//! Why a segment is told to userspace: a set of facts about it. An empty set is a quiet segment.

/// A SYN without ACK.
pub const SYN: u32 = 1 << 0;
/// A SYN with ACK.
pub const SYN_ACK: u32 = 1 << 1;
/// The first acknowledgment of the other side's SYN by a segment that is not a SYN itself.
pub const HANDSHAKE_ACK: u32 = 1 << 2;
/// The first segment of a direction whose SYN was not seen.
pub const MIDSTREAM: u32 = 1 << 3;
/// A FIN.
pub const FIN: u32 = 1 << 4;
/// The first acknowledgment of the other side's FIN.
pub const FIN_ACKED: u32 = 1 << 5;
/// A RST.
pub const RST: u32 = 1 << 6;
/// Payload that starts before the highest sequence number seen: a retransmission, or a segment that was overtaken.
pub const OLD_DATA: u32 = 1 << 7;
/// Payload that starts after the highest sequence number seen: something is missing before it.
pub const GAP: u32 = 1 << 8;
/// An acknowledgment of bytes that were not seen.
pub const ACKED_UNSEEN: u32 = 1 << 9;
/// The receive window became zero.
pub const ZERO_WINDOW: u32 = 1 << 10;
/// The receive window is no longer zero.
pub const WINDOW_OPEN: u32 = 1 << 11;
/// A keep-alive: no byte or one, just before the next expected one (RFC 9293, 3.8.4).
pub const KEEP_ALIVE: u32 = 1 << 12;
/// A SYN or FIN that was seen before.
pub const REPEATED: u32 = 1 << 13;
/// Any segment after both FINs were acknowledged, or after a reset.
pub const AFTER_CLOSE: u32 = 1 << 14;
/// Nothing noteworthy: told because every segment is asked for.
pub const EVERY: u32 = 1 << 15;
/// Payload, and none of it behind the highest sequence number seen.
pub const NO_NEWS: u32 = 1 << 16;
/// With OLD_DATA: it starts where the other side has just asked for it by duplicate acknowledgments (RFC 5681, 3.2).
pub const FAST_RETRANSMIT: u32 = 1 << 17;
/// The next byte alone, while the other side's window is zero: a window probe (RFC 9293, 3.8.6.1).
pub const WINDOW_PROBE: u32 = 1 << 18;
/// The checksum is wrong, as far as the observer verifies it: see [`Frame::is_damaged`](crate::observe::Frame::is_damaged).
pub const BAD_CHECKSUM: u32 = 1 << 19;
