//! Where lines go: standard output or a file, and nothing but whole lines.
//!
//! ```text
//! sink ─ a line ─► buffer ─ when it is full, or on flush ─► standard output | file
//!                    └ what could not be written stays here for the next try
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of lines that are collected before they are written: what a pipe holds, and about 150 JSON lines. It is also
/// all that waits when nothing can be written.
const BUFFER_SIZE: usize = 64 * 1024;

/// A buffered place for lines. Clones are handles to the same place, so that the owner of a sink can still
/// [`reopen`](Self::reopen) what the sink writes to.
///
/// A closed pipe is [`ErrorKind::BrokenPipe`]: a quiet end, for the caller to treat as such.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Lines<Target>>>);

impl Output {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(Target::Stdout(io::stdout()))
    }

    /// The file at `path`, created if need be, otherwise continued.
    ///
    /// Open it before the work begins: the error says what is wrong with the path and what to do.
    pub fn file(path: &Path) -> io::Result<Self> {
        let mut file = open(path)?;
        // The kernel cuts short the write of a process that is killed: what comes now is not to continue half a line.
        if ends_torn(path) {
            file.write_all(b"\n")?;
        }
        Ok(Self::new(Target::File(file, path.to_owned())))
    }

    fn new(target: Target) -> Self {
        Self(Arc::new(Mutex::new(Lines { buffer: Vec::with_capacity(BUFFER_SIZE), target })))
    }

    /// Opens the file's path anew, after it was renamed (logrotate); standard output stays as it is.
    ///
    /// Lines so far go to the old file, as far as it takes them. If the path cannot be opened, the old file is kept.
    pub fn reopen(&self) -> io::Result<()> {
        let mut lines = self.lock();
        let path = match &lines.target {
            Target::Stdout(_) => return lines.flush(),
            Target::File(_, path) => path.clone(),
        };
        let file = open(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{error}; lines still go to the file opened before"))
        })?;
        // A full disk may be the very reason for the new file: what the old one does not take goes to the new one.
        let _ = lines.flush();
        lines.target = Target::File(file, path);
        Ok(())
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

/// Opens `path` for appending.
fn open(path: &Path) -> io::Result<File> {
    let shown = path.display();
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        let parent = path.parent().unwrap_or(path).display();
        let advice = if error.kind() == ErrorKind::IsADirectory {
            format!("it is a directory: name a file in it, as {shown}/tracer.log")
        } else if error.kind() == ErrorKind::NotFound {
            format!("{error}: create the directory {parent} first, or name another file")
        } else {
            format!("{error}: name a file that this user may write to")
        };
        io::Error::new(error.kind(), format!("cannot write to {shown}: {advice}"))
    })
}

/// Whether the last line of a file has no end. What cannot be read is taken for whole.
fn ends_torn(path: &Path) -> bool {
    // Only of files: a pipe would wait for somebody to write to it.
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut last = [b'\n'];
    is_file
        && File::open(path)
            .and_then(|mut file| {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)
            })
            .is_ok()
        && last != [b'\n']
}

/// Something that takes bytes, and can perhaps take the last of them back.
trait Device: Write {
    /// Undoes the writing of the last `count` bytes; says whether it could.
    fn take_back(&mut self, count: usize) -> bool;

    /// What an error should call it.
    fn name(&self) -> String;
}

