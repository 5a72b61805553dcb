//! The verdict on the last seconds of a server. Its only state is the hysteresis of the alarm.

use tracer_common::server::Count;

use super::interval::Interval;
use crate::record::Verdict;

/// An increase of unfinished attempts by this many is pressure: as many as the smallest listen queues hold.
const PRESSURE: u64 = 150;
/// A retransmitted SYN is of a real client. One in this many unfinished attempts is enough, because a client
/// retransmits after a second (RFC 6298, 2), and then at ever longer intervals.
const ALIVE: u64 = 4;
/// Pressure must last this long before an alarm, in ns. A real client has retransmitted by then.
const HOLD: u64 = 1_500_000_000;
/// Pressure must be absent this long before the alarm is over, in ns.
const RELEASE: u64 = 4_000_000_000;
/// A server with this many attempts per second is busy.
const BUSY: u64 = 1000;
/// A handshake of this length, in ns, is slow.
const SLOW_NS: u64 = 500_000_000;

/// The flood alarm, with hysteresis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Alarm {
    /// There is a flood.
    pub(super) is_on: bool,
    /// Since when the intervals indicate the opposite, in ns.
    since: Option<u64>,
}

impl Alarm {
    /// Takes in the last interval before `now`, in ns, and the interval before it. Returns when the new
    /// condition began, if the alarm changes.
    pub(super) fn update(&mut self, now: u64, recent: &Interval, before: &Interval) -> Option<u64> {
        let excess = recent.excess(before);
        let (turns, after) =
            if self.is_on { (is_over(excess), RELEASE) } else { (is_pressing(excess, recent), HOLD) };
        if !turns {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) < after {
            return None;
        }
        *self = Self { is_on: !self.is_on, since: None };
        Some(since)
    }
}

fn is_pressing(excess: u64, recent: &Interval) -> bool {
    excess >= PRESSURE && recent.counts.get(Count::SynRetransmits).saturating_mul(ALIVE) < excess
}

const fn is_over(excess: u64) -> bool {
    excess < PRESSURE / 2
}

/// The verdict if there is neither a flood nor a scan. `matured_attempts` are those of `lately` that are
/// older than a second.
pub(super) fn of(lately: &Interval, matured_attempts: u64) -> Verdict {
    let get = |count| lately.counts.get(count);
    let (attempts, repeats, completed) =
        (get(Count::Attempts), get(Count::SynRetransmits), get(Count::Completed));
    if attempts + repeats + completed == 0 {
        Verdict::Idle
    } else if get(Count::Refused) > 0 && get(Count::Refused) * 2 >= attempts {
        Verdict::Refusing
    } else if completed == 0 && repeats > 0 && get(Count::SynAckRetransmits) > 0 {
        Verdict::SynAcksLost
    } else if get(Count::Answered) + get(Count::SynAckRetransmits) + completed == 0
        && repeats + matured_attempts > 0
    {
        Verdict::Silent
    } else if is_slow(attempts, repeats, completed, get(Count::HandshakeNs), matured_attempts) {
        Verdict::SlowClients
    } else if lately.rate(Count::Attempts) >= BUSY {
        Verdict::Busy
    } else {
        Verdict::Ok
    }
}

fn is_slow(attempts: u64, repeats: u64, completed: u64, handshake_ns: u64, matured_attempts: u64) -> bool {
    repeats * ALIVE >= attempts.max(1)
        || completed > 0 && handshake_ns / completed >= SLOW_NS
        || completed * 2 < matured_attempts
}

/// Whether the sources look spoofed: many distinct addresses for the unfinished attempts, and almost no SYN
/// retransmissions.
pub(super) fn look_spoofed(sources: u64, unfinished: u64, repeats: u64) -> bool {
    const MOST_OF_ONE: u64 = 4;
    const FEW: u64 = 16;
    unfinished > 0
        && sources.saturating_mul(MOST_OF_ONE) >= unfinished
        && repeats.saturating_mul(FEW) < unfinished
}
