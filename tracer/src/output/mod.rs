//! Where lines go: standard output or a file, and nothing but whole lines.
//!
//! ```text
//! sink ─ a line ─► buffer ─ when it is full, or on flush ─► standard output | file
//!                    └ what could not be written stays here for the next try
//! ```

//!
//! [`Output`] writes at once, and waits for whoever reads: right for a replay. [`Queued`] has a thread that writes, never
//! waits, and counts what it has to give up: right for live traffic.

mod ahead;
mod queue;
mod queued;
mod target;
mod writer;

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::{memchr, memrchr};
use tracer_core::{
    analysis::{Stop, Telling, summarised},
    record::Summary,
    render::Format,
    summary,
};

pub use self::ahead::Ahead;
pub use self::queue::Counts;
pub use self::queued::{Queued, State};
use self::target::{Device, Target};
use crate::logging::note;

/// Bytes of lines that are collected before they are written: what a pipe holds, and about 150 JSON lines. It is also
/// all that waits when nothing can be written.
const BUFFER_SIZE: usize = 64 * 1024;

/// A buffered place for lines. Clones are handles to the same place.
///
/// A closed pipe is [`ErrorKind::BrokenPipe`]: a quiet end, for the caller to treat as such.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Lines<Target>>>);

impl Output {
    /// Standard output.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::new(Target::stdout()?))
    }

    /// The file at `path`, created if need be, otherwise continued.
    ///
    /// Open it before the work begins: the error says what is wrong with the path and what to do.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Target::continued(path)?))
    }

    fn new(target: Target) -> Self {
        Self(Arc::new(Mutex::new(Lines { buffer: Vec::with_capacity(BUFFER_SIZE), target })))
    }

    fn lock(&self) -> MutexGuard<'_, Lines<Target>> {
        // A panic elsewhere leaves whole lines here in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Output {
    /// Takes all of `line` or nothing of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lock().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

/// The buffer in front of a device.
struct Lines<D: Device> {
    /// Lines not written yet. It begins in the middle of one only if the device kept the first half.
    buffer: Vec<u8>,
    target: D,
}

impl<D: Device> Lines<D> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + line.len() > BUFFER_SIZE {
            self.flush()?;
        }
        self.buffer.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let (written, result) = write_whole_lines(&mut self.target, &self.buffer, |_| {});
        self.buffer.drain(..written);
        result
    }
}

/// Writes `bytes`, and how many of them were: all, or as many whole lines as the device takes. It ends in the middle of a
/// line only if the device kept the first half. `progress` is told how far it got after each step.
fn write_whole_lines<D: Device>(
    device: &mut D,
    bytes: &[u8],
    mut progress: impl FnMut(usize),
) -> (usize, io::Result<()>) {
    let mut written = 0;
    let mut result = Ok(());
    while result.is_ok() && written < bytes.len() {
        match device.write(piece(&bytes[written..], device.piece())) {
            Ok(0) => result = Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => result = Err(error),
        }
        progress(written);
    }
    if result.is_err() {
        let last_end = memrchr(b'\n', &bytes[..written]);
        let torn = written - last_end.map_or(0, |end| end + 1);
        if torn > 0 && device.take_back(torn) {
            written -= torn;
        }
    }
    let result = result.and_then(|()| device.flush()).map_err(|error| explain(device, error));
    (written, result)
}

/// The lines at the front that are together at most `most` bytes; one line if it is longer.
fn piece(bytes: &[u8], most: usize) -> &[u8] {
    if bytes.len() <= most {
        return bytes;
    }
    let end = memrchr(b'\n', &bytes[..most]).or_else(|| memchr(b'\n', bytes));
    end.map_or(bytes, |end| &bytes[..=end])
}

/// What could not be done, where, and what became of the lines.
fn explain<D: Device>(device: &D, error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::BrokenPipe {
        return error;
    }
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let advice = if is_full { "; free some space: the lines written so far are whole" } else { "" };
    io::Error::new(error.kind(), format!("cannot write to {}: {error}{advice}", device.name()))
}

impl<D: Device> Drop for Lines<D> {
    fn drop(&mut self) {
        // The last chance for lines that nobody flushed; there is nobody left to tell.
        let _ = self.flush();
    }
}

