//! How a run ends: detach, write what is left, and the summary.

use anyhow::Result;
use tracer_core::record::Summary;

use super::{InKernel, Pipeline, epoch_now};
use crate::{clock, logging::note, outcome::Outcome};

impl Pipeline {
    pub(super) fn finish(mut self, outcome: Outcome) -> Result<Summary> {
        let attachments = self.attacher.summary();
        // First, so that the ring runs dry and the counters stand still.
        self.attacher.detach()?;
        let is_enough = matches!(outcome, Outcome::Enough);
        match outcome {
            Outcome::Failed(error) => return Err(error),
            Outcome::NoInterface => note("no interface is left to trace"),
            Outcome::Stopped | Outcome::Enough | Outcome::ClosedPipe => {}
        }
        if !is_enough {
            self.write_the_rest().or_else(Outcome::error)?;
        }
        self.finish_losses().or_else(Outcome::error)?;
        // What the counters say of the records is to be final.
        self.outputs.drain().or_else(Outcome::error)?;
        let summary = self.summary(attachments)?;
        self.outputs.finish(&summary, epoch_now()).or_else(Outcome::error)?;
        Ok(summary)
    }

    /// Writes the records of everything that is left, unless all readers have gone.
    fn write_the_rest(&mut self) -> Result<(), Outcome> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        let mut outcome = Ok(());
        let Self { sources, analysis, outputs, .. } = self;
        sources.ring.drain_all(|bytes| {
            if outcome.is_ok() {
                analysis.on_event(bytes);
                outcome = outputs.deliver(analysis);
            }
        });
        outcome?;
        self.look_for_lost()?;
        let Self { sources, attacher, analysis, outputs, .. } = self;
        let mut tables = InKernel { tables: &sources.tables, kernel: attacher.kernel() };
        analysis.look_up(&mut tables, clock::now, usize::MAX)?;
        analysis.finish(&mut tables, clock::now)?;
        outputs.deliver(analysis)?;
        self.report_servers()
    }
}
