//! JSON lines: one flat object a line, as `schema/record.schema.json` defines it.
//!
//! Keys are dotted, numbers are integers, and a fact that was not observed is absent. Text from the wire was escaped
//! by [`crate::record::Text`], so that no control character gets into a line.

use std::io;

use serde::Serialize;

use super::{Sink, rfc3339::Rfc3339};
use crate::record::{Body, Connection, Record};

/// Writes JSON lines.
pub struct Json {
    /// Gets whole lines.
    writer: Box<dyn io::Write>,
    /// The line in the making, kept for its memory.
    line: Vec<u8>,
    time_stamps: Rfc3339,
}

impl Json {
    /// JSON lines to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn io::Write>) -> Self {
        Self { writer, line: Vec::new(), time_stamps: Rfc3339::default() }
    }
}

impl Sink for Json {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = Line {
            timestamp: self.time_stamps.of(record.timestamp),
            name: record.body.name().as_str(),
            connection: record.connection.as_deref(),
            body: &record.body,
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &line)?;
        self.line.push(b'\n');
        self.writer.write_all(&self.line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A record in the order of its keys.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    #[serde(rename = "event.name")]
    name: &'static str,
    #[serde(flatten)]
    connection: Option<&'a Connection>,
    #[serde(flatten)]
    body: &'a Body,
}
