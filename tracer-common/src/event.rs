//! What the kernel reports to userspace through one ring buffer.
//!
//! Five kinds: a [`ConnectionEvent`] for what is known once about a connection, a [`SegmentEvent`] for a segment that
//! changes its connection, HTTP events ([`HttpFacts`] and bytes of a head) for a fragment of a head or the end of a
//! message, an [`IcmpEvent`] for an ICMP error about a connection, and an [`OwnerEvent`] for the process of a socket. For one
//! segment they come in this order: connection, HTTP, segment.
//! Integers are in native byte order, addresses in network byte order; unused bytes are zero.

#[cfg(feature = "host")]
mod bytes;

#[cfg(feature = "host")]
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    flags::flags,
    flow::{End, FlowKey, HalfCounters, SegmentFlags},
    seq::Seq,
    wire::{Encapsulations, MAX_OPTIONS, TcpFlags},
};
#[cfg(feature = "host")]
pub use bytes::DecodeError;

/// The kind of an event, its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [`SegmentEvent`].
    Segment = 1,
    /// [`HttpFacts`] and bytes of a head.
    Http = 2,
    /// A [`ConnectionEvent`].
    Connection = 3,
    /// An [`IcmpEvent`].
    Icmp = 4,
    /// An [`OwnerEvent`].
    Owner = 5,
}

/// Where a frame was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Hook {
    /// XDP, on ingress.
    Xdp = 0,
    /// TC, on ingress.
    TcIngress = 1,
    /// TC, on egress.
    TcEgress = 2,
    /// A capture.
    #[default]
    Capture = 3,
}

impl Hook {
    /// The hook with the number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Xdp),
            1 => Some(Self::TcIngress),
            2 => Some(Self::TcEgress),
            3 => Some(Self::Capture),
            _ => None,
        }
    }
}

flags! {
    /// What an HTTP event reports.
    Marks: u32;
    /// The fragment starts a head.
    HEAD_START = 1 << 0;
    /// The fragment ends a head; `exchange`, `status` and `framing` are valid from here on.
    HEAD_END = 1 << 1;
    /// The last byte of the message was seen; `content` is the size of its content.
    MESSAGE_END = 1 << 2;
    /// The message is a response. Not known before the first token is complete.
    RESPONSE = 1 << 3;
    /// The head is longer than the bytes that are emitted of it.
    TRUNCATED = 1 << 4;
    /// The head was found by resynchronization after bytes were missed.
    RESYNCED = 1 << 5;
    /// A response without a request; with NOT_HTTP, bytes that are no response to any.
    UNSOLICITED = 1 << 6;
    /// The bytes emitted as a head are none. Without UNSOLICITED, they are a response to the exchange that is no HTTP
    /// message; with HEAD_END, one of HTTP/0.9, which has no head.
    NOT_HTTP = 1 << 7;
    /// Bytes were missed, or a chunk is malformed: the end of the current message is unknown, and messages may be missed
    /// until the scanner resynchronizes.
    LOST_SYNC = 1 << 8;
    /// Content-Length is not a number, or there are several that differ.
    BAD_LENGTH = 1 << 9;
    /// Empty lines came before the head (RFC 9112, 2.2).
    EMPTY_LINE = 1 << 10;
    /// With LOST_SYNC: a chunk is malformed.
    BAD_CHUNK = 1 << 11;
    /// Whitespace came before the head.
    LEADING_SPACE = 1 << 12;
    /// The request line does not end with a version of HTTP.
    MALFORMED = 1 << 13;
    /// The segment acknowledges bytes of the other direction that were not seen yet.
    ACKS_UNSEEN = 1 << 14;
    /// The bytes end a PROXY protocol header.
    PROXY = 1 << 15;
    /// The segment comes after a sequence gap: bytes before it are missing so far.
    AFTER_GAP = 1 << 16;
    /// A segment of the content starts with a start line: the length of the message may be wrong.
    SUSPECT = 1 << 17;
    /// The sender has not completed the message before this one.
    ABANDONS = 1 << 18;
}

