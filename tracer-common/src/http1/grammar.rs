//! Message heads (RFC 9112), one byte after the other.

use super::{
    Facts, Framing, HttpHalf, NO_STATUS, Role,
    bytes::{is_token_character, is_whitespace},
    is_interim, state,
};

/// The most characters of a method; no registered one has more than 17 (UPDATEREDIRECTREF).
const MAX_METHOD: u8 = 24;

/// The most characters of "HTTP/" and a version, without whitespace; none has more than 8, but leniency does no harm.
const MAX_VERSION: u32 = 32;

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
pub(super) const GET: [u64; 2] = token("GET");
/// The method of the preface of HTTP/2 (RFC 9113, 3.4).
const PRI: [u64; 2] = token("PRI");
/// The first word of a PROXY protocol header of version 1 (The PROXY protocol, 2.1).
const PROXY: [u64; 2] = token("PROXY");
/// Methods that a request whose line is malformed is recognized by (RFC 9110, 9.3; RFC 5789).
const KNOWN_METHODS: [[u64; 2]; 9] = [
    GET,
    HEAD,
    token("POST"),
    token("PUT"),
    token("DELETE"),
    CONNECT,
    token("OPTIONS"),
    token("TRACE"),
    token("PATCH"),
];
/// The most bytes of a PROXY protocol header of version 1 (The PROXY protocol, 2.1).
const MAX_PROXY_LINE: u32 = 107;
pub(super) const CONTENT_LENGTH: [u64; 2] = token("content-length");
/// Only its last 16 characters: the first is known from the state.
const TRANSFER_ENCODING: [u64; 2] = token("transfer-encoding");
const CHUNKED: [u64; 2] = token("chunked");
/// The name of the protocol before its version, in lower case.
const HTTP_SLASH: u64 = token("http/")[0];

/// What to do after a byte.
#[derive(PartialEq, Eq)]
pub(super) enum Byte {
    /// Read the next one.
    Next,
    /// The bytes so far do not belong to a head; start again from here.
    Again,
    /// The request line is complete.
    RequestLine,
    /// A PROXY protocol header is complete.
    ProxyEnd,
    /// The head is complete.
    HeadEnd,
    /// The name of a trailer field is complete.
    TrailerName,
    /// The message is complete.
    MessageEnd,
    /// This is not HTTP.
    NotHttp,
    /// Malformed framing.
    Lost,
}

