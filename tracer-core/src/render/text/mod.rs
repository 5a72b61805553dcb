//! One line a record, for an operator at a terminal:
//!
//! ```text
//! 21:33:47.123  10.0.0.2:45678 → nginx[812]:80  200  GET shop.example/cart       1.2 kB    18 ms
//! 21:33:49.001  10.0.0.2:45678 → nginx[812]:80  fin  by server: 3 exchanges, ↑509 B ↓41.5 kB, 1.2 s
//! ```
//!
//! Where several interfaces are traced, the name of the interface follows the time, as in tcpdump. The
//! arrow points from client to server, and names the processes where they are known. What is wrong or
//! not known for sure stands at the end.

use std::fmt::{self, Write as _};
use std::io;

use super::{Render, Style};
use crate::record::{Attributes, Body, ConnectionIdentity, Record, Summary, Text, Timestamp};

mod closed;
mod exchange;
pub mod headers;
mod listener;
pub mod phrase;

/// Renders readable lines.
#[derive(Default)]
pub struct TextLines {
    style: Style,
    /// The time of the first record.
    start: Option<Timestamp>,
}

impl TextLines {
    /// Lines that look so.
    #[must_use]
    pub const fn new(style: Style) -> Self {
        Self { style, start: None }
    }
}

impl Render for TextLines {
    fn render(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
        let start = *self.start.get_or_insert(record.timestamp);
        line(&mut Bytes(out), record, &self.style, start).map_err(io::Error::other)
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
fn line(out: &mut dyn fmt::Write, record: &Record, style: &Style, start: Timestamp) -> fmt::Result {
    let mut begin = String::new();
    style.time.write(&mut begin, record.timestamp, start)?;
    begin.push_str("  ");
    if let Some(connection) = &record.connection {
        if let Some(name) = connection.interface.as_ref().filter(|_| connection.is_one_of_several) {
            write!(begin, "{}  ", interface_name(name))?;
        }
        write!(begin, "{}  ", Ends(connection))?;
    }
    out.write_str(&begin)?;
    phrase::styled(out, &record.body, style, columns(&begin))?;
    if let (Body::Opened(_), Some(connection)) = (&record.body, &record.connection) {
        phrase::carried(out, connection)?;
    }
    out.write_char('\n')
}

/// `10.0.0.2:45678 → nginx[812]:80`, `curl[99] 10.0.0.2:45678 → 10.0.0.1:80`; IPv6 addresses in
/// brackets.
struct Ends<'a>(&'a ConnectionIdentity);

impl fmt::Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attributes { client_owner, server_owner, .. } = &self.0.attributes;
        if let Some(owner) = client_owner {
            write!(f, "{}[{}] ", owner.name, owner.pid)?;
        }
        write!(f, "{} → ", self.0.client())?;
        match server_owner {
            Some(owner) => write!(f, "{}[{}]:{}", owner.name, owner.pid, self.0.server_port),
            None => write!(f, "{}", self.0.server()),
        }
    }
}

/// Columns that a terminal needs for `text`, as long as nothing in it is wide.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The name of an interface, with what could drive a terminal made harmless.
#[must_use]
pub fn interface_name(name: &str) -> Text {
    Text::from_wire(name.as_bytes())
}
