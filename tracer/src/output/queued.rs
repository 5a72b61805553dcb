//! Lines for a writer of their own: whoever hands them over never waits.
//!
//! ```text
//! sink ─ a record ─► Queue (bounded) ─► writer thread ─► standard output | file
//!            └ no room: counted as lost
//! ```

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{Counts, Queue};
use super::{Target, writer};

/// How long the end waits for a reader that takes nothing.
const STUCK: Duration = Duration::from_secs(1);
/// How long the end waits for a reader that takes a little now and then.
const SLOW: Duration = Duration::from_secs(10);

/// A bounded queue of records in front of a device, and what is known of the device. Clones are handles to the same.
///
/// A closed pipe is [`ErrorKind::BrokenPipe`]: a quiet end, for the caller to treat as such. Any other error of the device
/// is told on standard error, and it is tried again until it works.
#[derive(Clone)]
pub struct Queued(pub(super) Arc<Shared>);

/// How the device does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What became of the records so far.
    pub counts: Counts,
    /// What is wrong with the device, if it says so.
    pub trouble: Option<ErrorKind>,
    /// Whether there is room for what comes in a while.
    pub has_room: bool,
}

/// What the two threads share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// There is something to do for the writer.
    pub(super) work: Condvar,
    /// The writer has got on.
    pub(super) progress: Condvar,
}

/// What is behind the lock.
pub(super) struct Inner {
    pub(super) queue: Queue,
    /// Until the writer starts.
    target: Option<Target>,
    path: Option<PathBuf>,
    pub(super) trouble: Option<ErrorKind>,
    /// Nobody reads any more.
    pub(super) broken: bool,
    /// What cannot be written now will not be tried again.
    pub(super) closing: bool,
    /// The writer is to be woken when there is something to do.
    pub(super) idle: bool,
    /// How often the writer got on.
    pub(super) steps: u64,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves whole records here in any case.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer if it waits for work.
    fn wake(&self, inner: &mut Inner) {
        if inner.idle && inner.queue.is_ready() {
            inner.idle = false;
            self.work.notify_one();
        }
    }
}

impl Queued {
    /// To standard output; at most `limit` bytes wait.
    pub fn stdout(limit: usize) -> io::Result<Self> {
        Ok(Self::new(Target::stdout()?, limit))
    }

    /// To the file at `path`, created if need be, otherwise continued; at most `limit` bytes wait.
    ///
    /// Open it before the work begins: the error says what is wrong with the path and what to do.
    pub fn file(path: &Path, limit: usize) -> io::Result<Self> {
        Ok(Self::new(Target::continued(path)?, limit))
    }

    fn new(target: Target, limit: usize) -> Self {
        let inner = Inner {
            queue: Queue::new(limit),
            path: target.path().map(Path::to_owned),
            target: Some(target),
            trouble: None,
            broken: false,
            closing: false,
            idle: false,
            steps: 0,
        };
        Self(Arc::new(Shared { inner: Mutex::new(inner), work: Condvar::new(), progress: Condvar::new() }))
    }

    /// Starts the writer: a thread that inherits the privileges of the caller. Until then records wait.
    pub fn start(&self) -> io::Result<()> {
        let target = self.0.lock().target.take();
        target.map_or(Ok(()), |target| writer::start(Arc::clone(&self.0), target))
    }

    /// Opens the file's path anew, after it was renamed (logrotate); standard output stays as it is.
    ///
    /// Lines so far go to the old file, as far as it takes them. If the path cannot be opened, the old file is kept.
    pub fn reopen(&self) -> io::Result<()> {
        let path = self.0.lock().path.clone();
        let target = path.map(|path| Target::file(&path)).transpose().map_err(|error| {
            io::Error::new(error.kind(), format!("{error}; lines still go to the file opened before"))
        })?;
        let mut inner = self.0.lock();
        if let Some(target) = target {
            inner.queue.reopen(target);
        }
        inner.idle = false;
        self.0.work.notify_one();
        Ok(())
    }

    /// Whether records are taken beyond the limit: for the few that tell of a loss.
    pub fn insist(&self, insists: bool) {
        self.0.lock().queue.insists = insists;
    }

    /// How the device does.
    #[must_use]
    pub fn state(&self) -> State {
        let inner = self.0.lock();
        State { counts: inner.queue.counts, trouble: inner.trouble, has_room: inner.queue.has_room() }
    }

