//! What is odd about a head.

use super::{
    fields::Fields,
    lines::{Lines, RequestLine, is_blank},
};
use crate::record::{Anomalies, Anomaly};

/// What is odd about the head of a request. `whole`: all of it is there.
pub(super) fn of_request(
    lines: Lines<'_>,
    line: &RequestLine<'_>,
    fields: Fields<'_>,
    whole: bool,
) -> Anomalies {
    if !lines.started {
        return Anomalies::default();
    }
    let mut odd = of_head(lines, fields.odd);
    match line.version {
        None => odd.insert(Anomaly::Http09),
        Some(version) if !is_known(version) => odd.insert(Anomaly::UnknownVersion),
        Some(_) => {}
    }
    if fields.hosts == 0 && whole && line.version == Some(b"HTTP/1.1") {
        odd.insert(Anomaly::MissingHost);
    }
    odd
}

/// What is odd about the head of a response.
pub(super) fn of_response(bytes: &[u8], status: Option<u16>) -> Anomalies {
    let lines = Lines::of(bytes);
    if !lines.started {
        return Anomalies::default();
    }
    let mut odd = of_head(lines, Fields::of(lines).odd);
    let mut words = lines.start.split(is_blank);
    if !words.next().is_some_and(is_known) {
        odd.insert(Anomaly::UnknownVersion);
    }
    let code_is_last = words.skip_while(|word| word.is_empty()).nth(1).is_none();
    if status.is_none_or(|status| status < 100) {
        odd.insert(Anomaly::InvalidStatus);
    } else if code_is_last {
        odd.insert(Anomaly::MissingReason);
    }
    odd
}

fn is_known(version: &[u8]) -> bool {
    matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
}

fn of_head(lines: Lines<'_>, mut odd: Anomalies) -> Anomalies {
    if lines.bare {
        odd.insert(Anomaly::BareLf);
    }
    if lines.has_extra_space() {
        odd.insert(Anomaly::ExtraSpace);
    }
    odd
}

#[cfg(test)]
mod tests {
    use super::{super::head::parse_request, *};

    fn words(odd: Anomalies) -> Vec<&'static str> {
        odd.iter().map(|one| one.as_str()).collect()
    }

    #[test]
    fn requests_have_a_word_for_everything_odd() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\nA-b: c\td\r\n\r\n", &[][..]),
            ("GET / HTTP/1.0\r\n\r\n", &[]),
            ("GET / HTTP/1.1\r\n\r\n", &["missing_host"]),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", &["bare_lf"]),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", &["extra_space"]),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", &["extra_space"]),
            ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", &["extra_space"]),
            ("GET /\r\n", &["http_0_9"]),
            ("GET / HTTP/1.2\r\n\r\n", &["unknown_version"]),
            ("GET / http/1.1\r\n\r\n", &["unknown_version"]),
            ("GET / HTTP/1.0\r\nA: b\r\n c\r\n\r\n", &["obs_fold"]),
            ("GET / HTTP/1.0\r\nA : b\r\n\r\n", &["space_before_colon"]),
            ("GET / HTTP/1.0\r\nno field\r\n\r\n", &["invalid_field"]),
            ("GET / HTTP/1.0\r\nA(: b\r\n\r\n", &["invalid_field"]),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", &["duplicate_host"]),
            (
                "GET / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                &["length_and_encoding"],
            ),
            ("GET / HTTP/1.0\r\nContent-Length: 1, 01\r\n\r\n", &["duplicate_length"]),
            ("GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &["conflicting_length"]),
            ("GET / HTTP/1.0\r\nContent-Length: -1\r\n\r\n", &["invalid_length"]),
            ("GET / HTTP/1.0\r\nContent-Length:\r\n 1\r\n\r\n", &["obs_fold"]),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: gzip, xchunked\r\n\r\n", &["unknown_coding"]),
        ] {
            assert_eq!(words(parse_request(head.as_bytes(), true, None).1), expected, "{head}");
        }
    }

    #[test]
    fn responses_have_a_word_for_everything_odd() {
        for (head, status, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200), &[][..]),
            ("HTTP/1.1 200 \r\n\r\n", Some(200), &[]),
            ("HTTP/1.1 404 Not  Found\tx\r\n\r\n", Some(404), &[]),
            ("HTTP/1.1 200\r\n\r\n", Some(200), &["missing_reason"]),
            ("HTTP/1.1  200 OK\r\n\r\n", Some(200), &["extra_space"]),
            ("HTTP/1.1\t200 OK\r\n\r\n", Some(200), &["extra_space"]),
            ("HTTP/1.01 200 OK\n\n", Some(200), &["bare_lf", "unknown_version"]),
            ("HTTP/1.1 20x OK\r\n\r\n", None, &["invalid_status"]),
            ("HTTP/1.1 000 OK\r\n\r\n", Some(0), &["invalid_status"]),
            ("HTTP/1.1 2", None, &[]),
        ] {
            assert_eq!(words(of_response(head.as_bytes(), status)), expected, "{head}");
        }
    }
}
