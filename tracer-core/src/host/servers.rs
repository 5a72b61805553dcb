//! The counters of servers, bounded like the kernel's table of them.

use hashlink::LruCache;
use tracer_common::server::{Add, MAX_SERVERS, ServerCounters, ServerKey};

/// The counters of servers; a new one evicts the least recently used one.
#[derive(Debug)]
pub(super) struct Servers(LruCache<ServerKey, ServerCounters>);

impl Default for Servers {
    fn default() -> Self {
        Self(LruCache::new(MAX_SERVERS as usize))
    }
}

impl Servers {
    /// The counters of a server, to be changed.
    pub(super) fn get(&mut self, key: ServerKey) -> &mut ServerCounters {
        self.0.entry(key).or_insert(ServerCounters::ZERO)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (ServerKey, ServerCounters)> {
        self.0.iter().map(|(key, counters)| (*key, *counters))
    }
}

/// Adds without atomics: there is one thread.
pub(crate) struct NonAtomic;

impl Add for NonAtomic {
    fn add(number: &mut u64, more: u64) {
        *number += more;
    }
}
