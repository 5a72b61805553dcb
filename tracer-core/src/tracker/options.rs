//! Tracker limits and event selection.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    http::HeadOptions,
    record::{CloseReason, EventName, Events},
};

/// The limits of a tracker, and the records it makes.
#[derive(Clone, Debug)]
pub struct TrackerOptions {
    /// The most connections, and the most half-open handshakes: each has its own limit, so that a flood of
    /// SYNs evicts no connection.
    pub max_connections: usize,
    /// A half-open handshake expires this long after its last SYN or SYN-ACK.
    pub half_open_timeout: Duration,
    /// An open connection expires after this much silence.
    pub idle_timeout: Duration,
    /// A closed connection waits this long for stray segments before its record is written.
    pub close_linger: Duration,
    /// Why connections that are open at the end of the observation are no longer followed.
    pub end_reason: CloseReason,
    /// The most bytes of incomplete heads, open exchanges and sequence gaps, of all connections together.
    pub buffer_bytes: usize,
    /// The traced ports: they identify the server if no SYN was seen.
    pub ports: BTreeSet<u16>,
    /// The records to make. Those of opened and closed connections, and of exchanges, are always made.
    pub events: Events,
    /// How heads are recorded.
    pub heads: HeadOptions,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            // Linux stops retransmitting a SYN-ACK 63 s after the first one.
            half_open_timeout: Duration::from_secs(64),
            idle_timeout: Duration::from_secs(360),
            close_linger: Duration::from_millis(500),
            end_reason: CloseReason::EndOfCapture,
            buffer_bytes: 64 << 20,
            ports: BTreeSet::from([80]),
            events: Events::of(&[EventName::Request, EventName::Response, EventName::State]),
            heads: HeadOptions::default(),
        }
    }
}
