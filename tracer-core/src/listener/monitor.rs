//! One server: its counters over the last seconds, and the flood alarm.

use std::{collections::VecDeque, time::Duration};

use tracer_common::{
    server::{Count, ServerCounters, ServerKey},
    sketch::{REGISTERS, Sketch},
    wire::address,
};

use super::{
    half_open::HalfOpenCount,
    interval::{Interval, ServerTotals},
    sources::{estimate, merge},
    verdict::{self, Alarm},
};
use crate::record::{Flood, FloodEnded, Listener, Verdict};

/// How often the counters are sampled, in ns.
const STEP: u64 = 250_000_000;
/// The interval over which pressure is measured, in ns.
const RECENT: u64 = 1_500_000_000;
/// The interval over which the rest is measured, in ns.
pub(super) const LATELY: u64 = 8_000_000_000;
/// Younger attempts may still be answered, in ns.
const MATURED: u64 = 1_000_000_000;

/// The start or the end of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloodChange {
    /// A flood has started.
    Started(Flood),
    /// The flood is over.
    Ended(FloodEnded),
}

/// One server.
#[derive(Debug)]
pub(super) struct ServerMonitor {
    key: ServerKey,
    /// The counters of the observer's entry, and those of earlier entries, which it evicted.
    last: ServerTotals,
    evicted: ServerTotals,
    /// Samples of the totals.
    samples: VecDeque<Sample>,
    read_at: u64,
    half_open: HalfOpenCount,
    epoch: u64,
    /// The client addresses of this epoch, and of the one before.
    sources: Sketch,
    earlier_sources: Sketch,
    alarm: Alarm,
    flood: Option<Box<CurrentFlood>>,
    /// Whether it is one of many ports in a scan.
    pub(super) is_scanned: bool,
}

/// The totals from one time to another, in ns.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: u64,
    until: u64,
    totals: ServerTotals,
}

/// A flood in progress.
#[derive(Debug)]
struct CurrentFlood {
    /// When it began, in ns, and the totals before it.
    since: u64,
    before: ServerTotals,
    sources: Sketch,
    half_open_peak: u64,
}

impl ServerMonitor {
    pub(super) fn new(key: ServerKey, half_open_timeout: Duration, now: u64) -> Self {
        // Everything counted before the first reading is new.
        let samples = VecDeque::from([Sample {
            at: now.saturating_sub(STEP),
            until: now.saturating_sub(STEP),
            totals: ServerTotals::default(),
        }]);
        Self {
            key,
            last: ServerTotals::default(),
            evicted: ServerTotals::default(),
            samples,
            read_at: now,
            half_open: HalfOpenCount::new(half_open_timeout.as_secs()),
            epoch: 0,
            sources: [0; REGISTERS],
            earlier_sources: [0; REGISTERS],
            alarm: Alarm::default(),
            flood: None,
            is_scanned: false,
        }
    }

    pub(super) fn key(&self) -> &ServerKey {
        &self.key
    }

    pub(super) fn is_flooded(&self) -> bool {
        self.flood.is_some()
    }

    /// Whether its counters were read at `now`, the last time.
    pub(super) fn was_read_at(&self, now: u64) -> bool {
        self.read_at == now
    }

    /// Takes in its counters at `now`, in ns.
    pub(super) fn on_counters(&mut self, now: u64, server: &ServerCounters) -> Option<FloodChange> {
        self.read_at = now;
        let old = self.total();
        let counters = ServerTotals::of(server);
        if counters.were_reset(&self.last) {
            self.evicted = old;
        }
        self.last = counters;
        let new = self.total().since(&old);
        self.half_open.change(now, new.get(Count::Attempts), new.done());
        self.merge_sources(server);
        self.sample(now);
        self.update_alarm(now)
    }

    fn total(&self) -> ServerTotals {
        self.evicted.plus(&self.last)
    }

    fn merge_sources(&mut self, server: &ServerCounters) {
        if server.epoch != self.epoch {
            // The addresses between the last reading and the end of its epoch are unknown.
            let is_next = server.epoch == self.epoch.wrapping_add(1);
            self.earlier_sources = if is_next { self.sources } else { [0; REGISTERS] };
            self.epoch = server.epoch;
        }
        self.sources = server.sources;
        if let Some(flood) = &mut self.flood {
            merge(&mut flood.sources, &server.sources);
        }
    }

    fn sample(&mut self, now: u64) {
        let totals = self.total();
        match self.samples.back_mut() {
            Some(last) if last.totals == totals => last.until = now,
            Some(last) if now.saturating_sub(last.at) < STEP => {}
            _ => self.samples.push_back(Sample { at: now, until: now, totals }),
        }
        while let Some(second) = self.samples.get(1)
            && now.saturating_sub(second.at) > LATELY
        {
            self.samples.pop_front();
        }
    }

