//! Message heads, chunk sizes and trailers (RFC 9112), one byte after the other.

use super::{HttpHalf, fact, is_interim, state};
use crate::event::Framing;

/// The most characters of a method; no registered one has more than 17 (UPDATEREDIRECTREF).
const MAX_METHOD: u8 = 24;

/// Up to 16 characters as [`HttpHalf::push`] collects them.
pub(super) const fn token(text: &str) -> [u64; 2] {
    let bytes = text.as_bytes();
    let mut words = [0u64; 2];
    let mut i = 0;
    while i < bytes.len() {
        words[1] = words[1] << 8 | words[0] >> 56;
        words[0] = words[0] << 8 | bytes[i] as u64;
        i += 1;
    }
    words
}

const HTTP: [u64; 2] = token("HTTP");
const HEAD: [u64; 2] = token("HEAD");
const CONNECT: [u64; 2] = token("CONNECT");
const CONTENT_LENGTH: [u64; 2] = token("content-length");
/// Only its last 16 characters: the first is known from the state.
const TRANSFER_ENCODING: [u64; 2] = token("transfer-encoding");
const CHUNKED: [u64; 2] = token("chunked");
/// The end of a request line, but for the last digit.
const VERSION: u64 = token("HTTP/1.0")[0];

/// What to do after a byte.
#[derive(PartialEq, Eq)]
pub(super) enum Byte {
    /// Read the next one.
    Next,
    /// The bytes so far do not belong to a head; look again from here.
    Again,
    /// The head is complete.
    HeadEnd,
    /// The message is complete.
    MessageEnd,
    /// This is not HTTP.
    NotHttp,
    /// This is not where a message can be in its framing.
    Lost,
}

impl HttpHalf {
    /// How the content of the message is delimited (RFC 9112, 6.3, rules 1 to 8).
    #[inline(always)]
    pub(super) fn body_framing(&self, head_requested: bool, connected: bool) -> Framing {
        let response = self.has(fact::RESPONSE);
        if response {
            // 101 ends HTTP (RFC 9110, 15.2.2).
            if self.status == 101 {
                return Framing::Tunnel;
            }
            // 1. Responses to HEAD, and 1xx, 204 and 304.
            if head_requested || is_interim(self.status) || self.status == 204 || self.status == 304 {
                return Framing::None;
            }
            // 2. 2xx to CONNECT.
            if connected && self.status < 300 {
                return Framing::Tunnel;
            }
        }
        // 3. and 4. Transfer-Encoding overrides Content-Length.
        if self.has(fact::HAS_ENCODING) {
            return if self.has(fact::CHUNKED) { Framing::Chunked } else { Framing::Close };
        }
        // 5. An invalid Content-Length is an error; what follows can only be content until the close.
        if self.has(fact::BAD_LENGTH) {
            return Framing::Close;
        }
        // 6. A valid one.
        if self.has(fact::HAS_LENGTH) {
            return if self.length == 0 { Framing::None } else { Framing::Length };
        }
        // 7. A request without either has no content. 8. A response without either ends with the connection.
        if response { Framing::Close } else { Framing::None }
    }

    /// Takes in one byte.
    #[inline(always)]
    pub(super) fn on_byte(&mut self, byte: u8) -> Byte {
        if self.state <= state::LAST_OF_HEAD {
            self.head_len = self.head_len.wrapping_add(1);
        }
        match self.state {
            state::START => self.on_start(byte),
            state::FIRST_TOKEN => self.on_first_token(byte),
            state::REQUEST_LINE => self.on_request_line(byte),
            state::STATUS_VERSION => self.on_status_version(byte),
            state::STATUS_CODE => self.on_status_code(byte),
            state::SKIP_LINE => self.next_at(byte == b'\n', state::LINE_START),
            state::LINE_START => self.on_line_start(byte),
            state::LINE_START_CR if byte == b'\n' => Byte::HeadEnd,
            state::LINE_START_CR => self.next_at(true, state::SKIP_LINE),
            state::NAME_C | state::NAME_T => self.on_name(byte),
            state::LENGTH => self.on_length(byte),
            state::ENCODING => self.on_encoding(byte),
            state::CHUNK_SIZE => self.on_chunk_size(byte),
            state::CHUNK_EXTENSION => self.on_chunk_extension(byte),
            state::CHUNK_END => self.on_chunk_end(byte),
            state::TRAILER_START => self.on_trailer_start(byte),
            state::TRAILER_LINE => self.next_at(byte == b'\n', state::TRAILER_START),
            state::TRAILER_CR if byte == b'\n' => Byte::MessageEnd,
            _ => self.next_at(true, state::TRAILER_LINE),
        }
    }

    /// Goes to `state` if `condition` holds, and on to the next byte in any case.
    #[inline(always)]
    fn next_at(&mut self, condition: bool, state: u8) -> Byte {
        if condition {
            self.state = state;
        }
        Byte::Next
    }

    #[inline(always)]
    fn on_start(&mut self, byte: u8) -> Byte {
        // RFC 9112, 2.2: empty lines before a request line are ignored.
        if byte == b'\r' || byte == b'\n' {
            self.head_len = 0;
            return Byte::Again;
        }
        self.heads += 1;
        self.state = state::FIRST_TOKEN;
        self.on_first_token(byte)
    }

    #[inline(always)]
    fn on_first_token(&mut self, byte: u8) -> Byte {
        if byte == b' ' && self.token_len > 0 {
            self.on_method();
            return Byte::Next;
        }
        if byte == b'/' && self.token == HTTP {
            self.facts |= fact::RESPONSE;
            self.state = state::STATUS_VERSION;
            return Byte::Next;
        }
        if !is_method_character(byte) || self.token_len >= MAX_METHOD {
            return Byte::NotHttp;
        }
        self.push(byte);
        Byte::Next
    }

