//! When outputs are flushed: at once on a quiet host, and at most every 10 ms on a busy one,
//! because each flush wakes the writer thread, which takes CPU time from the server.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum time between two flushes.
const INTERVAL: Duration = Duration::from_millis(10);

/// Time of the last flush and of the next one.
#[derive(Debug)]
pub(super) struct Flushing {
    last: Instant,
    due: Option<Instant>,
}

impl Flushing {
    /// The last flush was at `now`.
    pub(super) const fn new(now: Instant) -> Self {
        Self { last: now, due: None }
    }

    /// There may be new lines at `now`. Returns whether to flush at once.
    pub(super) fn on_lines(&mut self, now: Instant) -> bool {
        let due = self.last + INTERVAL;
        if now < due {
            self.due = Some(due);
            return false;
        }
        self.on_flush(now);
        true
    }

    /// The outputs are flushed at `now`.
    pub(super) const fn on_flush(&mut self, now: Instant) {
        self.last = now;
        self.due = None;
    }

    /// Time of the next flush, if lines wait for it.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_only_after_a_recent_flush() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut flushing = Flushing::new(start);
        for (now, at_once, due) in [
            (15, true, None),
            (16, false, Some(25)),
            (24, false, Some(25)),
            (25, true, None),
            (34, false, Some(35)),
            (2000, true, None),
        ] {
            assert_eq!(flushing.on_lines(at(now)), at_once, "{now}");
            assert_eq!(flushing.due(), due.map(at), "{now}");
        }
        flushing.on_lines(at(2001));
        flushing.on_flush(at(2005));
        assert_eq!(flushing.due(), None);
        assert!(!flushing.on_lines(at(2014)));
    }
}
