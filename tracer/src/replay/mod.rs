//! Replay of captures: their frames take the same parser, flow logic, analysis and outputs as live
//! traffic.

pub mod capture;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tracer_common::event::Hook;
use tracer_core::{
    analysis::Analysis,
    host::{HostObserver, Selection},
    listener::Listeners,
    record::CloseReason,
    summary::{Counted, summary},
    tracker::{self, Tracker},
};

use self::capture::{Capture, Captured, Interrupt, Next, interface, strip};
use crate::{
    config::ReplayConfig,
    logging::note,
    outcome::Outcome,
    output::{Outputs, Policy},
    redact_key::heads,
};

/// Replays the captures, or until `interrupt`. Returns whether all captures could be read to their
/// end.
///
/// # Errors
/// Records cannot be written.
pub fn run(config: &ReplayConfig, interrupt: Interrupt) -> Result<bool> {
    Replay::start(config, interrupt)?.run(&config.files)
}

/// Interval in which the server counters are read, in ns of the capture.
const SERVER_INTERVAL: u64 = 100_000_000;

/// A running replay.
struct Replay {
    observer: HostObserver,
    analysis: Analysis,
    outputs: Outputs,
    interrupt: Interrupt,
    /// Stop after this time of the capture, in ns.
    duration: Option<u64>,
    /// Time of the first frame, and the latest.
    span: Option<(u64, u64)>,
    /// Number of frames with an unsupported link type.
    unknown_links: u64,
    /// The interface whose name was set last; 0: none.
    named: u32,
    /// When the server counters were read last, in ns.
    counters_read_at: u64,
}

impl Replay {
    fn start(config: &ReplayConfig, interrupt: Interrupt) -> Result<Self> {
        let mut outputs = Outputs::open(&config.records.outputs, Policy::Block, config.count)?;
        outputs.start()?;
        let tracker = Tracker::new(tracker::TrackerOptions {
            max_connections: config.limits.max_connections as usize,
            half_open_timeout: config.limits.half_open_timeout,
            idle_timeout: config.limits.idle_timeout,
            end_reason: CloseReason::EndOfCapture,
            buffer_bytes: config.limits.buffer_bytes as usize,
            close_linger: config.close_linger,
            ports: config.ports.iter().collect(),
            events: config.records.events,
            heads: heads(&config.records)?,
        });
        let listeners = Listeners::new(config.limits.half_open_timeout);
        let observer = HostObserver::new(Selection {
            ports: config.ports.ranges(),
            hosts: config.hosts.clone(),
            events: config.records.events,
            decapsulate: true,
            reassemble: true,
            verify: true,
            max_connections: config.limits.max_connections as usize,
            max_unconfirmed: config.limits.max_connections as usize,
            ..Selection::default()
        });
        Ok(Self {
            observer,
            analysis: Analysis::new(tracker, listeners, config.records.selector()),
            outputs,
            interrupt,
            duration: config.duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
            span: None,
            unknown_links: 0,
            named: 0,
            counters_read_at: 0,
        })
    }

    fn run(mut self, files: &[PathBuf]) -> Result<bool> {
        let mut all_read = true;
        let mut outcome = Outcome::Stopped;
        for path in files {
            match self.replay(path) {
                Ok(whole) => all_read &= whole,
                Err(early) => {
                    outcome = early;
                    break;
                }
            }
        }
        if !matches!(outcome, Outcome::Enough | Outcome::Failed(_)) {
            outcome = self.finish().err().unwrap_or(outcome);
        }
        outcome.error()?;
        let something = all_read || self.span.is_some();
        let finished = if something { self.write_summary(files) } else { self.outputs.drain() };
        finished.or_else(Outcome::error)?;
        Ok(all_read)
    }

    /// Replays one capture. Returns whether it could be read to its end.
    fn replay(&mut self, path: &Path) -> Result<bool, Outcome> {
        let report = |error| note(&format!("{} {error}", path.display()));
        let mut capture = match Capture::open(path, &self.interrupt) {
            Ok(capture) => capture,
            Err(error) => {
                report(error);
                return Ok(false);
            }
        };
        self.named = 0;
        let is_pipe = path == Path::new("-");
        while !self.interrupt.is_set() {
            match capture.next_buffered() {
                Ok(Next::Frame(frame)) => self.observe(&frame)?,
                // The next frame may come late.
                Ok(Next::Dry) if is_pipe => self.outputs.flush()?,
                Ok(Next::Dry) => {}
                Ok(Next::End) => break,
                Err(error) => {
                    report(error);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn observe(&mut self, frame: &Captured<'_>) -> Result<(), Outcome> {
        let (first, latest) = self.span.unwrap_or((frame.time, frame.time));
        let latest = latest.max(frame.time);
        if self.duration.is_some_and(|duration| latest - first > duration) {
            return Err(Outcome::Stopped);
        }
        self.span = Some((first, latest));
        let interface = interface(frame);
        if interface != self.named {
            self.named = interface;
            if let Some(name) = frame.name {
                self.analysis.tracker.name_interface(interface, name);
            }
        }
        let Some((link, stripped)) = strip(frame.link, frame.bytes) else {
            self.unknown_links += 1;
            return Ok(());
        };
        let bytes = frame.bytes.get(stripped..).unwrap_or_default();
        let wire_len = frame.wire_len - stripped.min(frame.wire_len);
        // The reason for a skipped frame is counted there.
        let _ = self.observer.observe(bytes, wire_len, link, interface, Hook::Capture, frame.time);
        while let Some(event) = self.observer.next_event() {
            self.analysis.on_event(&event);
        }
        self.analysis.on_tick(latest);
        if latest - self.counters_read_at.min(latest) >= SERVER_INTERVAL {
            self.counters_read_at = latest;
            self.analysis.on_servers(latest, self.observer.servers());
        }
        self.analysis.look_up(&mut self.observer, || latest, usize::MAX)?;
        self.outputs.deliver(&mut self.analysis)
    }

    fn end(&self) -> u64 {
        self.span.map_or(0, |(_, latest)| latest)
    }

    fn finish(&mut self) -> Result<(), Outcome> {
        let end = self.end();
        self.observer.finish();
        while let Some(event) = self.observer.next_event() {
            self.analysis.on_event(&event);
        }
        self.analysis.finish(&mut self.observer, || end)?;
        self.analysis.on_servers(end, self.observer.servers());
        self.outputs.deliver(&mut self.analysis)?;
        let servers = self.analysis.listeners(end, end, |_| {});
        servers.iter().try_for_each(|record| self.outputs.write(record))
    }

    fn write_summary(&mut self, files: &[PathBuf]) -> Result<(), Outcome> {
        let duration = self.span.map_or(0, |(first, latest)| latest - first);
        let mut counted = Counted::from_totals(&self.observer.counters());
        counted.skipped.0.push(("unknown_link", self.unknown_links));
        let names = files.iter().map(|path| path.display().to_string()).collect();
        let (received, totals) = (self.analysis.received(), self.analysis.tracker.totals());
        let summary = summary(duration, counted, received, totals, names);
        self.outputs.finish(&summary, self.end())
    }
}
