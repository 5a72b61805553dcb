//! The frames of capture files: pcap and pcapng, also compressed with gzip, also from a pipe.
//!
//! The containers are read by pcap-parser; this module turns their blocks into [`Captured`] frames with times in
//! nanoseconds, and their defects into errors that say where the file stops making sense. `link` knows the link layers.

mod error;
mod input;
mod interfaces;
mod link;

use std::{io::Read, os::fd::AsFd as _, path::Path};

use pcap_parser::{
    LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader, pcapng::Block, traits::PcapReaderIterator,
};

pub use self::{error::CaptureError, input::Interrupt, link::strip};
use self::{
    input::Input,
    interfaces::{Found, Interface, Interfaces},
};

/// Bytes of the file in memory at first.
const BUFFER: usize = 256 * 1024;

/// The most bytes in memory: no link has frames near this size, so what claims to be longer is damage. Wireshark's own
/// limit for the longest kinds of packets is a few MiB, too.
const MAX_BUFFER: usize = 16 * 1024 * 1024;

/// One frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// When it was captured, in ns since the Unix epoch.
    pub time: u64,
    /// Number of the interface in the capture, from 1.
    pub interface: u32,
    /// What the capture calls it.
    pub name: Option<&'a str>,
    /// LINKTYPE_ value (www.tcpdump.org/linktypes.html).
    pub link: i32,
    /// Bytes on the wire; `bytes` may be fewer.
    pub wire_len: usize,
    /// The bytes captured, link layer header first.
    pub bytes: &'a [u8],
}

/// A capture file being read.
pub struct Capture {
    reader: Box<dyn PcapReaderIterator>,
    input: Input,
    interfaces: Interfaces,
    /// Bytes of the block handed out last.
    consumed: usize,
    /// Whether there is no whole block in what was read.
    is_dry: bool,
    /// Frames handed out.
    frames: u64,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// What comes next in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A frame.
    Frame(Captured<'a>),
    /// There is none in what was read of the file: the next call reads on, and waits if the file is a pipe.
    Dry,
    /// Nothing: the capture is over.
    End,
}

/// The same, not taken out of the buffer yet.
enum Sought {
    Frame(Found),
    Nothing,
    End,
}

/// What a block is for us.
enum Step {
    /// A frame, in a block of `len` bytes.
    Frame { found: Found, len: usize },
    /// Something else.
    Other(usize),
    /// More bytes are needed.
    More,
    /// More room is needed for one block.
    ScanBuffer,
    /// The file is over.
    End,
}

impl Capture {
    /// Opens the file at `path`, or standard input for `-`.
    ///
    /// # Errors
    /// The file cannot be read, or is no capture.
    pub fn open(path: &Path, interrupt: &Interrupt) -> Result<Self, CaptureError> {
        if path == Path::new("-") {
            // Not through the buffer of `Stdin`: whether more is there is asked of the descriptor.
            let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(CaptureError::Unreadable)?;
            return Self::new(input::interruptible(std::fs::File::from(stdin), interrupt));
        }
        let file = std::fs::File::open(path).map_err(CaptureError::Unreadable)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(CaptureError::Unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        Self::new(input::interruptible(file, interrupt))
    }

    /// A capture that is read from `source`.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn new(source: impl Read + 'static) -> Result<Self, CaptureError> {
        let (input, source) = Input::new(source)?;
        let start = input.start();
        let reader: Result<Box<dyn PcapReaderIterator>, _> = if start.starts_with(&input::SECTION_HEADER) {
            PcapNGReader::new(BUFFER, source).map(|reader| Box::new(reader) as Box<_>)
        } else {
            LegacyPcapReader::new(BUFFER, source).map(|reader| Box::new(reader) as Box<_>)
        };
        match reader {
            Ok(reader) => Ok(Self {
                reader,
                input,
                interfaces: Interfaces::default(),
                consumed: 0,
                is_dry: false,
                frames: 0,
            }),
            Err(_) if input.error().is_some() => Err(input.take_error()),
            Err(_) => Err(CaptureError::NoCapture { start }),
        }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// The file is damaged or cut short from here on, or cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        loop {
            match self.seek()? {
                Sought::Frame(found) => return self.hand_out(&found).map(Some),
                Sought::Nothing => {}
                Sought::End => return Ok(None),
            }
        }
    }