flags! {
    /// Departures of a message that the bytes of its head do not show.
    ScanAnomalies: u8;
    /// A line of the chunked coding or the trailer section ends with LF instead of CRLF (RFC 9112, 2.2).
    BARE_LF = 1 << 0;
    /// A CR in such a line that no LF follows (RFC 9112, 2.2).
    BARE_CR = 1 << 1;
    /// A control character in such a line (RFC 9110, 5.5).
    CONTROL_CHARACTER = 1 << 2;
    /// Whitespace before or after a chunk size (RFC 9112, 7.1).
    CHUNK_SPACE = 1 << 3;
    /// What follows a chunk size is no chunk extension (RFC 9112, 7.1.1).
    CHUNK_EXTENSION = 1 << 4;
    /// A trailer field that changes framing, routing or the content (RFC 9110, 6.5.1).
    FORBIDDEN_TRAILER = 1 << 5;
    /// A line of the trailer section that is no field (RFC 9112, 7.1.2).
    INVALID_TRAILER = 1 << 6;
    /// Bytes that start no message follow its end (RFC 9112, 6.3).
    EXCESS = 1 << 7;
}

/// The first part of every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct EventHeader {
    /// See [`Kind`].
    pub kind: u8,
    /// See [`Hook`].
    pub hook: u8,
    /// The sender, as [`End`]; see [`EventHeader::sender`].
    pub sender: u8,
    /// Zero.
    pub padding: u8,
    /// Index of the interface.
    pub interface: u32,
    /// When the segment was seen, in ns of the observer's clock.
    pub time: u64,
    /// [`FlowState::id`](crate::connection::FlowState::id) of the connection.
    pub flow: u64,
    /// The endpoints.
    pub key: FlowKey,
    /// Events about the sender's direction that were lost so far.
    pub lost: u32,
}

/// What is known once about a connection. Emitted before its first other event, if there is anything to say; a lost one is
/// not emitted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct ConnectionEvent {
    /// Who, where, when.
    pub header: EventHeader,
    /// The encapsulation of its first segment.
    pub encapsulation: Encapsulations,
    /// Zero.
    pub padding: u32,
}

/// A segment that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct SegmentEvent {
    /// Who, where, when.
    pub header: EventHeader,
    /// Cookie of the sender's socket; 0 if the packet has none: it comes from another host, or has lost it on its way. Only
    /// TC sees it.
    pub socket: u64,
    /// Why it is reported.
    pub reasons: SegmentFlags,
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgment number.
    pub ack: Seq,
    /// Payload bytes.
    pub payload_len: u32,
    /// Window as in the header, not scaled.
    pub window: u16,
    /// Control bits.
    pub flags: TcpFlags,
    /// Bytes of `options`; only SYNs carry them.
    pub options_len: u8,
    /// With [`SegmentFlags::GAP`]: bytes missing before the payload.
    pub gap: u32,
    /// TCP options.
    pub options: [u8; MAX_OPTIONS],
    /// What both directions have shown, this segment included: from the lower endpoint, from the higher one.
    pub halves: [HalfCounters; 2],
}

/// An ICMP error about a connection. The sender of its header is that of the quoted segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct IcmpEvent {
    /// Who, where, when.
    pub header: EventHeader,
    /// Who reports the error, as in a [`FlowKey`].
    pub source: [u32; 4],
    /// Sequence number of the quoted segment.
    pub seq: Seq,
    /// The MTU of the next hop, in bytes; 0: not stated.
    pub mtu: u32,
    /// The type, in ICMP or ICMPv6 as `source` is an address of IPv4 or IPv6: see [`icmp`](crate::wire::icmp).
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// Zero.
    pub padding: u16,
    /// Zero.
    pub padding2: u32,
}

/// How the owner of a socket is known. A later row is better evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum OwnerEvidence {
    /// The process holds the socket.
    #[default]
    Holds = 1,
    /// The process connects it: the event precedes the SYN.
    Connects = 2,
    /// The process is the first one that reads from it.
    Reads = 3,
}

impl OwnerEvidence {
    /// The evidence with the number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Holds),
            2 => Some(Self::Connects),
            3 => Some(Self::Reads),
            _ => None,
        }
    }
}

/// Bytes of the name of a process (`TASK_COMM_LEN`), with a zero at the end.
pub const NAME_LEN: usize = 16;

/// The process of a socket. Of the header, only the kind, the key, the end whose socket it is (as the sender) and the time are
/// set: the socket is in no connection table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct OwnerEvent {
    /// Who, when.
    pub header: EventHeader,
    /// Cookie of the socket; 0 if it has none yet, and the process holds it.
    pub socket: u64,
    /// Cookie of its network namespace.
    pub namespace: u64,
    /// When the process started, in ns since boot.
    pub started: u64,
    /// Number of its cgroup in the hierarchy of version 2.
    pub cgroup: u64,
    /// Number of the process in the initial PID namespace.
    pub pid: u32,
    /// Its effective user in the initial user namespace.
    pub user: u32,
    /// The name of its first thread, with zeros at the end.
    pub name: [u8; NAME_LEN],
    /// See [`OwnerEvidence`].
    pub evidence: u8,
    /// Zero.
    pub padding: [u8; 7],
}

