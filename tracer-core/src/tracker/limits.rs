//! Tracker limits and event selection.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    http::Redaction,
    record::{EventName, Events},
};

/// What bounds the tracker.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most connections followed at once, and the most handshakes that are not confirmed: each for itself, so that a
    /// flood of SYNs pushes out no connection.
    pub max_connections: usize,
    /// How long a handshake may stay unconfirmed after its last SYN or SYN-ACK.
    pub half_open_timeout: Duration,
    /// How long an open connection may be silent.
    pub idle_timeout: Duration,
    /// How long a closed connection waits for stray segments before its record is written.
    pub close_linger: Duration,
    /// The most bytes kept of heads and exchanges under way, of all connections together.
    pub buffer_bytes: usize,
    /// The traced ports: they tell the server where no SYN was seen.
    pub ports: BTreeSet<u16>,
    /// The records to make. Those of the start and the end of connections, and of exchanges, are made in any case.
    pub events: Events,
    /// What request targets lose; `None`: nothing but user information.
    pub redaction: Option<Arc<Redaction>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            // Linux gives a SYN-ACK up 63 s after the first one.
            half_open_timeout: Duration::from_secs(64),
            idle_timeout: Duration::from_secs(360),
            close_linger: Duration::from_millis(500),
            buffer_bytes: 64 << 20,
            ports: BTreeSet::from([80]),
            events: Events::of(&[EventName::Request, EventName::Response, EventName::State]),
            redaction: None,
        }
    }
}
