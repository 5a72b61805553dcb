//! Writing whole lines only, whatever the device does.

use std::io::{self, ErrorKind};

use memchr::{memchr, memrchr};

use super::device::Device;

/// Writes `bytes`, and how many of them were: all, or as many whole lines as the device takes. It
/// ends in the middle of a line only if the device kept the first half. `progress` is called with
/// that number after each step.
pub(super) fn write_whole_lines<D: Device>(
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

/// Adds the name of the device, and advice for a full disk, to an error.
fn explain<D: Device>(device: &D, error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::BrokenPipe {
        return error;
    }
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let advice = if is_full { "; free some space: the lines written so far are whole" } else { "" };
    io::Error::new(error.kind(), format!("cannot write to {}: {error}{advice}", device.name()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A disk with a capacity in bytes.
    struct SmallDisk {
        content: Vec<u8>,
        capacity: usize,
        can_take_back: bool,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.capacity - self.content.len());
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

    fn disk(capacity: usize, can_take_back: bool) -> SmallDisk {
        SmallDisk { content: Vec::new(), capacity, can_take_back }
    }

    #[test]
    fn a_full_disk_keeps_whole_lines_only_and_loses_none() {
        let (mut disk, lines) = (disk(10, true), b"one\ntwo\nthree\n");
        let (written, result) = write_whole_lines(&mut disk, lines, |_| {});
        let error = result.expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("cannot write to the small disk: "), "{error}");
        assert_eq!(disk.content, b"one\ntwo\n");
        disk.capacity = 100;
        let (_, result) = write_whole_lines(&mut disk, &lines[written..], |_| {});
        result.expect("there is space now");
        assert_eq!(disk.content, lines);
    }

    #[test]
    fn a_line_torn_for_good_is_continued_where_it_was_torn() {
        let (mut disk, lines) = (disk(6, false), b"one\ntwo\n");
        let (written, result) = write_whole_lines(&mut disk, lines, |_| {});
        result.expect_err("the disk is full");
        assert_eq!(disk.content, b"one\ntw");
        disk.capacity = 100;
        let (_, result) = write_whole_lines(&mut disk, &lines[written..], |_| {});
        result.expect("there is space now");
        assert_eq!(disk.content, lines);
    }

    #[test]
    fn a_piece_is_made_of_whole_lines_or_is_one_long_line() {
        let bytes = b"one\ntwo\nthree is long\nfour\n";
        assert_eq!(piece(bytes, 100), bytes);
        assert_eq!(piece(bytes, 10), b"one\ntwo\n");
        assert_eq!(piece(&bytes[8..], 6), b"three is long\n");
        assert_eq!(piece(b"no end", 3), b"no end");
    }
}
