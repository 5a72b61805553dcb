//! All outputs of a run: each record goes to every one of them.

use std::io;

use anyhow::{Context as _, Result};
use tracer_core::{
    analysis::Analysis,
    record::{Record, Summary},
    render::Actors,
    selection::Selected,
};

use super::{Counts, Lines, OutputConfig, Policy, Sink, State};
use crate::{logging::note, outcome::Outcome};

/// The outputs, and how many more records they get.
pub struct Outputs {
    sinks: Vec<Box<dyn Sink>>,
    /// Records still to write, if they are counted.
    remaining: Option<u64>,
}

impl Outputs {
    /// Opens these outputs; they get `count` records, or all.
    ///
    /// # Errors
    /// One of them cannot be opened: what was found and what to do.
    pub fn open(configs: &[OutputConfig], policy: Policy, count: Option<u64>) -> Result<Self> {
        let open = |config: &OutputConfig| -> Result<Box<dyn Sink>> {
            let lines = Lines::open(config, policy, Actors::default());
            Ok(Box::new(lines.with_context(|| format!("cannot write to {}", config.destination))?))
        };
        Ok(Self::new(configs.iter().map(open).collect::<Result<_>>()?, count))
    }

    /// These outputs; they get `count` records, or all.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn Sink>>, count: Option<u64>) -> Self {
        Self { sinks, remaining: count }
    }

    /// Starts the threads that write. Privileges belong to a thread: they get those that the caller
    /// has now.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(&mut self) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.start()).context("cannot start the thread that writes")
    }

    /// Whether no output is left: all readers have gone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Writes all records that `analysis` has ready.
    ///
    /// # Errors
    /// No more records are to be written.
    pub fn deliver(&mut self, analysis: &mut Analysis) -> Result<(), Outcome> {
        while let Some(Selected { record, is_match }) = analysis.next_selected() {
            self.each(
                |sink| {
                    if is_match || sink.shows_whole_connections() { sink.write(&record) } else { Ok(()) }
                },
            )?;
            self.count()?;
        }
        Ok(())
    }

    /// Writes a record and counts it.
    ///
    /// # Errors
    /// It was the last one of `--count`, or no more records can be written.
    pub fn write(&mut self, record: &Record) -> Result<(), Outcome> {
        self.write_uncounted(record)?;
        self.count()
    }

    fn count(&mut self) -> Result<(), Outcome> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(1);
            if *remaining == 0 {
                self.flush()?;
                return Err(Outcome::Enough);
            }
        }
        Ok(())
    }

    /// Writes a record beside those of `--count`.
    ///
    /// # Errors
    /// No more records can be written.
    pub fn write_uncounted(&mut self, record: &Record) -> Result<(), Outcome> {
        self.each(|sink| sink.write(record))
    }

    /// Asks for everything to be written, and does not wait for it.
    ///
    /// # Errors
    /// No more records can be written.
    pub fn flush(&mut self) -> Result<(), Outcome> {
        self.each(|sink| sink.flush())
    }

    /// Waits until everything is written, or cannot be.
    ///
    /// # Errors
    /// No more records can be written.
    pub fn drain(&mut self) -> Result<(), Outcome> {
        self.each(|sink| sink.drain())
    }

    /// Ends the run of `summary` at `time` in ns since the Unix epoch: as a record for programs,
    /// once on standard error for people, with a note for each output that some records could not
    /// be written to.
    ///
    /// # Errors
    /// No more records can be written.
    pub fn finish(&mut self, summary: &Summary, time: u64) -> Result<(), Outcome> {
        let mut text = None;
        let finished = self.each(|sink| {
            let read = sink.finish(summary, time)?;
            text = text.take().or(read);
            Ok(())
        });
        if let Err(Outcome::Failed(_)) = finished {
            return finished;
        }
        if let Some(text) = text {
            note(&text);
        }
        let several = self.sinks.len() > 1;
        for sink in &self.sinks {
            let Counts { made, written, .. } = sink.state().counts;
            if made > written {
                let place = if several { format!(" to {}", sink.name()) } else { String::new() };
                note(&format!("{} of {made} records could not be written{place}", made - written));
            }
        }
        finished
    }

    /// Opens all files again after SIGHUP; false if there is none, so that the signal means the
    /// end.
    pub fn reopen(&mut self) -> bool {
        let mut any = false;
        for sink in self.sinks.iter_mut().filter(|sink| sink.can_reopen()) {
            any = true;
            if let Err(error) = sink.reopen() {
                note(&format!("the output file cannot be opened again: {error}"));
            }
        }
        any
    }

    /// The state of all outputs together.
    #[must_use]
    pub fn state(&self) -> State {
        let mut all = State { has_space: true, ..State::default() };
        for state in self.sinks.iter().map(|sink| sink.state()) {
            all.counts.made += state.counts.made;
            all.counts.written += state.counts.written;
            all.counts.lost += state.counts.lost;
            all.failing = all.failing.or(state.failing);
            all.has_space &= state.has_space;
        }
        all
    }

    /// Does `work` with every output, and drops those whose reader has closed the pipe.
    fn each(&mut self, mut work: impl FnMut(&mut dyn Sink) -> io::Result<()>) -> Result<(), Outcome> {
        let mut outcome = Ok(());
        self.sinks.retain_mut(|sink| match work(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
                if !matches!(outcome, Err(Outcome::Failed(_))) {
                    outcome = Err(Outcome::from_output(error));
                }
                !is_closed
            }
        });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tracer_core::record::{Body, Timestamp};

    use super::*;

    /// The times of the records written.
    type Written = Rc<RefCell<Vec<u64>>>;

    /// Accepts a number of records, then fails.
    struct Small {
        capacity: usize,
        error: io::ErrorKind,
        written: Written,
    }

    impl Sink for Small {
        fn start(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn write(&mut self, record: &Record) -> io::Result<()> {
            let mut written = self.written.borrow_mut();
            if written.len() == self.capacity {
                return Err(self.error.into());
            }
            written.push(record.timestamp.0);
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn drain(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn finish(&mut self, _summary: &Summary, _time: u64) -> io::Result<Option<String>> {
            Ok(None)
        }

        fn can_reopen(&self) -> bool {
            false
        }

        fn reopen(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn state(&self) -> State {
            let made = self.written.borrow().len() as u64;
            State { counts: Counts { made, written: made, lost: 0 }, failing: None, has_space: true }
        }

        fn shows_whole_connections(&self) -> bool {
            false
        }

        fn name(&self) -> String {
            "a test".into()
        }
    }

    fn outputs<const N: usize>(
        count: Option<u64>,
        capacities: [(usize, io::ErrorKind); N],
    ) -> (Outputs, [Written; N]) {
        let written: [Written; N] = std::array::from_fn(|_| Written::default());
        let sinks =
            capacities.into_iter().zip(&written).map(|((capacity, error), written)| -> Box<dyn Sink> {
                Box::new(Small { capacity, error, written: Rc::clone(written) })
            });
        (Outputs::new(sinks.collect(), count), written)
    }

    fn record(number: u64) -> Record {
        Record { timestamp: Timestamp(number), connection: None, body: Body::Summary(Box::default()) }
    }

    const CLOSED: io::ErrorKind = io::ErrorKind::BrokenPipe;

    #[test]
    fn the_last_record_of_the_count_ends_the_run_and_alarms_do_not_count() {
        let (mut outputs, [written]) = outputs(Some(2), [(10, CLOSED)]);
        assert!(outputs.write(&record(1)).is_ok());
        assert!(outputs.write_uncounted(&record(2)).is_ok());
        assert!(matches!(outputs.write(&record(3)), Err(Outcome::Enough)));
        assert_eq!(*written.borrow(), [1, 2, 3]);
    }

    #[test]
    fn a_closed_pipe_is_an_end_and_a_failure_is_an_error() {
        let (mut pipe, _) = outputs(None, [(1, CLOSED)]);
        assert!(pipe.write(&record(1)).is_ok());
        assert!(matches!(pipe.write(&record(2)), Err(Outcome::ClosedPipe)));
        assert!(pipe.is_empty());
        let (mut disk, _) = outputs(None, [(0, io::ErrorKind::StorageFull)]);
        assert!(matches!(disk.write(&record(1)), Err(Outcome::Failed(_))));
    }

    #[test]
    fn each_output_gets_every_record_and_a_closed_pipe_takes_none_from_the_others() {
        let (mut outputs, [pipe, file]) = outputs(None, [(1, CLOSED), (10, CLOSED)]);
        assert!(outputs.write(&record(1)).is_ok());
        assert!(matches!(outputs.write(&record(2)), Err(Outcome::ClosedPipe)));
        assert!(!outputs.is_empty());
        assert!(outputs.write(&record(3)).is_ok());
        assert_eq!((pipe.take(), file.take()), (vec![1], vec![1, 2, 3]));
    }
}
