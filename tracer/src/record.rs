//! What tracer says: one [`Record`] for each thing worth a line.
//!
//! The fields carry the names of the JSON contract: OpenTelemetry semantic conventions and ECS where they have a name,
//! `tcp.*` otherwise. A fact that was not observed is `None`, and then absent. Durations are in nanoseconds.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Serialize, Serializer};

/// A point in time, in ns since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The originator: who sent the SYN, or else who sent the request.
    Client,
    /// The responder.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The name as in the records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Who talks to whom, and where it was seen; shared by all records of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// Unique for each connection, also when the ports are used again.
    #[serde(rename = "connection.id")]
    pub id: String,
    /// Community ID v1.
    #[serde(rename = "network.community_id")]
    pub community_id: String,
    /// IP version.
    #[serde(rename = "network.type")]
    pub network_type: NetworkType,
    /// The interface that showed the connection first.
    #[serde(
        rename = "network.interface.name",
        skip_serializing_if = "Option::is_none",
        serialize_with = "harmless_name"
    )]
    pub interface: Option<Arc<str>>,
    /// Address of the client.
    #[serde(rename = "client.address")]
    pub client_address: IpAddr,
    /// Port of the client.
    #[serde(rename = "client.port")]
    pub client_port: u16,
    /// Address of the server.
    #[serde(rename = "server.address")]
    pub server_address: IpAddr,
    /// Port of the server.
    #[serde(rename = "server.port")]
    pub server_port: u16,
}

impl Connection {
    /// The client's end.
    #[must_use]
    pub const fn client(&self) -> SocketAddr {
        SocketAddr::new(self.client_address, self.client_port)
    }

    /// The server's end.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        SocketAddr::new(self.server_address, self.server_port)
    }
}

/// IP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkType {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// One thing worth a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The connection it is about; none for a summary.
    pub connection: Option<Arc<Connection>>,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// `connection.opened`.
    Opened(Opened),
    /// `http.request`: the head of a request is complete.
    Request(Request),
    /// `http.response`: the head of a response is complete.
    Response(Response),
    /// `http.exchange`: a request and its final response are complete, or will not be.
    Exchange(Box<Exchange>),
    /// `connection.state`: an endpoint changed its state.
    State(StateChange),
    /// `tcp.segment`: one segment.
    Segment(Box<SegmentSeen>),
    /// `connection.closed`.
    Closed(Box<Closed>),
    /// `tracer.summary`.
    Summary(Box<Summary>),
}

/// The names of [`Body`]: what `--events` chooses from.
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
    /// `connection.closed`.
    Closed,
    /// `tracer.summary`.
    Summary,
}

impl Body {
    /// What kind of record this is.
    #[must_use]
    pub const fn name(&self) -> EventName {
        match self {
            Self::Opened(_) => EventName::Opened,
            Self::Request(_) => EventName::Request,
            Self::Response(_) => EventName::Response,
            Self::Exchange(_) => EventName::Exchange,
            Self::State(_) => EventName::State,
            Self::Segment(_) => EventName::Segment,
            Self::Closed(_) => EventName::Closed,
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
            Self::Closed => "connection.closed",
            Self::Summary => "tracer.summary",
        }
    }
}

/// The handshake is through, or the connection was picked up in its middle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// SYN to SYN-ACK.
    #[serde(rename = "tcp.handshake.syn_ack_ns", skip_serializing_if = "Option::is_none")]
    pub syn_ack_ns: Option<u64>,
    /// SYN-ACK to ACK: how long the server was in SYN-RECEIVED, as the wire shows it.
    #[serde(rename = "tcp.handshake.ack_ns", skip_serializing_if = "Option::is_none")]
    pub ack_ns: Option<u64>,
    /// How often the SYN was repeated.
    #[serde(rename = "tcp.syn_retransmits")]
    pub syn_retransmits: u32,
    /// How often the SYN-ACK was repeated.
    #[serde(rename = "tcp.syn_ack_retransmits")]
    pub syn_ack_retransmits: u32,
    /// The connection was picked up without its SYN.
    #[serde(rename = "tcp.midstream")]
    pub midstream: bool,
}

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Number of the exchange in its connection, from 1.
    #[serde(rename = "http.exchange.index")]
    pub index: u32,
    /// What the request line and the fields say.
    #[serde(flatten)]
    pub head: RequestHead,
    /// How much of it is known.
    #[serde(rename = "http.confidence")]
    pub confidence: Confidence,
}

