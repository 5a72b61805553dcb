//! What the kernel tells userspace, through one ring buffer.
//!
//! Two kinds: a [`SegmentEvent`] for a segment that changes something a reader wants to know, and an [`HttpEvent`]
//! for a piece of a message head or the end of a message. Of one segment, the HTTP events come first.
//! All integers in native byte order but addresses; unused bytes are zero.

#[cfg(feature = "host")]
mod bytes;

#[cfg(feature = "host")]
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    flow::{FlowKey, HalfCounters},
    http::BUFFER,
    seq::Seq,
    wire::{MAX_OPTIONS, TcpFlags},
};
#[cfg(feature = "host")]
pub use bytes::DecodeError;

/// The kind of an event, first byte of every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [`SegmentEvent`].
    Segment = 1,
    /// An [`HttpEvent`].
    Http = 2,
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

/// How the content of a message is delimited (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Framing {
    /// There is no content.
    #[default]
    None = 0,
    /// Content-Length.
    Length = 1,
    /// The chunked transfer coding.
    Chunked = 2,
    /// The end of the connection.
    Close = 3,
    /// None any more: a tunnel, or another protocol.
    Tunnel = 4,
}

impl Framing {
    /// The framing with the number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Length),
            2 => Some(Self::Chunked),
            3 => Some(Self::Close),
            4 => Some(Self::Tunnel),
            _ => None,
        }
    }
}

/// What an [`HttpEvent`] says: flags of [`HttpFacts::marks`].
pub mod mark {
    /// The fragment starts a head.
    pub const HEAD_START: u16 = 1 << 0;
    /// The fragment ends a head; `exchange`, `status` and `framing` hold from here on.
    pub const HEAD_END: u16 = 1 << 1;
    /// The last byte of the message was seen; `content` is the size of its content.
    pub const MESSAGE_END: u16 = 1 << 2;
    /// The message is a response. Not known before the first token is complete.
    pub const RESPONSE: u16 = 1 << 3;
    /// The head is longer than what is told of it.
    pub const TRUNCATED: u16 = 1 << 4;
    /// The head was found by its looks after bytes were missed.
    pub const RESYNCED: u16 = 1 << 5;
    /// A response that no request was seen for.
    pub const UNSOLICITED: u16 = 1 << 6;
    /// The head begun turned out not to be one, and nothing more is read in this direction.
    pub const NOT_HTTP: u16 = 1 << 7;
    /// Bytes were missed, or the chunks of a message are malformed: the end of a message begun cannot be told, and
    /// messages may go by until a head is found by its looks.
    pub const LOST_SYNC: u16 = 1 << 8;
    /// Content-Length is not a number, or there are several that differ.
    pub const BAD_LENGTH: u16 = 1 << 9;
    /// Empty lines came before the head (RFC 9112, 2.2).
    pub const EMPTY_LINE: u16 = 1 << 10;
    /// With LOST_SYNC: it was lost because a chunk is malformed.
    pub const BAD_CHUNK: u16 = 1 << 11;
}

/// The front of every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct EventHeader {
    /// See [`Kind`].
    pub kind: u8,
    /// See [`Hook`].
    pub hook: u8,
    /// 1 when the sender is the lower endpoint of the key.
    pub from_low: u8,
    /// Zero.
    pub padding: u8,
    /// Index of the interface.
    pub interface: u32,
    /// When the segment was seen, in ns of the observer's clock.
    pub time: u64,
    /// [`FlowState::id`](crate::flow::FlowState::id) of the connection.
    pub flow: u64,
    /// The endpoints.
    pub key: FlowKey,
    /// Events about the sender's direction that were lost so far.
    pub lost: u32,
}

