//! The lines of a head, read leniently: what is odd about them is the business of their receiver.

use memchr::memchr;

/// The lines of a head, complete or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    /// The start line, without its end.
    pub(super) start: &'a [u8],
    /// The start line has an end.
    pub(super) started: bool,
    rest: &'a [u8],
}

/// One line of the field section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A name, blanks behind it included, and the value.
    Field(&'a [u8], &'a [u8]),
    /// It starts with a blank: the value above goes on (RFC 9112, 5.2).
    Fold(&'a [u8]),
    /// No colon.
    Other,
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match split_line(bytes) {
            Some((start, rest)) => Self { start: trim_end(start), started: true, rest },
            None => Self { start: bytes, started: false, rest: &[] },
        }
    }

    /// The lines of the field section that have an end.
    pub(super) fn fields(self) -> impl Iterator<Item = Line<'a>> {
        let mut rest = self.rest;
        std::iter::from_fn(move || {
            let (line, after) = split_line(rest)?;
            rest = after;
            let line = trim_end(line);
            (!line.is_empty()).then(|| Line::of(line))
        })
    }
}

impl<'a> Line<'a> {
    fn of(line: &'a [u8]) -> Self {
        if line.first().is_some_and(is_blank) {
            return Self::Fold(line.trim_ascii());
        }
        match split_once(line, b':') {
            Some((name, value)) => Self::Field(name, value.trim_ascii()),
            None => Self::Other,
        }
    }
}

/// Method, target and version of a request line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    /// Up to the first blank.
    pub(super) method: &'a [u8],
    /// All between method and version; `None` when the line was cut within it.
    pub(super) target: Option<&'a [u8]>,
    /// From "HTTP/" on; HTTP/0.9 has none.
    pub(super) version: Option<&'a [u8]>,
}

impl<'a> RequestLine<'a> {
    /// Takes a request line apart; `None` where there is not even a method.
    pub(super) fn of(lines: Lines<'a>) -> Option<Self> {
        let line = lines.start;
        let first = line.iter().position(is_blank)?;
        let (method, rest) = line.split_at(first);
        if !lines.started {
            return Some(Self { method, target: complete_word(rest), version: None });
        }
        let rest = rest.trim_ascii();
        let last = rest.iter().rposition(is_blank).map_or(0, |at| at + 1);
        let (target, version) = rest.split_at(last);
        if is_version(version) {
            Some(Self { method, target: Some(target.trim_ascii()), version: Some(version) })
        } else {
            Some(Self { method, target: Some(rest), version: None })
        }
    }
}

/// The first word, if a blank follows it.
fn complete_word(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(is_blank)?;
    text.get(..end)
}

/// Whether a word is "HTTP/" and what may be a version.
fn is_version(word: &[u8]) -> bool {
    word.split_at_checked(5).is_some_and(|(name, _)| name.eq_ignore_ascii_case(b"HTTP/"))
}

/// Whether a byte is whitespace within a line.
pub(super) const fn is_blank(byte: &u8) -> bool {
    matches!(*byte, b' ' | b'\t')
}

/// What is before and after the first `separator`.
pub(super) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(separator, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split_once(bytes, b'\n')
}

/// Without the carriage return of its end.
fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