    /// The next frame that was read already: for somebody who has something to do before it is waited for more of the file.
    ///
    /// # Errors
    /// As of [`Capture::next_frame`].
    pub fn next_buffered(&mut self) -> Result<Next<'_>, CaptureError> {
        match self.seek()? {
            Sought::Frame(found) => self.hand_out(&found).map(Next::Frame),
            Sought::Nothing => Ok(Next::Dry),
            Sought::End => Ok(Next::End),
        }
    }

    /// Looks for the next frame in what was read; before that, reads more if there was nothing.
    fn seek(&mut self) -> Result<Sought, CaptureError> {
        if std::mem::take(&mut self.is_dry) {
            self.reader.refill().map_err(|_| self.input.take_error())?;
        }
        loop {
            if self.consumed > 0 {
                self.reader.consume(std::mem::take(&mut self.consumed));
            }
            match self.step()? {
                Step::Frame { found, len } => {
                    self.consumed = len;
                    return Ok(Sought::Frame(found));
                }
                Step::Other(len) => self.consumed = len,
                Step::More => {
                    self.is_dry = true;
                    return Ok(Sought::Nothing);
                }
                Step::ScanBuffer => self.grow()?,
                Step::End => return Ok(Sought::End),
            }
        }
    }

    fn hand_out(&mut self, found: &Found) -> Result<Captured<'_>, CaptureError> {
        self.frames += 1;
        let damaged = CaptureError::Damaged { after: self.frames };
        self.interfaces.frame(found, self.reader.data()).ok_or(damaged)
    }

    fn step(&mut self) -> Result<Step, CaptureError> {
        let after = self.frames;
        let start = self.reader.data().as_ptr().addr();
        match self.reader.next() {
            Ok((len, block)) => Ok(match block {
                PcapBlockOwned::LegacyHeader(header) => {
                    self.interfaces.start_section(false);
                    self.interfaces.add(Interface::of_pcap(&header));
                    Step::Other(len)
                }
                PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                    self.interfaces.start_section(section.big_endian());
                    Step::Other(len)
                }
                PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
                    self.interfaces.add_description(&description);
                    Step::Other(len)
                }
                block @ (PcapBlockOwned::Legacy(_)
                | PcapBlockOwned::NG(Block::EnhancedPacket(_) | Block::SimplePacket(_))) => {
                    // Of an interface that was described, or nobody knows what it is.
                    let found = self.interfaces.find(&block, start).ok_or(CaptureError::Damaged { after })?;
                    Step::Frame { found, len }
                }
                PcapBlockOwned::NG(_) => Step::Other(len),
            }),
            Err(PcapError::Eof) => Ok(Step::End),
            Err(PcapError::Incomplete(_)) => Ok(Step::More),
            Err(PcapError::BufferTooSmall) => Ok(Step::ScanBuffer),
            Err(_) if self.input.error().is_some() => Err(self.input.take_error()),
            Err(PcapError::UnexpectedEof) => Err(CaptureError::CutShort { after }),
            Err(_) => Err(CaptureError::Damaged { after }),
        }
    }

    fn grow(&mut self) -> Result<(), CaptureError> {
        let size = self.reader.data().len().max(BUFFER / 2) * 2;
        // The whole buffer may be full of one block; or most of it read already, and only to be moved.
        if size > MAX_BUFFER {
            return Err(CaptureError::Damaged { after: self.frames });
        }
        self.reader.grow(size);
        self.reader.refill().map_err(|_| self.input.take_error())
    }
}
