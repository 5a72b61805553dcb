//! The record of a segment, and what the segment is for.

use serde::{Serialize, Serializer};

use super::{Side, TcpState, Text};

/// `tcp.segment`: a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentSeen {
    /// Its sender.
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
    /// Payload in bytes.
    #[serde(rename = "tcp.segment.len")]
    pub len: u32,
    /// Receive window in bytes, scaled if the scale is known.
    #[serde(rename = "tcp.segment.window")]
    pub window: u64,
    /// What the segment is for: all that applies, most significant first. In JSON,
    /// `tcp.segment.purposes` lists the names; the method, target and status code of the first
    /// request and response are separate fields.
    #[serde(flatten, serialize_with = "purposes")]
    pub purposes: Vec<Purpose>,
    /// State of the client after it.
    #[serde(rename = "tcp.client.state")]
    pub client_state: TcpState,
    /// State of the server after it.
    #[serde(rename = "tcp.server.state")]
    pub server_state: TcpState,
}

/// What a segment is for. The renderers have the words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// SYN: requests a connection.
    RequestsConnection,
    /// SYN-ACK: accepts the connection.
    AcceptsConnection,
    /// The ACK that completes the handshake.
    ConfirmsConnection,
    /// Contains the header section of a request, or its last part: method and target.
    Request(Text, Text),
    /// Contains the header section of a response, or its last part: the status code.
    Response(u16),
    /// Contains the last byte of a request with content.
    RequestComplete,
    /// Contains the last byte of a response: the status code, if it is valid.
    ResponseComplete(Option<u16>),
    /// Contains data.
    Data,
    /// Acknowledges data.
    Acknowledges,
    /// FIN: the sender has no more data.
    ReadyToClose,
    /// Acknowledges the other side's FIN.
    ConfirmsClose,
    /// RST that refuses the connection.
    Refuses,
    /// RST that aborts the connection.
    Resets,
    /// Repeats data that was sent before.
    Retransmission,
    /// Follows a gap: the segment before it was lost or not captured.
    PreviousSegmentNotCaptured,
    /// Fills a gap: the segment was reordered.
    OutOfOrder,
    /// Repeats an acknowledgment: data is missing.
    DuplicateAck,
    /// The sender announces a receive window of zero.
    ZeroWindow,
    /// The sender announces a larger receive window.
    WindowUpdate,
    /// TCP keep-alive.
    KeepAlive,
    /// Acknowledges data that was not captured.
    AckedUnseenSegment,
    /// Acknowledges what was never sent, or lies far out of the window: it changes nothing.
    Stray,
    /// None of the above.
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
            Self::Stray => "stray",
            Self::Other => "other",
        }
    }
}

/// Writes the names as a list, and the contents of the first request and response as separate
/// fields: the object stays flat.
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
