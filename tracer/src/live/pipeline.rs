//! The loop of live tracing: events from the ring buffer to the analysis, records from the analysis
//! to the outputs.
//!
//! ```text
//!   ring ─► Event ─► analysis ─► outputs
//!                      ▲  │ lookups
//!             tick ────┘  └────────► kernel tables
//! ```
//!
//! It runs on one thread: the tracker needs no locks, and a network namespace belongs to a thread.
//! Each output writes in a thread of its own.

mod ending;
mod flushing;
mod idleness;
mod losses;
mod owners;
mod servers;
mod waiting;

use std::{convert::Infallible, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tracer_common::{
    connection::FlowState,
    flow::{FlowKey, Removal},
};
use tracer_core::{
    analysis::{Analysis, Flows, summary_record},
    listener::Listeners,
    overload::Overload,
    record::{CloseReason, EventName, Summary},
    summary,
    tracker::{self, Tracker},
};

pub use self::waiting::interrupted;
use self::{
    flushing::Flushing,
    idleness::Idleness,
    owners::Owners,
    servers::Servers,
    waiting::{elapse, elapse_at, every, pass_on},
};
use crate::{
    clock,
    config::Config,
    live::{
        confine::Plan,
        kernel::{
            Kernel, Sources,
            attach::{Attacher, Change},
            interfaces::Watch,
            support,
            tables::Tables,
        },
        memory::Memory,
        privilege::{self, Capability},
    },
    logging::note,
    outcome::Outcome,
    output::{Needs, Outputs, Policy},
    redact_key::heads,
};

/// Interval of timeouts, lookups and checks for changed interfaces: the maximum delay of records
/// that depend on time.
const TICK: Duration = Duration::from_millis(100);
/// The same while the host is idle: an event wakes the loop.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Interval of the summaries of `--events stats`, and of the search for connections whose events
/// were lost.
const STATS_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of lookups in one turn. Each takes one or two microseconds, and the ring buffer
/// waits meanwhile.
const MAX_LOOKUPS: usize = 8192;

/// Live tracing, attached and ready to run.
pub struct Pipeline {
    attacher: Attacher,
    sources: Sources,
    watch: Watch,
    analysis: Analysis,
    owners: Owners,
    servers: Servers,
    outputs: Outputs,
    quiet: bool,
    duration: Option<Duration>,
    overload: Overload,
    /// Number of lost events at the last search for lost connections.
    lost_before: u64,
    interfaces_changed: bool,
    idleness: Idleness,
    flushing: Flushing,
    started: u64,
}

/// Traces until `shutdown` or a limit of `config`.
///
/// # Errors
/// A privilege is missing, an output cannot be written, or the kernel refuses: what was found and
/// what to type.
pub async fn run(config: &Config, shutdown: impl Future<Output = ()>) -> Result<()> {
    privilege::require("tracing", &privilege::TRACING)?;
    if config.attach.promiscuous {
        privilege::require("--promiscuous", &[Capability::CAP_NET_RAW])?;
    }
    let needs = Needs::of(&config.records.outputs);
    let plan = Plan::new(&config.confine, &config.attach.interfaces, needs)?;
    let policy = Policy::Shed { limit: config.limits.output_bytes as usize };
    let outputs = Outputs::open(&config.records.outputs, policy, config.count)?;
    let mut pipeline = Pipeline::start(config, outputs).await?;
    if !config.quiet {
        note(&Memory::of(config, support::cpus()).to_string());
    }
    pipeline.confine(plan)?;
    // Capabilities and Landlock are a thread's own: the writers get what is left of them.
    pipeline.outputs.start()?;
    pipeline.run(shutdown).await?;
    Ok(())
}

impl Pipeline {
    /// Loads and attaches the kernel programs. Prints on standard error where.
    ///
    /// # Errors
    /// The kernel refuses: what was found and what to type.
    pub async fn start(config: &Config, outputs: Outputs) -> Result<Self> {
        if let Some(warning) = support::warning()? {
            note(&warning);
        }
        // Before the interfaces are listed, so that no new one is missed.
        let watch = Watch::new()?;
        let (mut kernel, sources) = Kernel::load(&config.kernel)?;
        let owners = Owners::start(&mut kernel, &config.kernel);
        let (attacher, changes) = Attacher::start(kernel, &config.attach).await?;
        let tracker = Tracker::new(tracker::TrackerOptions {
            max_connections: config.limits.max_connections as usize,
            half_open_timeout: config.limits.half_open_timeout,
            idle_timeout: config.limits.idle_timeout,
            end_reason: CloseReason::EndOfTrace,
            buffer_bytes: config.limits.buffer_bytes as usize,
            ports: config.kernel.ports.iter().collect(),
            events: config.records.events,
            heads: heads(&config.records)?,
            ..tracker::TrackerOptions::default()
        });
        let mut pipeline = Self {
            attacher,
            sources,
            watch,
            analysis: Analysis::new(
                tracker,
                Listeners::new(config.limits.half_open_timeout),
                config.records.selector(),
            ),
            owners,
            servers: Servers::new(config.records.events.has(EventName::Listener)),
            outputs,
            quiet: config.quiet,
            duration: config.duration,
            overload: Overload::default(),
            lost_before: 0,
            interfaces_changed: false,
            idleness: Idleness::new(clock::now()),
            flushing: Flushing::new(Instant::now()),
            started: clock::now(),
        };
        pipeline.set_clock();
        pipeline.on_changes(&changes);
        pipeline.name_owners(&config.kernel);
        Ok(pipeline)
    }

    /// Drops the privileges that tracing does not need any more. Prints the resulting sandbox on
    /// standard error.
    ///
    /// # Errors
    /// Privileges cannot be dropped.
    fn confine(&mut self, plan: Plan) -> Result<()> {
        if !plan.attaches_later() {
            self.attacher.stop_attaching();
        }
        let confined = plan.enforce()?;
        if !self.quiet {
            note(&confined.to_string());
        }
        Ok(())
    }

    /// Traces until `shutdown` or a limit of the configuration. Then detaches, writes the remaining
    /// records and the summary.
    ///
    /// # Errors
    /// Records cannot be written, or the kernel's tables cannot be read.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<Summary> {
        let Err(outcome) = self.observe(shutdown).await;
        self.finish(outcome)
    }

    async fn observe(&mut self, shutdown: impl Future<Output = ()>) -> Result<Infallible, Outcome> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut time_is_up = std::pin::pin!(elapse(self.duration));
        let mut hangups = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        let mut ticks = every(TICK);
        let mut stats = every(STATS_INTERVAL);
        stats.reset();
        loop {
            // Biased: first what ends the loop, and last the ring buffer, which may never be empty.
            tokio::select! {
                biased;
                () = &mut shutdown => return Err(Outcome::Stopped),
                () = &mut time_is_up => return Err(Outcome::Stopped),
                // Without an output file, SIGHUP means that the terminal is closed.
                Some(()) = hangups.recv() => if !self.outputs.reopen() { return Err(Outcome::Stopped) },
                _ = stats.tick() => self.on_stats()?,
                _ = ticks.tick() => {
                    self.on_tick().await?;
                    if self.attacher.is_empty() && !self.attacher.waits_for_more() {
                        return Err(Outcome::NoInterface);
                    }
                    if self.idleness.is_idle() {
                        ticks.reset_after(IDLE_TICK);
                    }
                }
                () = self.watch.changed() => {
                    self.interfaces_changed = true;
                    if self.idleness.end() {
                        ticks.reset_after(TICK);
                    }
                }
                () = elapse_at(self.flushing.due()) => self.flush()?,
                passed_on = pass_on(&mut self.sources.log) => passed_on.context("cannot read the kernel's messages")?,
                readable = self.sources.ring.readable() => {
                    readable.context("cannot wait for events")?;
                    if self.idleness.end() {
                        ticks.reset_after(TICK);
                        // The clock offset is stale after an idle period.
                        self.set_clock();
                    }
                    self.on_readable()?;
                }
            }
        }
    }

    fn on_readable(&mut self) -> Result<(), Outcome> {
        let mut outcome = Ok(());
        let Self { sources, analysis, outputs, .. } = self;
        let drained = sources.ring.drain(|bytes| {
            if outcome.is_ok() {
                analysis.on_event(bytes);
                outcome = outputs.deliver(analysis);
            }
        });
        outcome?;
        if drained {
            // Often and little: all timeouts of a whole tick at once would keep a CPU from the
            // server for longer.
            self.analysis.on_tick(clock::now());
        }
        self.look_up()?;
        if drained && self.flushing.on_lines(Instant::now()) {
            self.outputs.flush()?;
        }
        Ok(())
    }

    async fn on_tick(&mut self) -> Result<(), Outcome> {
        self.set_clock();
        self.watch_losses()?;
        self.analysis.on_tick(clock::now());
        self.look_up()?;
        self.look_for_owners();
        self.look_at_servers()?;
        if std::mem::take(&mut self.interfaces_changed) {
            let changes = self.attacher.follow().await?;
            self.on_changes(&changes);
        }
        let analysis = &self.analysis;
        let is_quiet = analysis.tracker.is_empty() && !analysis.listeners.are_flooded();
        self.idleness.on_tick(clock::now(), analysis.received().events, is_quiet);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Outcome> {
        self.flushing.on_flush(Instant::now());
        self.outputs.flush()
    }

    fn look_up(&mut self) -> Result<(), Outcome> {
        let mut tables = InKernel { tables: &self.sources.tables, kernel: self.attacher.kernel() };
        self.analysis.look_up(&mut tables, clock::now, MAX_LOOKUPS)?;
        self.outputs.deliver(&mut self.analysis)
    }

    fn set_clock(&mut self) {
        let offset = clock::epoch_offset();
        self.analysis.tracker.set_clock(offset);
        self.analysis.listeners.set_clock(offset);
    }

    fn on_changes(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| !self.quiet || !matches!(change, Change::Attached(_))) {
            note(&change.to_string());
        }
        for (index, name) in self.attacher.names() {
            self.analysis.tracker.name_interface(index, name);
        }
    }

    fn on_stats(&mut self) -> Result<(), Outcome> {
        let summary = self.summary(self.attacher.summary())?;
        self.look_for_lost()?;
        self.look_up()?;
        self.report_servers()?;
        if self.analysis.wants(EventName::Summary) {
            self.outputs.write(&summary_record(summary, epoch_now()))?;
        }
        Ok(())
    }

    fn summary(&self, attachments: Vec<String>) -> Result<Summary> {
        let duration = clock::now().saturating_sub(self.started);
        let counted = self.sources.counters.read()?;
        let (received, totals) = (self.analysis.received(), self.analysis.tracker.totals());
        Ok(summary::summary(duration, counted, received, totals, attachments))
    }
}

/// The kernel's connection tables, and the program that removes entries from them.
struct InKernel<'a> {
    tables: &'a Tables,
    kernel: &'a Kernel,
}

impl Flows for InKernel<'_> {
    fn find(&mut self, key: &FlowKey) -> Result<Option<FlowState>> {
        self.tables.find(key)
    }

    fn remove(&mut self, removals: &[Removal]) -> Result<u64> {
        self.kernel.remove(removals)
    }
}

/// Now, in ns since the Unix epoch.
fn epoch_now() -> u64 {
    clock::now().saturating_add_signed(clock::epoch_offset())
}
