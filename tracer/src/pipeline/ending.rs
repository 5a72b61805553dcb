//! How an observation ends: detach, tell what is left, sum up.

use anyhow::{Result, anyhow};

use super::{Pipeline, summarised, take_event, telling::Stop};
use crate::{clock, logging::note, record::Summary, sink::Format, summary};

/// Why an observation ends.
#[derive(Debug)]
pub(super) enum End {
    /// Asked to, or the time is up.
    Asked,
    /// The records asked for are written.
    Enough,
    /// Nobody reads any more.
    ClosedPipe,
    /// The last interface is gone.
    NoInterface,
}

impl Pipeline {
    pub(super) fn finish(mut self, end: &End) -> Result<Summary> {
        let attachments = self.attacher.summary();
        // First, so that the ring runs dry and the counters stand still.
        self.attacher.detach();
        match end {
            End::Asked | End::NoInterface => self.tell_the_rest().or_else(End::from_stop).map(drop)?,
            End::Enough | End::ClosedPipe => {}
        }
        if matches!(end, End::NoInterface) {
            note("no interface is left to trace");
        }
        let summary = self.summary(attachments)?;
        if !matches!(end, End::ClosedPipe) {
            self.tell_summary(&summary).or_else(End::from_stop)?;
        }
        Ok(summary)
    }

    fn tell_the_rest(&mut self) -> Result<End, Stop> {
        let mut outcome = Ok(());
        let Self { sources, tracker, telling, received, .. } = self;
        sources.ring.drain_all(|bytes| {
            if outcome.is_ok() {
                outcome = take_event(bytes, tracker, telling, received);
            }
        });
        outcome?;
        // Quiet segments are not told, and the last events of a connection may have been lost.
        self.tracker.question_all();
        self.settle()?;
        self.tracker.finish(clock::now());
        self.telling.tell(&mut self.tracker)?;
        self.telling.flush()?;
        Ok(End::Asked)
    }

    /// For programs the summary is a record like others; people get it beside the records.
    fn tell_summary(&mut self, summary: &Summary) -> Result<End, Stop> {
        self.note_lost(summary);
        match self.format {
            Format::Json => self.telling.write_uncounted(&summarised(summary.clone()))?,
            Format::Text | Format::Explain => note(&summary::text(summary)),
        }
        self.telling.flush()?;
        Ok(End::Asked)
    }
}

impl End {
    /// A closed pipe and enough records are ends, not errors.
    pub(super) fn from_stop(stop: Stop) -> Result<Self> {
        match stop {
            Stop::Enough => Ok(Self::Enough),
            Stop::ClosedPipe => Ok(Self::ClosedPipe),
            Stop::Failed(error) => Err(anyhow!(error).context("records cannot be written")),
            Stop::Kernel(error) => Err(error),
        }
    }
}