/// What the head of a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestHead {
    /// Method.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub method: Option<Text>,
    /// Request target as it was sent.
    #[serde(rename = "url.original", skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// Path of the target.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
    /// Query of the target, without the question mark.
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    pub query: Option<Text>,
    /// Host: from the target if it is absolute, else from the Host field; without the port.
    #[serde(rename = "url.domain", skip_serializing_if = "Option::is_none")]
    pub domain: Option<Text>,
    /// HTTP version of the request, "1.0" or "1.1"; of the response where the request was not seen.
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
    /// The head is longer than what the kernel tells of it.
    #[serde(rename = "http.request.head.truncated", skip_serializing_if = "is_false")]
    pub truncated: bool,
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// Number of the exchange in its connection, from 1.
    #[serde(rename = "http.exchange.index")]
    pub index: u32,
    /// Status code.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the content is delimited.
    #[serde(rename = "http.response.framing", skip_serializing_if = "Option::is_none")]
    pub framing: Option<ResponseFraming>,
    /// How much of it is known.
    #[serde(rename = "http.confidence")]
    pub confidence: Confidence,
}

/// A request and its final response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Number of the exchange in its connection, from 1.
    #[serde(rename = "http.exchange.index")]
    pub index: u32,
    /// What the head of the request says.
    #[serde(flatten)]
    pub request: RequestHead,
    /// Status code of the final response.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Status codes of the interim responses (1xx) before it.
    #[serde(rename = "http.response.interim_status_codes", skip_serializing_if = "Vec::is_empty")]
    pub interim_statuses: Vec<u16>,
    /// Content bytes of the request.
    #[serde(rename = "http.request.body.size", skip_serializing_if = "Option::is_none")]
    pub request_body_size: Option<u64>,
    /// Content bytes of the response, without the framing of chunks.
    #[serde(rename = "http.response.body.size", skip_serializing_if = "Option::is_none")]
    pub response_body_size: Option<u64>,
    /// How the content of the response is delimited.
    #[serde(rename = "http.response.framing", skip_serializing_if = "Option::is_none")]
    pub framing: Option<ResponseFraming>,
    /// How it ended.
    #[serde(rename = "http.outcome")]
    pub outcome: Outcome,
    /// How much of it is known.
    #[serde(rename = "http.confidence")]
    pub confidence: Confidence,
    /// First to last byte of the request.
    #[serde(rename = "http.request_ns", skip_serializing_if = "Option::is_none")]
    pub request_ns: Option<u64>,
    /// Last byte of the request to first byte of the final response; 0 when the response was earlier.
    #[serde(rename = "http.time_to_first_byte_ns", skip_serializing_if = "Option::is_none")]
    pub time_to_first_byte_ns: Option<u64>,
    /// First to last byte of the final response.
    #[serde(rename = "http.response_ns", skip_serializing_if = "Option::is_none")]
    pub response_ns: Option<u64>,
    /// First byte of the request to last byte of the response.
    #[serde(rename = "http.duration_ns", skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
}

/// How the content of a response is delimited (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseFraming {
    /// Content-Length.
    ContentLength,
    /// The chunked transfer coding.
    Chunked,
    /// The end of the connection.
    Close,
    /// There is no content.
    None,
    /// The connection became a tunnel or changed its protocol.
    Tunnel,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Request and response are complete.
    Complete,
    /// The connection ended before a final response.
    NoResponse,
    /// The connection ended before the request was complete.
    RequestAborted,
    /// The connection ended before the response was complete.
    ResponseTruncated,
    /// Something was not seen, so that it cannot be told.
    #[default]
    NotObserved,
}

/// How much of an exchange is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Everything was seen from the start of the connection.
    #[default]
    Exact,
    /// Bytes were missed before; the head was found by its looks.
    Resynced,
    /// Request and response were put together without proof that they belong together, or an end is a guess.
    Inferred,
}

/// State of an endpoint (RFC 9293, 3.3.2), as far as an observer can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// Nothing sent or received yet: the server before the SYN.
    #[default]
    Listen,
    /// Has sent a SYN.
    SynSent,
    /// Has received a SYN and sent its own; not confirmed yet.
    SynReceived,
    /// Open.
    Established,
    /// Has sent a FIN that is not acknowledged.
    FinWait1,
    /// Its FIN is acknowledged, and it waits for the other one.
    FinWait2,
    /// Has received a FIN and not sent its own.
    CloseWait,
    /// Both have sent a FIN; its own is not acknowledged.
    Closing,
    /// Has received a FIN and sent its own, which is not acknowledged.
    LastAck,
    /// Both FINs are acknowledged; it closed first and waits for stray segments.
    TimeWait,
    /// Closed.
    Closed,
    /// Picked up in the middle of a connection: open, as far as was seen.
    Partial,
}