    /// Waits until all is written, as long as anybody takes it; the rest is given up and counted.
    pub fn settle(&self) {
        let mut inner = self.0.lock();
        inner.closing = true;
        inner.idle = false;
        inner.queue.flush();
        self.0.work.notify_one();
        let end = Instant::now() + SLOW;
        while !inner.queue.is_done() && !inner.broken {
            let steps = inner.steps;
            let is_waiting =
                |inner: &mut Inner| !inner.queue.is_done() && !inner.broken && inner.steps == steps;
            let waited = self.0.progress.wait_timeout_while(inner, STUCK, is_waiting);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if timeout.timed_out() || Instant::now() > end {
                inner.queue.give_up();
                return;
            }
        }
    }
}

impl Write for Queued {
    /// Takes `record`, or counts it as lost.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock();
        if inner.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        inner.queue.push(record);
        self.0.wake(&mut inner);
        Ok(record.len())
    }

    /// Asks for everything to be written, and does not wait for it.
    fn flush(&mut self) -> io::Result<()> {
        let mut inner = self.0.lock();
        if inner.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        inner.queue.flush();
        self.0.wake(&mut inner);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use nix::sys::stat::Mode;

    use super::*;
    use crate::output::tests::directory;

    const LIMIT: usize = 1 << 20;

    #[test]
    fn a_file_is_continued_and_reopened_after_it_was_renamed() {
        let directory = directory("reopen");
        let (path, old) = (directory.join("a.log"), directory.join("a.log.1"));
        fs::write(&path, "before\n").expect("the file can be written");
        let mut output = Queued::file(&path, LIMIT).expect("the file can be opened");
        output.start().expect("a thread");
        output.write_all(b"old\n").expect("the buffer has room");
        fs::rename(&path, &old).expect("the file can be renamed");
        output.reopen().expect("the path can be opened again");
        output.write_all(b"new\n").expect("the buffer has room");
        output.settle();
        assert_eq!(fs::read_to_string(&old).expect("the old file is there"), "before\nold\n");
        assert_eq!(fs::read_to_string(&path).expect("the new file is there"), "new\n");
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn the_old_file_is_kept_when_its_path_cannot_be_opened_again() {
        let directory = directory("kept");
        let path = directory.join("a.log");
        let mut output = Queued::file(&path, LIMIT).expect("the file can be opened");
        output.start().expect("a thread");
        let old = directory.join("old");
        fs::rename(&path, &old).expect("the file can be renamed");
        fs::create_dir(&path).expect("a directory in its place");
        let error = output.reopen().expect_err("a directory is not a file");
        assert!(error.to_string().ends_with("lines still go to the file opened before"), "{error}");
        output.write_all(b"line\n").expect("the buffer has room");
        output.settle();
        assert_eq!(fs::read_to_string(&old).expect("the old file is there"), "line\n");
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_every_record_is_written_or_counted() {
        let directory = directory("stuck");
        let path = directory.join("pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
        let mut reader = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&path)
            .expect("opened");
        let mut output = Queued::file(&path, LIMIT).expect("the pipe can be opened");
        output.start().expect("a thread");
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let started = Instant::now();
        for _ in 0..20_000 {
            output.write_all(&line).expect("it is taken, or lost");
        }
        output.flush().expect("it does not wait");
        assert!(started.elapsed() < Duration::from_secs(5));
        let state = output.state();
        assert!(state.counts.lost > 5_000 && !state.has_room, "{state:?}");
        output.settle();
        let counts = output.state().counts;
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            read.extend_from_slice(&piece[..count]);
        }
        assert!(started.elapsed() < Duration::from_secs(5), "it waited for {:?}", started.elapsed());
        assert!(read.len() >= 4096 && read.chunks(100).all(|chunk| chunk == line), "{} bytes", read.len());
        // What is under way when the pipe is stuck was neither given up nor written: at most one batch.
        let open = counts.made - counts.written - counts.lost;
        assert!(open <= (super::super::BUFFER_SIZE / 100) as u64, "{counts:?}");
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_reader_that_ends_is_told_as_a_closed_pipe() {
        let directory = directory("closed");
        let path = directory.join("pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
        let reader = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&path)
            .expect("opened");
        let mut output = Queued::file(&path, LIMIT).expect("the pipe can be opened");
        output.start().expect("a thread");
        drop(reader);
        output.write_all(b"line\n").expect("it is taken");
        output.flush().expect("nobody knows yet");
        output.settle();
        let error = output.write_all(b"line\n").expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_device_without_room_is_tried_again_and_given_up_at_the_end() {
        let mut output = Queued::file(Path::new("/dev/full"), LIMIT).expect("it can be opened");
        output.start().expect("a thread");
        output.write_all(b"line\n").expect("it is taken");
        output.flush().expect("it does not wait");
        let started = Instant::now();
        while output.state().trouble.is_none() && started.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        assert_eq!(output.state().trouble, Some(ErrorKind::StorageFull));
        output.settle();
        assert_eq!(output.state().counts, Counts { made: 1, written: 0, lost: 1 });
    }
}
