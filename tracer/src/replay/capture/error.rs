//! Why a capture cannot be read, or no further.

use std::{fmt, io};

/// Why a capture cannot be read, or no further.
#[derive(Debug)]
pub enum CaptureError {
    /// The operating system does not let it be read.
    Unreadable(io::Error),
    /// There is nothing in it.
    Empty,
    /// It is no capture.
    NoCapture {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// It ends in the middle of a frame.
    CutShort {
        /// How many frames were read.
        after: u64,
    },
    /// It stops making sense.
    Damaged {
        /// How many frames were read.
        after: u64,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Empty => f.write_str("is empty: expected a pcap or pcapng capture"),
            Self::NoCapture { start } => {
                write!(
                    f,
                    "is no capture: it starts with {}, ",
                    start.get(..4).unwrap_or(start).escape_ascii()
                )?;
                f.write_str("expected pcap or pcapng, possibly compressed with gzip")
            }
            Self::CutShort { after } => {
                write!(f, "is cut short: it ends inside the frame after the first {after}")
            }
            Self::Damaged { after } => {
                write!(f, "is damaged: what follows the first {after} frames is not a frame")
            }
        }
    }
}

impl std::error::Error for CaptureError {}
