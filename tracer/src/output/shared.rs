//! The state shared by the thread that makes records and the thread that writes them.

use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::queue::Queue;

/// A queue, what is known of the device behind it, and the signals between the two threads.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// The writer has work.
    pub(super) work: Condvar,
    /// The writer has made progress.
    pub(super) progress: Condvar,
}

/// The state behind the lock.
pub(super) struct Inner {
    pub(super) queue: Queue,
    /// What is wrong with the device, while it is tried again.
    pub(super) failing: Option<io::ErrorKind>,
    /// The reader has closed the pipe.
    pub(super) broken: bool,
    /// The error that ended the writer.
    pub(super) failed: Option<io::Error>,
    /// The run ends: errors are not retried.
    pub(super) closing: bool,
    /// The writer waits for work.
    pub(super) idle: bool,
    /// How often the writer has made progress.
    pub(super) steps: u64,
}

impl Shared {
    pub(super) fn new(queue: Queue) -> Self {
        let inner = Inner {
            queue,
            failing: None,
            broken: false,
            failed: None,
            closing: false,
            idle: false,
            steps: 0,
        };
        Self { inner: Mutex::new(inner), work: Condvar::new(), progress: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves whole records here in any case.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer if it waits for work and there is some.
    pub(super) fn wake(&self, inner: &mut Inner) {
        if inner.idle && inner.queue.is_ready() {
            self.wake_anyway(inner);
        }
    }

    /// Wakes the writer.
    pub(super) fn wake_anyway(&self, inner: &mut Inner) {
        inner.idle = false;
        self.work.notify_one();
    }
}

impl Inner {
    /// Whether the writer still runs.
    ///
    /// # Errors
    /// It has ended, and why.
    pub(super) fn check(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.failed.take().map_or(Ok(()), |error| {
            // Later calls return it too.
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
            Err(error)
        })
    }

    /// Whether everything is written, or nothing more can be.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_done() || self.broken || self.failed.is_some()
    }
}
