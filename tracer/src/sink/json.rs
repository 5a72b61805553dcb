//! JSON lines: one flat object a line, as `schema/record.schema.json` defines it.
//!
//! Keys are dotted, numbers are integers, and a fact that was not observed is absent. Text from the wire was escaped
//! by [`crate::record::Text`], so that no control character gets into a line.

use std::io;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Sink;
use crate::record::{Body, Connection, Record, Timestamp};

/// Writes JSON lines.
pub struct Json {
    /// Gets whole lines.
    writer: Box<dyn io::Write>,
    /// The line in the making, kept for its memory.
    line: Vec<u8>,
    clock: Clock,
}

impl Json {
    /// JSON lines to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn io::Write>) -> Self {
        Self { writer, line: Vec::new(), clock: Clock::default() }
    }
}

impl Sink for Json {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = Line {
            timestamp: self.clock.rfc3339(record.timestamp),
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

/// Writes time stamps. Many records share a second, and all but the rest of it is written once.
#[derive(Default)]
struct Clock {
    /// A time stamp of the second.
    text: String,
    second: u64,
}

/// Digits of a second's nanoseconds.
const NANOS: usize = 9;

impl Clock {
    /// As in RFC 3339, in UTC, with nanoseconds.
    fn rfc3339(&mut self, timestamp: Timestamp) -> &str {
        let (second, nanos) = (timestamp.0 / 1_000_000_000, timestamp.0 % 1_000_000_000);
        if second != self.second || self.text.is_empty() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            self.text = humantime::format_rfc3339_nanos(time).to_string();
            self.second = second;
        }
        self.text.truncate(self.text.len() - NANOS - 1);
        let mut rest = [b'0'; NANOS];
        let mut left = nanos as u32;
        for digit in rest.iter_mut().rev() {
            *digit += (left % 10) as u8;
            left /= 10;
        }
        self.text.extend(rest.map(char::from));
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_share_what_they_share() {
        let mut clock = Clock::default();
        for time in
            [0, 1, 999_999_999, 1_000_000_000, 1_735_689_599_999_999_999, 1_735_689_600_000_042_000, 7]
        {
            let whole = SystemTime::UNIX_EPOCH + Duration::from_nanos(time);
            let expected = humantime::format_rfc3339_nanos(whole).to_string();
            assert_eq!(clock.rfc3339(Timestamp(time)), expected);
        }
    }
}
