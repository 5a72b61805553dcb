//! The records of a connection: opened, half-open, state, closed.

use serde::{Serialize, Serializer};

use super::{IcmpTotals, Side, is_zero};

/// How a connection began: `connection.opened`, and a part of `connection.closed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// Time from the SYN to the SYN-ACK.
    #[serde(rename = "tcp.handshake.syn_ack_ns", skip_serializing_if = "Option::is_none")]
    pub syn_ack_ns: Option<u64>,
    /// Time from the SYN-ACK to the ACK: how long the server was in SYN-RECEIVED on the wire.
    #[serde(rename = "tcp.handshake.ack_ns", skip_serializing_if = "Option::is_none")]
    pub ack_ns: Option<u64>,
    /// Retransmissions of the SYN.
    #[serde(rename = "tcp.syn_retransmits", skip_serializing_if = "is_zero")]
    pub syn_retransmits: u32,
    /// Retransmissions of the SYN-ACK.
    #[serde(rename = "tcp.syn_ack_retransmits", skip_serializing_if = "is_zero")]
    pub syn_ack_retransmits: u32,
    /// Whether the connection was first seen midstream, without its SYN.
    #[serde(rename = "tcp.midstream")]
    pub midstream: bool,
}

/// `connection.half_open`: a handshake has not been completed for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HalfOpen {
    /// Time since the first segment of the handshake.
    #[serde(rename = "tcp.half_open_ns")]
    pub since_ns: u64,
    /// How long the server has been in SYN-RECEIVED on the wire: since the SYN-ACK.
    #[serde(rename = "tcp.syn_received_ns", skip_serializing_if = "Option::is_none")]
    pub syn_received_ns: Option<u64>,
    /// Retransmissions of the SYN so far.
    #[serde(rename = "tcp.syn_retransmits", skip_serializing_if = "is_zero")]
    pub syn_retransmits: u32,
    /// Retransmissions of the SYN-ACK so far.
    #[serde(rename = "tcp.syn_ack_retransmits", skip_serializing_if = "is_zero")]
    pub syn_ack_retransmits: u32,
}

/// State of an endpoint (RFC 9293, 3.3.2), as far as an observer can infer it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// Nothing sent or received yet: the server before the SYN.
    #[default]
    Listen,
    /// Has sent a SYN.
    SynSent,
    /// Has received a SYN and sent its own, which is not acknowledged.
    SynReceived,
    /// Open.
    Established,
    /// Has sent a FIN that is not acknowledged.
    FinWait1,
    /// Its FIN is acknowledged; the other side has not sent one.
    FinWait2,
    /// Has received a FIN and not sent its own.
    CloseWait,
    /// Both have sent a FIN; its own is not acknowledged.
    Closing,
    /// Has received a FIN and sent its own, which is not acknowledged.
    LastAck,
    /// Closed first; both FINs are acknowledged.
    TimeWait,
    /// Closed.
    Closed,
    /// Midstream: the connection is open, its start was not captured.
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

/// `connection.state`: an endpoint changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// State of the client.
    #[serde(rename = "tcp.client.state")]
    pub client: TcpState,
    /// State of the server.
    #[serde(rename = "tcp.server.state")]
    pub server: TcpState,
    /// Previous state of the client.
    #[serde(rename = "tcp.client.previous_state")]
    pub previous_client: TcpState,
    /// Previous state of the server.
    #[serde(rename = "tcp.server.previous_state")]
    pub previous_server: TcpState,
}

/// Why a connection ended, or is no longer tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Both sides closed, and both FINs were acknowledged.
    Fin,
    /// A RST.
    Reset,
    /// A RST in response to the SYN.
    Refused,
    /// No response to the SYN.
    Unanswered,
    /// The handshake was not completed and expired.
    HalfOpenTimeout,
    /// The connection was idle and expired.
    IdleTimeout,
    /// A new connection used its ports, and its end was not seen.
    PortsReused,
    /// Evicted because the limit on connections was reached.
    Evicted,
    /// The capture ended first.
    EndOfCapture,
    /// The trace ended first.
    EndOfTrace,
}

