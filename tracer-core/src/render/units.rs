//! Durations, sizes and dates for people, in integer arithmetic.

use std::time::{Duration, SystemTime};

/// Nanoseconds in a microsecond.
const US: u64 = 1_000;
/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
const S: u64 = 1_000_000_000;

/// Durations below the limit (ns), the unit (ns) they are given in, its decimals and its name. The
/// limits are where rounding would reach the next row.
const DURATIONS: [(u64, u64, u32, &str); 7] = [
    (US, 1, 0, "ns"),
    (99_500, US, 0, "µs"),
    (995_000, MS, 2, "ms"),
    (9_950_000, MS, 1, "ms"),
    (999_500_000, MS, 0, "ms"),
    (9_950_000_000, S, 1, "s"),
    (119_500_000_000, S, 0, "s"),
];

/// The same for sizes in bytes, in decimal units as network tools use.
const SIZES: [(u64, u64, u32, &str); 5] = [
    (1_000, 1, 0, "B"),
    (999_950, 1_000, 1, "kB"),
    (999_950_000, 1_000_000, 1, "MB"),
    (999_950_000_000, 1_000_000_000, 1, "GB"),
    (u64::MAX, 1_000_000_000_000, 1, "TB"),
];

/// A duration in two or three digits: `0.21 ms`, `3.2 ms`, `41 ms`, `1.2 s`, `63 s`, `2 min 5 s`,
/// `3 h 20 min`.
#[must_use]
pub fn duration(ns: u64) -> String {
    if let Some(&(_, unit, decimals, name)) = DURATIONS.iter().find(|&&(limit, ..)| ns < limit) {
        return format!("{} {name}", rounded(ns, unit, decimals));
    }
    let seconds = ns / S + u64::from(ns % S >= S / 2);
    let (hours, minutes) = (seconds / 3600, seconds / 60);
    if hours == 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{hours} h {} min", minutes % 60)
    }
}

/// A size: `509 B`, `41.2 kB`, `3.0 MB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let row = SIZES.iter().find(|&&(limit, ..)| bytes < limit).unwrap_or(&SIZES[SIZES.len() - 1]);
    format!("{} {}", rounded(bytes, row.1, row.2), row.3)
}

/// The size of content, of which `announced` bytes were to come: `61.2 kB`, `61.2 kB of 200.0 kB`.
#[must_use]
pub fn so_far(bytes: u64, announced: Option<u64>) -> String {
    let of = announced.map_or_else(String::new, |announced| format!(" of {}", size(announced)));
    format!("{}{of}", size(bytes))
}

/// The date of so many seconds since the start of 1970, as `2026-11-27`.
#[must_use]
pub fn date(seconds: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string().split('T').next().unwrap_or_default().to_owned()
}

/// The time since some start, all of one width as long as it is below an hour or two: `12.345 ms`,
/// then `63.012 s`.
#[must_use]
pub fn elapsed(ns: u64) -> String {
    if ns < 10 * S {
        format!("{}.{:03} ms", ns / MS, ns % MS / US)
    } else {
        format!("{}.{:03} s", ns / S, ns % S / MS)
    }
}

/// `1 thing`, `2 things`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// `value` in `unit`s, rounded to so many decimals.
fn rounded(value: u64, unit: u64, decimals: u32) -> String {
    let scale = 10_u64.pow(decimals);
    let step = unit / scale;
    if step == 0 {
        return value.to_string();
    }
    let steps = value / step + u64::from(value % step > (step - 1) / 2);
    if decimals == 0 {
        return steps.to_string();
    }
    let width = decimals as usize;
    format!("{}.{:0width$}", steps / scale, steps % scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_two_or_three_digits_and_the_unit_that_fits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (43_400, "43 µs"),
            (99_499, "99 µs"),
            (99_500, "0.10 ms"),
            (210_000, "0.21 ms"),
            (994_999, "0.99 ms"),
            (995_000, "1.0 ms"),
            (3_249_999, "3.2 ms"),
            (9_949_999, "9.9 ms"),
            (9_950_000, "10 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.0 s"),
            (1_234_567_890, "1.2 s"),
            (9_950_000_000, "10 s"),
            (63_012_000_000, "63 s"),
            (119_499_999_999, "119 s"),
            (119_500_000_000, "2 min 0 s"),
            (3_599_400_000_000, "59 min 59 s"),
            (3_600_000_000_000, "1 h 0 min"),
            (u64::MAX, "5124095 h 34 min"),
        ] {
            assert_eq!(duration(ns), text, "{ns} ns");
        }
    }

    #[test]
    fn a_size_is_exact_below_a_kilobyte_and_has_one_decimal_above() {
        for (bytes, text) in [
            (0, "0 B"),
            (509, "509 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (41_249, "41.2 kB"),
            (41_250, "41.3 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (2_500_000_000, "2.5 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes} B");
        }
    }

    #[test]
    fn a_size_so_far_is_of_what_was_announced() {
        assert_eq!(so_far(61_234, Some(200_000)), "61.2 kB of 200.0 kB");
        assert_eq!(so_far(61_234, None), "61.2 kB");
    }

    #[test]
    fn a_date_is_that_of_its_seconds() {
        assert_eq!(
            (date(0), date(951_782_400), date(1_735_689_599)),
            ("1970-01-01".into(), "2000-02-29".into(), "2024-12-31".into())
        );
    }

    #[test]
    fn elapsed_time_is_in_milliseconds_until_they_get_long() {
        assert_eq!(elapsed(0), "0.000 ms");
        assert_eq!(elapsed(3_045_678), "3.045 ms");
        assert_eq!(elapsed(9_999_999_999), "9999.999 ms");
        assert_eq!(elapsed(63_012_000_000), "63.012 s");
    }

    #[test]
    fn one_thing_is_not_things() {
        assert_eq!(count(1, "exchange"), "1 exchange");
        assert_eq!(count(0, "exchange"), "0 exchanges");
    }
}
