//! Chunk sizes, chunk extensions and trailers (RFC 9112, 7.1), one byte after the other.
//!
//! Userspace does not see these bytes: what departs from the grammar is noted here.

use super::{
    HttpHalf,
    bytes::{is_control, is_token_character},
    grammar::{Byte, CONTENT_LENGTH, token},
    state,
};
use crate::event::ScanAnomalies;

/// Fields that are not allowed in a trailer section, besides Transfer-Encoding: they are for framing, routing, or the processing
/// of the content (RFC 9110, 6.5.1).
const FORBIDDEN_TRAILERS: [[u64; 2]; 6] = [
    CONTENT_LENGTH,
    token("host"),
    token("trailer"),
    token("content-type"),
    token("content-range"),
    token("content-encoding"),
];

/// What is expected next in a chunk extension: `digits` in [`state::CHUNK_EXTENSION`].
mod expect {
    /// A semicolon.
    pub(super) const SEMICOLON: u8 = 0;
    /// A name.
    pub(super) const NAME: u8 = 1;
    /// The rest of a name, or a value.
    pub(super) const VALUE: u8 = 2;
    /// The end of a quoted string.
    pub(super) const QUOTE: u8 = 3;
    /// An escaped character of a quoted string.
    pub(super) const ESCAPED: u8 = 4;
}

impl HttpHalf {
    /// Takes in one byte of a chunk size line, of a line end after chunk data, or of the trailer section.
    #[inline(always)]
    pub(super) fn on_chunked_byte(&mut self, byte: u8) -> Byte {
        let after_cr = self.previous == b'\r';
        self.previous = byte;
        if after_cr != (byte == b'\n') {
            self.anomalies |= if after_cr { ScanAnomalies::BARE_CR } else { ScanAnomalies::BARE_LF };
        }
        if is_control(byte) && byte != b'\r' && byte != b'\n' {
            self.anomalies |= ScanAnomalies::CONTROL_CHARACTER;
        }
        match self.state {
            // Where a size ends that has a CR within is a guess.
            state::CHUNK_SIZE if after_cr && byte != b'\n' => Byte::Lost,
            state::CHUNK_SIZE => self.on_chunk_size(byte),
            state::CHUNK_EXTENSION => self.on_chunk_extension(byte),
            state::CHUNK_END => self.on_chunk_end(byte),
            state::TRAILER_START => self.on_trailer_start(byte),
            state::TRAILER_NAME => self.on_trailer_name(byte),
            state::TRAILER_LINE => self.next_at(byte == b'\n', state::TRAILER_START),
            state::TRAILER_CR if byte == b'\n' => Byte::MessageEnd,
            _ => self.on_invalid_trailer(),
        }
    }

    #[inline(always)]
    fn on_chunk_size(&mut self, byte: u8) -> Byte {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\n' if self.digits > 0 => return self.on_chunk(),
            b'\r' if self.digits > 0 => return Byte::Next,
            b' ' | b'\t' => {
                self.anomalies |= ScanAnomalies::CHUNK_SPACE;
                let after = self.digits > 0;
                self.digits = expect::SEMICOLON;
                return self.next_at(after, state::CHUNK_EXTENSION);
            }
            b';' if self.digits > 0 => {
                self.digits = expect::NAME;
                return self.next_at(true, state::CHUNK_EXTENSION);
            }
            _ => return Byte::Lost,
        };
        if self.number >> 56 != 0 {
            return Byte::Lost;
        }
        self.number = self.number << 4 | u64::from(digit);
        self.digits = 1;
        Byte::Next
    }

    /// A chunk size line is complete.
    #[inline(always)]
    fn on_chunk(&mut self) -> Byte {
        if self.number == 0 {
            self.state = state::TRAILER_START;
            return Byte::Again;
        }
        self.content = self.content.saturating_add(self.number);
        self.position = self.position.saturating_add(self.number);
        self.number = 0;
        self.digits = 0;
        self.state = state::CHUNK_DATA;
        Byte::Again
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS value ] )` (RFC 9112, 7.1.1).
    #[inline(always)]
    fn on_chunk_extension(&mut self, byte: u8) -> Byte {
        let is_quoted = self.digits >= expect::QUOTE;
        let (next, is_valid) = match byte {
            b'\n' => (self.digits, !is_quoted && self.digits != expect::NAME),
            _ if is_quoted => match byte {
                _ if self.digits == expect::ESCAPED => (expect::QUOTE, true),
                b'\\' => (expect::ESCAPED, true),
                b'"' => (expect::VALUE, true),
                _ => (expect::QUOTE, true),
            },
            b'\r' | b' ' | b'\t' => (self.digits, true),
            b';' => (expect::NAME, self.digits != expect::NAME),
            b'"' if self.digits == expect::VALUE => (expect::QUOTE, true),
            _ => {
                let starts_name = self.digits == expect::NAME && is_token_character(byte);
                (expect::VALUE, starts_name || self.digits == expect::VALUE)
            }
        };
        self.digits = next;
        if !is_valid {
            self.anomalies |= ScanAnomalies::CHUNK_EXTENSION;
        }
        if byte == b'\n' { self.on_chunk() } else { Byte::Next }
    }

    #[inline(always)]
    fn on_chunk_end(&mut self, byte: u8) -> Byte {
        match byte {
            b'\r' => Byte::Next,
            b'\n' => self.next_at(true, state::CHUNK_SIZE),
            _ => Byte::Lost,
        }
    }

    #[inline(always)]
    fn on_trailer_start(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => Byte::MessageEnd,
            b'\r' => self.next_at(true, state::TRAILER_CR),
            _ if is_token_character(byte) => {
                self.clear_token();
                // The token does not hold the first character of Transfer-Encoding.
                self.number = u64::from(byte | 0x20);
                self.push(byte | 0x20);
                self.next_at(true, state::TRAILER_NAME)
            }
            _ => self.on_invalid_trailer(),
        }
    }

    #[inline(always)]
    fn on_trailer_name(&mut self, byte: u8) -> Byte {
        if byte == b':' {
            return Byte::TrailerName;
        }
        if byte == b'\n' || !is_token_character(byte) {
            self.on_invalid_trailer();
            return self.next_at(byte == b'\n', state::TRAILER_START);
        }
        self.push(if byte.is_ascii_uppercase() { byte | 0x20 } else { byte });
        Byte::Next
    }

    /// The name of a trailer field is complete.
    #[inline(always)]
    pub(super) fn on_trailer_name_end(&mut self) {
        if self.is_transfer_encoding() || self.token_len <= 16 && FORBIDDEN_TRAILERS.contains(&self.token) {
            self.anomalies |= ScanAnomalies::FORBIDDEN_TRAILER;
        }
        self.state = state::TRAILER_LINE;
    }

    /// A line of the trailer section is no field.
    #[inline(always)]
    fn on_invalid_trailer(&mut self) -> Byte {
        self.anomalies |= ScanAnomalies::INVALID_TRAILER;
        self.next_at(true, state::TRAILER_LINE)
    }
}
