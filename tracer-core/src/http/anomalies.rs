//! The anomalies of a head.

use super::{
    fields::Fields,
    lines::{Lines, RequestLine, is_whitespace},
};
use crate::record::{Anomalies, Anomaly};

/// The anomalies of the head of a request. `whole`: it is complete.
pub(super) fn of_request(
    lines: Lines<'_>,
    line: &RequestLine<'_>,
    fields: Fields<'_>,
    whole: bool,
) -> Anomalies {
    if !lines.has_start_line {
        return Anomalies::default();
    }
    let mut anomalies = of_head(lines, fields.anomalies);
    match line.version {
        None => anomalies.insert(Anomaly::Http09),
        Some(version) if !is_known(version) => anomalies.insert(Anomaly::UnknownVersion),
        Some(_) => {}
    }
    if fields.hosts == 0 && whole && line.version == Some(b"HTTP/1.1") {
        anomalies.insert(Anomaly::MissingHost);
    }
    anomalies
}

/// The anomalies of the head of a response.
pub(super) fn of_response(bytes: &[u8], status: Option<u16>) -> Anomalies {
    let lines = Lines::of(bytes);
    if !lines.has_start_line {
        return Anomalies::default();
    }
    let mut anomalies = of_head(lines, Fields::of(lines).anomalies);
    let mut words = lines.start.split(is_whitespace);
    if !words.next().is_some_and(is_known) {
        anomalies.insert(Anomaly::UnknownVersion);
    }
    let code_is_last = words.skip_while(|word| word.is_empty()).nth(1).is_none();
    if status.is_none_or(|status| status < 100) {
        anomalies.insert(Anomaly::InvalidStatus);
    } else if code_is_last {
        anomalies.insert(Anomaly::MissingReason);
    }
    anomalies
}

/// What something is that a client sent in place of a request.
pub(super) fn of_other(bytes: &[u8]) -> Anomaly {
    match bytes {
        // A handshake record, of any version of TLS.
        [22, 3, ..] => Anomaly::TlsHandshake,
        [b'P', b'R', b'I', ..] => Anomaly::Http2Preface,
        _ => Anomaly::InvalidRequest,
    }
}

fn is_known(version: &[u8]) -> bool {
    matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
}

fn of_head(lines: Lines<'_>, mut anomalies: Anomalies) -> Anomalies {
    if lines.bare_lf {
        anomalies.insert(Anomaly::BareLf);
    }
    if lines.has_extra_space() {
        anomalies.insert(Anomaly::ExtraSpace);
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use super::{super::head::parse_request, *};

    fn names(anomalies: Anomalies) -> Vec<&'static str> {
        anomalies.iter().map(|one| one.as_str()).collect()
    }

    #[test]
    fn every_anomaly_of_a_request_has_a_name() {
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
            assert_eq!(names(parse_request(head.as_bytes(), true, None).1), expected, "{head}");
        }
    }

    #[test]
    fn every_anomaly_of_a_response_has_a_name() {
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
            assert_eq!(names(of_response(head.as_bytes(), status)), expected, "{head}");
        }
    }
}
