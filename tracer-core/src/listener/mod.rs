//! The servers that are asked for connections: how many attempts there are, what becomes of them, and what that looks like.
//!
//! ```text
//!   counts of each server ─► watch ─► figures of the last seconds ─► verdict ─► syn_flood.started, syn_flood.ended
//!                              │                                               └► tcp.listener
//!                              └► half_open, sources
//! ```
//!
//! Sans-IO like the tracker: the caller brings the counts and the time several times a second. A flood is not known by the
//! rate of SYNs, which may be that of many honest clients, nor by the share of attempts that fail, for honest ones may
//! succeed at the same time; but by attempts that pile up, while nobody behind them shows life.

mod figures;
mod half_open;
mod scan;
mod sources;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use hashbrown::DefaultHashBuilder;
use tracer_common::server::{ServerCounters, ServerKey};

use self::watch::{News, Watch};
use crate::record::{Body, Listener, Record, Timestamp};

/// How often the ports of one host are looked at together, in ns.
const SCAN_INTERVAL: u64 = 1_000_000_000;

/// All servers that the observer counts for; no more than it does.
pub struct Listeners {
    watches: HashMap<ServerKey, Watch, DefaultHashBuilder>,
    half_open_timeout: Duration,
    epoch_offset: i64,
    scanned_at: u64,
    records: VecDeque<Record>,
}

impl Listeners {
    /// None asked yet. A server gives a handshake up after `half_open_timeout`.
    #[must_use]
    pub fn new(half_open_timeout: Duration) -> Self {
        Self {
            watches: HashMap::default(),
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

    /// Takes in what is counted for all servers at `now`, in ns.
    pub fn on_servers(&mut self, now: u64, servers: impl IntoIterator<Item = (ServerKey, ServerCounters)>) {
        for (key, server) in servers {
            let watch =
                self.watches.entry(key).or_insert_with(|| Watch::new(key, self.half_open_timeout, now));
            let news = watch.on_counts(now, &server);
            let body = match news {
                Some(News::Started(flood)) => Body::FloodStarted(Box::new(flood)),
                Some(News::Ended(flood)) => Body::FloodEnded(Box::new(flood)),
                None => continue,
            };
            let timestamp = Timestamp(now.saturating_add_signed(self.epoch_offset));
            self.records.push_back(Record { timestamp, connection: None, body });
        }
        // Those that made room for others.
        self.watches.retain(|_, watch| watch.was_read_at(now));
        if now.saturating_sub(self.scanned_at) >= SCAN_INTERVAL {
            self.scanned_at = now;
            scan::mark(&mut self.watches, now);
        }
    }

    /// The next record.
    pub fn next_record(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    /// Whether any is under a flood.
    #[must_use]
    pub fn are_flooded(&self) -> bool {
        self.watches.values().any(Watch::is_flooded)
    }

    /// Those that were asked in the last seconds before `now`, or have attempts half-open, in the order of their addresses.
    pub fn all(&mut self, now: u64) -> Vec<Listener> {
        let mut all: Vec<Listener> =
            self.watches.values_mut().filter_map(|watch| watch.listener(now)).collect();
        all.sort_by_key(|listener| listener.now.server());
        all
    }
}
