//! Records: one [`Record`] for each line of output.
//!
//! Fields have the names of `tracer/schema/record.schema.json`: OpenTelemetry semantic conventions
//! and ECS where these have one, `tcp.*` otherwise. A fact that was not observed is `None`, and
//! then absent; a counter of something rare is absent when it is zero. Durations are in
//! nanoseconds.

mod anomaly;
mod attributes;
mod connection;
mod degraded;
mod events;
mod exchange;
mod header;
mod icmp;
mod identity;
mod listener;
mod owner;
mod segment;
mod summary;
mod text;
mod trace_context;

use serde::Serialize;

pub use anomaly::{Anomalies, Anomaly};
pub use attributes::{Attributes, Translated};
pub use connection::{CloseReason, Closed, ConnState, HalfOpen, Opened, SideTotals, StateChange, TcpState};
pub use degraded::{Degraded, DegradedReason, DegradedState, ShedClass};
pub use events::{Events, UnknownEvent};
pub(crate) use exchange::heap_of;
pub use exchange::{Confidence, Exchange, Outcome, Request, RequestHead, Response, ResponseFraming};
pub use header::{HeaderField, HeaderFields, HeaderName};
pub use icmp::{IcmpCause, IcmpError, IcmpKind, IcmpTotals};
pub use identity::{ConnectionId, ConnectionIdentity};
pub use listener::{Flood, FloodEnded, ListenQueue, Listener, NamespaceCounters, Verdict};
pub use owner::Owner;
pub use segment::{Purpose, SegmentSeen};
pub use summary::{Counts, Summary};
pub use text::Text;
pub use trace_context::TraceContext;

/// A point in time, in ns since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// One of the two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The originator: the sender of the SYN, or else of the request.
    Client,
    /// The responder.
    Server,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// One line of output.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The connection that the record is about, if it is about one.
    pub connection: Option<ConnectionIdentity>,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// `connection.opened`.
    Opened(Opened),
    /// `http.request`: the header section of a request is complete.
    Request(Box<Request>),
    /// `http.response`: the header section of a response is complete.
    Response(Box<Response>),
    /// `http.exchange`: a request and its final response are complete, or can no longer become
    /// complete.
    Exchange(Box<Exchange>),
    /// `connection.state`: an endpoint changed its state.
    State(StateChange),
    /// `tcp.segment`: a segment.
    Segment(Box<SegmentSeen>),
    /// `connection.half_open`: a handshake has not been completed for a while.
    HalfOpen(HalfOpen),
    /// `icmp.error`: a segment could not be delivered.
    Icmp(Box<IcmpError>),
    /// `connection.closed`.
    Closed(Box<Closed>),
    /// `syn_flood.started`.
    FloodStarted(Box<Flood>),
    /// `syn_flood.ended`.
    FloodEnded(Box<FloodEnded>),
    /// `tcp.listener`: handshake statistics of a server.
    Listener(Box<Listener>),
    /// `tracer.degraded`: events or records are being lost, or no longer.
    Degraded(Degraded),
    /// `tracer.summary`.
    Summary(Box<Summary>),
}

/// Bodies of records, each with its time in ns of the observer's clock.
pub type Bodies = Vec<(u64, Body)>;

/// The names of [`Body`], from which `--events` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventName {
    /// `connection.opened`.
    Opened,
    /// `http.request`.
    Request,
    /// `http.response`.
    Response,
    /// `http.exchange`.
    Exchange,
    /// `connection.state`.
    State,
    /// `tcp.segment`.
    Segment,
    /// `connection.half_open`.
    HalfOpen,
    /// `icmp.error`.
    Icmp,
    /// `connection.closed`.
    Closed,
    /// `syn_flood.started`.
    FloodStarted,
    /// `syn_flood.ended`.
    FloodEnded,
    /// `tcp.listener`.
    Listener,
    /// `tracer.degraded`.
    Degraded,
    /// `tracer.summary`.
    Summary,
}

impl Body {
    /// The recorded header fields, if it is the record of a head.
    #[must_use]
    pub fn header_fields(&self) -> Option<&HeaderFields> {
        if let Self::Request(request) = self {
            request.head.fields.as_deref()
        } else if let Self::Response(response) = self {
            response.fields.as_deref()
        } else {
            None
        }
    }

    /// The name of the record.
    #[must_use]
    pub const fn name(&self) -> EventName {
        match self {
            Self::Opened(_) => EventName::Opened,
            Self::Request(_) => EventName::Request,
            Self::Response(_) => EventName::Response,
            Self::Exchange(_) => EventName::Exchange,
            Self::State(_) => EventName::State,
            Self::Segment(_) => EventName::Segment,
            Self::HalfOpen(_) => EventName::HalfOpen,
            Self::Icmp(_) => EventName::Icmp,
            Self::Closed(_) => EventName::Closed,
            Self::FloodStarted(_) => EventName::FloodStarted,
            Self::FloodEnded(_) => EventName::FloodEnded,
            Self::Listener(_) => EventName::Listener,
            Self::Degraded(_) => EventName::Degraded,
            Self::Summary(_) => EventName::Summary,
        }
    }
}

impl EventName {
    /// The name as in `event.name`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "connection.opened",
            Self::Request => "http.request",
            Self::Response => "http.response",
            Self::Exchange => "http.exchange",
            Self::State => "connection.state",
            Self::Segment => "tcp.segment",
            Self::HalfOpen => "connection.half_open",
            Self::Icmp => "icmp.error",
            Self::Closed => "connection.closed",
            Self::FloodStarted => "syn_flood.started",
            Self::FloodEnded => "syn_flood.ended",
            Self::Listener => "tcp.listener",
            Self::Degraded => "tracer.degraded",
            Self::Summary => "tracer.summary",
        }
    }
}

/// Whether a counter of something rare is absent.
fn is_zero<N: Default + PartialEq>(count: &N) -> bool {
    *count == N::default()
}
