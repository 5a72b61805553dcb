//! What a server is asked for, and how it answers: one that listens at an address and a port.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::is_zero;

/// What the attempts at a server look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody asks.
    #[default]
    Idle,
    /// Attempts are confirmed.
    Ok,
    /// Many attempts, and they are confirmed.
    Busy,
    /// Many attempts are neither confirmed nor given up, and nobody behind them shows life.
    SynFlood,
    /// The server answers with a RST.
    Refusing,
    /// The server does not answer.
    Silent,
    /// One client, or few, asks for many ports of this host.
    PortScan,
    /// Clients confirm late, or have to ask again.
    SlowClients,
}

impl Verdict {
    /// The name as in the records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::SynFlood => "syn_flood",
            Self::Refusing => "refusing",
            Self::Silent => "silent",
            Self::PortScan => "port_scan",
            Self::SlowClients => "slow_clients",
        }
    }
}

/// The pressure on a server at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flood {
    /// Address of the server.
    #[serde(rename = "server.address")]
    pub address: IpAddr,
    /// Port of the server.
    #[serde(rename = "server.port")]
    pub port: u16,
    /// Attempts that are neither confirmed nor over now.
    #[serde(rename = "tcp.half_open")]
    pub half_open: u64,
    /// New attempts in a second.
    #[serde(rename = "tcp.syn_rate")]
    pub syn_rate: u64,
    /// Of a thousand new attempts, so many were confirmed.
    #[serde(rename = "tcp.handshake.completion_permille")]
    pub completion_permille: u64,
    /// About so many different addresses ask.
    #[serde(rename = "tcp.sources.estimate")]
    pub sources: u64,
    /// The addresses look forged: they are many for the attempts that are not confirmed, and do not ask again.
    #[serde(rename = "tcp.sources.spoofed")]
    pub spoofed: bool,
    /// Segments of handshakes not told one by one so far.
    #[serde(rename = "tcp.handshake_segments.aggregated", skip_serializing_if = "is_zero")]
    pub aggregated: u64,
}

impl Flood {
    /// The server.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// A flood, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FloodEnded {
    /// The pressure now; the addresses are those of the whole flood.
    #[serde(flatten)]
    pub now: Flood,
    /// From the first unfinished attempts to the last.
    #[serde(rename = "syn_flood.duration_ns")]
    pub duration_ns: u64,
    /// New attempts in that time.
    #[serde(rename = "syn_flood.attempts")]
    pub attempts: u64,
    /// Attempts confirmed in that time.
    #[serde(rename = "syn_flood.completed")]
    pub completed: u64,
    /// The most half-open at once.
    #[serde(rename = "syn_flood.half_open_peak")]
    pub half_open_peak: u64,
}

/// The course of attempts at a server since it was first asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// The last seconds.
    #[serde(flatten)]
    pub now: Flood,
    /// What the attempts of the last seconds look like.
    #[serde(rename = "tcp.listener.verdict")]
    pub verdict: Verdict,
    /// New attempts.
    #[serde(rename = "tcp.listener.attempts")]
    pub attempts: u64,
    /// SYNs sent again.
    #[serde(rename = "tcp.syn_retransmits", skip_serializing_if = "is_zero")]
    pub syn_retransmits: u64,
    /// Attempts answered by a SYN-ACK.
    #[serde(rename = "tcp.listener.answered")]
    pub answered: u64,
    /// SYN-ACKs sent again.
    #[serde(rename = "tcp.syn_ack_retransmits", skip_serializing_if = "is_zero")]
    pub syn_ack_retransmits: u64,
    /// Attempts confirmed.
    #[serde(rename = "tcp.listener.completed")]
    pub completed: u64,
    /// Attempts refused.
    #[serde(rename = "tcp.listener.refused", skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Attempts reset before they were confirmed.
    #[serde(rename = "tcp.listener.reset", skip_serializing_if = "is_zero")]
    pub reset: u64,
    /// The listen queue, where the server is on this host.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub queue: Option<ListenQueue>,
    /// What the network namespace counts, where the server is in that of the tracer.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceCounters>,
}

/// Connections that wait to be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenQueue {
    /// How many there are.
    #[serde(rename = "tcp.listener.queue.length")]
    pub length: u64,
    /// How many there may be.
    #[serde(rename = "tcp.listener.queue.limit")]
    pub limit: u64,
}

/// What a network namespace counts for all its listeners together, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamespaceCounters {
    /// Times that a listen queue was full.
    #[serde(rename = "tcp.namespace.listen_overflows")]
    pub listen_overflows: u64,
    /// Attempts dropped by a listener, for whatever reason.
    #[serde(rename = "tcp.namespace.listen_drops")]
    pub listen_drops: u64,
    /// SYN-ACKs with a SYN cookie.
    #[serde(rename = "tcp.namespace.syn_cookies_sent")]
    pub syn_cookies_sent: u64,
    /// Valid SYN cookies that came back.
    #[serde(rename = "tcp.namespace.syn_cookies_received")]
    pub syn_cookies_received: u64,
    /// SYN cookies that came back and were not valid.
    #[serde(rename = "tcp.namespace.syn_cookies_failed")]
    pub syn_cookies_failed: u64,
}
