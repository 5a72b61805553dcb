//! Handshake statistics of servers, and SYN floods. A server is an address and a port that listens.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::is_zero;

/// Assessment of the attempts at a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No attempts.
    #[default]
    Idle,
    /// Handshakes are completed.
    Ok,
    /// Many attempts, which are completed.
    Busy,
    /// Half-open attempts accumulate and the sources do not retransmit.
    SynFlood,
    /// The server refuses attempts with a RST.
    Refusing,
    /// The server sends nothing.
    Silent,
    /// The server repeats its SYN-ACKs, and the clients repeat their SYNs all the same.
    SynAcksLost,
    /// Few clients try many ports of the host.
    PortScan,
    /// Clients complete handshakes late, or have to retransmit.
    SlowClients,
}

impl Verdict {
    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::SynFlood => "syn_flood",
            Self::Refusing => "refusing",
            Self::Silent => "silent",
            Self::SynAcksLost => "syn_acks_lost",
            Self::PortScan => "port_scan",
            Self::SlowClients => "slow_clients",
        }
    }
}

/// `syn_flood.started`: the load on a server at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flood {
    /// Address of the server.
    #[serde(rename = "server.address")]
    pub address: IpAddr,
    /// Port of the server.
    #[serde(rename = "server.port")]
    pub port: u16,
    /// Half-open handshakes: attempts that are not completed, refused, reset or expired.
    #[serde(rename = "tcp.half_open")]
    pub half_open: u64,
    /// New attempts per second.
    #[serde(rename = "tcp.syn_rate")]
    pub syn_rate: u64,
    /// Handshake completion ratio, in permille; `None` without new attempts.
    #[serde(rename = "tcp.handshake.completion_permille", skip_serializing_if = "Option::is_none")]
    pub completion_permille: Option<u64>,
    /// Estimated number of distinct client addresses.
    #[serde(rename = "tcp.sources.estimate")]
    pub sources: u64,
    /// Whether the sources look spoofed: many distinct addresses, almost no SYN retransmissions.
    #[serde(rename = "tcp.sources.spoofed")]
    pub spoofed: bool,
    /// Handshake segments not reported individually so far.
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

/// `syn_flood.ended`: a flood, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FloodEnded {
    /// The load now; the addresses are those of the whole flood.
    #[serde(flatten)]
    pub now: Flood,
    /// Time from the first unfinished attempts to the last.
    #[serde(rename = "syn_flood.duration_ns")]
    pub duration_ns: u64,
    /// New attempts during the flood.
    #[serde(rename = "syn_flood.attempts")]
    pub attempts: u64,
    /// Handshakes completed during the flood.
    #[serde(rename = "syn_flood.completed")]
    pub completed: u64,
    /// Peak number of half-open handshakes.
    #[serde(rename = "syn_flood.half_open_peak")]
    pub half_open_peak: u64,
}

/// `tcp.listener`: handshake statistics of a server since it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// The load in the last seconds.
    #[serde(flatten)]
    pub now: Flood,
    /// Assessment of the attempts of the last seconds.
    #[serde(rename = "tcp.listener.verdict")]
    pub verdict: Verdict,
    /// New attempts.
    #[serde(rename = "tcp.listener.attempts")]
    pub attempts: u64,
    /// Retransmissions of SYNs.
    #[serde(rename = "tcp.syn_retransmits", skip_serializing_if = "is_zero")]
    pub syn_retransmits: u64,
    /// Attempts answered with a SYN-ACK.
    #[serde(rename = "tcp.listener.answered")]
    pub answered: u64,
    /// Retransmissions of SYN-ACKs.
    #[serde(rename = "tcp.syn_ack_retransmits", skip_serializing_if = "is_zero")]
    pub syn_ack_retransmits: u64,
    /// Handshakes completed.
    #[serde(rename = "tcp.listener.completed")]
    pub completed: u64,
    /// Attempts refused with a RST.
    #[serde(rename = "tcp.listener.refused", skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Attempts reset before the handshake was completed.
    #[serde(rename = "tcp.listener.reset", skip_serializing_if = "is_zero")]
    pub reset: u64,
    /// The accept queue, if the server is on this host.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub queue: Option<ListenQueue>,
    /// Counters of the network namespace, if the server is in tracer's.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceCounters>,
}

/// The accept queue of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenQueue {
    /// Connections in the queue.
    #[serde(rename = "tcp.listener.queue.length")]
    pub length: u64,
    /// Limit of the queue (backlog).
    #[serde(rename = "tcp.listener.queue.limit")]
    pub limit: u64,
}

/// Counters of all listeners in a network namespace, since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamespaceCounters {
    /// Accept queue overflows.
    #[serde(rename = "tcp.namespace.listen_overflows")]
    pub listen_overflows: u64,
    /// Attempts dropped by a listener, for any reason.
    #[serde(rename = "tcp.namespace.listen_drops")]
    pub listen_drops: u64,
    /// SYN cookies sent.
    #[serde(rename = "tcp.namespace.syn_cookies_sent")]
    pub syn_cookies_sent: u64,
    /// Valid SYN cookies received.
    #[serde(rename = "tcp.namespace.syn_cookies_received")]
    pub syn_cookies_received: u64,
    /// Invalid SYN cookies received.
    #[serde(rename = "tcp.namespace.syn_cookies_failed")]
    pub syn_cookies_failed: u64,
}
