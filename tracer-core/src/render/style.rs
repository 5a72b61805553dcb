//! How records for people look: their times, colours and width.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;

use super::units;
use crate::record::Timestamp;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// How records for people look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// How times are written.
    pub time: TimeStyle,
    /// Whether status codes and failures are coloured.
    pub color: bool,
    /// Columns of a line, where long request targets can make way for it.
    pub width: Option<usize>,
}

/// How times are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// In UTC.
    #[default]
    Utc,
    /// In this time zone.
    Local(TimeZone),
    /// Since the first record.
    Relative,
}

impl TimeStyle {
    /// The time of day, as `14:02:07.114`; or the time since `start`, as `12.345`.
    pub(super) fn write(&self, out: &mut dyn Write, time: Timestamp, start: Timestamp) -> fmt::Result {
        if *self == Self::Relative {
            let since = time.0.saturating_sub(start.0);
            return write!(out, "{:>8}.{:03}", since / SECOND, since % SECOND / 1_000_000);
        }
        let (seconds, millis) = (self.local_seconds(time), time.0 % SECOND / 1_000_000);
        let (hour, minute, second) = (seconds % DAY / 3600, seconds / 60 % 60, seconds % 60);
        write!(out, "{hour:02}:{minute:02}:{second:02}.{millis:03}")
    }

    /// The date and the time of day, as `2026-11-27 14:02:07.114 UTC`.
    pub(super) fn write_with_date(&self, out: &mut dyn Write, time: Timestamp) -> fmt::Result {
        let date = units::date(self.local_seconds(time));
        let absolute = if *self == Self::Relative { &Self::Utc } else { self };
        write!(out, "{date} ")?;
        absolute.write(out, time, time)?;
        out.write_str(if matches!(absolute, Self::Utc) { " UTC" } else { "" })
    }

    /// Seconds since the start of 1970 by the clocks of the place.
    fn local_seconds(&self, time: Timestamp) -> u64 {
        let seconds = time.0 / SECOND;
        let Self::Local(zone) = self else { return seconds };
        let instant =
            i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let offset = instant.map_or(0, |instant| zone.to_offset(instant).seconds());
        seconds.saturating_add_signed(offset.into())
    }
}

/// A colour, for what people should see at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Red,
    Yellow,
    Green,
    Cyan,
}

impl Style {
    /// Writes `text` in a colour, if there is one.
    pub(super) fn paint(&self, out: &mut dyn Write, color: Option<Color>, text: &str) -> fmt::Result {
        let code = match color.filter(|_| self.color) {
            None => return out.write_str(text),
            Some(Color::Red) => 31,
            Some(Color::Green) => 32,
            Some(Color::Yellow) => 33,
            Some(Color::Cyan) => 36,
        };
        write!(out, "\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: &TimeStyle, ns: u64) -> [String; 2] {
        let [mut time, mut with_date] = [String::new(), String::new()];
        style.write(&mut time, Timestamp(ns), Timestamp(SECOND)).expect("text");
        style.write_with_date(&mut with_date, Timestamp(ns)).expect("text");
        [time, with_date]
    }

    #[test]
    fn times_are_in_utc_in_a_time_zone_or_since_the_start() {
        let ns = 1_735_689_600_042_999_999;
        assert_eq!(written(&TimeStyle::Utc, ns), ["00:00:00.042", "2025-01-01 00:00:00.042 UTC"]);
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a time zone");
        let local = TimeStyle::Local(zone);
        assert_eq!(written(&local, ns), ["01:00:00.042", "2025-01-01 01:00:00.042"]);
        let summer = 1_751_320_800 * SECOND;
        assert_eq!(written(&local, summer), ["00:00:00.000", "2025-07-01 00:00:00.000"]);
        assert_eq!(written(&TimeStyle::Relative, 3 * SECOND + 5_000_000)[0], "       2.005");
        assert_eq!(written(&TimeStyle::Relative, ns)[1], "2025-01-01 00:00:00.042 UTC");
    }
}
