//! How a run ends.

use std::io;

use anyhow::{Error, Result};

/// Why a run is over.
#[derive(Debug)]
pub enum Outcome {
    /// It was interrupted, or its time is up.
    Stopped,
    /// The last interface is gone.
    NoInterface,
    /// The records of `--count` are written.
    Enough,
    /// A reader has closed the pipe.
    ClosedPipe,
    /// Something failed.
    Failed(Error),
}

impl Outcome {
    /// The outcome of an error of an output.
    #[must_use]
    pub fn from_output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::Failed(Error::new(error).context("records cannot be written"))
        }
    }

    /// The error, where there is one: the other outcomes are ends.
    ///
    /// # Errors
    /// Something failed.
    pub fn error(self) -> Result<()> {
        match self {
            Self::Failed(error) => Err(error),
            Self::Stopped | Self::NoInterface | Self::Enough | Self::ClosedPipe => Ok(()),
        }
    }
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
