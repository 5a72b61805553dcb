//! The servers asked for connections, bounded like the kernel's table of them.

use hashlink::LruCache;
use tracer_common::target::{Add, MAX_TARGETS, Target, TargetKey};

/// The servers; where there is no room, the one not used for the longest makes some.
#[derive(Debug)]
pub(super) struct Targets(LruCache<TargetKey, Target>);

impl Default for Targets {
    fn default() -> Self {
        Self(LruCache::new(MAX_TARGETS as usize))
    }
}

impl Targets {
    /// Does something to the counts of a server.
    pub(super) fn with<T>(&mut self, key: TargetKey, work: impl FnOnce(&mut Target) -> T) -> T {
        work(self.0.entry(key).or_insert(Target::BLANK))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (TargetKey, Target)> {
        self.0.iter().map(|(key, target)| (*key, *target))
    }
}

/// There is one thread.
pub(super) struct Plain;

impl Add for Plain {
    fn add(number: &mut u64, more: u64) {
        *number += more;
    }
}
