//! Reads the bytes of a capture from a file or a pipe, decompresses gzip, and stops on an
//! interrupt.

use std::{
    cell::RefCell,
    io::{self, BufReader, Read},
    os::fd::AsFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flate2::bufread::MultiGzDecoder;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::CaptureError;

/// First two bytes of a gzip file (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes needed to recognise the format and the length of the file header.
const START: u64 = 12;

/// Bytes of the header of a pcap file.
const PCAP_HEADER: u64 = 24;

/// First four bytes of a pcapng file: the type of a section header block, the same in both byte
/// orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The byte order magic of a big-endian section header block.
const BIG_ENDIAN: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// The longest section header block that is read in one piece. It holds a few short strings.
const MAX_HEADER: u64 = 64 * 1024;

/// How long an interrupt may go unnoticed while no bytes arrive.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Stops reading from another thread, as if the capture ended there.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Stops reading.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether reading has to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The first bytes of the capture and its I/O error, which pcap-parser does not pass on.
pub(super) struct Input {
    start: Vec<u8>,
    error: Rc<RefCell<Option<io::Error>>>,
}

impl Input {
    /// Reads the first bytes of `source`, and decompresses it if it is gzip.
    pub(super) fn new(source: impl Read + 'static) -> Result<(Self, Box<dyn Read>), CaptureError> {
        let (start, source) = peek(source)?;
        if start.is_empty() {
            return Err(CaptureError::Empty);
        }
        let (start, source): (_, Box<dyn Read>) = if start.starts_with(&GZIP) {
            let (start, unpacked) = peek(MultiGzDecoder::new(BufReader::new(source)))?;
            (start, Box::new(unpacked))
        } else {
            (start, Box::new(source))
        };
        let error = Rc::default();
        let source = ErrorKeeper { source, error: Rc::clone(&error) };
        Ok((Self { start, error }, Box::new(source)))
    }

    /// The first bytes.
    pub(super) fn start(&self) -> Vec<u8> {
        self.start.clone()
    }

    /// The kind of the I/O error that ended reading.
    pub(super) fn error(&self) -> Option<io::ErrorKind> {
        self.error.borrow().as_ref().map(io::Error::kind)
    }

    /// Takes the I/O error that ended reading.
    pub(super) fn take_error(&self) -> CaptureError {
        let error = self.error.borrow_mut().take();
        CaptureError::Unreadable(error.unwrap_or_else(|| io::ErrorKind::Other.into()))
    }
}

/// Returns the file header, and a reader of the whole file: pcap-parser needs the header in one
/// piece.
fn peek<R: Read>(mut source: R) -> Result<(Vec<u8>, impl Read), CaptureError> {
    let mut start = Vec::new();
    let mut read = |len: u64, start: &mut Vec<u8>| {
        let more = len.saturating_sub(start.len() as u64);
        source.by_ref().take(more).read_to_end(start).map_err(CaptureError::Unreadable)
    };
    read(START, &mut start)?;
    if !start.starts_with(&GZIP) {
        read(header_len(&start), &mut start)?;
    }
    let again = io::Cursor::new(start.clone());
    Ok((start, again.chain(source)))
}

/// The length of the file header, from its first bytes.
fn header_len(start: &[u8]) -> u64 {
    let (Some(kind), Some(len), Some(magic)) =
        (start.get(..4), start.get(4..8).and_then(<[u8]>::first_chunk), start.get(8..12))
    else {
        return 0;
    };
    if kind != SECTION_HEADER {
        return PCAP_HEADER;
    }
    let len = if magic == BIG_ENDIAN { u32::from_be_bytes(*len) } else { u32::from_le_bytes(*len) };
    u64::from(len).min(MAX_HEADER)
}

/// A reader that keeps the error that ended reading.
struct ErrorKeeper<R> {
    source: R,
    error: Rc<RefCell<Option<io::Error>>>,
}

impl<R: Read> Read for ErrorKeeper<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    *self.error.borrow_mut() = Some(error);
                    return Err(kind.into());
                }
                read => return read,
            }
        }
    }
}

/// A reader of `source` that ends on `interrupt`.
pub(super) fn interruptible<R: Read + AsFd + 'static>(
    source: R,
    interrupt: &Interrupt,
) -> impl Read + 'static {
    Interruptible { source, interrupt: interrupt.clone() }
}

struct Interruptible<R> {
    source: R,
    interrupt: Interrupt,
}

impl<R: Read + AsFd> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.interrupt.is_set() {
            let mut fds = [PollFd::new(self.source.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(POLL_INTERVAL).unwrap_or(PollTimeout::ZERO);
            match poll(&mut fds, timeout) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return self.source.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}