    /// The method is complete: the request counts from here on.
    #[inline(always)]
    fn on_method(&mut self) {
        let bit = 1u64 << (self.messages & 63);
        if self.token == HEAD {
            self.head_requests |= bit;
        } else {
            self.head_requests &= !bit;
        }
        self.exchange = self.messages;
        self.messages += 1;
        if self.token == CONNECT {
            self.connect = self.messages;
        }
        self.clear_token();
        self.state = state::REQUEST_LINE;
    }

    #[inline(always)]
    fn on_request_line(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' if self.token[0] & !0xff | 0x30 == VERSION => {
                self.state = state::LINE_START;
                Byte::Next
            }
            b'\n' => {
                self.messages -= 1;
                Byte::NotHttp
            }
            // The carriage return at the end is not part of the version.
            b'\r' => Byte::Next,
            _ => {
                self.push(byte);
                Byte::Next
            }
        }
    }

    #[inline(always)]
    fn on_status_version(&mut self, byte: u8) -> Byte {
        match byte {
            b' ' => {
                self.state = state::STATUS_CODE;
                self.digits = 0;
                Byte::Next
            }
            b'0'..=b'9' | b'.' => Byte::Next,
            _ => Byte::NotHttp,
        }
    }

    #[inline(always)]
    fn on_status_code(&mut self, byte: u8) -> Byte {
        match byte {
            b'0'..=b'9' if self.digits < 3 => {
                self.status = self.status.wrapping_mul(10).wrapping_add(u16::from(byte - b'0'));
                self.digits += 1;
                Byte::Next
            }
            b' ' if self.digits == 0 => Byte::Next,
            _ if self.digits != 3 => Byte::NotHttp,
            b'\n' => self.next_at(true, state::LINE_START),
            b' ' | b'\r' => self.next_at(true, state::SKIP_LINE),
            _ => Byte::NotHttp,
        }
    }

    #[inline(always)]
    fn on_line_start(&mut self, byte: u8) -> Byte {
        let state = match byte | 0x20 {
            _ if byte == b'\n' => return Byte::HeadEnd,
            _ if byte == b'\r' => state::LINE_START_CR,
            b'c' => state::NAME_C,
            b't' => state::NAME_T,
            _ => state::SKIP_LINE,
        };
        self.clear_token();
        self.push(byte | 0x20);
        self.next_at(true, state)
    }

    #[inline(always)]
    fn on_name(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => return self.next_at(true, state::LINE_START),
            b':' => {}
            b'A'..=b'Z' => {
                self.push(byte | 0x20);
                return Byte::Next;
            }
            _ => {
                self.push(byte);
                return Byte::Next;
            }
        }
        self.number = 0;
        self.digits = 0;
        // The lengths, because zero bytes in front of a name do not show in the token.
        self.state = if self.token == CONTENT_LENGTH && self.token_len == 14 {
            state::LENGTH
        } else if self.token == TRANSFER_ENCODING && self.token_len == 17 && self.state == state::NAME_T {
            self.clear_token();
            state::ENCODING
        } else {
            state::SKIP_LINE
        };
        Byte::Next
    }

    #[inline(always)]
    fn on_length(&mut self, byte: u8) -> Byte {
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                if self.number > (u64::MAX - 9) / 10 {
                    self.facts |= fact::BAD_LENGTH;
                }
                self.number = self.number.wrapping_mul(10).wrapping_add(digit);
                self.digits = 1;
            }
            b' ' | b'\t' | b'\r' => {}
            // A list of equal values counts as one value (RFC 9112, 6.3, 5).
            b',' | b'\n' => {
                let conflict = self.has(fact::HAS_LENGTH) && self.length != self.number;
                if self.digits == 0 || conflict {
                    self.facts |= fact::BAD_LENGTH;
                }
                self.facts |= fact::HAS_LENGTH;
                self.length = self.number;
                self.number = 0;
                self.digits = 0;
                return self.next_at(byte == b'\n', state::LINE_START);
            }
            _ => self.facts |= fact::BAD_LENGTH,
        }
        Byte::Next
    }

    #[inline(always)]
    fn on_encoding(&mut self, byte: u8) -> Byte {
        match byte {
            b' ' | b'\t' | b'\r' => {}
            b',' => self.clear_token(),
            b'\n' => {
                self.facts |= fact::HAS_ENCODING;
                // Only the last transfer coding delimits the message (RFC 9112, 6.3, 4).
                if self.token == CHUNKED {
                    self.facts |= fact::CHUNKED;
                } else {
                    self.facts &= !fact::CHUNKED;
                }
                return self.next_at(true, state::LINE_START);
            }
            b'A'..=b'Z' => self.push(byte | 0x20),
            _ => self.push(byte),
        }
        Byte::Next
    }

    #[inline(always)]
    fn on_chunk_size(&mut self, byte: u8) -> Byte {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\n' if self.digits > 0 => return self.on_chunk(),
            b'\r' | b' ' | b'\t' if self.digits > 0 => return Byte::Next,
            b';' if self.digits > 0 => return self.next_at(true, state::CHUNK_EXTENSION),
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

    #[inline(always)]
    fn on_chunk_extension(&mut self, byte: u8) -> Byte {
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
            _ => self.next_at(true, state::TRAILER_LINE),
        }
    }
}

/// A token character (RFC 9110, 5.6.2) that occurs in methods.
#[inline(always)]
const fn is_method_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
