//! The short way through a head: eight bytes at once where no single one of them can matter.
//!
//! It takes what [`HttpHalf::on_byte`] would take in the same way, and leaves all else to it.

use super::{
    FRAGMENT, HttpHalf, fact,
    grammar::{GET, token},
    state,
};
use crate::frame::WINDOW;

/// The bytes loaded.
type Buffer = [u8; FRAGMENT + WINDOW];
/// The words of it.
const WORDS: usize = (FRAGMENT + WINDOW) / WORD as usize;
const _: () = assert!(WORDS.is_power_of_two());

/// Bytes of a word.
const WORD: u64 = 8;
/// Words of a line that are looked at in one go.
const WORDS_AT_ONCE: usize = 8;

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

/// The word at an index.
#[inline(always)]
fn aligned(bytes: &Buffer, index: u64) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    // Masked, so that the verifier sees the bound; there is no index beyond it but behind the last word.
    words.get(index as usize & (WORDS - 1)).map_or(0, |word| u64::from_le_bytes(*word))
}

/// The eight bytes from `at` on, the first one lowest. Read as two aligned words: BPF reads others byte by byte.
#[inline(always)]
fn word_at(bytes: &Buffer, at: u64) -> u64 {
    let (index, bits) = (at / WORD, at % WORD * 8);
    // In two steps, for a shift by 64 bits is none.
    aligned(bytes, index) >> bits | aligned(bytes, index + 1) << 1 << (63 - bits)
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

    /// Takes in bytes from `at` on; those before `loaded` are there. Returns how many were taken: 0 where it must be done byte by
    /// byte.
    #[inline(always)]
    pub(super) fn on_words(&mut self, bytes: &Buffer, at: u64, loaded: u64) -> u64 {
        let taken = match self.state {
            state::SKIP_LINE => self.skip_line(bytes, at, loaded, state::LINE_START),
            // Trailers are no part of the head.
            state::TRAILER_LINE => return self.skip_line(bytes, at, loaded, state::TRAILER_START),
            // Of the lines that start here, most are told apart by their first word.
            _ if loaded - at < 2 * WORD => 0,
            state::REQUEST_LINE => self.on_request_line_word(word_at(bytes, at)),
            state::LINE_START => self.on_line_word(word_at(bytes, at), || word_at(bytes, at + WORD)),
            state::START => self.on_start_word(word_at(bytes, at)),
            _ => 0,
        };
        self.head_len = self.head_len.wrapping_add(taken as u32);
        taken
    }

    /// To the end of a line of which nothing matters, if that is near.
    #[inline(always)]
    fn skip_line(&mut self, bytes: &Buffer, at: u64, loaded: u64, then: u8) -> u64 {
        let mut index = at / WORD;
        let mut found = find(aligned(bytes, index), b'\n') & !low(at % WORD);
        for _ in 1..WORDS_AT_ONCE {
            if found != 0 {
                break;
            }
            index += 1;
            found = find(aligned(bytes, index), b'\n');
        }
        let line_end = index * WORD + if found == 0 { WORD } else { bytes_below(found) + 1 };
        if line_end > loaded {
            // What lies behind was left there by something else.
            return loaded - at;
        }
        if found != 0 {
            self.state = then;
        }
        line_end - at
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
