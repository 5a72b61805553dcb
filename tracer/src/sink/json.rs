//! JSON lines: one flat object a line, as `schema/record.schema.json` defines it.
//!
//! Keys are dotted, numbers are integers, and a fact that was not observed is absent. Text from the wire was escaped
//! by [`crate::record::Text`], so that no control character gets into a line.

mod flat;

use std::io;

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
        flat::write(&mut self.line, &Line::from(record))?;
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
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let (days, seconds) = (timestamp.0 / DAY, timestamp.0 % DAY / SECOND);
    let (year, month, day) = date(days);
    for (at, len, number) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, seconds / 3600),
        (14, 2, seconds / 60 % 60),
        (17, 2, seconds % 60),
        (20, 9, timestamp.0 % SECOND),
    ] {
        let mut rest = number;
        for digit in text.iter_mut().skip(at).take(len).rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    serializer.serialize_str(str::from_utf8(&text).unwrap_or_default())
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a day.
const DAY: u64 = 86_400 * SECOND;

/// Year, month and day, so many days after 1970-01-01. Counted in years that begin in March, so that a leap day is the
/// last of its year, from the 1st of March of the year 0 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn time_stamps_are_those_of_humantime() {
        let leap_day = 11_016 * DAY;
        let steps = (0..200_000u64).map(|step| step.wrapping_mul(92_233_720_368_547));
        for time in steps.chain([0, leap_day - 1, leap_day, leap_day + DAY, u64::MAX]) {
            let mut written = Vec::new();
            rfc3339(&Timestamp(time), &mut serde_json::Serializer::new(&mut written)).expect("it is text");
            let expected =
                humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + Duration::from_nanos(time));
            assert_eq!(String::from_utf8_lossy(&written), format!("\"{expected}\""));
        }
    }
}
