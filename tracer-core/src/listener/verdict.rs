//! What the figures of the last seconds look like. No state but the hysteresis of the alarm.

use tracer_common::server::Count;

use super::figures::Figures;
use crate::record::Verdict;

/// So many unfinished attempts more than a moment ago are pressure: what the smallest listen queues hold.
const PRESSURE: u64 = 150;
/// Attempts that are asked again are of somebody who is there: one in so many of the unfinished ones is enough for all of
/// them, because a client asks again only after a second (RFC 6298, 2), and then at ever longer intervals.
const ALIVE: u64 = 4;
/// How long there must be pressure before it is an alarm, in ns. Whoever is there has asked again by then.
const HOLD: u64 = 1_500_000_000;
/// How long there must be none before the alarm is over, in ns.
const RELEASE: u64 = 4_000_000_000;
/// So many attempts in a second are many.
const BUSY: u64 = 1000;
/// A handshake that takes so long, in ns, is slow.
const SLOW_NS: u64 = 500_000_000;

/// Whether there is a flood, with hysteresis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Alarm {
    /// There is one.
    pub(super) is_on: bool,
    /// Since when the figures say the other thing, in ns.
    since: Option<u64>,
}

impl Alarm {
    /// Looks at the figures of the last moment before `now`, in ns, and of the moment before that. The time at which it began to be what it is from now on,
    /// if it changed.
    pub(super) fn update(&mut self, now: u64, recent: &Figures, before: &Figures) -> Option<u64> {
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

fn is_pressing(excess: u64, recent: &Figures) -> bool {
    excess >= PRESSURE && recent.counts.get(Count::SynRetransmits).saturating_mul(ALIVE) < excess
}

const fn is_over(excess: u64) -> bool {
    excess < PRESSURE / 2
}

/// What it looks like when it is neither a flood nor a scan. `lately` is some seconds long; `matured` is the part of them that
/// was over a second ago.
pub(super) fn of(lately: &Figures, matured_attempts: u64) -> Verdict {
    let get = |count| lately.counts.get(count);
    let (attempts, repeats, completed) =
        (get(Count::Attempts), get(Count::SynRetransmits), get(Count::Completed));
    if attempts + repeats + completed == 0 {
        Verdict::Idle
    } else if get(Count::Refused) > 0 && get(Count::Refused) * 2 >= attempts {
        Verdict::Refusing
    } else if get(Count::Answered) + completed == 0 && repeats + matured_attempts > 0 {
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

/// Whether addresses look spoofed: so many for so many attempts that were never finished, and hardly any that asks again.
pub(super) fn look_spoofed(sources: u64, unfinished: u64, repeats: u64) -> bool {
    const MOST_OF_ONE: u64 = 4;
    const FEW: u64 = 16;
    unfinished > 0
        && sources.saturating_mul(MOST_OF_ONE) >= unfinished
        && repeats.saturating_mul(FEW) < unfinished
}
