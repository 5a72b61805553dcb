//! Errors of reading a capture.

use std::{fmt, io};

/// Why a capture cannot be read, or not to its end.
#[derive(Debug)]
pub enum CaptureError {
    /// An I/O error.
    Unreadable(io::Error),
    /// The file is empty.
    Empty,
    /// The file is not a capture.
    NotACapture {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// The file ends in the middle of a frame.
    Truncated {
        /// How many frames were read.
        after: u64,
    },
    /// The file is corrupt from some point on.
    Corrupt {
        /// How many frames were read.
        after: u64,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Empty => f.write_str("is empty: expected a pcap or pcapng capture"),
            Self::NotACapture { start } => {
                write!(
                    f,
                    "is not a capture: it starts with {}, ",
                    start.get(..4).unwrap_or(start).escape_ascii()
                )?;
                f.write_str("expected pcap or pcapng, optionally compressed with gzip")
            }
            Self::Truncated { after } => {
                write!(f, "is truncated: it ends inside the frame after the first {after}")
            }
            Self::Corrupt { after } => {
                write!(f, "is corrupt: there is no valid frame after the first {after}")
            }
        }
    }
}

impl std::error::Error for CaptureError {}
