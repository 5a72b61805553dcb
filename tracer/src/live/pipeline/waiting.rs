//! Timers and signals of the loop.

use std::{io, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until},
};

use crate::live::kernel::log::KernelLog;

pub(super) fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Completes after `duration`; without one, never.
pub(super) async fn elapse(duration: Option<Duration>) {
    elapse_at(duration.map(|duration| Instant::now() + duration)).await;
}

/// Completes at `time`; without one, never.
pub(super) async fn elapse_at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn pass_on(log: &mut Option<KernelLog>) -> io::Result<()> {
    match log {
        Some(log) => log.pass_on().await,
        None => std::future::pending().await,
    }
}

/// Completes at SIGINT or SIGTERM.
///
/// # Errors
/// Signals cannot be waited for.
pub fn interrupted() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot wait for signals");
    let (mut interrupt, mut terminate): (Signal, Signal) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
