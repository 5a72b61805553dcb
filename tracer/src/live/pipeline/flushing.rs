//! When lines are passed on: at once on a quiet host, and gathered for a while on a busy one, where each time wakes the thread
//! that writes, and that takes a CPU from the server.

use std::time::Duration;

use tokio::time::Instant;

/// How long lines are gathered after others were passed on.
const GATHERING: Duration = Duration::from_millis(10);

/// When lines were passed on last, and when they are to be.
#[derive(Debug)]
pub(super) struct Flushing {
    last: Instant,
    due: Option<Instant>,
}

impl Flushing {
    /// Nothing was passed on until `now`.
    pub(super) const fn new(now: Instant) -> Self {
        Self { last: now, due: None }
    }

    /// There may be lines at `now`; true if they are to be passed on at once.
    pub(super) fn on_lines(&mut self, now: Instant) -> bool {
        let due = self.last + GATHERING;
        if now < due {
            self.due = Some(due);
            return false;
        }
        self.on_flush(now);
        true
    }

    /// All lines are passed on at `now`.
    pub(super) const fn on_flush(&mut self, now: Instant) {
        self.last = now;
        self.due = None;
    }

    /// When lines are to be passed on, if any wait for that.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_gathered_only_where_others_were_passed_on_just_before() {
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
