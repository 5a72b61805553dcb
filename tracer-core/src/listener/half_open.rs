//! The number of half-open attempts, in little memory: one number per second.

use std::collections::VecDeque;

const SECOND: u64 = 1_000_000_000;
/// The longest timeout, in seconds. A replay has none by default, but memory is limited.
const LONGEST: u64 = 3600;

/// Attempts that are neither completed, refused, reset nor expired, by the second in which they began.
#[derive(Debug)]
pub(super) struct HalfOpenCount {
    /// The number of a second, and how many of its attempts are half-open; seconds without any are omitted.
    seconds: VecDeque<(u64, u64)>,
    /// An attempt expires at the server after this many seconds.
    timeout: u64,
    now: u64,
    /// The maximum since the last call of [`HalfOpenCount::take_peak`].
    peak: u64,
}

impl HalfOpenCount {
    pub(super) fn new(timeout_s: u64) -> Self {
        Self { seconds: VecDeque::new(), timeout: timeout_s.clamp(1, LONGEST), now: 0, peak: 0 }
    }

    /// Adds how many attempts `began` and how many are `done` until `now`, in ns. Which ones are done is not
    /// known: the youngest are taken, because most handshakes take less than a second.
    pub(super) fn change(&mut self, now: u64, began: u64, done: u64) {
        let second = now / SECOND;
        self.expire(second);
        match self.seconds.back_mut() {
            Some((last, number)) if *last == second => *number += began,
            _ => self.seconds.push_back((second, began)),
        }
        self.now += began;
        let mut done = done.min(self.now);
        self.now -= done;
        while let Some((_, number)) = self.seconds.back_mut() {
            let taken = done.min(*number);
            *number -= taken;
            done -= taken;
            if *number > 0 {
                break;
            }
            self.seconds.pop_back();
        }
        self.peak = self.peak.max(self.now);
    }

    fn expire(&mut self, second: u64) {
        while let Some((at, number)) = self.seconds.front().copied()
            && at + self.timeout < second
        {
            self.seconds.pop_front();
            self.now -= number;
        }
    }

    /// The number of half-open attempts.
    pub(super) fn count(&self) -> u64 {
        self.now
    }

    /// The maximum since the last call.
    pub(super) fn take_peak(&mut self) -> u64 {
        std::mem::replace(&mut self.peak, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_half_open_until_they_leave_or_expire() {
        let mut half_open = HalfOpenCount::new(3);
        for (second, began, done, count) in [
            (10, 5, 0, 5),
            (10, 2, 0, 7),
            (11, 0, 3, 4),
            (12, 2, 1, 5),
            (13, 0, 0, 5),
            (14, 0, 0, 1),
            (15, 0, 4, 0),
            (16, 1, 0, 1),
        ] {
            half_open.change(second * SECOND, began, done);
            assert_eq!(half_open.count(), count, "after second {second}");
        }
        assert_eq!((half_open.take_peak(), half_open.take_peak()), (7, 1));
    }
}
