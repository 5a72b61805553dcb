//! How an observation ends: detach, tell what is left, sum up.

use anyhow::Result;
use tracer_core::{
    analysis::{Ending, Stop},
    record::Summary,
};

use super::{InKernel, Pipeline, epoch_now};
use crate::{
    clock,
    logging::note,
    output::{self, Counts},
};

/// Why an observation ends.
#[derive(Debug)]
pub(super) enum End {
    /// Asked to, or the time is up.
    Asked,
    /// The last interface is gone.
    NoInterface,
    /// No more records can be written, or are wanted.
    Told(Ending),
}

impl Pipeline {
    pub(super) fn finish(mut self, end: &End) -> Result<Summary> {
        let attachments = self.attacher.summary();
        // First, so that the ring runs dry and the counters stand still.
        self.attacher.detach();
        match end {
            End::Asked | End::NoInterface => self.tell_the_rest().or_else(ended)?,
            End::Told(_) => {}
        }
        if matches!(end, End::NoInterface) {
            note("no interface is left to trace");
        }
        if !matches!(end, End::Told(Ending::ClosedPipe)) {
            self.finish_losses().or_else(ended)?;
        }
        self.settle_output();
        let summary = self.summary(attachments)?;
        if !matches!(end, End::Told(Ending::ClosedPipe)) {
            self.insist(true);
            output::tell_summary(&mut self.analysis.telling, &summary, epoch_now(), self.format)
                .or_else(ended)?;
            self.settle_output();
            self.note_unwritten();
        }
        Ok(summary)
    }

    /// Lets the output have what is told, as long as it takes it.
    fn settle_output(&self) {
        if let Some(output) = &self.output {
            output.settle();
        }
    }

    fn note_unwritten(&self) {
        let Some(Counts { made, written, .. }) = self.output.as_ref().map(|output| output.state().counts)
        else {
            return;
        };
        if made > written {
            note(&format!("{} of {made} records could not be written", made - written));
        }
    }

    fn tell_the_rest(&mut self) -> Result<(), Stop> {
        let mut outcome = Ok(());
        let Self { sources, analysis, .. } = self;
        sources.ring.drain_all(|bytes| {
            if outcome.is_ok() {
                outcome = analysis.take_event(bytes);
            }
        });
        outcome?;
        self.look_for_lost()?;
        let Self { sources, attacher, analysis, .. } = self;
        let mut tables = InKernel { tables: &sources.tables, kernel: attacher.kernel() };
        analysis.settle(&mut tables, clock::now, usize::MAX)?;
        analysis.finish(&mut tables, clock::now)?;
        self.tell_servers()
    }
}

/// It is over anyway: what is no error need not be known.
fn ended(stop: Stop) -> Result<()> {
    Ending::from_stop(stop).map(drop)
}

impl End {
    /// A closed pipe and enough records are ends, not errors.
    pub(super) fn from_stop(stop: Stop) -> Result<Self> {
        Ending::from_stop(stop).map(Self::Told)
    }
}