impl HttpHalf {
    /// How the content of the message is delimited (RFC 9112, 6.3, rules 1 to 8).
    #[inline(always)]
    pub(super) fn body_framing(&self, head_requested: bool, connected: bool) -> Framing {
        let response = self.has(Facts::RESPONSE);
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
            if connected && self.status >= 200 && self.status < 300 {
                return Framing::Tunnel;
            }
        }
        // 3. and 4. Transfer-Encoding overrides Content-Length.
        if self.has(Facts::HAS_ENCODING) {
            return if self.has(Facts::CHUNKED) { Framing::Chunked } else { Framing::Close };
        }
        // 5. An invalid Content-Length is an error; what follows can only be content until the close. One that is too large to
        // count is valid, and its content never complete; the server of such a request decides where it ends.
        if self.has(Facts::BAD_LENGTH) {
            return if response && self.length == u64::MAX { Framing::Length } else { Framing::Close };
        }
        // 6. A valid one.
        if self.has(Facts::HAS_LENGTH) {
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
            state::TARGET_START => self.on_target_start(byte),
            state::REQUEST_LINE => self.on_request_line(byte),
            state::STATUS_VERSION => self.on_status_version(byte),
            state::STATUS_CODE => self.on_status_code(byte),
            state::SKIP_LINE => self.next_at(byte == b'\n', state::LINE_START),
            state::LINE_START | state::LENGTH_FOLD | state::ENCODING_FOLD => self.on_line_start(byte),
            state::LINE_START_CR if byte == b'\n' => Byte::HeadEnd,
            state::LINE_START_CR => self.next_at(true, state::SKIP_LINE),
            state::NAME | state::NAME_END => self.on_name(byte),
            state::LENGTH => self.on_length(byte),
            state::ENCODING => self.on_encoding(byte),
            state::PROXY_LINE => self.on_proxy_line(byte),
            state::PROXY_BINARY => self.on_proxy_binary(),
            _ => self.on_chunked_byte(byte),
        }
    }

    /// Moves to `state` if `condition` holds, and to the next byte in any case.
    #[inline(always)]
    pub(super) fn next_at(&mut self, condition: bool, state: u8) -> Byte {
        if condition {
            self.state = state;
        }
        Byte::Next
    }

    /// Whether `byte` comes before a head and is ignored: an empty line before a request line (RFC 9112, 2.2), or, leniently,
    /// whitespace.
    #[inline(always)]
    pub(super) fn skips(&mut self, byte: u8) -> bool {
        let fact = match byte {
            b'\r' | b'\n' => Facts::EMPTY_LINE,
            b' ' | b'\t' => Facts::LEADING_SPACE,
            _ => return false,
        };
        if self.state != state::START {
            return false;
        }
        self.facts |= fact;
        true
    }

    #[inline(always)]
    fn on_start(&mut self, byte: u8) -> Byte {
        self.heads += 1;
        self.state = state::FIRST_TOKEN;
        self.on_first_token(byte)
    }

    #[inline(always)]
    fn on_first_token(&mut self, byte: u8) -> Byte {
        if is_whitespace(byte) && self.token_len > 0 {
            return self.on_method();
        }
        if byte == b'/' && self.token == HTTP && !self.is(Role::Client) {
            self.facts |= Facts::RESPONSE;
            self.state = state::STATUS_VERSION;
            return Byte::Next;
        }
        if !is_token_character(byte) || self.token_len >= MAX_METHOD {
            return Byte::NotHttp;
        }
        self.push(byte);
        Byte::Next
    }

    /// The method is complete: the request counts from here on.
    #[inline(always)]
    pub(super) fn on_method(&mut self) -> Byte {
        if self.token == PRI || self.is(Role::Server) {
            return Byte::NotHttp;
        }
        // The connection starts with it.
        if self.token == PROXY && self.position == u64::from(self.head_len) {
            return self.next_at(true, state::PROXY_LINE);
        }
        if KNOWN_METHODS.contains(&self.token) {
            self.facts |= Facts::KNOWN_METHOD;
        }
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
        self.state = if self.token == GET { state::TARGET_START } else { state::REQUEST_LINE };
        self.digits = 0;
        self.clear_token();
        Byte::Next
    }

    #[inline(always)]
    fn on_target_start(&mut self, byte: u8) -> Byte {
        if is_whitespace(byte) {
            return Byte::Next;
        }
        // 1: it has the form of a Simple-Request (RFC 1945, 4.1).
        self.digits = u8::from(byte == b'/');
        self.state = state::REQUEST_LINE;
        self.on_request_line(byte)
    }

    #[inline(always)]
    fn on_request_line(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => Byte::RequestLine,
            // The carriage return at the end is not part of the version.
            b'\r' => Byte::Next,
            _ => {
                self.push(byte);
                Byte::Next
            }
        }
    }

    /// The request line is complete: decides what it is.
    #[inline(always)]
    pub(super) fn on_request_line_end(&mut self) -> Byte {
        self.state = state::LINE_START;
        if self.ends_with_version() {
            return Byte::Next;
        }
        if self.digits != 0 && self.ends_with_one_word() {
            // HTTP/0.9 has no fields.
            self.simple = self.messages;
            return Byte::HeadEnd;
        }
        if self.has(Facts::KNOWN_METHOD) || self.messages > 1 {
            self.facts |= Facts::MALFORMED;
            return Byte::Next;
        }
        self.messages -= 1;
        Byte::NotHttp
    }

    /// The rest of the line "PROXY TCP4 192.0.2.1 192.0.2.2 51234 80".
    #[inline(always)]
    fn on_proxy_line(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => Byte::ProxyEnd,
            _ if self.head_len > MAX_PROXY_LINE => Byte::NotHttp,
            _ => Byte::Next,
        }
    }

    /// The addresses and extensions of version 2.
    #[inline(always)]
    fn on_proxy_binary(&mut self) -> Byte {
        self.number = self.number.saturating_sub(1);
        if self.number == 0 { Byte::ProxyEnd } else { Byte::Next }
    }

    /// Whether the line just read ends with "HTTP/", any version, and optional whitespace: all within one token.
    #[inline(always)]
    fn ends_with_version(&self) -> bool {
        let [mut low, mut high] = self.token;
        let mut digits = 0;
        for _ in 0..16 - 5 {
            let byte = low as u8;
            let whitespace = is_whitespace(byte) && digits == 0;
            if !whitespace {
                if !byte.is_ascii_digit() && byte != b'.' {
                    break;
                }
                digits = 1;
            }
            low = low >> 8 | high << 56;
            high >>= 8;
        }
        digits != 0 && (low | 0x20_2020_2020) & 0xff_ffff_ffff == HTTP_SLASH
    }

    /// Whether the end of the line has no whitespace within: a target alone, not followed by the version of another protocol.
    #[inline(always)]
    fn ends_with_one_word(&self) -> bool {
        let [mut low, mut high] = self.token;
        let mut word = false;
        for _ in 0..16 {
            let whitespace = is_whitespace(low as u8);
            if whitespace && word {
                return false;
            }
            word |= !whitespace;
            low = low >> 8 | high << 56;
            high >>= 8;
        }
        true
    }

    #[inline(always)]
    fn on_status_version(&mut self, byte: u8) -> Byte {
        match byte {
            b' ' | b'\t' => {
                self.state = state::STATUS_CODE;
                self.digits = 0;
                Byte::Next
            }
            b'!'.. if self.head_len < MAX_VERSION => Byte::Next,
            _ => Byte::NotHttp,
        }
    }

    #[inline(always)]
    fn on_status_code(&mut self, byte: u8) -> Byte {
        match byte {
            b'0'..=b'9' if self.digits < 4 => {
                self.status = self.status.wrapping_mul(10).wrapping_add(u16::from(byte - b'0'));
                self.digits += 1;
                return Byte::Next;
            }
            b' ' | b'\t' if self.digits == 0 => return Byte::Next,
            _ => {}
        }
        // Anything else but three digits is no status code (RFC 9110, 15).
        if self.digits != 3 {
            self.status = NO_STATUS;
        }
        self.state = if byte == b'\n' { state::LINE_START } else { state::SKIP_LINE };
        Byte::Next
    }

    #[inline(always)]
    fn on_line_start(&mut self, byte: u8) -> Byte {
        match self.state {
            state::LENGTH_FOLD if is_whitespace(byte) => return self.next_at(true, state::LENGTH),
            state::ENCODING_FOLD if is_whitespace(byte) => return self.next_at(true, state::ENCODING),
            state::LENGTH_FOLD => self.on_length_end(),
            state::ENCODING_FOLD => self.on_encoding_end(),
            _ => {}
        }
        let state = match byte | 0x20 {
            _ if byte == b'\n' => return Byte::HeadEnd,
            _ if byte == b'\r' => state::LINE_START_CR,
            b'c' | b't' => state::NAME,
            _ => state::SKIP_LINE,
        };
        self.clear_token();
        // The token holds 16 characters, and so not the first one of Transfer-Encoding.
        self.number = u64::from(byte | 0x20);
        self.push(byte | 0x20);
        self.next_at(true, state)
    }

    #[inline(always)]
    fn on_name(&mut self, byte: u8) -> Byte {
        match byte {
            b'\n' => return self.next_at(true, state::LINE_START),
            b':' => {}
            // RFC 9112, 5.1: not allowed, and to be removed.
            b' ' | b'\t' => return self.next_at(true, state::NAME_END),
            _ if self.state == state::NAME_END => return self.next_at(true, state::SKIP_LINE),
            b'A'..=b'Z' => {
                self.push(byte | 0x20);
                return Byte::Next;
            }
            _ => {
                self.push(byte);
                return Byte::Next;
            }
        }
        // The lengths, because leading zero bytes do not show in the token.
        self.state = if self.token == CONTENT_LENGTH && self.token_len == 14 {
            state::LENGTH
        } else if self.is_transfer_encoding() {
            self.clear_token();
            state::ENCODING
        } else {
            state::SKIP_LINE
        };
        self.number = 0;
        self.digits = 0;
        Byte::Next
    }

    /// Whether the name just read is Transfer-Encoding; the number is its first character.
    #[inline(always)]
    pub(super) fn is_transfer_encoding(&self) -> bool {
        self.token == TRANSFER_ENCODING && self.token_len == 17 && self.number == u64::from(b't')
    }

    #[inline(always)]
    fn on_length(&mut self, byte: u8) -> Byte {
        if self.is_bare_cr(byte) {
            self.facts |= Facts::BAD_LENGTH;
        }
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                let too_large = self.number > (u64::MAX - 9) / 10;
                if too_large || self.digits > 1 {
                    self.facts |= Facts::BAD_LENGTH;
                }
                self.number = if too_large { u64::MAX } else { self.number * 10 + digit };
                self.digits = 1;
            }
            b' ' | b'\t' | b'\r' => {
                // No digit may follow whitespace after digits.
                if self.digits > 0 {
                    self.digits = 2;
                }
            }
            // A list of equal values counts as one value (RFC 9112, 6.3, 5).
            b',' => self.on_length_end(),
            b'\n' => return self.next_at(true, state::LENGTH_FOLD),
            _ => self.facts |= Facts::BAD_LENGTH,
        }
        Byte::Next
    }

    /// A value of Content-Length is complete.
    #[inline(always)]
    pub(super) fn on_length_end(&mut self) {
        let conflict = self.has(Facts::HAS_LENGTH) && self.length != self.number;
        if self.digits == 0 || conflict {
            self.facts |= Facts::BAD_LENGTH;
        }
        self.facts |= Facts::HAS_LENGTH;
        self.length = self.number;
        self.number = 0;
        self.digits = 0;
    }

    #[inline(always)]
    fn on_encoding(&mut self, byte: u8) -> Byte {
        if self.is_bare_cr(byte) {
            self.push(b'\r');
        }
        match byte {
            b' ' | b'\t' | b'\r' => {
                self.digits = u8::from(self.token_len > 0);
                return Byte::Next;
            }
            b',' => {
                self.on_coding_end();
                return Byte::Next;
            }
            b'\n' => return self.next_at(true, state::ENCODING_FOLD),
            _ => {}
        }
        if self.digits != 0 {
            // Whitespace inside makes two words of it.
            self.push(b' ');
        }
        self.push(if byte.is_ascii_uppercase() { byte | 0x20 } else { byte });
        Byte::Next
    }

    /// A transfer coding is complete. Empty elements of the list do not count (RFC 9110, 5.6.1.2).
    #[inline(always)]
    fn on_coding_end(&mut self) {
        if self.token_len > 0 {
            // Only the last transfer coding delimits the message (RFC 9112, 6.3, 4). The length, because leading zero bytes do
            // not show in the token.
            self.facts.remove(Facts::CHUNKED);
            if self.token == CHUNKED && self.token_len == 7 {
                self.facts |= Facts::CHUNKED;
            }
        }
        self.clear_token();
        self.digits = 0;
    }

    /// The value of Transfer-Encoding is complete.
    #[inline(always)]
    fn on_encoding_end(&mut self) {
        self.on_coding_end();
        self.facts |= Facts::HAS_ENCODING;
    }

    /// Whether a CR comes before `byte` that is not part of a line end (RFC 9112, 2.2). It is no whitespace: a value with it is
    /// invalid.
    #[inline(always)]
    fn is_bare_cr(&mut self, byte: u8) -> bool {
        let is_bare_cr = self.previous == b'\r' && byte != b'\n';
        self.previous = byte;
        is_bare_cr
    }
}
