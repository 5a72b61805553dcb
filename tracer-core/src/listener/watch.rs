//! One server: its counts over the last seconds, and the alarm.

use std::{collections::VecDeque, time::Duration};

use tracer_common::{
    server::{Count, ServerCounters, ServerKey},
    sketch::{REGISTERS, Sketch},
    wire::address,
};

use super::{
    figures::{Counts, Figures},
    half_open::HalfOpen,
    sources::{estimate, merge},
    verdict::{self, Alarm},
};
use crate::record::{Flood, FloodEnded, Listener, Verdict};

/// How often the counts are noted, in ns.
const STEP: u64 = 250_000_000;
/// The moment over which pressure is measured, in ns.
const RECENT: u64 = 1_500_000_000;
/// The seconds over which the rest is, in ns.
pub(super) const LATELY: u64 = 8_000_000_000;
/// Attempts of the last second may still be answered, in ns.
const MATURED: u64 = 1_000_000_000;

/// What there is to tell at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A flood has started.
    Started(Flood),
    /// It is over.
    Ended(FloodEnded),
}

/// One server.
#[derive(Debug)]
pub(super) struct Watch {
    key: ServerKey,
    /// What the observer's entry says, and what those before it said, which it gave up.
    last: Counts,
    before: Counts,
    /// Counts at earlier times.
    history: VecDeque<Note>,
    read_at: u64,
    half_open: HalfOpen,
    epoch: u64,
    /// The addresses of this epoch, and of the one before.
    sources: Sketch,
    earlier_sources: Sketch,
    alarm: Alarm,
    flood: Option<Box<Current>>,
    /// It is one of many ports that are tried out.
    pub(super) is_scanned: bool,
}

/// The counts from one time to another, in ns.
#[derive(Clone, Copy, Debug)]
struct Note {
    at: u64,
    until: u64,
    counts: Counts,
}

/// A flood that goes on.
#[derive(Debug)]
struct Current {
    /// Since when, in ns, and what was counted before.
    since: u64,
    before: Counts,
    sources: Sketch,
    half_open_peak: u64,
}

impl Watch {
    pub(super) fn new(key: ServerKey, half_open_timeout: Duration, now: u64) -> Self {
        // Seen for the first time: all that is counted is new.
        let history = VecDeque::from([Note {
            at: now.saturating_sub(STEP),
            until: now.saturating_sub(STEP),
            counts: Counts::default(),
        }]);
        Self {
            key,
            last: Counts::default(),
            before: Counts::default(),
            history,
            read_at: now,
            half_open: HalfOpen::new(half_open_timeout.as_secs()),
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

    /// Whether it was there when the counts were read last, at `now`.
    pub(super) fn was_read_at(&self, now: u64) -> bool {
        self.read_at == now
    }

    /// Takes in its counts at `now`, in ns.
    pub(super) fn on_counts(&mut self, now: u64, server: &ServerCounters) -> Option<News> {
        self.read_at = now;
        let old = self.total();
        let counts = Counts::of(server);
        if counts.are_anew(&self.last) {
            self.before = old;
        }
        self.last = counts;
        let new = self.total().since(&old);
        let left = new.get(Count::Completed) + new.get(Count::Reset);
        self.half_open.change(now, new.get(Count::Answered).cast_signed() - left.cast_signed());
        self.gather(server);
        self.note(now);
        self.judge(now)
    }

    fn total(&self) -> Counts {
        self.before.plus(&self.last)
    }

    fn gather(&mut self, server: &ServerCounters) {
        if server.epoch != self.epoch {
            // What came between the last reading and its end is not known any more.
            let is_next = server.epoch == self.epoch.wrapping_add(1);
            self.earlier_sources = if is_next { self.sources } else { [0; REGISTERS] };
            self.epoch = server.epoch;
        }
        self.sources = server.sources;
        if let Some(flood) = &mut self.flood {
            merge(&mut flood.sources, &server.sources);
        }
    }

    fn note(&mut self, now: u64) {
        let counts = self.total();
        match self.history.back_mut() {
            Some(last) if last.counts == counts => last.until = now,
            Some(last) if now.saturating_sub(last.at) < STEP => {}
            _ => self.history.push_back(Note { at: now, until: now, counts }),
        }
        while let Some(second) = self.history.get(1)
            && now.saturating_sub(second.at) > LATELY
        {
            self.history.pop_front();
        }
    }

    /// What was counted in the `ago` ns before `until`, or since the first time.
    fn figures(&self, until: u64, ago: u64) -> Figures {
        let (start, before) = self.counts_at(until.saturating_sub(ago));
        let (end, after) = if until >= self.read_at { (until, self.total()) } else { self.counts_at(until) };
        Figures { counts: after.since(&before), span_ns: end.saturating_sub(start).max(1) }
    }

    /// What was counted at a time, or the last time before it at which that was looked at; and that time.
    fn counts_at(&self, time: u64) -> (u64, Counts) {
        let noted = self.history.iter().rev().find(|note| note.at <= time);
        match noted.or(self.history.front()) {
            Some(note) => (note.until.min(time).max(note.at), note.counts),
            None => (time, self.total()),
        }
    }

    /// What was counted in the last seconds before `now`, in ns.
    pub(super) fn lately(&self, now: u64) -> Counts {
        self.figures(now, LATELY).counts
    }

    fn judge(&mut self, now: u64) -> Option<News> {
        let recent = self.figures(now, RECENT);
        if let Some(flood) = &mut self.flood {
            flood.half_open_peak = flood.half_open_peak.max(self.half_open.take_peak());
        }
        let before = self.figures(now.saturating_sub(RECENT), RECENT);
        let turned_at = self.alarm.update(now, &recent, &before)?;
        if self.alarm.is_on {
            let before = self.total().since(&self.figures(now, now.saturating_sub(turned_at)).counts);
            let mut sources = self.sources;
            merge(&mut sources, &self.earlier_sources);
            let half_open_peak = self.half_open.count();
            self.flood = Some(Box::new(Current { since: turned_at, before, sources, half_open_peak }));
            return Some(News::Started(self.pressure(now)));
        }
        let ended = self.ended(now, turned_at);
        self.flood = None;
        ended.map(News::Ended)
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

    /// About how many addresses ask: since the flood began, or else for 9 to 17 s.
    pub(super) fn addresses(&self) -> Sketch {
        let mut sources = self.sources;
        merge(&mut sources, self.flood.as_ref().map_or(&self.earlier_sources, |flood| &flood.sources));
        sources
    }

    fn pressure(&self, now: u64) -> Flood {
        let recent = self.figures(now, RECENT);
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
        let lately = self.figures(now, LATELY);
        let matured = lately.counts.since(&self.figures(now, MATURED).counts);
        if self.alarm.is_on {
            Verdict::SynFlood
        } else if self.is_scanned {
            Verdict::PortScan
        } else {
            verdict::of(&lately, matured.get(Count::Attempts))
        }
    }

    /// What there is to say of it at `now`; nothing if nobody asks any more.
    pub(super) fn listener(&mut self, now: u64) -> Option<Listener> {
        self.half_open.change(now, 0);
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
