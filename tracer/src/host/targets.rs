//! The servers asked for connections, bounded like the kernel's table of them.

use std::collections::HashMap;

use hashbrown::DefaultHashBuilder;
use tracer_common::target::{Add, MAX_TARGETS, Target, TargetKey};

/// Each server, with the number of its last use.
#[derive(Debug, Default)]
pub(super) struct Targets {
    targets: HashMap<TargetKey, (u64, Target), DefaultHashBuilder>,
    uses: u64,
}

impl Targets {
    /// Does something to the counts of a server. Where there is no room, the one not used for the longest makes some.
    pub(super) fn with<T>(&mut self, key: TargetKey, work: impl FnOnce(&mut Target) -> T) -> T {
        if self.targets.len() >= MAX_TARGETS as usize && !self.targets.contains_key(&key) {
            self.make_room();
        }
        self.uses += 1;
        let (used, target) = self.targets.entry(key).or_insert((0, Target::BLANK));
        *used = self.uses;
        work(target)
    }

    /// Gives up the half that was not used for the longest: so it need not be looked for at each new one.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.targets.values().map(|(used, _)| *used).collect();
        let half = uses.len() / 2;
        let (_, oldest_kept, _) = uses.select_nth_unstable(half);
        let oldest_kept = *oldest_kept;
        self.targets.retain(|_, (used, _)| *used >= oldest_kept);
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (TargetKey, Target)> {
        self.targets.iter().map(|(key, (_, target))| (*key, *target))
    }
}

/// There is one thread.
pub(super) struct Plain;

impl Add for Plain {
    fn add(number: &mut u64, more: u64) {
        *number += more;
    }
}
