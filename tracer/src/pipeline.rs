//! The only loop: events from the ring to the tracker, records from the tracker to the sink.
//!
//! ```text
//!   ring ─► Event ─► analysis ─► sink ─► output
//!                      ▲  │ questions
//!             tick ────┘  └────────► kernel tables
//! ```
//!
//! Everything runs on one thread: the tracker needs no locks, and a network namespace belongs to a thread.

mod ending;
mod servers;
mod waiting;

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tracer_common::flow::{FlowKey, FlowState};

pub use self::waiting::interrupted;
use self::{
    ending::End,
    servers::Servers,
    waiting::{elapse, every, pass_on},
};
use crate::{
    analysis::{Analysis, Flows, Stop, Telling, summarised},
    clock,
    config::Config,
    kernel::{
        Kernel, Sources,
        attach::{Attacher, Change},
        interfaces::Watch,
        privilege,
        tables::Tables,
    },
    listener::Listeners,
    logging::note,
    record::{EventName, Summary},
    sink::{self, Format, Sink, output::Output},
    summary,
    tracker::{self, Tracker},
};

/// How often the tracker learns that time has passed, and the interfaces are looked at if something changed: what is told
/// late is at most this late, and an idle host does not notice ten times a second.
const TICK: Duration = Duration::from_millis(100);
/// How often `--events stats` writes a summary, and how often lost events are looked for.
const STATS_INTERVAL: Duration = Duration::from_secs(10);

/// An observation, ready to run.
pub struct Pipeline {
    attacher: Attacher,
    sources: Sources,
    watch: Watch,
    analysis: Analysis,
    servers: Servers,
    /// What SIGHUP opens anew.
    output: Option<Output>,
    format: Format,
    duration: Option<Duration>,
    /// Lost events that the user knows of.
    lost_told: u64,
    interfaces_changed: bool,
    started: u64,
}

/// Traces until `shutdown`, or until `config` says that it is over.
///
/// # Errors
/// A privilege is missing, the output cannot be written, the kernel refuses: what was found and what to type.
pub async fn run(config: &Config, shutdown: impl Future<Output = ()>) -> Result<()> {
    privilege::require()?;
    let output = match &config.output.file {
        Some(path) => Output::file(path).with_context(|| format!("cannot write to {}", path.display()))?,
        None => Output::stdout(),
    };
    let sink = sink::new(config.output.format, Box::new(output.clone()));
    let mut pipeline = Pipeline::start(config, sink).await?;
    pipeline.output = config.output.file.is_some().then_some(output);
    pipeline.run(shutdown).await?;
    Ok(())
}

impl Pipeline {
    /// Loads and attaches the kernel programs: what happens from now on is seen. Tells on standard error where.
    ///
    /// # Errors
    /// The kernel refuses: what was found and what to type.
    pub async fn start(config: &Config, sink: Box<dyn Sink>) -> Result<Self> {
        // Before the interfaces are listed: none may come in between.
        let watch = Watch::new()?;
        let (kernel, sources) = Kernel::load(&config.kernel)?;
        let (attacher, changes) = Attacher::start(kernel, &config.attach).await?;
        let tracker = Tracker::new(tracker::Limits {
            max_connections: config.limits.max_connections as usize,
            half_open_timeout: config.limits.half_open_timeout,
            idle_timeout: config.limits.idle_timeout,
            ports: config.kernel.ports.iter().collect(),
            segments: config.output.events.has(EventName::Segment),
            messages: config.output.events.has(EventName::Request)
                || config.output.events.has(EventName::Response),
            states: config.output.events.has(EventName::State),
            half_open: config.output.events.has(EventName::HalfOpen),
            ..tracker::Limits::default()
        });
        let mut pipeline = Self {
            attacher,
            sources,
            watch,
            analysis: Analysis::new(
                tracker,
                Listeners::new(config.limits.half_open_timeout),
                Telling::new(sink, config.output.events, config.count),
            ),
            servers: Servers::new(config.output.events.has(EventName::Listener)),
            output: None,
            format: config.output.format,
            duration: config.duration,
            lost_told: 0,
            interfaces_changed: false,
            started: clock::now(),
        };
        pipeline.set_clock();
        pipeline.on_changes(&changes);
        Ok(pipeline)
    }

