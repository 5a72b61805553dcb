//! Detects an idle host, which should not be woken ten times a second.

use std::time::Duration;

/// Time without events after which the host is idle. Events that follow closely must not wait for a
/// slow tick.
const AFTER: Duration = Duration::from_secs(5);

/// What the ticks have seen so far.
#[derive(Debug)]
pub(super) struct Idleness {
    /// Number of events so far.
    events: u64,
    /// Time of the first tick with this number of events, in ns.
    since: u64,
    is_idle: bool,
}

impl Idleness {
    /// Not idle at `now`, in ns of any clock.
    pub(super) fn new(now: u64) -> Self {
        Self { events: 0, since: now, is_idle: false }
    }

    /// A tick at `now`, after `events` events. `is_quiet`: nothing is pending.
    pub(super) fn on_tick(&mut self, now: u64, events: u64, is_quiet: bool) {
        if events != self.events {
            (self.events, self.since) = (events, now);
        }
        self.is_idle = is_quiet && u128::from(now.saturating_sub(self.since)) >= AFTER.as_nanos();
    }

    /// Whether the host is idle.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// An event arrives. Returns whether the host was idle before.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.is_idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_idle_after_a_time_without_events_and_with_nothing_pending() {
        const SECOND: u64 = 1_000_000_000;
        let mut idleness = Idleness::new(0);
        for (at, events, is_quiet, expected) in [
            (1, 0, true, false),
            (5, 0, false, false),
            (5, 0, true, true),
            (6, 0, true, true),
            (7, 1, true, false),
            (11, 1, true, false),
            (12, 1, true, true),
        ] {
            idleness.on_tick(at * SECOND, events, is_quiet);
            assert_eq!(idleness.is_idle(), expected, "{at} s, {events} events, {is_quiet}");
        }
        assert!(idleness.end());
        assert!(!idleness.end() && !idleness.is_idle());
    }
}
