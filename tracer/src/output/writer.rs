//! The writer thread: it alone waits for the device.

use std::io::{self, ErrorKind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    Policy,
    device::OpenFile,
    queue::{Batch, Item},
    shared::{Inner, Shared},
    whole_lines::write_whole_lines,
};
use crate::logging::note;

/// Time after an error until the device is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Minimum time between two reports of errors.
const REPORT_AGAIN: Duration = Duration::from_secs(10);

/// Starts the writer thread, which ends with the process.
pub(super) fn start(shared: Arc<Shared>, file: OpenFile, policy: Policy) -> io::Result<()> {
    let mut writer = Writer { shared, file, policy, reported: None };
    thread::Builder::new().name("writer".into()).spawn(move || writer.run()).map(drop)
}

struct Writer {
    shared: Arc<Shared>,
    file: OpenFile,
    policy: Policy,
    /// When an error was reported last.
    reported: Option<Instant>,
}

impl Writer {
    fn run(&mut self) {
        let mut goes_on = true;
        while goes_on {
            match self.next() {
                Item::Reopen(file) => self.file = file,
                Item::Lines(batch) => goes_on = self.write(batch),
            }
        }
    }

    /// Waits for work.
    fn next(&self) -> Item {
        let mut inner = self.shared.lock();
        loop {
            if let Some(item) = inner.queue.take() {
                return item;
            }
            inner.idle = true;
            inner = self.shared.work.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle = false;
        }
    }

    /// Writes a batch, with retries. Returns whether more can be written.
    fn write(&mut self, batch: Batch) -> bool {
        let before = self.shared.lock().queue.counts.written;
        let mut done = 0;
        loop {
            let shared = &self.shared;
            let progress = |more| {
                let mut inner = shared.lock();
                inner.queue.counts.written = before + batch.records_within(done + more);
                inner.steps += 1;
                shared.progress.notify_all();
            };
            let (more, result) = write_whole_lines(&mut self.file, &batch.bytes[done..], progress);
            done += more;
            let Err(error) = result else {
                self.finish(batch, |inner| inner.failing = None);
                return true;
            };
            if error.kind() == ErrorKind::BrokenPipe {
                self.finish(batch, |inner| inner.broken = true);
                return false;
            }
            if self.policy == Policy::Block {
                self.finish(batch, |inner| inner.failed = Some(error));
                return false;
            }
            if !self.wait_to_retry(&error) {
                let lost = batch.records_within(batch.bytes.len()) - batch.records_within(done);
                self.finish(batch, |inner| inner.queue.counts.lost += lost);
                return true;
            }
        }
    }

    /// Reports an error and waits for a while, or for another file. Returns whether to retry.
    fn wait_to_retry(&mut self, error: &io::Error) -> bool {
        if self.reported.is_none_or(|at| at.elapsed() > REPORT_AGAIN) {
            self.reported = Some(Instant::now());
            note(&format!("{error}; trying again"));
        }
        let mut inner = self.shared.lock();
        inner.failing = Some(error.kind());
        if inner.closing {
            return false;
        }
        let (mut inner, _) =
            self.shared.work.wait_timeout(inner, RETRY).unwrap_or_else(PoisonError::into_inner);
        // A full disk may be the reason for the new file: the rest of the batch goes there.
        if let Some(file) = inner.queue.take_reopened() {
            self.file = file;
        }
        true
    }

    fn finish(&self, batch: Batch, note: impl FnOnce(&mut Inner)) {
        let mut inner = self.shared.lock();
        inner.queue.finish(batch);
        note(&mut inner);
        inner.steps += 1;
        self.shared.progress.notify_all();
    }
}
