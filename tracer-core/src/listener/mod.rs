//! Servers: their handshake statistics, and SYN floods.
//!
//! ```text
//!   counters of each server ─► monitor ─► interval of the last seconds ─► verdict ─► syn_flood.started, syn_flood.ended
//!                              │                                               └► tcp.listener
//!                              └► half_open, sources
//! ```
//!
//! Sans-IO like the tracker: the caller passes the counters and the time several times a second. The rate of
//! SYNs does not prove a flood, because it may come from many real clients; nor does the share of failed
//! attempts, because real clients may succeed at the same time. In a flood, half-open attempts accumulate and
//! the sources do not retransmit.

mod half_open;
mod interval;
mod monitor;
mod scan;
mod sources;
#[cfg(test)]
mod tests;
mod verdict;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use hashbrown::DefaultHashBuilder;
use tracer_common::server::{ServerCounters, ServerKey};

use self::monitor::{FloodChange, ServerMonitor};
use crate::record::{Body, Listener, Record, Timestamp};

/// How often the ports of each host are checked for a scan, in ns.
const SCAN_INTERVAL: u64 = 1_000_000_000;

/// All servers that the observer counts for.
pub struct Listeners {
    monitors: HashMap<ServerKey, ServerMonitor, DefaultHashBuilder>,
    half_open_timeout: Duration,
    epoch_offset: i64,
    scanned_at: u64,
    records: VecDeque<Record>,
}

impl Listeners {
    /// No servers yet. A handshake expires at its server after `half_open_timeout`.
    #[must_use]
    pub fn new(half_open_timeout: Duration) -> Self {
        Self {
            monitors: HashMap::default(),
            half_open_timeout,
            epoch_offset: 0,
            scanned_at: 0,
            records: VecDeque::new(),
        }
    }

    /// Sets what to add to the observer's clock to get ns since the Unix epoch.
    pub fn set_clock(&mut self, epoch_offset_ns: i64) {
        self.epoch_offset = epoch_offset_ns;
    }

    /// Takes in the counters of all servers at `now`, in ns.
    pub fn on_servers(&mut self, now: u64, targets: impl IntoIterator<Item = (ServerKey, ServerCounters)>) {
        for (key, target) in targets {
            let monitor = self
                .monitors
                .entry(key)
                .or_insert_with(|| ServerMonitor::new(key, self.half_open_timeout, now));
            let body = match monitor.on_counters(now, &target) {
                Some(FloodChange::Started(flood)) => Body::FloodStarted(Box::new(flood)),
                Some(FloodChange::Ended(flood)) => Body::FloodEnded(Box::new(flood)),
                None => continue,
            };
            let timestamp = Timestamp(now.saturating_add_signed(self.epoch_offset));
            self.records.push_back(Record { timestamp, connection: None, body });
        }
        // The observer evicted the others.
        self.monitors.retain(|_, monitor| monitor.was_read_at(now));
        if now.saturating_sub(self.scanned_at) >= SCAN_INTERVAL {
            self.scanned_at = now;
            scan::mark(&mut self.monitors, now);
        }
    }

    /// The next record.
    pub fn next_record(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    /// Whether any server is flooded.
    #[must_use]
    pub fn are_flooded(&self) -> bool {
        self.monitors.values().any(ServerMonitor::is_flooded)
    }

    /// The servers with attempts in the last seconds before `now`, or with half-open attempts, in the order
    /// of their addresses.
    pub fn all(&mut self, now: u64) -> Vec<Listener> {
        let mut all: Vec<Listener> =
            self.monitors.values_mut().filter_map(|monitor| monitor.listener(now)).collect();
        all.sort_by_key(|listener| listener.now.server());
        all
    }
}
