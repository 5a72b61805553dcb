//! Reports losses when they begin and when they end.

use std::io::ErrorKind;

use anyhow::Result;
use tracer_core::{
    overload::Loss,
    record::{Body, Degraded, DegradedReason, Record, ShedClass, Timestamp},
    render::text::phrase,
};

use super::{Pipeline, epoch_now};
use crate::{clock, logging::note, outcome::Outcome};

impl Pipeline {
    /// Reports losses that have begun or ended.
    pub(super) fn watch_losses(&mut self) -> Result<(), Outcome> {
        for loss in self.losses()? {
            if let Some(change) = self.overload.on_loss(loss, clock::now()) {
                self.report_degraded(&change)?;
            }
        }
        Ok(())
    }

    /// If events were lost, looks up all connections in the kernel's tables, which hold what the
    /// events would have reported. Also those of which every event was lost: nothing else would
    /// remove them there.
    pub(super) fn look_for_lost(&mut self) -> Result<()> {
        let lost = self.sources.counters.lost()?.iter().sum();
        if std::mem::replace(&mut self.lost_before, lost) == lost {
            return Ok(());
        }
        let Self { sources, analysis, .. } = self;
        analysis.tracker.look_up_all();
        sources.tables.connections().try_for_each(|key| {
            analysis.tracker.look_up_unknown(key?);
            Ok(())
        })
    }

    /// The run ends, and all losses with it.
    pub(super) fn finish_losses(&mut self) -> Result<(), Outcome> {
        self.watch_losses()?;
        let over: Vec<Degraded> = self.overload.finish().collect();
        over.iter().try_for_each(|change| self.report_degraded(change))
    }

    /// The losses so far, lowest priority first.
    fn losses(&self) -> Result<Vec<Loss>> {
        let [segments, anomalies, control] = self.sources.counters.lost()?;
        let of_ring = |shed, total, reason| Loss { shed, total, reason, has_space: true };
        let mut losses = vec![
            of_ring(ShedClass::Segments, segments, DegradedReason::ReaderBehind),
            of_ring(ShedClass::Anomalies, anomalies, DegradedReason::ReaderBehind),
            of_ring(ShedClass::Control, control, DegradedReason::RingFull),
        ];
        let output = self.outputs.state();
        let reason = match output.failing {
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => DegradedReason::OutputFull,
            Some(_) => DegradedReason::OutputFailed,
            None => DegradedReason::OutputBlocked,
        };
        let has_space = output.has_space && output.failing.is_none();
        losses.push(Loss { shed: ShedClass::Records, total: output.counts.lost, reason, has_space });
        Ok(losses)
    }

    /// Writes an alarm, on standard error too. Alarms are never shed, and rare: between two of a
    /// kind is a time without losses.
    fn report_degraded(&mut self, change: &Degraded) -> Result<(), Outcome> {
        let mut words = String::new();
        // Text can always be written to a string.
        let _ = phrase::degraded(&mut words, change);
        note(&words);
        let body = Body::Degraded(*change);
        let record = Record { timestamp: Timestamp(epoch_now()), connection: None, body };
        self.outputs.write_uncounted(&record)
    }
}