    /// Traces until `shutdown`, or until the configuration says that it is over; then detaches, tells what is left, and
    /// sums up.
    ///
    /// # Errors
    /// Records cannot be written, or the kernel does not answer any more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<Summary> {
        let end = self.observe(shutdown).await.or_else(End::from_stop)?;
        self.finish(&end)
    }

    async fn observe(&mut self, shutdown: impl Future<Output = ()>) -> Result<End, Stop> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut time_is_up = std::pin::pin!(elapse(self.duration));
        let mut hangups = signal(SignalKind::hangup()).map_err(Stop::Failed)?;
        let mut ticks = every(TICK);
        let mut stats = every(STATS_INTERVAL);
        stats.reset();
        loop {
            // In this order: what ends the loop first, and the ring last, for it may never run dry.
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(End::Asked),
                () = &mut time_is_up => return Ok(End::Asked),
                Some(()) = hangups.recv() => if self.on_hangup() { return Ok(End::Asked) },
                _ = stats.tick() => self.on_stats()?,
                _ = ticks.tick() => {
                    self.on_tick().await?;
                    if self.attacher.is_empty() && !self.attacher.waits_for_more() {
                        return Ok(End::NoInterface);
                    }
                }
                () = self.watch.changed() => self.interfaces_changed = true,
                passed_on = pass_on(&mut self.sources.log) => passed_on.map_err(Stop::Failed)?,
                readable = self.sources.ring.readable() => {
                    readable.map_err(Stop::Failed)?;
                    self.on_readable()?;
                }
            }
        }
    }

    fn on_readable(&mut self) -> Result<(), Stop> {
        let mut outcome = Ok(());
        let Self { sources, analysis, .. } = self;
        let drained = sources.ring.drain(|bytes| {
            if outcome.is_ok() {
                outcome = analysis.take_event(bytes);
            }
        });
        outcome?;
        self.settle()?;
        if drained { self.analysis.telling.flush() } else { Ok(()) }
    }

    async fn on_tick(&mut self) -> Result<(), Stop> {
        self.set_clock();
        self.analysis.on_tick(clock::now())?;
        self.settle()?;
        self.look_at_servers()?;
        if std::mem::take(&mut self.interfaces_changed) {
            let changes = self.attacher.follow().await?;
            self.on_changes(&changes);
        }
        self.analysis.telling.flush()
    }

    fn settle(&mut self) -> Result<(), Stop> {
        self.analysis.settle(&mut self.sources.tables, clock::now)
    }

    fn set_clock(&mut self) {
        let offset = clock::epoch_offset();
        self.analysis.tracker.set_clock(offset);
        self.analysis.listeners.set_clock(offset);
    }

    fn on_changes(&mut self, changes: &[Change]) {
        for change in changes {
            note(&change.to_string());
        }
        for (index, name) in self.attacher.names() {
            self.analysis.tracker.name_interface(index, name);
        }
    }

    /// Whether that is the end: without a file, the terminal is gone.
    fn on_hangup(&mut self) -> bool {
        let Some(output) = &self.output else { return true };
        if let Err(error) = output.reopen() {
            note(&format!("the output file cannot be opened anew, the old one is written on: {error}"));
        }
        false
    }

    fn on_stats(&mut self) -> Result<(), Stop> {
        let summary = self.summary(self.attacher.summary())?;
        if self.note_lost(&summary) {
            // The kernel's tables know what the lost events would have told.
            self.analysis.tracker.question_all();
            self.settle()?;
        }
        self.tell_servers()?;
        let telling = &mut self.analysis.telling;
        if telling.wants(EventName::Summary) {
            telling.write(&summarised(summary, epoch_now()))
        } else {
            Ok(())
        }
    }

    /// Whether events were lost since the last time.
    fn note_lost(&mut self, summary: &Summary) -> bool {
        let lost = summary.events_lost.total();
        let more = lost.saturating_sub(self.lost_told);
        if more > 0 {
            note(&format!(
                "{more} events were lost, the ring buffer was full: give it more with --ring-bytes"
            ));
            self.lost_told = lost;
        }
        more > 0
    }

    fn summary(&self, attachments: Vec<String>) -> Result<Summary> {
        let duration = clock::now().saturating_sub(self.started);
        let counted = self.sources.counters.read()?;
        Ok(summary::summary(
            duration,
            counted,
            self.analysis.received,
            self.analysis.tracker.totals(),
            attachments,
        ))
    }
}

impl Flows for Tables {
    fn find(&mut self, key: &FlowKey) -> Result<Option<FlowState>> {
        Self::find(self, key)
    }

    fn forget(&mut self, key: &FlowKey, flow: u64) -> Result<()> {
        Self::forget(self, key, flow)
    }
}

/// Now, in ns since the Unix epoch.
fn epoch_now() -> u64 {
    clock::now().saturating_add_signed(clock::epoch_offset())
}
