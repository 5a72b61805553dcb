//! The counters of servers, with the limit of the kernel's table.

use hashlink::LruCache;
use tracer_common::target::{Add, MAX_TARGETS, Target, TargetKey};

/// The counters of each server; the least recently used one is evicted.
#[derive(Debug)]
pub(super) struct HostServers(LruCache<TargetKey, Target>);

impl Default for HostServers {
    fn default() -> Self {
        Self(LruCache::new(MAX_TARGETS as usize))
    }
}

impl HostServers {
    /// Changes the counters of a server.
    pub(super) fn with<T>(&mut self, key: TargetKey, work: impl FnOnce(&mut Target) -> T) -> T {
        work(self.0.entry(key).or_insert(Target::BLANK))
    }

    /// The counters of all servers.
    pub(super) fn all(&self) -> impl Iterator<Item = (TargetKey, Target)> {
        self.0.iter().map(|(key, target)| (*key, *target))
    }
}

/// Adds without atomics, because there is one thread.
pub(super) struct NonAtomic;

impl Add for NonAtomic {
    fn add(number: &mut u64, more: u64) {
        *number += more;
    }
}