/// Where an [`Output`] writes to.
enum Target {
    /// Standard output: a terminal, a pipe, or a file that belongs to somebody else.
    Stdout(io::Stdout),
    /// A file of our own and the path it was opened at.
    File(File, PathBuf),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

impl Device for Target {
    fn take_back(&mut self, count: usize) -> bool {
        match self {
            Self::Stdout(_) => false,
            Self::File(file, _) => cut_end(file, count as u64).unwrap_or(false),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout(_) => "standard output".into(),
            Self::File(_, path) => path.display().to_string(),
        }
    }
}

/// Removes the last `count` bytes that were written, unless somebody else has appended something since.
fn cut_end(file: &mut File, count: u64) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let is_ours = metadata.is_file() && file.stream_position()? == metadata.len() && count <= metadata.len();
    if is_ours {
        file.set_len(metadata.len() - count)?;
    }
    Ok(is_ours)
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
        let mut written = 0;
        let mut result = Ok(());
        while result.is_ok() && written < self.buffer.len() {
            match self.target.write(&self.buffer[written..]) {
                Ok(0) => result = Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        if result.is_err() {
            written -= self.take_back_torn_line(written);
        }
        self.buffer.drain(..written);
        result.and_then(|()| self.target.flush()).map_err(|error| self.explain(error))
    }

    /// Removes the half of a line that the device took last; how many bytes it was.
    fn take_back_torn_line(&mut self, written: usize) -> usize {
        let last_end = self.buffer[..written].iter().rposition(|&byte| byte == b'\n');
        let torn = written - last_end.map_or(0, |end| end + 1);
        if torn > 0 && self.target.take_back(torn) { torn } else { 0 }
    }

    /// What could not be done, where, and what became of the lines.
    fn explain(&self, error: io::Error) -> io::Error {
        if error.kind() == ErrorKind::BrokenPipe {
            return error;
        }
        let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let advice = if is_full { "; free some space: the lines written so far are whole" } else { "" };
        io::Error::new(error.kind(), format!("cannot write to {}: {error}{advice}", self.target.name()))
    }
}

impl<D: Device> Drop for Lines<D> {
    fn drop(&mut self) {
        // The last chance for lines that nobody flushed; there is nobody left to tell.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;

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

        fn name(&self) -> String {
            "the small disk".into()
        }
    }

    fn lines_on_disk(room: usize, can_take_back: bool) -> Lines<SmallDisk> {
        Lines { buffer: Vec::new(), target: SmallDisk { content: Vec::new(), room, can_take_back } }
    }

    /// An empty directory of its own for a test.
    fn directory(test: &str) -> PathBuf {
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
    fn a_file_is_continued_and_reopened_after_it_was_renamed() {
        let directory = directory("reopen");
        let (path, old) = (directory.join("a.log"), directory.join("a.log.1"));
        fs::write(&path, "before\n").expect("the file can be written");
        let mut output = Output::file(&path).expect("the file can be opened");
        output.write_all(b"old\n").expect("the buffer has room");
        fs::rename(&path, &old).expect("the file can be renamed");
        output.reopen().expect("the path can be opened again");
        output.write_all(b"new\n").expect("the buffer has room");
        output.flush().expect("the file can be written");
        assert_eq!(fs::read_to_string(&old).expect("the old file is there"), "before\nold\n");
        assert_eq!(fs::read_to_string(&path).expect("the new file is there"), "new\n");
        fs::remove_dir_all(directory).expect("the directory can be removed");
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
    fn the_old_file_is_kept_when_its_path_cannot_be_opened_again() {
        let directory = directory("kept");
        let path = directory.join("a.log");
        let mut output = Output::file(&path).expect("the file can be opened");
        let old = directory.join("old");
        fs::rename(&path, &old).expect("the file can be renamed");
        fs::create_dir(&path).expect("a directory in its place");
        let error = output.reopen().expect_err("a directory is not a file");
        assert!(error.to_string().ends_with("lines still go to the file opened before"), "{error}");
        output.write_all(b"line\n").expect("the buffer has room");
        output.flush().expect("the file can be written");
        assert_eq!(fs::read_to_string(&old).expect("the old file is there"), "line\n");
        fs::remove_dir_all(directory).expect("the directory can be removed");
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
    fn a_torn_line_is_cut_off_a_file_but_not_what_others_appended() {
        let directory = directory("cut");
        let path = directory.join("a.log");
        let mut file = open(&path).expect("the file can be opened");
        file.write_all(b"one\ntw").expect("the file can be written");
        assert!(cut_end(&mut file, 2).expect("the file can be cut"));
        assert_eq!(fs::read(&path).expect("the file is there"), b"one\n");
        file.write_all(b"tw").expect("the file can be written");
        open(&path).and_then(|mut other| other.write_all(b"other\n")).expect("another writer");
        assert!(!cut_end(&mut file, 2).expect("the file can be looked at"));
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
