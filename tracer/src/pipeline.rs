//! The only loop: events from the ring to the tracker, records from the tracker to the sink.
//!
//! ```text
//!   ring ─► Event ─► tracker ─► Record ─► --events, --count ─► sink ─► output
//!                      ▲  │ questions about quiet connections
//!             tick ────┘  └────────────► kernel tables
//! ```
//!
//! Everything runs on one thread: the tracker needs no locks, and a network namespace belongs to a thread.

mod ending;
mod telling;
mod waiting;

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tracer_common::event::Event;

pub use self::waiting::interrupted;
use self::{
    ending::End,
    telling::{Stop, Telling},
    waiting::{elapse, every, pass_on},
};
use crate::{
    clock,
    config::Config,
    kernel::{
        Kernel, Sources,
        attach::{Attacher, Change},
        interfaces::Watch,
        privilege,
    },
    logging::note,
    record::{Body, EventName, Record, Summary, Timestamp},
    sink::{self, Format, Sink, output::Output},
    summary::{self, Received},
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
    tracker: Tracker,
    telling: Telling,
    /// What SIGHUP opens anew.
    output: Option<Output>,
    format: Format,
    duration: Option<Duration>,
    received: Received,
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
        let mut pipeline = Self {
            attacher,
            sources,
            watch,
            tracker: Tracker::new(tracker::Limits {
                max_connections: config.limits.max_connections as usize,
                half_open_timeout: config.limits.half_open_timeout,
                idle_timeout: config.limits.idle_timeout,
                ports: config.kernel.ports.iter().collect(),
                segments: config.output.events.has(EventName::Segment),
                ..tracker::Limits::default()
            }),
            telling: Telling::new(sink, config.output.events, config.count),
            output: None,
            format: config.output.format,
            duration: config.duration,
            received: Received::default(),
            lost_told: 0,
            interfaces_changed: false,
            started: clock::now(),
        };
        pipeline.tracker.set_clock(clock::epoch_offset());
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
        let Self { sources, tracker, telling, received, .. } = self;
        let drained = sources.ring.drain(|bytes| {
            if outcome.is_ok() {
                outcome = take_event(bytes, tracker, telling, received);
            }
        });
        outcome?;
        self.settle()?;
        if drained { self.telling.flush() } else { Ok(()) }
    }

    async fn on_tick(&mut self) -> Result<(), Stop> {
        self.tracker.set_clock(clock::epoch_offset());
        self.tracker.on_tick(clock::now());
        self.telling.tell(&mut self.tracker)?;
        self.settle()?;
        if std::mem::take(&mut self.interfaces_changed) {
            let changes = self.attacher.follow().await?;
            self.on_changes(&changes);
        }
        self.telling.flush()
    }

    /// Answers the tracker's questions from the kernel's tables, and removes there what it has forgotten.
    fn settle(&mut self) -> Result<(), Stop> {
        while let Some(key) = self.tracker.next_question() {
            let flow = self.sources.tables.find(&key)?;
            self.tracker.on_flow(&key, flow.as_ref(), clock::now());
            self.telling.tell(&mut self.tracker)?;
        }
        while let Some((key, flow)) = self.tracker.next_forgotten() {
            self.sources.tables.forget(&key, flow)?;
        }
        Ok(())
    }

    fn on_changes(&mut self, changes: &[Change]) {
        for change in changes {
            note(&change.to_string());
        }
        for (index, name) in self.attacher.names() {
            self.tracker.name_interface(index, name);
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
            self.tracker.question_all();
            self.settle()?;
        }
        if self.telling.wants(EventName::Summary) { self.telling.write(&summarised(summary)) } else { Ok(()) }
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
        Ok(summary::summary(duration, counted, self.received, self.tracker.totals(), attachments))
    }
}

fn take_event(
    bytes: &[u8],
    tracker: &mut Tracker,
    telling: &mut Telling,
    received: &mut Received,
) -> Result<(), Stop> {
    received.events += 1;
    match Event::from_bytes(bytes) {
        Ok(event) => tracker.on_event(&event),
        Err(error) => {
            received.undecodable += 1;
            log::debug!("an event cannot be decoded: {error:?}");
        }
    }
    telling.tell(tracker)
}

fn summarised(summary: Summary) -> Record {
    let now = clock::now().saturating_add_signed(clock::epoch_offset());
    Record { timestamp: Timestamp(now), connection: None, body: Body::Summary(Box::new(summary)) }
}
