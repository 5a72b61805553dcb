//! The lines of a head, parsed leniently: the caller finds their anomalies.

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memrchr, memrchr2};
use tracer_common::http1::is_control;

use crate::record::{Anomalies, Anomaly};

/// The lines of a head, complete or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    /// The start line, without its line terminator.
    pub(super) start: &'a [u8],
    /// Whether the start line has a line terminator.
    pub(super) has_start_line: bool,
    /// Whether that is a bare line feed after a non-empty line.
    pub(super) bare_lf: bool,
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match split_line(bytes) {
            Some((start, rest)) => {
                let bare_lf = is_bare(start) && !start.is_empty();
                Self { start: without_cr(start), has_start_line: true, bare_lf, rest }
            }
            None => Self { start: bytes, has_start_line: false, bare_lf: false, rest: &[] },
        }
    }

    /// The complete lines of the field section without their terminators, and whether that is a bare line
    /// feed. They may continue after the empty line.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'a [u8], bool)> {
        let mut from = 0;
        memchr_iter(b'\n', self.rest).filter_map(move |end| {
            let line = self.rest.get(from..end)?;
            from = end + 1;
            Some((without_cr(line), is_bare(line)))
        })
    }

    /// Whether the last complete line of an incomplete field section may continue in the next one.
    pub(super) fn may_continue(self) -> bool {
        let end = memrchr(b'\n', self.rest).map_or(0, |at| at + 1);
        self.rest.get(end).is_none_or(is_whitespace)
    }

    /// Whether the words of the start line are separated by anything but one space, or have whitespace around
    /// them. A reason phrase may contain anything.
    pub(super) fn has_extra_space(self) -> bool {
        let line = self.start;
        let is_response = line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"));
        let mut separators = if is_response { 2 } else { usize::MAX };
        let mut word = 0;
        for at in memchr2_iter(b' ', b'\t', line).take(separators) {
            if at == word || line.get(at) == Some(&b'\t') {
                return true;
            }
            word = at + 1;
            separators -= 1;
        }
        separators > 0 && word == line.len()
    }
}

/// Method, target and version of a request line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    /// Up to the first whitespace.
    pub(super) method: &'a [u8],
    /// Everything between method and version; `None` if the line was cut within it.
    pub(super) target: Option<&'a [u8]>,
    /// The version with "HTTP/"; HTTP/0.9 has none.
    pub(super) version: Option<&'a [u8]>,
}

impl<'a> RequestLine<'a> {
    /// Parses a request line; `None` if it has no complete method.
    pub(super) fn of(lines: Lines<'a>) -> Option<Self> {
        let line = lines.start;
        let first = memchr2(b' ', b'\t', line)?;
        let (method, rest) = line.split_at(first);
        if !lines.has_start_line {
            return Some(Self { method, target: complete_word(rest), version: None });
        }
        let rest = trim(trim_crs(rest));
        let last = memrchr2(b' ', b'\t', rest).map_or(0, |at| at + 1);
        let (target, version) = rest.split_at(last);
        if is_version(version) {
            Some(Self { method, target: Some(trim(target)), version: Some(version) })
        } else {
            Some(Self { method, target: Some(rest), version: None })
        }
    }
}

/// The first word, if whitespace follows it.
fn complete_word(text: &[u8]) -> Option<&[u8]> {
    let text = trim_start(text);
    let end = text.iter().position(is_whitespace)?;
    text.get(..end)
}

/// Whether a word starts with "HTTP/".
fn is_version(word: &[u8]) -> bool {
    word.split_at_checked(5).is_some_and(|(name, _)| name.eq_ignore_ascii_case(b"HTTP/"))
}

/// Whether a byte is whitespace within a line.
pub(super) const fn is_whitespace(byte: &u8) -> bool {
    tracer_common::http1::is_whitespace(*byte)
}

/// `text` without whitespace around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_end_while(trim_start(text), is_whitespace)
}

/// `text` without whitespace before it.
pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_whitespace(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// `text` without whitespace after it.
pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    trim_end_while(text, is_whitespace)
}

/// `line` without the carriage returns at its end: of several, all but the last are bare.
fn trim_crs(line: &[u8]) -> &[u8] {
    trim_end_while(line, |byte| *byte == b'\r')
}

fn trim_end_while(text: &[u8], is_trimmed: impl Fn(&u8) -> bool) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_trimmed(byte)).map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}

/// Finds control characters in a line without its terminator.
pub(super) fn find_controls(line: &[u8], anomalies: &mut Anomalies) {
    // All at once first, because nearly no line has one.
    if !line.iter().fold(false, |found, byte| found | is_control(*byte)) {
        return;
    }
    if line.contains(&b'\r') {
        anomalies.insert(Anomaly::BareCr);
    }
    if line.iter().any(|byte| is_control(*byte) && *byte != b'\r') {
        anomalies.insert(Anomaly::ControlCharacter);
    }
}

/// The parts before and after the first `separator`.
pub(super) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(separator, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split_once(bytes, b'\n')
}

/// Whether a line without its line feed does not end with a carriage return.
fn is_bare(line: &[u8]) -> bool {
    !line.ends_with(b"\r")
}

/// A line without the carriage return at its end.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
