//! The lines of a head, read leniently: what is odd about them is the business of their receiver.

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memrchr2};

/// The lines of a head, complete or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    /// The start line, without its end.
    pub(super) start: &'a [u8],
    /// The start line has an end.
    pub(super) started: bool,
    /// That is a bare line feed, behind something.
    pub(super) bare: bool,
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match split_line(bytes) {
            Some((start, rest)) => {
                let bare = is_bare(start) && !start.is_empty();
                Self { start: trim_end(start), started: true, bare, rest }
            }
            None => Self { start: bytes, started: false, bare: false, rest: &[] },
        }
    }

    /// The lines of the field section that have an end, without it, and whether it was a bare line feed; up to the empty
    /// line, or beyond it where there is more.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'a [u8], bool)> {
        let mut from = 0;
        memchr_iter(b'\n', self.rest).filter_map(move |end| {
            let line = self.rest.get(from..end)?;
            from = end + 1;
            Some((trim_end(line), is_bare(line)))
        })
    }

    /// Whether the words of the start line are not separated by one space each, with nothing around them; a reason phrase
    /// may hold what it likes, or nothing.
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
        let first = memchr2(b' ', b'\t', line)?;
        let (method, rest) = line.split_at(first);
        if !lines.started {
            return Some(Self { method, target: complete_word(rest), version: None });
        }
        let rest = rest.trim_ascii();
        let last = memrchr2(b' ', b'\t', rest).map_or(0, |at| at + 1);
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

/// Whether a line, its line feed taken away, has no carriage return at its end.
fn is_bare(line: &[u8]) -> bool {
    !line.ends_with(b"\r")
}

/// Without the carriage return of its end.
fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
