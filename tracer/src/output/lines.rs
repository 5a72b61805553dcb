//! An output of lines: a renderer, a bounded queue, and a thread that writes.
//!
//! ```text
//! Record ─► renderer ─ whole lines ─► queue (bounded) ─► writer thread ─► standard output | file
//! ```

use std::{
    io,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tracer_core::{
    analysis::summary_record,
    record::{Body, Record, Summary},
    render::{Actors, Render, text},
};

use super::{
    Destination, Format, OutputConfig, Policy, Sink, State, device::OpenFile, queue::Queue, shared::Shared,
    writer,
};

/// How long the end waits for a stalled reader.
const STUCK: Duration = Duration::from_secs(1);
/// How long the end waits for a slow reader.
const SLOW: Duration = Duration::from_secs(10);

/// Lines for standard output or a file.
pub struct Lines {
    renderer: Box<dyn Render>,
    /// The lines of one record, kept for its memory.
    rendered: Vec<u8>,
    shared: Arc<Shared>,
    policy: Policy,
    destination: Destination,
    format: Format,
    /// Until the writer starts.
    file: Option<OpenFile>,
}

impl Lines {
    /// Opens the destination of `config`. Open it before the work begins: the error says what is
    /// wrong with the path and what to do.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(config: &OutputConfig, policy: Policy, actors: Actors) -> io::Result<Self> {
        let file = match &config.destination {
            Destination::StandardOutput => OpenFile::stdout(),
            Destination::File(path) => OpenFile::continued(path),
        }?;
        Ok(Self {
            renderer: config.format.renderer(actors, config.look.style(&config.destination)),
            rendered: Vec::new(),
            shared: Arc::new(Shared::new(Queue::new(policy.limit()))),
            policy,
            destination: config.destination.clone(),
            format: config.format,
            file: Some(file),
        })
    }

    fn push(&mut self, record: &Record, force: bool) -> io::Result<()> {
        self.rendered.clear();
        self.renderer.render(record, &mut self.rendered)?;
        let mut inner = self.shared.lock();
        loop {
            inner.check()?;
            if force || self.policy != Policy::Block || inner.queue.fits(self.rendered.len()) {
                break;
            }
            inner.queue.flush();
            self.shared.wake(&mut inner);
            inner = self.shared.progress.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.queue.push(&self.rendered, force);
        self.shared.wake(&mut inner);
        Ok(())
    }

    /// `summary` with what became of the records of this output, where some may be lost.
    fn completed(&self, summary: &Summary) -> Summary {
        let mut summary = summary.clone();
        if let Policy::Shed { .. } = self.policy {
            let counts = self.state().counts;
            (summary.records_written, summary.records_lost) = (Some(counts.written), counts.lost);
        }
        summary
    }
}

impl Sink for Lines {
    fn start(&mut self) -> io::Result<()> {
        let file = self.file.take();
        file.map_or(Ok(()), |file| writer::start(Arc::clone(&self.shared), file, self.policy))
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        if let Body::Summary(summary) = &record.body {
            let completed = self.completed(summary);
            return self.push(&summary_record(completed, record.timestamp.0), false);
        }
        self.push(record, record.body.name().is_alarm())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut inner = self.shared.lock();
        inner.check()?;
        inner.queue.flush();
        self.shared.wake(&mut inner);
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut inner = self.shared.lock();
        // A blocking output may be written to again afterwards.
        inner.closing |= self.policy != Policy::Block;
        inner.queue.flush();
        self.shared.wake_anyway(&mut inner);
        let end = Instant::now() + SLOW;
        while !inner.is_done() {
            let steps = inner.steps;
            if self.policy == Policy::Block {
                inner = self.shared.progress.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self
                .shared
                .progress
                .wait_timeout_while(inner, STUCK, |inner| !inner.is_done() && inner.steps == steps);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if timeout.timed_out() || Instant::now() > end {
                inner.queue.discard();
                return Ok(());
            }
        }
        inner.check()
    }

    fn finish(&mut self, summary: &Summary, time: u64) -> io::Result<Option<String>> {
        // Its counts are to be the last ones.
        self.drain()?;
        let completed = self.completed(summary);
        if !self.format.writes_summary() {
            return Ok(Some(text::summary(&completed)));
        }
        self.push(&summary_record(completed, time), true)?;
        self.drain()?;
        Ok(None)
    }

    fn can_reopen(&self) -> bool {
        self.destination.file().is_some()
    }

    fn reopen(&mut self) -> io::Result<()> {
        let Some(path) = self.destination.file() else { return Ok(()) };
        let file = reopened(path)?;
        let mut inner = self.shared.lock();
        inner.queue.reopen(file);
        self.shared.wake_anyway(&mut inner);
        Ok(())
    }

    fn shows_whole_connections(&self) -> bool {
        self.format.shows_whole_connections()
    }

    fn state(&self) -> State {
        let inner = self.shared.lock();
        State { counts: inner.queue.counts, failing: inner.failing, has_space: inner.queue.has_space() }
    }

    fn name(&self) -> String {
        self.destination.to_string()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.policy == Policy::Block && self.file.is_none() {
            // Errors cannot be reported here: `drain` before does.
            let _ = self.drain();
        }
    }
}

/// Opens the file at `path` again, after logrotate has renamed it. Lines so far still go to the old
/// one.
fn reopened(path: &Path) -> io::Result<OpenFile> {
    OpenFile::append(path).map_err(|error| {
        let path = path.display();
        let message = format!("cannot write to {path}: {error}; lines still go to the file opened before");
        io::Error::new(error.kind(), message)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::env;
    use std::fs;
    use std::io::{ErrorKind, Read as _};
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::PathBuf;

    use nix::sys::stat::Mode;
    use tracer_core::record::Timestamp;

    use super::*;
    use crate::output::{BUFFER_SIZE, Counts};

    const SHED: Policy = Policy::Shed { limit: 1 << 20 };

    /// Bytes of each line of [`Numbers`].
    const LINE: usize = 100;

    /// Renders the time of a record.
    struct Numbers;

    impl Render for Numbers {
        fn render(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
            out.extend_from_slice(line(record.timestamp.0).as_bytes());
            Ok(())
        }
    }

    fn line(number: u64) -> String {
        format!("{number:0>99}\n")
    }

    fn open(path: &Path, policy: Policy) -> io::Result<Lines> {
        let config = OutputConfig { destination: Destination::from_target(path), ..OutputConfig::default() };
        let mut lines = Lines::open(&config, policy, Actors::default())?;
        lines.renderer = Box::new(Numbers);
        Ok(lines)
    }

    fn started(path: &Path, policy: Policy) -> Lines {
        let mut lines = open(path, policy).expect("the path can be opened");
        lines.start().expect("a thread");
        lines
    }

    fn write(lines: &mut Lines, number: u64) -> io::Result<()> {
        lines.write(&Record {
            timestamp: Timestamp(number),
            connection: None,
            body: Body::Summary(Box::default()),
        })
    }

    /// An empty directory of its own for a test.
    pub(in crate::output) fn directory(test: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("tracer-output-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory");
        path
    }

    /// A pipe in `directory`, and its end for reading.
    fn pipe(directory: &Path) -> (PathBuf, fs::File) {
        let path = directory.join("pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
        let reader = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
        (path, reader.expect("opened"))
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("the file is there")
    }

    #[test]
    fn a_file_is_continued_and_reopened_after_it_was_renamed() {
        let directory = directory("reopen");
        let (path, old) = (directory.join("a.log"), directory.join("a.log.1"));
        fs::write(&path, "before\n").expect("the file can be written");
        let mut output = started(&path, SHED);
        write(&mut output, 1).expect("it is taken");
        fs::rename(&path, &old).expect("the file can be renamed");
        output.reopen().expect("the path can be opened again");
        write(&mut output, 2).expect("it is taken");
        output.drain().expect("files take everything");
        assert_eq!(read(&old), "before\n".to_owned() + &line(1));
        assert_eq!(read(&path), line(2));
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn the_old_file_is_kept_when_its_path_cannot_be_opened_again() {
        let directory = directory("kept");
        let path = directory.join("a.log");
        let mut output = started(&path, SHED);
        let old = directory.join("old");
        fs::rename(&path, &old).expect("the file can be renamed");
        fs::create_dir(&path).expect("a directory in its place");
        let error = output.reopen().expect_err("a directory is not a file");
        assert!(error.to_string().ends_with("lines still go to the file opened before"), "{error}");
        write(&mut output, 1).expect("it is taken");
        output.drain().expect("files take everything");
        assert_eq!(read(&old), line(1));
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_line_that_was_torn_by_a_kill_is_ended_before_the_next() {
        let directory = directory("torn");
        for (before, after) in [("", ""), ("old\n", "old\n"), ("old\nto", "old\nto\n")] {
            let path = directory.join("a.log");
            fs::write(&path, before).expect("the file can be written");
            let mut output = started(&path, Policy::Block);
            write(&mut output, 7).expect("it is taken");
            drop(output);
            assert_eq!(read(&path), after.to_owned() + &line(7));
        }
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_bad_path_fails_at_once_and_says_what_to_do() {
        let directory = directory("bad");
        let error = open(&directory, SHED).err().expect("it is a directory").to_string();
        assert!(error.contains("it is a directory: name a file in it"), "{error}");
        let error = open(&directory.join("no/a.log"), SHED).err().expect("there is no such directory");
        assert!(error.to_string().contains("create the directory"), "{error}");
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_stalled_pipe_blocks_nothing_and_every_record_is_written_or_counted() {
        let directory = directory("stuck");
        let (path, mut reader) = pipe(&directory);
        let mut output = started(&path, SHED);
        let started = Instant::now();
        for number in 0..20_000 {
            write(&mut output, number).expect("it is taken, or lost");
        }
        output.flush().expect("it does not wait");
        assert!(started.elapsed() < Duration::from_secs(5));
        let state = output.state();
        assert!(state.counts.lost > 5_000 && !state.has_space, "{state:?}");
        output.drain().expect("the rest is dropped");
        let counts = output.state().counts;
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            read.extend_from_slice(&piece[..count]);
        }
        assert!(started.elapsed() < Duration::from_secs(5), "it waited for {:?}", started.elapsed());
        let whole = (0..).zip(read.chunks(LINE)).all(|(number, chunk)| chunk == line(number).as_bytes());
        assert!(read.len() >= 4096 && whole, "{} bytes", read.len());
        // What is under way when the pipe is stuck was neither dropped nor written: at most one
        // batch.
        let open = counts.made - counts.written - counts.lost;
        assert!(open <= (BUFFER_SIZE / LINE) as u64, "{counts:?}");
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_reader_that_ends_is_a_closed_pipe() {
        for policy in [SHED, Policy::Block] {
            let directory = directory("closed");
            let (path, reader) = pipe(&directory);
            let mut output = started(&path, policy);
            drop(reader);
            write(&mut output, 1).expect("it is taken");
            // It may be known already.
            let _ = output.flush();
            let error = output.drain().expect_err("the reader has gone");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            let error = write(&mut output, 2).expect_err("the reader has gone");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            fs::remove_dir_all(directory).expect("the directory can be removed");
        }
    }

    #[test]
    fn a_full_device_is_retried_and_its_records_are_dropped_at_the_end() {
        let mut output = started(Path::new("/dev/full"), SHED);
        write(&mut output, 1).expect("it is taken");
        output.flush().expect("it does not wait");
        let started = Instant::now();
        while output.state().failing.is_none() && started.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        assert_eq!(output.state().failing, Some(ErrorKind::StorageFull));
        output.drain().expect("the rest is dropped");
        assert_eq!(output.state().counts, Counts { made: 1, written: 0, lost: 1 });
    }

    #[test]
    fn a_blocking_output_returns_the_error_of_the_device_and_writes_nothing_after_it() {
        let mut output = started(Path::new("/dev/full"), Policy::Block);
        write(&mut output, 1).expect("it is taken");
        let error = output.drain().expect_err("it is always full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert_eq!(write(&mut output, 2).expect_err("it has ended").kind(), ErrorKind::StorageFull);
        assert_eq!(output.flush().expect_err("it has ended").kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_blocking_output_loses_nothing_however_slow_its_reader() {
        let directory = directory("slow");
        let (path, mut reader) = pipe(&directory);
        let mut output = started(&path, Policy::Block);
        let many = 10 * Policy::Block.limit() as u64 / LINE as u64;
        let writing = std::thread::spawn(move || {
            for number in 0..many {
                write(&mut output, number).expect("it is taken");
                let waiting = output.state().counts;
                let bytes = (waiting.made - waiting.written) * LINE as u64;
                assert!(bytes <= 2 * Policy::Block.limit() as u64, "{bytes} bytes wait");
            }
            output.drain().expect("everything is read");
            output.state().counts
        });
        let (mut expected, mut piece) = ((0..many).map(line).collect::<String>().into_bytes(), [0; 4096]);
        while !expected.is_empty() {
            if let Ok(count @ 1..) = reader.read(&mut piece) {
                assert_eq!(expected.drain(..count).collect::<Vec<_>>(), &piece[..count]);
            }
        }
        let counts = writing.join().expect("no panic");
        assert_eq!(counts, Counts { made: many, written: many, lost: 0 });
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }
}
