//! What a segment means for its connection.

use crate::flags::flags;

flags! {
    /// What a segment means for its connection, and so why it is reported. An empty set: nothing noteworthy.
    SegmentFlags: u32;
    /// A SYN without ACK.
    SYN = 1 << 0;
    /// A SYN with ACK.
    SYN_ACK = 1 << 1;
    /// The first acknowledgment of the other side's SYN by a segment that is not a SYN itself.
    HANDSHAKE_ACK = 1 << 2;
    /// The first segment of a direction whose SYN was not seen.
    MIDSTREAM = 1 << 3;
    /// A FIN.
    FIN = 1 << 4;
    /// The first acknowledgment of the other side's FIN.
    FIN_ACKED = 1 << 5;
    /// A RST.
    RST = 1 << 6;
    /// Payload that starts before the highest sequence number seen: retransmitted or out of order.
    OLD_DATA = 1 << 7;
    /// Payload that starts after the highest sequence number seen: a previous segment was not captured.
    GAP = 1 << 8;
    /// An acknowledgment of bytes that were not seen.
    ACKED_UNSEEN = 1 << 9;
    /// The receive window became zero.
    ZERO_WINDOW = 1 << 10;
    /// The receive window is no longer zero.
    WINDOW_UPDATE = 1 << 11;
    /// A keep-alive: zero or one byte just before the next expected one (RFC 9293, 3.8.4).
    KEEP_ALIVE = 1 << 12;
    /// A SYN or FIN that was seen before.
    REPEATED = 1 << 13;
    /// Any segment after both FINs were acknowledged, or after a reset.
    AFTER_CLOSE = 1 << 14;
    /// Nothing noteworthy: reported because every segment is.
    EVERY = 1 << 15;
    /// Payload that ends at or before the highest sequence number seen.
    NO_NEW_DATA = 1 << 16;
    /// With OLD_DATA: a response to duplicate acknowledgments (RFC 5681, 3.2).
    FAST_RETRANSMIT = 1 << 17;
    /// A zero-window probe: the next byte alone while the other side's window is zero (RFC 9293, 3.8.6.1).
    WINDOW_PROBE = 1 << 18;
    /// A bad checksum; see [`Frame::has_bad_checksum`](crate::observe::Frame::has_bad_checksum).
    BAD_CHECKSUM = 1 << 19;
    /// It acknowledges what was never sent, or lies far out of the window: a segment of an older connection, or a spoofed one.
    /// It changes nothing (RFC 9293, 3.10.7.3 and 3.10.7.4).
    STRAY = 1 << 20;
    /// With RST: its TTL, or hop limit, is not that of the segments before it.
    OTHER_TTL = 1 << 21;
    /// Not of this connection: a SYN on its ports starts another one. The halves are the last of this one.
    PORTS_REUSED = 1 << 22;
}
