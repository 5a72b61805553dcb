//! Records for people and programs: one [`Sink`] per format, and where its lines go.
//!
//! ```text
//! Record ─► Sink (text | json | explain) ─ whole lines ─► Output (standard output | a file)
//! ```
//!
//! - [`json`]: one flat object a line, the contract for programs
//! - [`text`]: one line a record, for an operator at a terminal
//! - [`explain`]: step by step, for somebody who does not know TCP
//! - [`units`]: durations and sizes for people
//!
//! A sink sees [`Record`]s only. It hands over all lines of a record in one call to its writer.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::record::Record;

pub mod explain;
pub mod json;
mod rfc3339;
pub mod text;
pub mod units;

pub use explain::{Actors, Explain};
pub use json::Json;
pub use text::TextLines;

/// Where records go.
pub trait Sink {
    /// Writes one record, possibly into a buffer. After an error the record is not written, those before it are.
    fn write(&mut self, record: Record) -> io::Result<()>;

    /// Passes on what is buffered.
    fn flush(&mut self) -> io::Result<()>;
}

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One readable line a record.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Step by step.
    Explain,
}

impl Format {
    /// All formats, in the order in which help should name them.
    pub const ALL: [Self; 3] = [Self::Text, Self::Json, Self::Explain];

    /// The name as typed on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Explain => "explain",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let format = Self::ALL.into_iter().find(|format| format.as_str() == name);
        format.ok_or_else(|| format!("{name:?} is not an output format: give text, json or explain"))
    }
}

/// The sink that writes `format` to `writer`, with the two ends called client and server.
///
/// Each record is one call of `write_all`; buffering is the writer's business.
#[must_use]
pub fn new(format: Format, writer: Box<dyn io::Write>) -> Box<dyn Sink> {
    match format {
        Format::Text => Box::new(TextLines::new(writer)),
        Format::Json => Box::new(Json::new(writer)),
        Format::Explain => Box::new(Explain::new(writer, Actors::default())),
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_format_is_found_by_its_name_only() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        let error = "xml".parse::<Format>().expect_err("there is no such format");
        assert_eq!(error, "\"xml\" is not an output format: give text, json or explain");
    }
}
