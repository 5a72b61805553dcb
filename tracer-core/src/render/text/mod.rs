//! One line a record, for an operator at a terminal:
//!
//! ```text
//! 21:33:47.123456 10.0.0.2:45678 → 10.0.0.1:80 GET /index.html 200 complete 41.2 kB in 3.2 ms (first byte after 1.1 ms)
//! ```
//!
//! Times of day are UTC. Where several interfaces are traced, the name of the interface follows, as in
//! tcpdump. The arrow points from client to server. What is wrong or not known for sure stands in brackets
//! at the end, or in the words themselves.

use std::fmt;
use std::io;

use super::{Render, units};
use crate::record::{Body, ConnectionIdentity, Record, Summary, Text};

pub mod headers;
mod listener;
pub mod phrase;

/// Renders readable lines.
pub struct TextLines;

impl Render for TextLines {
    fn render(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
        line(&mut Bytes(out), record).map_err(io::Error::other)
    }
}

/// Writes text as bytes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A summary in several lines, without the last end of line.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut text = String::new();
    // Text can always be written to a string.
    let _ = phrase::summary(&mut text, summary);
    text
}

/// Time, connection, and what happened.
fn line(out: &mut dyn fmt::Write, record: &Record) -> fmt::Result {
    out.write_str(&units::time_of_day(record.timestamp))?;
    if let Some(connection) = &record.connection {
        if let Some(name) = connection.interface.as_ref().filter(|_| connection.is_one_of_several) {
            write!(out, " {}", interface_name(name))?;
        }
        write!(out, " {}", Ends(connection))?;
    }
    out.write_char(' ')?;
    phrase::body(out, &record.body)?;
    if let (Body::Opened(_), Some(connection)) = (&record.body, &record.connection) {
        phrase::carried(out, connection)?;
    }
    out.write_char('\n')
}

/// `10.0.0.2:45678 → 10.0.0.1:80`, IPv6 addresses in brackets.
struct Ends<'a>(&'a ConnectionIdentity);

impl fmt::Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.0.client(), self.0.server())
    }
}

/// The name of an interface, with what could drive a terminal made harmless.
#[must_use]
pub fn interface_name(name: &str) -> Text {
    Text::from_wire(name.as_bytes())
}
