//! The short way through a head: eight bytes at once where no single one of them can matter.
//!
//! It takes what [`HttpHalf::on_byte`] would take in the same way, and leaves all else to it.

use super::{
    HttpHalf, fact,
    grammar::{GET, token},
    state,
};

/// Bytes of a word.
pub(super) const WORD: u64 = 8;

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

/// The highest bit of the lowest byte of `word` that is `byte`, and perhaps of higher ones; 0 where none is.
#[inline(always)]
const fn find(word: u64, byte: u8) -> u64 {
    let rest = word ^ each(byte);
    rest.wrapping_sub(each(1)) & !rest & each(0x80)
}

/// Small letters for capital ones, where `letters` has letters; no other byte becomes a letter.
const fn fold(word: u64, letters: u64) -> u64 {
    word | letters & each(0x20)
}

impl HttpHalf {
    /// Whether words can be read from here on, for a while.
    #[inline(always)]
    pub(super) fn reads_words(&self) -> bool {
        matches!(self.state, state::SKIP_LINE | state::REQUEST_LINE | state::TRAILER_LINE)
    }

    /// Takes in bytes of `word`, the next ones first, of which `left` are there (also more than 8). `next` is the word behind it,
    /// for what may need it. Returns how many were taken: 0 where it must be done byte by byte.
    #[inline(always)]
    pub(super) fn on_word(&mut self, word: u64, next: impl FnOnce() -> u64, left: u64) -> u64 {
        let taken = match self.state {
            state::SKIP_LINE => return self.skip_to_line_end(word, left, state::LINE_START),
            state::TRAILER_LINE => return self.skip_to_line_end(word, left, state::TRAILER_START),
            // Of the lines that start here, most are told apart by their first word.
            _ if left < 2 * WORD => 0,
            state::REQUEST_LINE => self.on_request_line_word(word),
            state::LINE_START => self.on_line_word(word, next),
            state::START => self.on_start_word(word),
            _ => 0,
        };
        self.head_len = self.head_len.wrapping_add(taken as u32);
        taken
    }

    /// To the end of a line of which nothing matters, or of the word.
    #[inline(always)]
    fn skip_to_line_end(&mut self, word: u64, left: u64, then: u8) -> u64 {
        let there = if left < WORD { left } else { WORD };
        let found = find(word, b'\n') & low(there);
        let taken = if found == 0 { there } else { u64::from(found.trailing_zeros() / 8) + 1 };
        if self.state <= state::LAST_OF_HEAD {
            self.head_len = self.head_len.wrapping_add(taken as u32);
        }
        if found != 0 {
            self.state = then;
        }
        taken
    }

    /// Eight bytes of a request line; its end is not among them.
    #[inline(always)]
    fn on_request_line_word(&mut self, word: u64) -> u64 {
        if find(word, b'\n') | find(word, b'\r') != 0 {
            return 0;
        }
        self.token = [word.swap_bytes(), self.token[0]];
        self.token_len = self.token_len.saturating_add(WORD as u8);
        WORD
    }

    /// The start of a field line: of most, nothing matters.
    #[inline(always)]
    fn on_line_word(&mut self, word: u64, next: impl FnOnce() -> u64) -> u64 {
        let taken = match word as u8 | 0x20 {
            b'c' if fold(word, low(7)) == text("content-") => {
                let rest = next();
                if fold(rest, low(6)) & low(7) == text("length:") {
                    self.state = state::LENGTH;
                    self.number = 0;
                    self.digits = 0;
                    return 15;
                }
                // Something else may come before the colon.
                if fold(rest, low(6)) & low(6) == text("length") { 0 } else { WORD }
            }
            b't' if fold(word, low(8)) == text("transfer") => 0,
            // A blank may go on with the line before; a line end is no name.
            b'!'.. if word as u8 > b' ' => 1,
            _ => 0,
        };
        if taken > 0 {
            self.state = state::SKIP_LINE;
        }
        taken
    }

    /// The start of the messages that are by far the most frequent.
    #[inline(always)]
    fn on_start_word(&mut self, word: u64) -> u64 {
        if word & low(4) == text("GET ") {
            self.heads += 1;
            self.token = GET;
            self.on_method();
            return 4;
        }
        if word & low(7) == text("HTTP/1.") {
            self.heads += 1;
            self.token = token("HTTP");
            self.facts |= fact::RESPONSE;
            self.state = state::STATUS_VERSION;
            return 7;
        }
        0
    }
}
