//! The file, pipe or terminal that lines are written to.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// The most bytes that a pipe takes as a whole or not at all (POSIX, `PIPE_BUF`; 4096 on Linux).
const PIPE_BUF: usize = 4096;

/// A destination for bytes that may be able to undo the last write.
pub(super) trait Device: Write {
    /// Undoes the writing of the last `count` bytes; says whether it could.
    fn take_back(&mut self, count: usize) -> bool;

    /// How many bytes to write at once: more may be taken in part, and the rest wait for a reader
    /// that never comes.
    fn piece(&self) -> usize;

    /// Its name for error messages.
    fn name(&self) -> String;
}

/// The file that an output writes to.
pub(super) struct OpenFile {
    file: File,
    /// Its path; none for standard output, which may be a file of another program.
    path: Option<PathBuf>,
    piece: usize,
}

impl OpenFile {
    /// Standard output, without the buffer of the standard library: lines are batched already.
    pub(super) fn stdout() -> io::Result<Self> {
        Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?), None)
    }

    /// The file at `path`, created if need be, otherwise continued.
    pub(super) fn append(path: &Path) -> io::Result<Self> {
        Self::new(open(path)?, Some(path.to_owned()))
    }

    /// The file at `path`, to be continued. A killed process may have left half a line, which is
    /// ended first.
    pub(super) fn continued(path: &Path) -> io::Result<Self> {
        let mut file = Self::append(path)?;
        if ends_torn(path) {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }

    fn new(file: File, path: Option<PathBuf>) -> io::Result<Self> {
        let piece = if file.metadata()?.is_file() { usize::MAX } else { PIPE_BUF };
        Ok(Self { file, path, piece })
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Device for OpenFile {
    fn take_back(&mut self, count: usize) -> bool {
        self.path.is_some() && cut_end(&mut self.file, count as u64).unwrap_or(false)
    }

    fn piece(&self) -> usize {
        self.piece
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard output".into(), |path| path.display().to_string())
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
        io::Error::new(error.kind(), advice)
    })
}

/// Whether the last line of a file has no end. Unreadable files count as whole.
fn ends_torn(path: &Path) -> bool {
    // Regular files only: opening a pipe would wait for a writer.
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

/// Removes the last `count` bytes that were written, unless another process has appended something
/// since.
fn cut_end(file: &mut File, count: u64) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let is_ours = metadata.is_file() && file.stream_position()? == metadata.len() && count <= metadata.len();
    if is_ours {
        file.set_len(metadata.len() - count)?;
    }
    Ok(is_ours)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::output::lines::tests::directory;

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
}
