//! The fast path through a head: eight bytes at once where no single one of them matters.
//!
//! It reads exactly as [`HttpHalf::on_byte`] would, and leaves everything else to it.

use super::{
    AHEAD, BUFFER, Facts, HttpHalf, Role,
    grammar::{GET, token},
    state,
};

/// The loaded bytes.
type Buffer = [u8; BUFFER];

/// Bytes of a word.
const WORD: u64 = 8;
/// Words at which a read may start.
const STARTS: usize = (BUFFER - AHEAD) / WORD as usize;
const _: () = assert!(STARTS.is_power_of_two());
/// Words of a line that are searched at once.
const WORDS_AT_ONCE: usize = AHEAD / WORD as usize;

/// Each byte of a word.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Up to eight characters as they lie in a word, the first one lowest.
const fn text(characters: &str) -> u64 {
    let bytes = characters.as_bytes();
    let mut word = 0;
    let mut i = 0;
    while i < bytes.len() {
        word |= (bytes[i] as u64) << (8 * i);
        i += 1;
    }
    word
}

/// The lowest `bytes` (at most 8) of a word.
const fn low(bytes: u64) -> u64 {
    if bytes >= WORD { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// The highest bit of each byte of `word` that is `byte`.
#[inline(always)]
const fn find(word: u64, byte: u8) -> u64 {
    let rest = word ^ each(byte);
    !(((rest & each(0x7f)) + each(0x7f)) | rest | each(0x7f))
}

/// How many bytes lie below the lowest one of which `found` has the highest bit; it has one.
#[inline(always)]
const fn bytes_below(found: u64) -> u64 {
    // BPF cannot count zeros: this counts the bytes that are all ones once the lowest bit is taken away.
    let found = found >> 7;
    let below = (found & found.wrapping_neg()).wrapping_sub(1);
    (below & each(1)).wrapping_mul(each(1)) >> 56
}

/// The word `after` words after the one with the byte `at`.
#[inline(always)]
fn aligned(bytes: &Buffer, at: u64, after: usize) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    // Masked, so that the verifier sees the bound.
    let index = (at / WORD) as usize & (STARTS - 1);
    words.get(index + after).map_or(0, |word| u64::from_le_bytes(*word))
}

/// The eight bytes from `at` on, the first one lowest. Read as two aligned words: BPF reads others byte by byte.
#[inline(always)]
fn word_at(bytes: &Buffer, at: u64) -> u64 {
    let bits = at % WORD * 8;
    // In two steps, because a shift by 64 bits shifts nothing.
    aligned(bytes, at, 0) >> bits | aligned(bytes, at, 1) << 1 << (63 - bits)
}

/// The word in lower case in the bytes of `mask`, where ASCII letters are expected; no other byte becomes a letter.
const fn fold(word: u64, mask: u64) -> u64 {
    word | mask & each(0x20)
}

/// The highest bit of each byte of `word` that is no decimal digit.
#[inline(always)]
const fn find_other_than_digits(word: u64) -> u64 {
    let rest = word ^ each(b'0');
    (((rest & each(0x7f)) + each(0x80 - 10)) | rest) & each(0x80)
}

/// The decimal number in the lowest `digits` (1 to 8) bytes of a word, the first digit lowest.
#[inline(always)]
const fn decimal(word: u64, digits: u64) -> u64 {
    // As eight digits, with zeros in front.
    let word = (word & each(0x0f)) << (64 - 8 * digits);
    // Combines neighbours: into pairs, into fours, into one.
    let pairs = (word.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Where the line that continues at `at` ends, if that is near: the offset to continue at, and whether the byte before it
/// is a line feed.
#[inline(always)]
fn line_end(bytes: &Buffer, at: u64) -> (u64, bool) {
    let mut found = find(aligned(bytes, at, 0), b'\n') & !low(at % WORD);
    let mut words = 0;
    for next in 1..WORDS_AT_ONCE {
        if found != 0 {
            break;
        }
        words = next;
        found = find(aligned(bytes, at, next), b'\n');
    }
    let start = (at / WORD + words as u64) * WORD;
    (start + if found == 0 { WORD } else { bytes_below(found) + 1 }, found != 0)
}

impl HttpHalf {
    /// Whether words can be read from here.
    #[inline(always)]
    pub(super) fn reads_words(&self) -> bool {
        matches!(self.state, state::SKIP_LINE | state::LINE_START | state::LENGTH_FOLD)
    }

    /// Reads bytes from `at` on; those before `loaded` are available. Returns how many were read: 0 where the next one must be
    /// read byte by byte.
    #[inline(always)]
    pub(super) fn on_words(&mut self, bytes: &Buffer, at: u64, loaded: u64) -> u64 {
        let available = loaded - at;
        let start = match self.state {
            // The first two words decide what starts here.
            state::START if available >= 2 * WORD => {
                self.on_start_words(word_at(bytes, at), word_at(bytes, at + WORD))
            }
            state::LINE_START | state::LENGTH_FOLD if available >= 3 * WORD => self.on_line_words(bytes, at),
            _ => 0,
        };
        let rest = match self.state {
            state::SKIP_LINE | state::REQUEST_LINE => self.on_line_rest(bytes, at + start, loaded),
            _ => 0,
        };
        let taken = start + rest;
        self.head_len = self.head_len.wrapping_add(taken as u32);
        taken
    }

    /// Reads to the end of a line whose rest does not matter, or of which only the end does; or a good part of the way.
    #[inline(always)]
    fn on_line_rest(&mut self, bytes: &Buffer, at: u64, loaded: u64) -> u64 {
        let (end, complete) = line_end(bytes, at);
        if self.state == state::REQUEST_LINE {
            return if end > loaded { 0 } else { self.on_request_line_words(bytes, at, end, complete) };
        }
        if end > loaded {
            // The bytes after `loaded` are left over from another segment.
            return loaded - at;
        }
        if complete {
            self.state = state::LINE_START;
        }
        end - at
    }

    /// Reads a request line up to `end`. Only its end matters.
    #[inline(always)]
    fn on_request_line_words(&mut self, bytes: &Buffer, at: u64, end: u64, complete: bool) -> u64 {
        /// Bytes of the version and the line end.
        const VERSION_LEN: u64 = 10;
        /// Bytes of the line that a token holds.
        const TOKEN_LEN: u64 = 2 * WORD;
        if complete {
            if end < at + VERSION_LEN {
                return 0;
            }
            let version = word_at(bytes, end - VERSION_LEN);
            let line_end = word_at(bytes, end - 2) & low(2);
            let minor = (version >> 56) as u8;
            if version & low(7) != text("HTTP/1.") || !minor.is_ascii_digit() || line_end != text("\r\n") {
                return 0;
            }
            self.state = state::LINE_START;
            return end - at;
        }
        // A carriage return is not part of the token: the rest of the line must fill it.
        if end < at + TOKEN_LEN + WORD
            || find(word_at(bytes, end - TOKEN_LEN), b'\r') | find(word_at(bytes, end - WORD), b'\r') != 0
        {
            return 0;
        }
        end - TOKEN_LEN - at
    }

    /// Reads the start of a field line, up to three words of it; most fields do not matter.
    #[inline(always)]
    fn on_line_words(&mut self, bytes: &Buffer, at: u64) -> u64 {
        let first = (aligned(bytes, at, 0) >> (at % WORD * 8)) as u8;
        // Whitespace may continue the previous line; a line end is not a name.
        if first <= b' ' {
            return 0;
        }
        if self.state == state::LENGTH_FOLD {
            self.on_length_end();
            self.state = state::LINE_START;
        }
        let taken = match first | 0x20 {
            b'c' if fold(word_at(bytes, at), low(7)) == text("content-") => {
                let rest = word_at(bytes, at + WORD);
                if fold(rest, low(6)) & low(7) == text("length:") {
                    self.state = state::LENGTH;
                    return 15 + self.on_length_word(word_at(bytes, at + 15));
                }
                // Whitespace may come before the colon.
                if fold(rest, low(6)) & low(6) == text("length") { 0 } else { WORD }
            }
            b't' if fold(word_at(bytes, at), low(8)) == text("transfer") => 0,
            _ => 1,
        };
        if taken > 0 {
            self.state = state::SKIP_LINE;
        }
        taken
    }

    /// Reads the start of the value of Content-Length: a space, digits, and the line end if it follows.
    #[inline(always)]
    fn on_length_word(&mut self, word: u64) -> u64 {
        let spaces = u64::from(word as u8 == b' ');
        let value = word >> (8 * spaces);
        // The zero bytes shifted in are not digits.
        let other = find_other_than_digits(value);
        self.number = 0;
        self.digits = 0;
        if other == 0 || other & 0x80 != 0 {
            return 0;
        }
        let digits = bytes_below(other);
        self.number = decimal(value & low(digits), digits);
        self.digits = 1;
        if value >> (8 * digits) & low(2) != text("\r\n") {
            return spaces + digits;
        }
        // No digit may follow.
        self.digits = 2;
        self.state = state::LENGTH_FOLD;
        spaces + digits + 2
    }

    /// Reads the start of the most frequent messages: a status line up to its code, or the method GET.
    #[inline(always)]
    fn on_start_words(&mut self, word: u64, next: u64) -> u64 {
        if word & low(7) == text("HTTP/1.") && !self.is(Role::Client) {
            self.heads += 1;
            self.token = token("HTTP");
            self.facts |= Facts::RESPONSE;
            self.state = state::STATUS_VERSION;
            // One more digit of the version, a space, three digits and no fourth.
            let other = find_other_than_digits(next) & low(5);
            if (word >> 56) as u8 <= b' ' || next as u8 != b' ' || other != 0x80 << 32 | 0x80 {
                return 7;
            }
            self.status = decimal(next >> 8 & low(3), 3) as u16;
            self.digits = 3;
            self.state = state::SKIP_LINE;
            return 12;
        }
        if word & low(4) == text("GET ") && !self.is(Role::Server) {
            self.heads += 1;
            self.token = GET;
            self.on_method();
            if word & low(5) == text("GET /") {
                // It has the form of a Simple-Request (RFC 1945, 4.1).
                self.digits = 1;
                self.state = state::REQUEST_LINE;
            }
            return 4;
        }
        self.on_proxy_words(word, next)
    }

    /// Reads the first part of a PROXY protocol header of version 2, if the connection starts with one (The PROXY protocol,
    /// 2.2): signature, version and command, address family, length of the rest.
    #[inline(always)]
    fn on_proxy_words(&mut self, word: u64, next: u64) -> u64 {
        const SIGNATURE: u64 = u64::from_le_bytes(*b"\r\n\r\n\0\r\nQ");
        if self.position != 0 || word != SIGNATURE || next & low(4) != text("UIT\n") || next >> 36 & 0xf != 2
        {
            return 0;
        }
        self.heads += 1;
        self.state = state::PROXY_BINARY;
        // The last byte of the length is read with the rest, so that there is one.
        self.number = (next >> 48 & 0xff) << 8 | next >> 56;
        self.number += 1;
        15
    }
}
