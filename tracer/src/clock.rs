//! The two clocks: CLOCK_MONOTONIC of event times, and the time of day.

use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in ns, as `bpf_ktime_get_ns` reads it. It does not advance while the host is
/// suspended.
#[must_use]
pub fn now() -> u64 {
    u64::try_from(read(ClockId::CLOCK_MONOTONIC)).unwrap_or_default()
}

/// The offset from CLOCK_MONOTONIC to ns since the Unix epoch, as of now.
#[must_use]
pub fn epoch_offset() -> i64 {
    let before = read(ClockId::CLOCK_MONOTONIC);
    let epoch = read(ClockId::CLOCK_REALTIME);
    let after = read(ClockId::CLOCK_MONOTONIC);
    // The middle of the two reads: the time that reading takes does not shift the result.
    epoch - (before + (after - before) / 2)
}

/// Reads a clock in ns. Both clocks exist on every Linux, so that reading cannot fail.
fn read(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn both_clocks_together_give_the_time_of_day() {
        let ours = i128::from(now()) + i128::from(epoch_offset());
        let system = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        let apart = i128::try_from(system).expect("fits") - ours;
        assert!(apart.abs() < 1_000_000_000, "{apart} ns apart");
    }
}