impl TcpState {
    /// The name as in RFC 9293; PARTIAL is Zeek's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
            Self::Partial => "PARTIAL",
        }
    }
}

impl Serialize for TcpState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The state of an endpoint changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// The client now.
    #[serde(rename = "tcp.client.state")]
    pub client: TcpState,
    /// The server now.
    #[serde(rename = "tcp.server.state")]
    pub server: TcpState,
    /// The client before.
    #[serde(rename = "tcp.client.previous_state")]
    pub previous_client: TcpState,
    /// The server before.
    #[serde(rename = "tcp.server.previous_state")]
    pub previous_server: TcpState,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentSeen {
    /// Who sent it.
    #[serde(rename = "tcp.segment.sender")]
    pub sender: Side,
    /// Time since the connection was first seen.
    #[serde(rename = "tcp.segment.time_ns")]
    pub since_start_ns: u64,
    /// Control bits, as "SYN, ACK".
    #[serde(rename = "tcp.segment.flags")]
    pub flags: String,
    /// Sequence number relative to the sender's initial one.
    #[serde(rename = "tcp.segment.seq")]
    pub seq: i64,
    /// Acknowledgment number relative to the other side's initial sequence number.
    #[serde(rename = "tcp.segment.ack", skip_serializing_if = "Option::is_none")]
    pub ack: Option<i64>,
    /// Payload bytes.
    #[serde(rename = "tcp.segment.len")]
    pub len: u32,
    /// Receive window in bytes, scaled if the scale is known.
    #[serde(rename = "tcp.segment.window")]
    pub window: u64,
    /// What it is for: all that applies, the most telling first. In JSON their names are in `tcp.segment.purposes`;
    /// the method, the target and the status code of the first request and response go to fields of their own.
    #[serde(flatten, serialize_with = "purposes")]
    pub purposes: Vec<Purpose>,
    /// State of the client after it.
    #[serde(rename = "tcp.client.state")]
    pub client_state: TcpState,
    /// State of the server after it.
    #[serde(rename = "tcp.server.state")]
    pub server_state: TcpState,
}

/// What a segment is for. Words for people are the business of the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// SYN: asks for a connection.
    AsksForConnection,
    /// SYN-ACK: accepts and asks for confirmation.
    AcceptsConnection,
    /// The ACK that confirms the connection.
    ConfirmsConnection,
    /// Carries the head of a request, or its last part: method and target.
    Request(Text, Text),
    /// Carries a response head, or its last part: the status code.
    Response(u16),
    /// Carries the last byte of a request that has content.
    RequestComplete,
    /// Carries the last byte of the response: the status code.
    ResponseComplete(u16),
    /// Carries data.
    Data,
    /// Acknowledges data.
    Acknowledges,
    /// FIN: ready to close.
    ReadyToClose,
    /// Acknowledges the other side's FIN.
    ConfirmsClose,
    /// RST: refuses the connection.
    Refuses,
    /// RST: gives the connection up.
    Resets,
    /// Sends again what was sent before.
    Retransmission,
    /// Comes after something that is missing so far.
    AfterGap,
    /// Fills a gap: it was overtaken on the way.
    OutOfOrder,
    /// Repeats an acknowledgment: something is missing.
    DuplicateAck,
    /// The receiver can take nothing more for now.
    WindowFull,
    /// The receiver can take data again.
    WindowOpen,
    /// Asks whether the other side is still there.
    KeepAlive,
    /// Acknowledges data that was never seen here.
    AcknowledgesUnseen,
    /// Nothing of the above.
    Other,
}

impl Purpose {
    /// The name as in `tcp.segment.purposes`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AsksForConnection => "asks_for_connection",
            Self::AcceptsConnection => "accepts_connection",
            Self::ConfirmsConnection => "confirms_connection",
            Self::Request(..) => "request",
            Self::Response(_) => "response",
            Self::RequestComplete => "request_complete",
            Self::ResponseComplete(_) => "response_complete",
            Self::Data => "data",
            Self::Acknowledges => "acknowledges",
            Self::ReadyToClose => "ready_to_close",
            Self::ConfirmsClose => "confirms_close",
            Self::Refuses => "refuses",
            Self::Resets => "resets",
            Self::Retransmission => "retransmission",
            Self::AfterGap => "after_gap",
            Self::OutOfOrder => "out_of_order",
            Self::DuplicateAck => "duplicate_ack",
            Self::WindowFull => "window_full",
            Self::WindowOpen => "window_open",
            Self::KeepAlive => "keep_alive",
            Self::AcknowledgesUnseen => "acknowledges_unseen",
            Self::Other => "other",
        }
    }
}

