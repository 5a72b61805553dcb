//! The anomalies of a head.

use tracer_common::{event::ScanAnomalies, http1::Framing};

use super::{
    fields::Fields,
    lines::{Lines, RequestLine, find_controls, is_whitespace},
    request_target,
};
use crate::record::{Anomalies, Anomaly};

/// The anomalies of the head of a request. `whole`: it is complete.
pub(super) fn of_request(
    lines: Lines<'_>,
    line: &RequestLine<'_>,
    fields: &Fields<'_>,
    whole: bool,
) -> Anomalies {
    if !lines.has_start_line {
        return Anomalies::default();
    }
    let mut anomalies = of_head(lines, fields, line.version);
    if lines.start.contains(&b'\r') {
        anomalies.insert(Anomaly::BareCr);
    }
    if let Some(target) = line.target {
        request_target::find_anomalies(line.method, target, fields.host, &mut anomalies);
    }
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

/// The anomalies of the head of a response with this status code and framing, and whether its sender closes after it.
pub(super) fn of_response(bytes: &[u8], status: Option<u16>, framing: Option<Framing>) -> (Anomalies, bool) {
    let lines = Lines::of(bytes);
    if !lines.has_start_line {
        return (Anomalies::default(), false);
    }
    let fields = Fields::of(lines);
    let mut words = lines.start.split(is_whitespace);
    let version = words.next();
    let mut anomalies = of_head(lines, &fields, version);
    find_controls(lines.start, &mut anomalies);
    if !version.is_some_and(is_known) {
        anomalies.insert(Anomaly::UnknownVersion);
    }
    let mut words = words.skip_while(|word| word.is_empty());
    let is_code = words.next().is_some_and(|code| code.len() == 3);
    if !is_code || status.is_none_or(|status| status < 100) {
        anomalies.insert(Anomaly::InvalidStatus);
    } else if words.next().is_none() {
        anomalies.insert(Anomaly::MissingReason);
    }
    let has_no_content = matches!(status, Some(100..200 | 204)) || framing == Some(Framing::Tunnel);
    if has_no_content && fields.has_framing() {
        anomalies.insert(Anomaly::UnexpectedFraming);
    }
    (anomalies, fields.closes)
}

/// The anomalies that the scanner found.
pub(super) fn of_scan(found: ScanAnomalies) -> Anomalies {
    let mut anomalies = Anomalies::default();
    for (flag, anomaly) in [
        (ScanAnomalies::BARE_LF, Anomaly::BareLf),
        (ScanAnomalies::BARE_CR, Anomaly::BareCr),
        (ScanAnomalies::CONTROL_CHARACTER, Anomaly::ControlCharacter),
        (ScanAnomalies::CHUNK_SPACE, Anomaly::SpaceAroundChunkSize),
        (ScanAnomalies::CHUNK_EXTENSION, Anomaly::InvalidChunkExtension),
        (ScanAnomalies::FORBIDDEN_TRAILER, Anomaly::ForbiddenTrailer),
        (ScanAnomalies::INVALID_TRAILER, Anomaly::InvalidField),
        (ScanAnomalies::EXCESS, Anomaly::ExcessBytes),
    ] {
        if found.contains(flag) {
            anomalies.insert(anomaly);
        }
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

fn of_head(lines: Lines<'_>, fields: &Fields<'_>, version: Option<&[u8]>) -> Anomalies {
    let mut anomalies = fields.anomalies;
    if fields.encoded && version == Some(b"HTTP/1.0") {
        anomalies.insert(Anomaly::EncodingInHttp10);
    }
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
    use super::{
        super::{HeadOptions, head::parse_request},
        *,
    };

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
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                &["length_and_encoding"],
            ),
            ("GET / HTTP/1.0\r\nContent-Length: 1, 01\r\n\r\n", &["duplicate_length"]),
            ("GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &["conflicting_length"]),
            ("GET / HTTP/1.0\r\nContent-Length: -1\r\n\r\n", &["invalid_length"]),
            ("GET / HTTP/1.0\r\nContent-Length:\r\n 1\r\n\r\n", &["obs_fold"]),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, xchunked\r\n\r\n", &["unknown_coding"]),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0cchunked\r\n\r\n",
                &["unknown_coding", "control_character"],
            ),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", &["encoding_in_http_1_0"]),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n\r\n",
                &["repeated_chunked"],
            ),
            ("GET / HTTP/1.0\r\nA: b\rc\r\n\r\n", &["bare_cr"]),
            ("GET / HTTP/1.0\r\nA: b\r\r\n\r\n", &["bare_cr"]),
            ("GET / HTTP/1.0\r\r\nA: b\r\n\r\n", &["bare_cr"]),
            ("GET /\r HTTP/1.0\r\n\r\n", &["bare_cr", "invalid_target"]),
            ("GET / HTTP/1.0\r\nA: b\0\r\n\r\n", &["control_character"]),
            ("GET / HTTP/1.0\r\nA: \x7f\r\n\r\n", &["control_character"]),
            ("GET / HTTP/1.0\r\nA\x0c: b\r\n\r\n", &["invalid_field", "control_character"]),
            ("GET HTTP/1.0\r\n\r\n", &["missing_target"]),
            ("GET /a b HTTP/1.0\r\n\r\n", &["space_in_target"]),
            ("GET /a#b HTTP/1.0\r\n\r\n", &["fragment_in_target"]),
            ("GET a/b HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("GET example.org:80 HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("GET * HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("OPTIONS * HTTP/1.0\r\n\r\n", &[]),
            ("GET http:///a HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("GET /\x01 HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("GET /\u{e9} HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("CONNECT / HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("CONNECT a HTTP/1.0\r\n\r\n", &["invalid_target"]),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", &[]),
            ("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", &["host_mismatch"]),
            ("GET / HTTP/1.1\r\nHost: www a\r\n\r\n", &["invalid_host"]),
            ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", &["control_character", "invalid_host"]),
            ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", &["host_mismatch"]),
            ("GET http://u:p@A/ HTTP/1.1\r\nHost: a:80\r\n\r\n", &[]),
            ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", &["host_mismatch"]),
        ] {
            assert_eq!(
                names(parse_request(head.as_bytes(), true, &HeadOptions::default()).1),
                expected,
                "{head}"
            );
        }
    }

    #[test]
    fn every_anomaly_of_a_response_has_a_name() {
        let tunnel = Some(Framing::Tunnel);
        for (head, status, framing, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200), false, &[][..]),
            ("HTTP/1.1 200 \r\n\r\n", Some(200), false, &[]),
            ("HTTP/1.1 404 Not  Found\tx\r\n\r\n", Some(404), false, &[]),
            ("HTTP/1.1 200\r\n\r\n", Some(200), false, &["missing_reason"]),
            ("HTTP/1.1  200 OK\r\n\r\n", Some(200), false, &["extra_space"]),
            ("HTTP/1.1\t200 OK\r\n\r\n", Some(200), false, &["extra_space"]),
            ("HTTP/1.01 200 OK\n\n", Some(200), false, &["bare_lf", "unknown_version"]),
            ("HTTP/1.1 20x OK\r\n\r\n", None, false, &["invalid_status"]),
            ("HTTP/1.1 000 OK\r\n\r\n", Some(0), false, &["invalid_status"]),
            ("HTTP/1.1 2", None, false, &[]),
            ("HTTP/1.1 200X OK\r\n\r\n", Some(200), false, &["invalid_status"]),
            ("HTTP/1.1 2000 OK\r\n\r\n", None, false, &["invalid_status"]),
            ("HTTP/1.1 200 O\rK\r\n\r\n", Some(200), false, &["bare_cr"]),
            ("HTTP/1.1 200 O\0K\r\n\r\n", Some(200), false, &["control_character"]),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Some(200),
                false,
                &["encoding_in_http_1_0"],
            ),
            (
                "HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Some(204),
                false,
                &["unexpected_framing"],
            ),
            ("HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n", Some(204), false, &["unexpected_framing"]),
            ("HTTP/1.1 103 OK\r\nContent-Length: 5\r\n\r\n", Some(103), false, &["unexpected_framing"]),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Some(200), true, &["unexpected_framing"]),
            ("HTTP/1.1 304 OK\r\nContent-Length: 5\r\n\r\n", Some(304), false, &[]),
        ] {
            let framing = framing.then_some(tunnel).flatten();
            assert_eq!(names(of_response(head.as_bytes(), status, framing).0), expected, "{head}");
        }
    }
}
