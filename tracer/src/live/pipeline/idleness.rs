//! Whether anything goes on: an idle host is not to be woken ten times a second.

use std::time::Duration;

/// For so long nothing must have come: what follows closely is not to wait for the first tick after a pause.
const AFTER: Duration = Duration::from_secs(5);

/// What was seen by the ticks so far.
#[derive(Debug)]
pub(super) struct Idleness {
    /// Events taken in.
    events: u64,
    /// The first tick that found so many, in ns.
    since: u64,
    is_idle: bool,
}

impl Idleness {
    /// Something goes on at `now`, in ns of any clock.
    pub(super) fn new(now: u64) -> Self {
        Self { events: 0, since: now, is_idle: false }
    }

    /// A tick at `now` finds that so many `events` were taken in. `is_quiet`: there is nothing to wait for but more of
    /// them.
    pub(super) fn on_tick(&mut self, now: u64, events: u64, is_quiet: bool) {
        if events != self.events {
            (self.events, self.since) = (events, now);
        }
        self.is_idle = is_quiet && u128::from(now.saturating_sub(self.since)) >= AFTER.as_nanos();
    }

    /// Whether nothing goes on.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// Something happens; true when nothing went on before.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.is_idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_silence_and_nothing_to_follow_to_be_idle() {
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