/// The names as a list, and what the first request and response say as fields beside it: the object stays flat.
fn purposes<S: Serializer>(purposes: &[Purpose], serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap as _;
    struct Names<'a>(&'a [Purpose]);
    impl Serialize for Names<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().map(Purpose::name))
        }
    }
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("tcp.segment.purposes", &Names(purposes))?;
    if let Some(Purpose::Request(method, target)) =
        purposes.iter().find(|p| matches!(p, Purpose::Request(..)))
    {
        map.serialize_entry("http.request.method", method)?;
        map.serialize_entry("url.original", target)?;
    }
    let is_response = |p: &&Purpose| matches!(p, Purpose::Response(_) | Purpose::ResponseComplete(_));
    if let Some(Purpose::Response(status) | Purpose::ResponseComplete(status)) =
        purposes.iter().find(is_response)
    {
        map.serialize_entry("http.response.status_code", status)?;
    }
    map.end()
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Both sides closed, and both were confirmed.
    Fin,
    /// A RST.
    Reset,
    /// A RST in answer to the SYN.
    Refused,
    /// No answer to the SYN.
    Unanswered,
    /// A SYN-ACK that was never confirmed.
    HalfOpenTimeout,
    /// Silence.
    IdleTimeout,
    /// Given up to make room for others.
    Evicted,
    /// The observation ended first.
    EndOfCapture,
}

/// A connection is over, or no longer followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// Zeek's conn_state.
    #[serde(rename = "tcp.conn_state")]
    pub conn_state: ConnState,
    /// Zeek's history.
    #[serde(rename = "tcp.history")]
    pub history: String,
    /// Wireshark's completeness: 1 SYN, 2 SYN-ACK, 4 ACK, 8 data, 16 FIN, 32 RST.
    #[serde(rename = "tcp.completeness")]
    pub completeness: u8,
    /// Why it is over.
    #[serde(rename = "tcp.close.reason")]
    pub reason: CloseReason,
    /// Who sent the first FIN or the RST.
    #[serde(rename = "tcp.close.initiator", skip_serializing_if = "Option::is_none")]
    pub initiator: Option<Side>,
    /// First to last segment.
    #[serde(rename = "tcp.duration_ns")]
    pub duration_ns: u64,
    /// The client's direction.
    #[serde(flatten, serialize_with = "client_side")]
    pub client: SideTotals,
    /// The server's direction.
    #[serde(flatten, serialize_with = "server_side")]
    pub server: SideTotals,
    /// Exchanges reported.
    #[serde(rename = "http.exchanges")]
    pub exchanges: u32,
    /// Events about this connection that were lost between kernel and userspace.
    #[serde(rename = "events.lost")]
    pub events_lost: u64,
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideTotals {
    /// TCP payload bytes, each sequence number once.
    pub bytes: u64,
    /// Segments.
    pub packets: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Segments that were overtaken on their way.
    pub out_of_order: u64,
    /// Acknowledgments repeated while data was missing.
    pub duplicate_acks: u64,
    /// Segments that announce a window of zero.
    pub zero_windows: u64,
    /// Bytes that were never seen.
    pub gap_bytes: u64,
}

macro_rules! side {
    ($name:ident, $side:literal) => {
        fn $name<S: Serializer>(totals: &SideTotals, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(Some(7))?;
            map.serialize_entry(concat!($side, ".bytes"), &totals.bytes)?;
            map.serialize_entry(concat!($side, ".packets"), &totals.packets)?;
            map.serialize_entry(concat!($side, ".retransmits"), &totals.retransmits)?;
            map.serialize_entry(concat!($side, ".out_of_order"), &totals.out_of_order)?;
            map.serialize_entry(concat!($side, ".duplicate_acks"), &totals.duplicate_acks)?;
            map.serialize_entry(concat!($side, ".zero_windows"), &totals.zero_windows)?;
            map.serialize_entry(concat!($side, ".gap_bytes"), &totals.gap_bytes)?;
            map.end()
        }
    };
}
side!(client_side, "client");
side!(server_side, "server");

