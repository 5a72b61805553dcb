//! Text from the wire, escaped.

use std::borrow::Cow;

use serde::Serialize;

/// The most frequent texts, which need no allocation.
const FREQUENT: [&str; 5] = ["1.1", "GET", "/", "POST", "HEAD"];

/// Text from the wire, in which bytes that are not UTF-8 and control characters are escaped as
/// `\xHH`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Text(Cow<'static, str>);

impl Text {
    /// Escapes what is not printable in `bytes`.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Self {
        if let Some(frequent) = FREQUENT.into_iter().find(|frequent| frequent.as_bytes() == bytes) {
            return Self(Cow::Borrowed(frequent));
        }
        // Nearly all texts are printable ASCII. Without an early exit the loop is vectorised.
        let is_plain = bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
        if is_plain && let Ok(text) = str::from_utf8(bytes) {
            return Self(text.to_owned().into());
        }
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_harmless(character) {
                    text.push(character);
                } else {
                    let mut buffer = [0; 4];
                    escape(&mut text, character.encode_utf8(&mut buffer).as_bytes());
                }
            }
            escape(&mut text, chunk.invalid());
        }
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character can be shown: not a control character, nor one that is invisible or changes
/// the direction of text.
pub(super) fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn escape(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_from_the_wire_cannot_drive_a_terminal_or_break_a_line() {
        for (bytes, text) in [
            (&b"/index.html?a=1"[..], "/index.html?a=1"),
            (b"/a\nb\x1b[31m", "/a\\x0ab\\x1b[31m"),
            (b"/\xff\xfe", "/\\xff\\xfe"),
            ("/grüße".as_bytes(), "/grüße"),
            ("/\u{202e}gpj".as_bytes(), "/\\xe2\\x80\\xaegpj"),
            (b"/\x7f\xc2\x85", "/\\x7f\\xc2\\x85"),
            ("/\u{61c}\u{feff}".as_bytes(), "/\\xd8\\x9c\\xef\\xbb\\xbf"),
            ("/\u{e0041}".as_bytes(), "/\\xf3\\xa0\\x81\\x81"),
        ] {
            assert_eq!(Text::from_wire(bytes).as_str(), text);
        }
    }
}
