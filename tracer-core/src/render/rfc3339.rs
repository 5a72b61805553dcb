//! Time stamps as in RFC 3339.

use std::time::{Duration, SystemTime};

use crate::record::Timestamp;

const SECOND: u64 = 1_000_000_000;
/// Characters after the decimal point: nine digits and the Z.
const FRACTION: usize = 10;

/// Writes time stamps. Many records share a second, of which all but the rest is written once.
#[derive(Default)]
pub(super) struct Rfc3339 {
    /// The time stamp written last.
    text: String,
    second: u64,
}

impl Rfc3339 {
    /// In UTC, with nanoseconds.
    pub(super) fn of(&mut self, timestamp: Timestamp) -> &str {
        let (second, nanos) = (timestamp.0 / SECOND, timestamp.0 % SECOND);
        if second != self.second || self.text.is_empty() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            self.text = humantime::format_rfc3339_nanos(time).to_string();
            self.second = second;
        }
        self.text.truncate(self.text.len() - FRACTION);
        // One digit more in front keeps the zeros.
        let mut digits = itoa::Buffer::new();
        self.text.push_str(digits.format(SECOND + nanos).get(1..).unwrap_or_default());
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_share_what_they_share() {
        let mut time_stamps = Rfc3339::default();
        for time in [0, 1, 999_999_999, SECOND, 1_735_689_599_999_999_999, 1_735_689_600_000_042_000, 7] {
            let whole = SystemTime::UNIX_EPOCH + Duration::from_nanos(time);
            let expected = humantime::format_rfc3339_nanos(whole).to_string();
            assert_eq!(time_stamps.of(Timestamp(time)), expected);
        }
    }
}