    /// The interval of `ago` ns before `until`, or since the first sample.
    fn interval(&self, until: u64, ago: u64) -> Interval {
        let (start, before) = self.totals_at(until.saturating_sub(ago));
        let (end, after) = if until >= self.read_at { (until, self.total()) } else { self.totals_at(until) };
        Interval { counts: after.since(&before), span_ns: end.saturating_sub(start).max(1) }
    }

    /// The last sample at or before a time, and its time.
    fn totals_at(&self, time: u64) -> (u64, ServerTotals) {
        let sample = self.samples.iter().rev().find(|sample| sample.at <= time);
        match sample.or(self.samples.front()) {
            Some(sample) => (sample.until.min(time).max(sample.at), sample.totals),
            None => (time, self.total()),
        }
    }

    /// The increase in the last seconds before `now`, in ns.
    pub(super) fn lately(&self, now: u64) -> ServerTotals {
        self.interval(now, LATELY).counts
    }

    fn update_alarm(&mut self, now: u64) -> Option<FloodChange> {
        let recent = self.interval(now, RECENT);
        if let Some(flood) = &mut self.flood {
            flood.half_open_peak = flood.half_open_peak.max(self.half_open.take_peak());
        }
        let before = self.interval(now.saturating_sub(RECENT), RECENT);
        let turned_at = self.alarm.update(now, &recent, &before)?;
        if self.alarm.is_on {
            let before = self.total().since(&self.interval(now, now.saturating_sub(turned_at)).counts);
            let mut sources = self.sources;
            merge(&mut sources, &self.earlier_sources);
            let half_open_peak = self.half_open.count();
            self.flood = Some(Box::new(CurrentFlood { since: turned_at, before, sources, half_open_peak }));
            return Some(FloodChange::Started(self.pressure(now)));
        }
        let ended = self.ended(now, turned_at);
        self.flood = None;
        ended.map(FloodChange::Ended)
    }

    fn ended(&self, now: u64, at: u64) -> Option<FloodEnded> {
        let flood = self.flood.as_ref()?;
        let counts = self.total().since(&flood.before);
        Some(FloodEnded {
            now: self.pressure(now),
            duration_ns: at.saturating_sub(flood.since),
            attempts: counts.get(Count::Attempts),
            completed: counts.get(Count::Completed),
            half_open_peak: flood.half_open_peak,
        })
    }

    /// The client addresses since the flood began, or else of the last 9 to 17 s.
    pub(super) fn addresses(&self) -> Sketch {
        let mut sources = self.sources;
        merge(&mut sources, self.flood.as_ref().map_or(&self.earlier_sources, |flood| &flood.sources));
        sources
    }

    fn pressure(&self, now: u64) -> Flood {
        let recent = self.interval(now, RECENT);
        let sources = estimate(&self.addresses());
        let spoofed = self.flood.as_ref().is_some_and(|flood| {
            let counts = self.total().since(&flood.before);
            let unfinished = counts.get(Count::Attempts).saturating_sub(counts.done());
            verdict::look_spoofed(sources, unfinished, counts.get(Count::SynRetransmits))
        });
        Flood {
            address: address(self.key.address),
            port: self.key.port,
            half_open: self.half_open.count(),
            syn_rate: recent.rate(Count::Attempts),
            completion_permille: recent.completion_permille(),
            sources,
            spoofed,
            aggregated: self.total().get(Count::Aggregated),
        }
    }

    fn verdict(&self, now: u64) -> Verdict {
        let lately = self.interval(now, LATELY);
        let matured = lately.counts.since(&self.interval(now, MATURED).counts);
        if self.alarm.is_on {
            Verdict::SynFlood
        } else if self.is_scanned {
            Verdict::PortScan
        } else {
            verdict::of(&lately, matured.get(Count::Attempts))
        }
    }

    /// Its record at `now`; `None` if it is idle.
    pub(super) fn listener(&mut self, now: u64) -> Option<Listener> {
        self.half_open.change(now, 0, 0);
        let verdict = self.verdict(now);
        if verdict == Verdict::Idle && self.half_open.count() == 0 {
            return None;
        }
        let total = self.total();
        Some(Listener {
            now: self.pressure(now),
            verdict,
            attempts: total.get(Count::Attempts),
            syn_retransmits: total.get(Count::SynRetransmits),
            answered: total.get(Count::Answered),
            syn_ack_retransmits: total.get(Count::SynAckRetransmits),
            completed: total.get(Count::Completed),
            refused: total.get(Count::Refused),
            reset: total.get(Count::Reset),
            queue: None,
            namespace: None,
        })
    }
}
