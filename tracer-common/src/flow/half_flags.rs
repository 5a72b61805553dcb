//! What one direction of a connection has shown.

use crate::flags::flags;

flags! {
    /// What one direction of a connection has shown so far.
    HalfFlags: u32;
    /// A segment was seen in this direction.
    STARTED = 1 << 0;
    /// A SYN was seen.
    SYN = 1 << 1;
    /// The SYN carried an ACK.
    SYN_ACK = 1 << 2;
    /// A FIN was seen.
    FIN = 1 << 3;
    /// A RST was seen, acceptable or not.
    RST = 1 << 4;
    /// An acknowledgment was seen.
    ACKED = 1 << 5;
    /// This side has acknowledged the other side's SYN.
    ACKED_SYN = 1 << 6;
    /// This side has acknowledged the other side's FIN.
    ACKED_FIN = 1 << 7;
    /// The last window was zero.
    ZERO_WINDOW = 1 << 8;
    /// A RST was seen that the other side can accept: the connection is over.
    RESET = 1 << 9;
    /// Its SYN was the first segment of the connection.
    OPENED = 1 << 10;
    /// That SYN carried payload (RFC 7413).
    SYN_DATA = 1 << 11;
    /// A segment with ACK and without SYN or payload was seen.
    BARE_ACK = 1 << 12;
    /// Payload was seen with ACK and without SYN.
    DATA = 1 << 13;
    /// A FIN with ACK was seen.
    FIN_ACK = 1 << 14;
    /// A sequence gap is open: bytes before the highest one seen are missing.
    HOLE = 1 << 15;
    /// Its SYN was only counted, and so is the rest of the handshake; see [`crate::server`].
    UNREPORTED = 1 << 16;
    /// A segment was reported after the handshake and before the close: userspace knows the connection.
    REPORTED = 1 << 17;
    /// A [`ConnectionEvent`](crate::event::ConnectionEvent) was emitted, or lost, with a segment of this direction.
    DESCRIBED = 1 << 18;
}
