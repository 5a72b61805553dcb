//! How many attempts are half-open, in little memory: a number for each second.

use std::collections::VecDeque;

const SECOND: u64 = 1_000_000_000;
/// No server waits longer, in seconds; a replay has no timeout unless asked for, but memory has an end.
const LONGEST: u64 = 3600;

/// Attempts that entered SYN-RECEIVED and did not leave it, by the second.
#[derive(Debug)]
pub(super) struct HalfOpen {
    /// The number of a second, and how many more entered than left in it; those without a change are left out.
    seconds: VecDeque<(u64, i64)>,
    /// After so many seconds, the server gives up.
    timeout: u64,
    now: i64,
    /// The most there were since the last call of [`HalfOpen::take_peak`].
    peak: u64,
}

impl HalfOpen {
    pub(super) fn new(timeout_s: u64) -> Self {
        Self { seconds: VecDeque::new(), timeout: timeout_s.clamp(1, LONGEST), now: 0, peak: 0 }
    }

    /// So many more entered than left, up to `now`, in ns.
    pub(super) fn change(&mut self, now: u64, more: i64) {
        let second = now / SECOND;
        self.expire(second);
        if more == 0 {
            return;
        }
        self.now += more;
        match self.seconds.back_mut() {
            Some((last, net)) if *last == second => *net += more,
            _ => self.seconds.push_back((second, more)),
        }
        self.peak = self.peak.max(self.count());
    }

    fn expire(&mut self, second: u64) {
        while let Some((at, net)) = self.seconds.front().copied()
            && at + self.timeout < second
        {
            self.seconds.pop_front();
            self.now -= net;
        }
    }

    /// How many there are. Not exact while attempts leave in another second than that in which they entered, for that one is
    /// forgotten first.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.now).unwrap_or(0)
    }

    /// The most there were since the last time, or are.
    pub(super) fn take_peak(&mut self) -> u64 {
        let now = self.count();
        std::mem::replace(&mut self.peak, now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_half_open_until_they_leave_or_the_server_gives_up() {
        let mut half_open = HalfOpen::new(3);
        for (second, more, count) in
            [(10, 5, 5), (10, 2, 7), (11, -3, 4), (13, 0, 4), (14, 0, 0), (15, 0, 0), (16, 1, 1)]
        {
            half_open.change(second * SECOND, more);
            assert_eq!(half_open.count(), count, "after second {second}");
        }
        assert_eq!((half_open.take_peak(), half_open.take_peak()), (7, 1));
    }
}