/// A fragment of a head, or the end of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct HttpFacts {
    /// Who, where, when.
    pub header: EventHeader,
    /// Stream offset of the first of the bytes; without bytes, of the marked position.
    pub offset: u64,
    /// Bytes of content: final with MESSAGE_END, as announced with HEAD_END and a Content-Length.
    pub content: u64,
    /// Stream offset of the other direction up to which the segment acknowledges; `u64::MAX` if that is not known.
    pub acked: u64,
    /// The exchange this message belongs to, from 0: requests and final responses are counted.
    pub exchange: u32,
    /// The number of this head in its direction, from 1.
    pub head: u32,
    /// Bytes of this head so far, those not emitted included.
    pub head_len: u32,
    /// What is reported.
    pub marks: Marks,
    /// Status code; 0 for a request; [`NO_STATUS`](crate::http1::NO_STATUS) for a response without one.
    pub status: u16,
    /// How many bytes of the head follow.
    pub len: u16,
    /// See [`Framing`](crate::http1::Framing).
    pub framing: u8,
    /// Departures of the message so far; of the one before, if no message is in progress.
    pub anomalies: ScanAnomalies,
    /// Zero.
    pub padding: [u8; 2],
}

impl EventHeader {
    /// All zero.
    pub const ZERO: Self = Self {
        kind: 0,
        hook: 0,
        sender: 0,
        padding: 0,
        interface: 0,
        time: 0,
        flow: 0,
        key: FlowKey::ZERO,
        lost: 0,
    };

    /// The end that sent the segment.
    #[must_use]
    pub const fn sender(&self) -> End {
        End::from_byte(self.sender)
    }
}

impl ConnectionEvent {
    /// All zero.
    pub const ZERO: Self =
        Self { header: EventHeader::ZERO, encapsulation: Encapsulations::NONE, padding: 0 };
}

impl IcmpEvent {
    /// All zero.
    pub const ZERO: Self = Self {
        header: EventHeader::ZERO,
        source: [0; 4],
        seq: Seq(0),
        mtu: 0,
        kind: 0,
        code: 0,
        padding: 0,
        padding2: 0,
    };
}

impl SegmentEvent {
    /// All zero.
    pub const ZERO: Self = Self {
        header: EventHeader::ZERO,
        socket: 0,
        reasons: SegmentFlags::EMPTY,
        seq: Seq(0),
        ack: Seq(0),
        payload_len: 0,
        window: 0,
        flags: TcpFlags::EMPTY,
        options_len: 0,
        gap: 0,
        options: [0; MAX_OPTIONS],
        halves: [HalfCounters::ZERO; 2],
    };

    /// The sequence number of the first payload byte: SYN takes one of its own.
    #[must_use]
    pub const fn payload_seq(&self) -> Seq {
        if self.flags.contains(TcpFlags::SYN) { self.seq.add(1) } else { self.seq }
    }
}

impl HttpFacts {
    /// All zero.
    pub const ZERO: Self = Self {
        header: EventHeader::ZERO,
        offset: 0,
        content: 0,
        acked: 0,
        exchange: 0,
        head: 0,
        head_len: 0,
        marks: Marks::EMPTY,
        status: 0,
        len: 0,
        framing: 0,
        anomalies: ScanAnomalies::EMPTY,
        padding: [0; 2],
    };
}

const _: () = assert!(size_of::<EventHeader>() == 64);
const _: () = assert!(size_of::<ConnectionEvent>() == 72);
const _: () = assert!(size_of::<SegmentEvent>() == 280);
const _: () = assert!(size_of::<IcmpEvent>() == 96);
const _: () = assert!(size_of::<OwnerEvent>() == 128);
const _: () = assert!(size_of::<HttpFacts>() == 112);

/// One event, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// What is known once about a connection.
    Connection(ConnectionEvent),
    /// A segment.
    Segment(SegmentEvent),
    /// A fragment of a head, with its bytes, or the end of a message.
    Http(HttpFacts, &'a [u8]),
    /// An ICMP error.
    Icmp(IcmpEvent),
    /// The process of a socket.
    Owner(OwnerEvent),
}

impl Event<'_> {
    /// The first part of the event.
    #[must_use]
    pub const fn header(&self) -> &EventHeader {
        match self {
            Self::Connection(event) => &event.header,
            Self::Segment(event) => &event.header,
            Self::Http(facts, _) => &facts.header,
            Self::Icmp(event) => &event.header,
            Self::Owner(event) => &event.header,
        }
    }
}
