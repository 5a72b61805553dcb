//! What is odd about a head, from its bytes.

use std::collections::BTreeSet;

use memchr::memchr_iter;

use super::lines::{Line, Lines, RequestLine, is_blank};
use crate::record::Anomaly;

/// Transfer codings that are registered (RFC 9112, 7).
const CODINGS: [&[u8]; 7] =
    [b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"];

/// What is odd about the head of a request. `whole`: the bytes are all of it.
pub(super) fn of_request(bytes: &[u8], whole: bool) -> BTreeSet<Anomaly> {
    let lines = Lines::of(bytes);
    let mut odd = BTreeSet::new();
    if !lines.started {
        return odd;
    }
    let line = RequestLine::of(lines).unwrap_or_default();
    match line.version {
        None => odd.insert(Anomaly::Http09),
        Some(version) => !is_known(version) && odd.insert(Anomaly::UnknownVersion),
    };
    let fields = of_head(bytes, lines, &mut odd);
    if fields.hosts == 0 && whole && line.version == Some(b"HTTP/1.1") {
        odd.insert(Anomaly::MissingHost);
    }
    odd
}

/// What is odd about the head of a response.
pub(super) fn of_response(bytes: &[u8], status: Option<u16>) -> BTreeSet<Anomaly> {
    let lines = Lines::of(bytes);
    let mut odd = BTreeSet::new();
    if !lines.started {
        return odd;
    }
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
    of_head(bytes, lines, &mut odd);
    odd
}

fn is_known(version: &[u8]) -> bool {
    matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
}

/// What the fields say about framing and routing.
#[derive(Default)]
struct Fields<'a> {
    hosts: usize,
    lengths: Vec<&'a [u8]>,
    encoded: bool,
}

fn of_head<'a>(bytes: &[u8], lines: Lines<'a>, odd: &mut BTreeSet<Anomaly>) -> Fields<'a> {
    let is_bare = |at: usize| at.checked_sub(1).is_some_and(|before| bytes[before] != b'\r');
    if memchr_iter(b'\n', bytes).any(is_bare) {
        odd.insert(Anomaly::BareLf);
    }
    if has_extra_space(lines.start) {
        odd.insert(Anomaly::ExtraSpace);
    }
    let mut fields = Fields::default();
    for line in lines.fields() {
        match line {
            Line::Fold(_) => _ = odd.insert(Anomaly::ObsFold),
            Line::Other => _ = odd.insert(Anomaly::InvalidField),
            Line::Field(name, value) => of_field(name, value, &mut fields, odd),
        }
    }
    if fields.hosts > 1 {
        odd.insert(Anomaly::DuplicateHost);
    }
    of_lengths(&fields, odd);
    fields
}

/// The words of a start line are separated by one space each; a reason phrase may hold what it likes, or nothing.
fn has_extra_space(line: &[u8]) -> bool {
    let is_response = line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"));
    let words = if is_response { 2 } else { usize::MAX };
    let mut parts = line.splitn(words.saturating_add(1), is_blank);
    let empty = parts.by_ref().take(words).any(<[u8]>::is_empty);
    let head = parts.next().map_or(line.len(), |reason| line.len() - reason.len());
    empty || line.iter().take(head).any(|byte| *byte == b'\t')
}

fn of_field<'a>(name: &[u8], value: &'a [u8], fields: &mut Fields<'a>, odd: &mut BTreeSet<Anomaly>) {
    let trimmed = name.trim_ascii_end();
    if trimmed.len() < name.len() {
        odd.insert(Anomaly::SpaceBeforeColon);
    }
    if trimmed.is_empty() || !trimmed.iter().all(|byte| TOKEN_CHARACTERS[usize::from(*byte)]) {
        odd.insert(Anomaly::InvalidField);
    }
    if trimmed.eq_ignore_ascii_case(b"host") {
        fields.hosts += 1;
    } else if trimmed.eq_ignore_ascii_case(b"content-length") {
        fields.lengths.extend(value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    } else if trimmed.eq_ignore_ascii_case(b"transfer-encoding") {
        fields.encoded = true;
        let known = |coding: &[u8]| {
            let coding = coding.trim_ascii();
            coding.is_empty() || CODINGS.iter().any(|one| coding.eq_ignore_ascii_case(one))
        };
        if !value.split(|byte| *byte == b',').all(known) {
            odd.insert(Anomaly::UnknownCoding);
        }
    }
}

fn of_lengths(fields: &Fields<'_>, odd: &mut BTreeSet<Anomaly>) {
    let Some((first, others)) = fields.lengths.split_first() else { return };
    if fields.encoded {
        odd.insert(Anomaly::LengthAndEncoding);
    }
    // A value may be in the next line, and is judged by the scanner then.
    let folded = odd.contains(&Anomaly::ObsFold);
    let is_number = |value: &[u8]| value.iter().all(u8::is_ascii_digit) && (!value.is_empty() || folded);
    if !fields.lengths.iter().all(|value| is_number(value)) {
        odd.insert(Anomaly::InvalidLength);
    } else if others.iter().any(|value| significant(value) != significant(first)) {
        odd.insert(Anomaly::ConflictingLength);
    } else if !others.is_empty() {
        odd.insert(Anomaly::DuplicateLength);
    }
}

/// The digits of a number without leading zeros.
fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// Whether a byte is a token character, by the byte: every character of every field name is looked up.
static TOKEN_CHARACTERS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_token_character(byte as u8);
        byte += 1;
    }
    table
};

/// Whether `byte` is one of RFC 9110's tchar (5.6.2).
const fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'('
                | b')'
                | b','
                | b'/'
                | b':'
                | b';'
                | b'<'
                | b'='
                | b'>'
                | b'?'
                | b'@'
                | b'['
                | b'\\'
                | b']'
                | b'{'
                | b'}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(odd: &BTreeSet<Anomaly>) -> Vec<&str> {
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
            assert_eq!(words(&of_request(head.as_bytes(), true)), expected, "{head}");
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
            assert_eq!(words(&of_response(head.as_bytes(), status)), expected, "{head}");
        }
    }
}
