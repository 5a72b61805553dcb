//! Records for people and programs: one renderer per format, from a record to bytes.
//!
//! - [`json`]: one flat object a line, the contract for programs
//! - [`text`]: one line a record, for an operator at a terminal
//! - [`explain`]: step by step, for somebody who does not know TCP
//! - [`units`]: durations and sizes for people
//!
//! A renderer sees [`Record`]s only, and writes whole lines. Where they go is the business of the
//! caller.

use std::io;

use crate::record::Record;

pub mod explain;
pub mod json;
mod rfc3339;
mod style;
pub mod text;
pub mod units;

pub use explain::{Actors, Explain};
pub use json::Json;
pub use style::{Style, TimeStyle};
pub use text::TextLines;

/// Turns records into bytes.
pub trait Render: Send {
    /// Appends the lines of `record` to `out`.
    ///
    /// # Errors
    /// The record has no place in this format, which is a mistake in the program. What was appended
    /// is of no use.
    fn render(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()>;
}
