//! Where records go: any number of outputs, each with its format and its destination.
//!
//! ```text
//! Record ─► Outputs ─► Sink: renderer ─ whole lines ─► queue (bounded) ─► writer thread ─► standard output | file
//!                 └──► Sink: …
//! ```
//!
//! There is one kind of queue, with one of two policies when it is full: live tracing must not
//! wait, so that it sheds and counts records; a replay waits for its reader.
//!
//! To add an output: a row in [`Format`], and a renderer in `tracer_core::render` or a [`Sink`] of
//! its own beside [`Lines`].

mod config;
mod device;
mod fanout;
mod format;
mod lines;
mod look;
mod queue;
mod shared;
mod whole_lines;
mod writer;

use std::io;

use tracer_core::record::{Record, Summary};

pub use self::{
    config::{Destination, FormatAndTarget, Needs, OutputConfig, outputs},
    fanout::Outputs,
    format::Format,
    lines::Lines,
    look::{Color, Look, Time},
    queue::Counts,
};

/// Bytes of lines that are collected before they are written: what a pipe holds, and about 150 JSON
/// lines.
const BUFFER_SIZE: usize = 64 * 1024;

/// What happens to a record when the queue of an output is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It waits until there is space.
    Block,
    /// It is dropped and counted. Alarms and the summary are queued beyond the limit.
    Shed {
        /// Bytes that may wait to be written.
        limit: usize,
    },
}

impl Policy {
    /// Limit of the queue in bytes. A run that waits needs only enough to keep the writer busy.
    const fn limit(self) -> usize {
        match self {
            Self::Block => 4 * BUFFER_SIZE,
            Self::Shed { limit } => limit,
        }
    }
}

/// The state of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Counts of its records.
    pub counts: Counts,
    /// What is wrong with the destination, while writing to it fails.
    pub failing: Option<io::ErrorKind>,
    /// Whether at least half of the queue is free.
    pub has_space: bool,
}

/// An output. The error [`io::ErrorKind::BrokenPipe`] means that its reader has closed the pipe,
/// which ends a run quietly.
pub trait Sink {
    /// Starts what needs a thread; called once, after privileges were dropped.
    ///
    /// # Errors
    /// No thread can be started.
    fn start(&mut self) -> io::Result<()>;

    /// Takes one record.
    ///
    /// # Errors
    /// No more records can be written.
    fn write(&mut self, record: &Record) -> io::Result<()>;

    /// Asks for everything to be written, and does not wait for it.
    ///
    /// # Errors
    /// No more records can be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Waits until everything is written. Under [`Policy::Shed`] it waits a second for a reader
    /// that takes nothing, ten for a slow one, and then drops and counts the rest.
    ///
    /// # Errors
    /// No more records can be written.
    fn drain(&mut self) -> io::Result<()>;

    /// The run of `summary` ends at `time`, in ns since the Unix epoch: writes everything, and the
    /// summary as a record or as the text that is returned, for people to read on standard error.
    ///
    /// # Errors
    /// No more records can be written.
    fn finish(&mut self, summary: &Summary, time: u64) -> io::Result<Option<String>>;

    /// Whether SIGHUP opens a file again.
    fn can_reopen(&self) -> bool;

    /// Opens the file again, after it was renamed.
    ///
    /// # Errors
    /// It cannot be opened; the old one is kept.
    fn reopen(&mut self) -> io::Result<()>;

    /// Whether it gets all records of a connection of which one matches.
    fn shows_whole_connections(&self) -> bool;

    /// The state of the output.
    fn state(&self) -> State;

    /// Its destination, for messages.
    fn name(&self) -> String;
}