/// A segment worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct SegmentEvent {
    /// Who, where, when.
    pub header: EventHeader,
    /// Why: see [`cause`](crate::flow::cause).
    pub causes: u32,
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgment number.
    pub ack: Seq,
    /// Payload bytes.
    pub payload_len: u32,
    /// Window as in the header, not scaled.
    pub window: u16,
    /// Control bits.
    pub flags: u8,
    /// Bytes of `options`; options are told of a SYN only.
    pub options_len: u8,
    /// With [`cause::GAP`](crate::flow::cause::GAP): bytes missing before the payload.
    pub gap: u32,
    /// TCP options.
    pub options: [u8; MAX_OPTIONS],
    /// What both directions have shown, this segment included: from the lower endpoint, from the higher one.
    pub halves: [HalfCounters; 2],
    /// What the segment was carried in: see [`Encapsulations`](crate::wire::Encapsulations).
    pub encapsulation: u32,
    /// Zero.
    pub padding: u32,
}

/// A piece of a head, or the end of a message: what is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(FromBytes, Immutable, IntoBytes))]
#[repr(C)]
pub struct HttpFacts {
    /// Who, where, when.
    pub header: EventHeader,
    /// Stream offset of the first of the bytes; without bytes, of the place that is marked.
    pub offset: u64,
    /// Bytes of content: with MESSAGE_END final, with HEAD_END and [`Framing::Length`] as stated.
    pub content: u64,
    /// The exchange this message belongs to, from 0: requests and final responses are counted.
    pub exchange: u32,
    /// The number of this head in its direction, from 1.
    pub head: u32,
    /// Bytes of this head so far, those not told included.
    pub head_len: u32,
    /// See [`mark`].
    pub marks: u16,
    /// Status code; 0 for a request; [`NO_STATUS`](crate::http::NO_STATUS) for a response without one.
    pub status: u16,
    /// How many bytes of the head follow.
    pub len: u16,
    /// See [`Framing`].
    pub framing: u8,
    /// Zero.
    pub padding: u8,
    /// Zero.
    pub padding2: u32,
}

/// [`HttpFacts`] with the bytes of the head. Only `facts.len` of the bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct HttpEvent {
    /// What is known.
    pub facts: HttpFacts,
    /// Bytes of the head; one window longer than a fragment, so that a window can always be read in behind it.
    pub bytes: [u8; BUFFER],
}

impl SegmentEvent {
    /// The sequence number of the first payload byte: SYN takes one of its own.
    #[must_use]
    pub const fn payload_seq(&self) -> Seq {
        if self.flags & TcpFlags::SYN != 0 { self.seq.add(1) } else { self.seq }
    }
}

impl EventHeader {
    /// All zero.
    pub const BLANK: Self = Self {
        kind: 0,
        hook: 0,
        from_low: 0,
        padding: 0,
        interface: 0,
        time: 0,
        flow: 0,
        key: FlowKey::BLANK,
        lost: 0,
    };
}

impl SegmentEvent {
    /// All zero.
    pub const BLANK: Self = Self {
        header: EventHeader::BLANK,
        causes: 0,
        seq: Seq(0),
        ack: Seq(0),
        payload_len: 0,
        window: 0,
        flags: 0,
        options_len: 0,
        gap: 0,
        options: [0; MAX_OPTIONS],
        halves: [HalfCounters::BLANK; 2],
        encapsulation: 0,
        padding: 0,
    };
}

impl HttpEvent {
    /// All zero.
    pub const BLANK: Self = Self {
        facts: HttpFacts {
            header: EventHeader::BLANK,
            offset: 0,
            content: 0,
            exchange: 0,
            head: 0,
            head_len: 0,
            marks: 0,
            status: 0,
            len: 0,
            framing: 0,
            padding: 0,
            padding2: 0,
        },
        bytes: [0; BUFFER],
    };
}

const _: () = assert!(size_of::<EventHeader>() == 64);
const _: () = assert!(size_of::<HalfCounters>() == 72);
const _: () = assert!(size_of::<SegmentEvent>() == 280);
const _: () = assert!(size_of::<HttpFacts>() == 104);
const _: () = assert!(size_of::<HttpEvent>() == 104 + BUFFER);

/// One event, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A segment.
    Segment(SegmentEvent),
    /// A piece of a head, with its bytes, or the end of a message.
    Http(HttpFacts, &'a [u8]),
}

impl Event<'_> {
    /// The front of the event.
    #[must_use]
    pub const fn header(&self) -> &EventHeader {
        match self {
            Self::Segment(event) => &event.header,
            Self::Http(facts, _) => &facts.header,
        }
    }
}
