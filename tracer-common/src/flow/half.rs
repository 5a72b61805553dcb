//! Flags of [`HalfCounters::flags`](super::HalfCounters::flags).

/// A segment was seen in this direction.
pub const STARTED: u32 = 1 << 0;
/// A SYN was seen.
pub const SYN: u32 = 1 << 1;
/// The SYN carried an ACK.
pub const SYN_ACK: u32 = 1 << 2;
/// A FIN was seen.
pub const FIN: u32 = 1 << 3;
/// A RST was seen, whether it counts or not.
pub const RST: u32 = 1 << 4;
/// An acknowledgment was seen.
pub const ACKED: u32 = 1 << 5;
/// This side has acknowledged the other side's SYN.
pub const ACKED_SYN: u32 = 1 << 6;
/// This side has acknowledged the other side's FIN.
pub const ACKED_FIN: u32 = 1 << 7;
/// The last window was zero.
pub const ZERO_WINDOW: u32 = 1 << 8;
/// A RST was seen that the other side can accept: the connection is over.
pub const RESET: u32 = 1 << 9;
/// Its SYN was the first segment of the connection.
pub const OPENED: u32 = 1 << 10;
/// That SYN carried payload (RFC 7413).
pub const SYN_DATA: u32 = 1 << 11;
/// A segment with ACK and without SYN or payload was seen.
pub const BARE_ACK: u32 = 1 << 12;
/// Payload was seen with ACK and without SYN.
pub const DATA: u32 = 1 << 13;
/// A FIN with ACK was seen.
pub const FIN_ACK: u32 = 1 << 14;
/// Something is missing before the bytes seen: a hole.
pub const HOLE: u32 = 1 << 15;
/// Its SYN was not told, and nothing of the attempt is before its end: see [`crate::target`].
pub const UNTOLD: u32 = 1 << 16;
/// A segment of its was told after the handshake was through, and before the end: userspace knows of the connection.
pub const TOLD: u32 = 1 << 17;