/// Zeek's conn_state: how the connection went, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnState {
    /// Connection attempt seen, no reply.
    S0,
    /// Connection established, not terminated.
    S1,
    /// Normal establishment and termination.
    Sf,
    /// Connection attempt rejected.
    Rej,
    /// Established; close attempt by the originator, no reply from the responder.
    S2,
    /// Established; close attempt by the responder, no reply from the originator.
    S3,
    /// Established, originator aborted.
    Rsto,
    /// Responder sent a RST.
    Rstr,
    /// Originator sent a SYN followed by a RST, no SYN-ACK seen.
    Rstos0,
    /// Responder sent a SYN-ACK followed by a RST, no SYN seen from the originator.
    Rstrh,
    /// Originator sent a SYN followed by a FIN, no SYN-ACK seen.
    Sh,
    /// Responder sent a SYN-ACK followed by a FIN, no SYN seen from the originator.
    Shr,
    /// No SYN seen, just midstream traffic.
    Oth,
}

impl ConnState {
    /// Zeek's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// What was seen, told and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Since the start of the observation.
    #[serde(rename = "tracer.duration_ns")]
    pub duration_ns: u64,
    /// Frames seen.
    #[serde(rename = "tracer.frames")]
    pub frames: u64,
    /// Segments taken into a connection.
    #[serde(rename = "tracer.segments")]
    pub segments: u64,
    /// Frames passed over, by reason.
    #[serde(flatten, serialize_with = "skipped")]
    pub skipped: Counts,
    /// Events received by userspace.
    #[serde(rename = "tracer.events.received")]
    pub events_received: u64,
    /// Events lost, by cause.
    #[serde(flatten, serialize_with = "events_lost")]
    pub events_lost: Counts,
    /// Connections opened, or picked up.
    #[serde(rename = "tracer.connections.opened")]
    pub opened: u64,
    /// Connections over.
    #[serde(rename = "tracer.connections.closed")]
    pub closed: u64,
    /// Connections open now.
    #[serde(rename = "tracer.connections.open")]
    pub open: u64,
    /// Handshakes not confirmed now.
    #[serde(rename = "tracer.connections.half_open")]
    pub half_open: u64,
    /// Connections given up to make room.
    #[serde(rename = "tracer.connections.evicted")]
    pub evicted: u64,
    /// Exchanges reported.
    #[serde(rename = "tracer.exchanges")]
    pub exchanges: u64,
    /// Where frames were observed, as "eth0 ingress xdp native".
    #[serde(rename = "tracer.attachments", serialize_with = "harmless_list")]
    pub attachments: Vec<String>,
}

/// Numbers by name; each becomes a field with the name behind a prefix, those of zero are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(&'static str, u64)>);

impl Counts {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

fn serialize_counts<S: Serializer>(prefix: &str, counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    let counted = counts.0.iter().filter(|(_, count)| *count > 0);
    serializer.collect_map(counted.map(|(name, count)| (format!("{prefix}.{name}"), count)))
}

fn skipped<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_counts("tracer.skipped", counts, serializer)
}

fn events_lost<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_counts("tracer.events.lost", counts, serializer)
}

/// Text from the wire, made harmless: bytes that are not UTF-8 and control characters are written as `\xHH`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Text(Box<str>);

impl Text {
    /// Escapes what is not printable.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_harmless(character) {
                    text.push(character);
                } else {
                    let mut buffer = [0; 4];
                    escape(&mut text, character.encode_utf8(&mut buffer).as_bytes());
                }
            }
            escape(&mut text, chunk.invalid());
        }
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character can be shown: no control character, and none that changes the direction of text or hides.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn escape(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Linux lets an interface have almost any name, control characters included.
fn harmless_name<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) if name.chars().all(is_harmless) => serializer.serialize_some(name),
        Some(name) => serializer.serialize_some(&Text::from_wire(name.as_bytes())),
        None => serializer.serialize_none(),
    }
}

/// The same for a list of them.
fn harmless_list<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|entry| Text::from_wire(entry.as_bytes())))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_from_the_wire_cannot_drive_a_terminal_or_break_a_line() {
        for (bytes, text) in [
            (&b"/index.html?a=1"[..], "/index.html?a=1"),
            (b"/a\nb\x1b[31m", "/a\\x0ab\\x1b[31m"),
            (b"/\xff\xfe", "/\\xff\\xfe"),
            ("/grüße".as_bytes(), "/grüße"),
            ("/\u{202e}gpj".as_bytes(), "/\\xe2\\x80\\xaegpj"),
            (b"/\x7f\xc2\x85", "/\\x7f\\xc2\\x85"),
        ] {
            assert_eq!(Text::from_wire(bytes).as_str(), text);
        }
    }
}
