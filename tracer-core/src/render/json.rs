//! JSON lines: one flat object a line, as `schema/record.schema.json` defines it.
//!
//! Keys are dotted, numbers are integers, and a fact that was not observed is absent. Text from the wire was escaped
//! by [`crate::record::Text`], so that no control character gets into a line.

mod connections;
mod members;

use std::io;

use serde::Serialize as _;

use self::{connections::Connections, members::Members};
use super::{Sink, rfc3339::Rfc3339};
use crate::record::Record;

/// Writes JSON lines.
pub struct Json {
    /// Gets whole lines.
    writer: Box<dyn io::Write>,
    /// The line in the making, kept for its memory.
    line: Vec<u8>,
    time_stamps: Rfc3339,
    connections: Connections,
}

impl Json {
    /// JSON lines to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn io::Write>) -> Self {
        Self {
            writer,
            line: Vec::new(),
            time_stamps: Rfc3339::default(),
            connections: Connections::default(),
        }
    }
}

impl Sink for Json {
    fn write(&mut self, record: Record) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(b"{\"timestamp\":\"");
        line.extend_from_slice(self.time_stamps.of(record.timestamp).as_bytes());
        line.extend_from_slice(b"\",\"event.name\":\"");
        line.extend_from_slice(record.body.name().as_str().as_bytes());
        line.push(b'"');
        if let Some(connection) = &record.connection {
            line.extend_from_slice(self.connections.members(connection)?);
        }
        record.body.serialize(Members(line))?;
        line.extend_from_slice(b"}\n");
        self.writer.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