/// For programs the summary, of `time` in ns since the Unix epoch, is a record like others; people get it beside the
/// records.
///
/// # Errors
/// No record can be written any more.
pub(crate) fn tell_summary(
    telling: &mut Telling,
    summary: &Summary,
    time: u64,
    format: Format,
) -> Result<(), Stop> {
    match format {
        Format::Json => telling.write_uncounted(summarised(summary.clone(), time))?,
        Format::Text | Format::Explain => note(&summary::text(summary)),
    }
    telling.flush()
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A disk with room for so many bytes.
    struct SmallDisk {
        content: Vec<u8>,
        room: usize,
        can_take_back: bool,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room - self.content.len());
            if count == 0 && !bytes.is_empty() {
                return Err(ErrorKind::StorageFull.into());
            }
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Device for SmallDisk {
        fn take_back(&mut self, count: usize) -> bool {
            if self.can_take_back {
                self.content.truncate(self.content.len() - count);
            }
            self.can_take_back
        }

        fn piece(&self) -> usize {
            usize::MAX
        }

        fn name(&self) -> String {
            "the small disk".into()
        }
    }

    fn lines_on_disk(room: usize, can_take_back: bool) -> Lines<SmallDisk> {
        Lines { buffer: Vec::new(), target: SmallDisk { content: Vec::new(), room, can_take_back } }
    }

    /// An empty directory of its own for a test.
    pub(super) fn directory(test: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("tracer-output-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory");
        path
    }

    #[test]
    fn a_full_disk_keeps_whole_lines_only_and_loses_none() {
        let mut lines = lines_on_disk(10, true);
        for line in ["one\n", "two\n", "three\n"] {
            lines.write(line.as_bytes()).expect("the buffer has room");
        }
        let error = lines.flush().expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("cannot write to the small disk: "), "{error}");
        assert_eq!(lines.target.content, b"one\ntwo\n");
        lines.target.room = 100;
        lines.flush().expect("there is room now");
        assert_eq!(lines.target.content, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_line_torn_for_good_is_continued_where_it_was_torn() {
        let mut lines = lines_on_disk(6, false);
        lines.write(b"one\ntwo\n").expect("the buffer has room");
        lines.flush().expect_err("the disk is full");
        assert_eq!(lines.target.content, b"one\ntw");
        lines.target.room = 100;
        lines.flush().expect("there is room now");
        assert_eq!(lines.target.content, b"one\ntwo\n");
    }

    #[test]
    fn a_buffer_that_cannot_be_written_refuses_the_line_instead_of_growing() {
        let mut lines = lines_on_disk(0, true);
        let line = [b'x'; 1000];
        let taken = (0..1000).take_while(|_| lines.write(&line).is_ok()).count();
        assert_eq!(taken, BUFFER_SIZE / line.len());
        assert_eq!(lines.buffer.len(), taken * line.len());
    }

    #[test]
    fn a_line_that_was_torn_by_a_kill_is_ended_before_the_next() {
        let directory = directory("torn");
        for (before, after) in [("", "new\n"), ("old\n", "old\nnew\n"), ("old\nto", "old\nto\nnew\n")] {
            let path = directory.join("a.log");
            fs::write(&path, before).expect("the file can be written");
            let mut output = Output::file(&path).expect("the file can be opened");
            output.write_all(b"new\n").expect("the buffer has room");
            drop(output);
            assert_eq!(fs::read_to_string(&path).expect("the file is there"), after);
        }
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_piece_is_made_of_whole_lines_or_is_one_long_line() {
        let bytes = b"one\ntwo\nthree is long\nfour\n";
        assert_eq!(piece(bytes, 100), bytes);
        assert_eq!(piece(bytes, 10), b"one\ntwo\n");
        assert_eq!(piece(&bytes[8..], 6), b"three is long\n");
        assert_eq!(piece(b"no end", 3), b"no end");
    }

    #[test]
    fn a_bad_path_fails_at_once_and_says_what_to_do() {
        let directory = directory("bad");
        let error = Output::file(&directory).err().expect("it is a directory").to_string();
        assert!(error.contains("it is a directory: name a file in it"), "{error}");
        let error = Output::file(&directory.join("no/a.log")).err().expect("there is no such directory");
        assert!(error.to_string().contains("create the directory"), "{error}");
        fs::remove_dir_all(directory).expect("the directory can be removed");
    }

    #[test]
    fn a_device_without_room_says_that_it_is_full() {
        let mut output = Output::file(Path::new("/dev/full")).expect("it can be opened");
        output.write_all(b"line\n").expect("the buffer has room");
        let error = output.flush().expect_err("it is always full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
