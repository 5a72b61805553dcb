//! The fields of a head that matter for framing and routing, and their anomalies. One pass over the bytes,
//! because every head is parsed here.

use memchr::memchr;
use tracer_common::http1::is_token_character;

use super::{
    authority::is_valid,
    lines::{Lines, find_controls, is_whitespace, trim, trim_end},
    traceparent,
};
use crate::record::{Anomalies, Anomaly, TraceContext};

/// The registered transfer codings (RFC 9112, 7).
const CODINGS: [&[u8]; 7] =
    [b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"];

/// The fields of a head.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    /// Number of Host fields.
    pub(super) hosts: usize,
    /// The value of the first Host field; `None` if it is folded, because it may be cut within a password.
    pub(super) host: Option<&'a [u8]>,
    /// The anomalies.
    pub(super) anomalies: Anomalies,
    /// There is a Transfer-Encoding field.
    pub(super) encoded: bool,
    /// Connection contains the option close.
    pub(super) closes: bool,
    lengths: Lengths<'a>,
    /// How often the chunked transfer coding is applied.
    chunked: usize,
    /// Number of traceparent fields.
    traceparents: usize,
    /// The value of the first one; `None` if it is folded, as no valid one is.
    traceparent: Option<&'a [u8]>,
    /// What the previous line was.
    previous: Previous,
}

/// What the previous line was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Previous {
    /// The first Host field.
    Host,
    /// The first traceparent field.
    Traceparent,
    /// Something else.
    #[default]
    Other,
}

/// The values of Content-Length.
#[derive(Debug, Default)]
struct Lengths<'a> {
    first: Option<&'a [u8]>,
    /// There is more than one.
    repeated: bool,
    /// They differ.
    differs: bool,
    /// One is not all digits.
    invalid: bool,
    /// One is empty.
    empty: bool,
}

impl<'a> Fields<'a> {
    /// Whether there is a field that delimits the content.
    pub(super) const fn has_framing(&self) -> bool {
        self.encoded || self.lengths.first.is_some()
    }

    /// Parses the complete lines of the field section.
    pub(super) fn of(lines: Lines<'a>) -> Self {
        let mut fields = Self::default();
        for (line, bare) in lines.fields() {
            if bare {
                fields.anomalies.insert(Anomaly::BareLf);
            }
            if line.is_empty() {
                fields.previous = Previous::Other;
                break;
            }
            find_controls(line, &mut fields.anomalies);
            fields.on_line(line);
        }
        if fields.previous == Previous::Traceparent && lines.may_continue() {
            fields.traceparent = None;
        }
        fields.check_section();
        fields
    }

    /// The trace that the message belongs to. Of several traceparent fields none is valid.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        traceparent::parse(self.traceparent.filter(|_| self.traceparents == 1)?)
    }

    fn on_line(&mut self, line: &'a [u8]) {
        let previous = std::mem::take(&mut self.previous);
        let name = line.iter().take_while(|byte| TOKEN_CHARACTERS[usize::from(**byte)]).count();
        match line.split_at(name) {
            (name @ [_, ..], [b':', value @ ..]) => self.on_field(name, value),
            _ if line.first().is_some_and(is_whitespace) => {
                // Obsolete line folding (RFC 9112, 5.2).
                self.anomalies.insert(Anomaly::ObsFold);
                match previous {
                    Previous::Host => self.host = None,
                    Previous::Traceparent => self.traceparent = None,
                    Previous::Other => {}
                }
            }
            _ => self.on_malformed_line(line),
        }
    }

    /// A line that does not start with a name and a colon.
    fn on_malformed_line(&mut self, line: &'a [u8]) {
        let Some((name, [_, value @ ..])) = memchr(b':', line).map(|at| line.split_at(at)) else {
            self.anomalies.insert(Anomaly::InvalidField);
            return;
        };
        let trimmed = trim_end(name);
        if trimmed.len() < name.len() {
            self.anomalies.insert(Anomaly::SpaceBeforeColon);
        }
        if trimmed.is_empty() || !trimmed.iter().all(|byte| TOKEN_CHARACTERS[usize::from(*byte)]) {
            self.anomalies.insert(Anomaly::InvalidField);
        }
        self.on_field(trimmed, value);
    }

    #[inline]
    fn on_field(&mut self, name: &[u8], value: &'a [u8]) {
        // The length alone excludes most fields.
        if matches!(name.len(), 4 | 10 | 11 | 14 | 17) {
            self.on_known_field(name, value);
        }
    }

    fn on_known_field(&mut self, name: &[u8], value: &'a [u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.hosts == 0 {
                    self.host = Some(trim(value));
                    self.previous = Previous::Host;
                }
                self.hosts += 1;
            }
            11 if name.eq_ignore_ascii_case(b"traceparent") => {
                if self.traceparents == 0 {
                    self.traceparent = Some(trim(value));
                    self.previous = Previous::Traceparent;
                }
                self.traceparents += 1;
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                for number in value.split(|byte| *byte == b',') {
                    self.lengths.add(trim(number));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.encoded = true;
                for coding in value.split(|byte| *byte == b',').map(trim) {
                    self.on_coding(coding);
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.closes |=
                    value.split(|byte| *byte == b',').any(|one| trim(one).eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
    }

    fn on_coding(&mut self, coding: &[u8]) {
        if !coding.is_empty() && !CODINGS.iter().any(|one| coding.eq_ignore_ascii_case(one)) {
            self.anomalies.insert(Anomaly::UnknownCoding);
        }
        self.chunked += usize::from(coding.eq_ignore_ascii_case(b"chunked"));
    }

    /// Finds the anomalies of the whole section.
    fn check_section(&mut self) {
        if self.hosts > 1 {
            self.anomalies.insert(Anomaly::DuplicateHost);
        }
        if self.host.is_some_and(|host| !is_valid(host)) {
            self.anomalies.insert(Anomaly::InvalidHost);
        }
        if self.chunked > 1 {
            self.anomalies.insert(Anomaly::RepeatedChunked);
        }
        let Lengths { first: Some(_), repeated, differs, invalid, empty } = self.lengths else { return };
        if self.encoded {
            self.anomalies.insert(Anomaly::LengthAndEncoding);
        }
        // The value may be in the next line; the scanner checks it then.
        let folded = self.anomalies.contains(Anomaly::ObsFold);
        if invalid || empty && !folded {
            self.anomalies.insert(Anomaly::InvalidLength);
        } else if differs {
            self.anomalies.insert(Anomaly::ConflictingLength);
        } else if repeated {
            self.anomalies.insert(Anomaly::DuplicateLength);
        }
    }
}

impl<'a> Lengths<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.invalid |= !value.iter().all(u8::is_ascii_digit);
        self.empty |= value.is_empty();
        match self.first {
            None => self.first = Some(value),
            Some(first) => {
                self.repeated = true;
                self.differs |= significant(value) != significant(first);
            }
        }
    }
}

/// The digits of a number without leading zeros.
fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// Whether each byte is a token character. A table, because every character of every field name is looked up.
static TOKEN_CHARACTERS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_token_character(byte as u8);
        byte += 1;
    }
    table
};