impl CloseReason {
    /// Whether only the observation ended: the connection was still open.
    #[must_use]
    pub const fn is_still_open(self) -> bool {
        matches!(self, Self::EndOfCapture | Self::EndOfTrace)
    }
}

/// `connection.closed`: a connection ended, or is no longer tracked.
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
    /// Why the connection ended.
    #[serde(rename = "tcp.close.reason")]
    pub reason: CloseReason,
    /// Sender of the first FIN, or of the RST.
    #[serde(rename = "tcp.close.initiator", skip_serializing_if = "Option::is_none")]
    pub initiator: Option<Side>,
    /// The TTL, or hop limit, of the RST is not that of its sender's other segments: another host may have sent it.
    #[serde(rename = "tcp.close.ttl_differs", skip_serializing_if = "is_zero")]
    pub ttl_differs: bool,
    /// Time from the first to the last segment.
    #[serde(rename = "tcp.duration_ns")]
    pub duration_ns: u64,
    /// How the connection began.
    #[serde(flatten)]
    pub handshake: Opened,
    /// How long the server was in SYN-RECEIVED on the wire.
    #[serde(rename = "tcp.syn_received_ns", skip_serializing_if = "Option::is_none")]
    pub syn_received_ns: Option<u64>,
    /// Totals of the client.
    #[serde(flatten, serialize_with = "client_side")]
    pub client: SideTotals,
    /// Totals of the server.
    #[serde(flatten, serialize_with = "server_side")]
    pub server: SideTotals,
    /// Exchanges reported.
    #[serde(rename = "http.exchanges")]
    pub exchanges: u32,
    /// The ICMP errors about it, if there were any.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<IcmpTotals>,
    /// Kernel events dropped for this connection.
    #[serde(rename = "events.lost", skip_serializing_if = "is_zero")]
    pub events_lost: u64,
}

/// Totals of what one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideTotals {
    /// TCP payload in bytes; each sequence number counts once.
    pub bytes: u64,
    /// Payload in bytes that was not seen to be acknowledged.
    pub unacked_bytes: u64,
    /// Segments.
    pub packets: u64,
    /// Retransmissions, including fast and spurious ones.
    pub retransmits: u64,
    /// Retransmissions that follow duplicate ACKs.
    pub fast_retransmits: u64,
    /// Retransmissions of data that was already acknowledged.
    pub spurious_retransmits: u64,
    /// Out-of-order segments.
    pub out_of_order: u64,
    /// Duplicate ACKs.
    pub duplicate_acks: u64,
    /// Segments that announce a zero window.
    pub zero_windows: u64,
    /// TCP keep-alives.
    pub keep_alives: u64,
    /// Zero-window probes.
    pub window_probes: u64,
    /// Segments with a bad checksum; 0 where checksums are not verified.
    pub checksum_errors: u64,
    /// Bytes that were not captured.
    pub gap_bytes: u64,
}

macro_rules! side {
    ($name:ident, $side:literal) => {
        fn $name<S: Serializer>(totals: &SideTotals, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry(concat!($side, ".bytes"), &totals.bytes)?;
            map.serialize_entry(concat!($side, ".packets"), &totals.packets)?;
            for (name, count) in [
                (concat!($side, ".retransmits"), totals.retransmits),
                (concat!($side, ".fast_retransmits"), totals.fast_retransmits),
                (concat!($side, ".spurious_retransmits"), totals.spurious_retransmits),
                (concat!($side, ".out_of_order"), totals.out_of_order),
                (concat!($side, ".duplicate_acks"), totals.duplicate_acks),
                (concat!($side, ".zero_windows"), totals.zero_windows),
                (concat!($side, ".keep_alives"), totals.keep_alives),
                (concat!($side, ".window_probes"), totals.window_probes),
                (concat!($side, ".checksum_errors"), totals.checksum_errors),
                (concat!($side, ".gap_bytes"), totals.gap_bytes),
                (concat!($side, ".unacked_bytes"), totals.unacked_bytes),
            ] {
                if count > 0 {
                    map.serialize_entry(name, &count)?;
                }
            }
            map.end()
        }
    };
}
side!(client_side, "client");
side!(server_side, "server");

/// Outcome of the connection: Zeek's conn_state.
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
