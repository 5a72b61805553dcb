//! Reads frames from pcap and pcapng captures, optionally gzip-compressed, from files or pipes.
//!
//! pcap-parser reads the containers. This module turns their blocks into [`Captured`] frames with
//! times in nanoseconds, and their defects into errors that say after which frame the file is
//! corrupt. `link` strips the link layers.

mod error;
mod input;
mod interfaces;
mod link;
mod unpadded;

use std::{io::Read, os::fd::AsFd as _, path::Path};

use pcap_parser::{
    LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader, pcapng::Block, traits::PcapReaderIterator,
};

pub use self::{
    error::CaptureError,
    input::Interrupt,
    link::{interface, strip},
};
use self::{
    input::Input,
    interfaces::{FrameLocation, Interface, Interfaces},
    unpadded::Unpadded,
};

/// Initial size of the buffer in bytes.
const BUFFER: usize = 256 * 1024;

/// Largest size of the buffer in bytes. No link has frames near this size, so a longer block is
/// corrupt. Wireshark limits its longest packets to a few MiB, too.
const MAX_BUFFER: usize = 16 * 1024 * 1024;

/// One frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Time of capture in ns since the Unix epoch.
    pub time: u64,
    /// Number of the interface in the capture, from 1.
    pub interface: u32,
    /// Name of the interface in the capture.
    pub name: Option<&'a str>,
    /// Link layer: a LINKTYPE_ value (www.tcpdump.org/linktypes.html).
    pub link: i32,
    /// Bytes on the wire; `bytes` may have fewer.
    pub wire_len: usize,
    /// The captured bytes, starting with the link layer header.
    pub bytes: &'a [u8],
}

/// A capture file being read.
pub struct Capture {
    reader: Box<dyn PcapReaderIterator>,
    input: Input,
    is_pcapng: bool,
    interfaces: Interfaces,
    /// Bytes of the last returned block.
    consumed: usize,
    /// Whether the buffer has no complete block.
    needs_refill: bool,
    /// Number of frames returned.
    frames: u64,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// The next item of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A frame.
    Frame(Captured<'a>),
    /// The buffer has no complete frame. The next call reads more, and waits if the file is a pipe.
    Dry,
    /// The end of the capture.
    End,
}

/// The next item, still in the buffer.
enum Item {
    Frame(FrameLocation),
    NeedsMore,
    End,
}

/// The result of reading one block.
enum Step {
    /// A frame, in a block of `len` bytes.
    Frame { location: FrameLocation, len: usize },
    /// Another block of this many bytes.
    Other(usize),
    /// The block is incomplete: read more bytes.
    More,
    /// The block does not fit into the buffer.
    BufferTooSmall,
    /// The end of the file.
    End,
}

impl Capture {
    /// Opens the file at `path`, or standard input for `-`.
    ///
    /// # Errors
    /// The file cannot be read, or is not a capture.
    pub fn open(path: &Path, interrupt: &Interrupt) -> Result<Self, CaptureError> {
        if path == Path::new("-") {
            // Bypass the buffer of `Stdin`: poll(2) must see all unread bytes.
            let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(CaptureError::Unreadable)?;
            return Self::new(input::interruptible(std::fs::File::from(stdin), interrupt));
        }
        let file = std::fs::File::open(path).map_err(CaptureError::Unreadable)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(CaptureError::Unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        Self::new(input::interruptible(file, interrupt))
    }

    /// Reads a capture from `source`.
    ///
    /// # Errors
    /// It cannot be read, or is not a capture.
    pub fn new(source: impl Read + 'static) -> Result<Self, CaptureError> {
        let (input, source) = Input::new(source)?;
        let start = input.start();
        let is_pcapng = start.starts_with(&input::SECTION_HEADER);
        let reader: Result<Box<dyn PcapReaderIterator>, _> = if is_pcapng {
            PcapNGReader::new(BUFFER, source).map(|reader| Box::new(reader) as Box<_>)
        } else {
            LegacyPcapReader::new(BUFFER, source).map(|reader| Box::new(reader) as Box<_>)
        };
        match reader {
            Ok(reader) => Ok(Self {
                reader,
                input,
                is_pcapng,
                interfaces: Interfaces::default(),
                consumed: 0,
                needs_refill: false,
                frames: 0,
            }),
            Err(_) if input.error().is_some() => Err(input.take_error()),
            Err(_) => Err(CaptureError::NotACapture { start }),
        }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// The file is corrupt or truncated here, or cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        loop {
            match self.seek()? {
                Item::Frame(location) => return self.take_frame(&location).map(Some),
                Item::NeedsMore => {}
                Item::End => return Ok(None),
            }
        }
    }

