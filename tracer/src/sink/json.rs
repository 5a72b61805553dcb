//! JSON lines: one flat object a line, as `schema/record.schema.json` defines it.
//!
//! Keys are dotted, numbers are integers, and a fact that was not observed is absent. Text from the wire was escaped
//! by [`crate::record::Text`], so that no control character gets into a line.

use std::io;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::Sink;
use crate::record::{Body, Connection, Record, Timestamp};

/// Writes JSON lines.
pub struct Json {
    /// Gets whole lines.
    writer: Box<dyn io::Write>,
    /// The line in the making, kept for its memory.
    line: Vec<u8>,
}

impl Json {
    /// JSON lines to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn io::Write>) -> Self {
        Self { writer, line: Vec::new() }
    }
}

impl Sink for Json {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line::from(record))?;
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
    #[serde(serialize_with = "rfc3339")]
    timestamp: Timestamp,
    #[serde(rename = "event.name")]
    name: &'static str,
    #[serde(flatten)]
    connection: Option<&'a Connection>,
    #[serde(flatten)]
    body: &'a Body,
}

impl<'a> From<&'a Record> for Line<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            timestamp: record.timestamp,
            name: record.body.name().as_str(),
            connection: record.connection.as_deref(),
            body: &record.body,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn rfc3339<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(timestamp.0);
    serializer.collect_str(&humantime::format_rfc3339_nanos(time))
}
