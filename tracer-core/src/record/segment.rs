//! One segment, and what it is for.

use serde::{Serialize, Serializer};

use super::{Side, TcpState, Text};

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
    RequestsConnection,
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
    /// Carries the last byte of the response: the status code, if it can be read.
    ResponseComplete(Option<u16>),
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
    PreviousSegmentNotCaptured,
    /// Fills a gap: it was overtaken on the way.
    OutOfOrder,
    /// Repeats an acknowledgment: something is missing.
    DuplicateAck,
    /// The receiver can take nothing more for now.
    ZeroWindow,
    /// The receiver can take data again.
    WindowUpdate,
    /// Asks whether the other side is still there.
    KeepAlive,
    /// Acknowledges data that was never seen here.
    AckedUnseenSegment,
    /// Nothing of the above.
    Other,
}

impl Purpose {
    /// The name as in `tcp.segment.purposes`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RequestsConnection => "requests_connection",
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
            Self::PreviousSegmentNotCaptured => "previous_segment_not_captured",
            Self::OutOfOrder => "out_of_order",
            Self::DuplicateAck => "duplicate_ack",
            Self::ZeroWindow => "zero_window",
            Self::WindowUpdate => "window_update",
            Self::KeepAlive => "keep_alive",
            Self::AckedUnseenSegment => "acked_unseen_segment",
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
    let status = |purpose: &Purpose| {
        if let Purpose::Response(status) = purpose {
            Some(*status)
        } else if let Purpose::ResponseComplete(status) = purpose {
            *status
        } else {
            None
        }
    };
    if let Some(status) = purposes.iter().find_map(status) {
        map.serialize_entry("http.response.status_code", &status)?;
    }
    map.end()
}
