//! The number of half-open attempts, in little memory: one number per second.

use std::collections::VecDeque;

const SECOND: u64 = 1_000_000_000;
/// The longest timeout, in seconds. A replay has none by default, but memory is limited.
const LONGEST: u64 = 3600;

/// Attempts that entered SYN-RECEIVED and did not leave it, by the second.
#[derive(Debug)]
pub(super) struct HalfOpenCount {
    /// The number of a second, and how many more entered than left in it; seconds without a change are
    /// omitted.
    seconds: VecDeque<(u64, i64)>,
    /// An attempt expires at the server after this many seconds.
    timeout: u64,
    now: i64,
    /// The maximum since the last call of [`HalfOpenCount::take_peak`].
    peak: u64,
}

impl HalfOpenCount {
    pub(super) fn new(timeout_s: u64) -> Self {
        Self { seconds: VecDeque::new(), timeout: timeout_s.clamp(1, LONGEST), now: 0, peak: 0 }
    }

    /// Adds how many more entered than left until `now`, in ns.
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

    /// The number of half-open attempts. It is not exact while attempts leave in another second than the one
    /// in which they entered, because that one expires first.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.now).unwrap_or(0)
    }

    /// The maximum since the last call.
    pub(super) fn take_peak(&mut self) -> u64 {
        let now = self.count();
        std::mem::replace(&mut self.peak, now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_half_open_until_they_leave_or_expire() {
        let mut half_open = HalfOpenCount::new(3);
        for (second, more, count) in
            [(10, 5, 5), (10, 2, 7), (11, -3, 4), (13, 0, 4), (14, 0, 0), (15, 0, 0), (16, 1, 1)]
        {
            half_open.change(second * SECOND, more);
            assert_eq!(half_open.count(), count, "after second {second}");
        }
        assert_eq!((half_open.take_peak(), half_open.take_peak()), (7, 1));
    }
}
