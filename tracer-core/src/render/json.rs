//! JSON lines: one flat object a line, as `schema/record.schema.json` defines it.
//!
//! Keys are dotted, numbers are integers, and a fact that was not observed is absent. Text from the
//! wire was escaped by [`crate::record::Text`], so that no control character gets into a line.

mod connections;
mod members;

use std::io;

use serde::Serialize as _;

use self::{connections::Connections, members::Members};
use super::{Render, rfc3339::Rfc3339};
use crate::record::Record;

/// Renders JSON lines.
#[derive(Default)]
pub struct Json {
    time_stamps: Rfc3339,
    connections: Connections,
}

impl Render for Json {
    fn render(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"{\"timestamp\":\"");
        out.extend_from_slice(self.time_stamps.of(record.timestamp).as_bytes());
        out.extend_from_slice(b"\",\"event.name\":\"");
        out.extend_from_slice(record.body.name().as_str().as_bytes());
        out.push(b'"');
        if let Some(connection) = &record.connection {
            out.extend_from_slice(self.connections.members(connection)?);
        }
        record.body.serialize(Members(out))?;
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}