    /// The next frame in the buffer, without waiting for more of the file. The caller can do other
    /// work before the next call waits.
    ///
    /// # Errors
    /// As for [`Capture::next_frame`].
    pub fn next_buffered(&mut self) -> Result<Next<'_>, CaptureError> {
        match self.seek()? {
            Item::Frame(location) => self.take_frame(&location).map(Next::Frame),
            Item::NeedsMore => Ok(Next::Dry),
            Item::End => Ok(Next::End),
        }
    }

    /// Looks for the next frame in the buffer. Refills the buffer first if the last call found
    /// none.
    fn seek(&mut self) -> Result<Item, CaptureError> {
        if std::mem::take(&mut self.needs_refill) {
            self.reader.refill().map_err(|_| self.input.take_error())?;
        }
        loop {
            if self.consumed > 0 {
                self.reader.consume(std::mem::take(&mut self.consumed));
            }
            match self.step()? {
                Step::Frame { location, len } => {
                    self.consumed = len;
                    return Ok(Item::Frame(location));
                }
                Step::Other(len) => self.consumed = len,
                Step::More => {
                    self.needs_refill = true;
                    return Ok(Item::NeedsMore);
                }
                Step::BufferTooSmall => self.grow()?,
                Step::End => return Ok(Item::End),
            }
        }
    }

    fn take_frame(&mut self, location: &FrameLocation) -> Result<Captured<'_>, CaptureError> {
        self.frames += 1;
        let corrupt = CaptureError::Corrupt { after: self.frames };
        self.interfaces.frame(location, self.reader.data()).ok_or(corrupt)
    }

    fn step(&mut self) -> Result<Step, CaptureError> {
        let corrupt = CaptureError::Corrupt { after: self.frames };
        let truncated = CaptureError::Truncated { after: self.frames };
        let big_endian = self.interfaces.big_endian();
        if self.is_pcapng
            && let Some(block) = unpadded::find(self.reader.data(), big_endian)
        {
            let Unpadded::Complete(bytes) = block else {
                return if self.reader.reader_exhausted() {
                    Err(truncated)
                } else {
                    Ok(Step::BufferTooSmall)
                };
            };
            let block = unpadded::parse(&bytes, big_endian).map(PcapBlockOwned::NG);
            let step = block
                .and_then(|block| step_of(&mut self.interfaces, &block, bytes.as_ptr().addr(), bytes.len()));
            return step.ok_or(corrupt);
        }
        let start = self.reader.data().as_ptr().addr();
        match self.reader.next() {
            Ok((len, block)) => step_of(&mut self.interfaces, &block, start, len).ok_or(corrupt),
            Err(PcapError::Eof) => Ok(Step::End),
            Err(PcapError::Incomplete(_)) => Ok(Step::More),
            Err(PcapError::BufferTooSmall) => Ok(Step::BufferTooSmall),
            Err(_) if self.input.error().is_some() => Err(self.input.take_error()),
            Err(PcapError::UnexpectedEof) => Err(truncated),
            Err(_) => Err(corrupt),
        }
    }

    fn grow(&mut self) -> Result<(), CaptureError> {
        let size = self.reader.data().len().max(BUFFER / 2) * 2;
        // One block may fill the whole buffer, or most of the buffer is consumed and only has to be
        // moved.
        if size > MAX_BUFFER {
            return Err(CaptureError::Corrupt { after: self.frames });
        }
        self.reader.grow(size);
        self.reader.refill().map_err(|_| self.input.take_error())
    }
}

/// The step that a block of `len` bytes is; `None` if it cannot be interpreted. `start` is the
/// address of the block.
fn step_of(
    interfaces: &mut Interfaces,
    block: &PcapBlockOwned<'_>,
    start: usize,
    len: usize,
) -> Option<Step> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            interfaces.start_section(false);
            interfaces.add(Interface::of_pcap(header));
        }
        PcapBlockOwned::NG(Block::SectionHeader(section)) => interfaces.start_section(section.big_endian()),
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            interfaces.add_description(description);
        }
        PcapBlockOwned::Legacy(_) | PcapBlockOwned::NG(Block::EnhancedPacket(_) | Block::SimplePacket(_)) => {
            // Without a description of its interface, a frame cannot be interpreted.
            return interfaces.find(block, start).map(|location| Step::Frame { location, len });
        }
        PcapBlockOwned::NG(Block::Unknown(unknown)) if interfaces.is_old_packet(unknown) => {
            return interfaces.find(block, start).map(|location| Step::Frame { location, len });
        }
        PcapBlockOwned::NG(_) => {}
    }
    Some(Step::Other(len))
}
