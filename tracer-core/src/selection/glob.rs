//! Patterns with wildcards, as in a shell: `*`, `?`, `[a-z]`, and `\` before a character that stands
//! for itself.

use std::str::FromStr;

use super::InvalidPattern;

/// What to type.
const EXAMPLE: &str = r"a pattern like /api/* or *.example.org; type \* for a star itself";

/// A pattern that a whole text matches or not. A slash is a character like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
    ignores_case: bool,
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `*`: any characters, or none.
    Any,
    /// `?`: one character.
    One,
    /// This character.
    Exactly(char),
    /// `[a-z]`: one of these, or with `[!a-z]` none of them.
    Class { ranges: Vec<(char, char)>, is_negated: bool },
}

impl Glob {
    /// The same pattern, for which `a` and `A` are the same, and so on for ASCII, as in the names of
    /// hosts (RFC 4343).
    #[must_use]
    pub fn ignoring_case(self) -> Self {
        Self { ignores_case: true, ..self }
    }

    /// Whether the whole of `text` matches. Takes at most as many steps as the length of the text
    /// times that of the pattern: the text may come from an attacker.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut rest, mut part) = (text.chars(), 0);
        // Where to go on if the parts after the last star do not match here: only the last star
        // has to take more, because what is before it took the least.
        let mut retry = None;
        loop {
            if self.parts.get(part) == Some(&Part::Any) {
                part += 1;
                retry = Some((part, rest.clone()));
                continue;
            }
            let before = rest.clone();
            match (self.parts.get(part), rest.next()) {
                (None, None) => return true,
                (Some(expected), Some(character)) if self.is(expected, character) => part += 1,
                (_, Some(_)) | (Some(_), None) => {
                    let Some((after_star, taken)) = &mut retry else { return false };
                    if before.as_str().is_empty() || taken.next().is_none() {
                        return false;
                    }
                    (part, rest) = (*after_star, taken.clone());
                }
            }
        }
    }

    fn is(&self, part: &Part, character: char) -> bool {
        let is_between =
            |character: char, (first, last): (char, char)| first <= character && character <= last;
        let is_one_of =
            |ranges: &[(char, char)], character| ranges.iter().any(|range| is_between(character, *range));
        match part {
            Part::Any => false,
            Part::One => true,
            Part::Exactly(expected) if self.ignores_case => expected.eq_ignore_ascii_case(&character),
            Part::Exactly(expected) => *expected == character,
            Part::Class { ranges, is_negated } => {
                let is_in = is_one_of(ranges, character)
                    || self.ignores_case
                        && (is_one_of(ranges, character.to_ascii_lowercase())
                            || is_one_of(ranges, character.to_ascii_uppercase()));
                is_in != *is_negated
            }
        }
    }
}

impl FromStr for Glob {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, InvalidPattern> {
        let mut parser = Parser { pattern, characters: pattern.chars().collect(), at: 0 };
        let mut parts = Vec::new();
        if pattern.is_empty() {
            return Err(parser.error("nothing", 0));
        }
        while let Some(character) = parser.next() {
            match character {
                // Two stars mean the same as one.
                '*' if parts.last() == Some(&Part::Any) => {}
                '*' => parts.push(Part::Any),
                '?' => parts.push(Part::One),
                '[' => parts.push(parser.class()?),
                '\\' => parts.push(Part::Exactly(parser.escaped()?)),
                other => parts.push(Part::Exactly(other)),
            }
        }
        Ok(Self { parts, ignores_case: false })
    }
}

struct Parser<'a> {
    pattern: &'a str,
    characters: Vec<char>,
    at: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.characters.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    fn is_next(&self, expected: char) -> bool {
        self.characters.get(self.at) == Some(&expected)
    }

    fn error(&self, what: &str, at: usize) -> InvalidPattern {
        InvalidPattern::new(what, self.pattern, at, EXAMPLE)
    }

    /// The character after a backslash.
    fn escaped(&mut self) -> Result<char, InvalidPattern> {
        self.next().ok_or_else(|| self.error(r"a \ with nothing after it", self.at - 1))
    }

    /// What follows `[`. A `]` at the start stands for itself, as in a shell.
    fn class(&mut self) -> Result<Part, InvalidPattern> {
        let start = self.at - 1;
        let is_negated = self.is_next('!') || self.is_next('^');
        self.at += usize::from(is_negated);
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let at = self.at;
            let first = match self.next() {
                None => return Err(self.error("a [ without its ]", start)),
                Some(']') if !ranges.is_empty() => return Ok(Part::Class { ranges, is_negated }),
                Some('\\') => self.escaped()?,
                Some(other) => other,
            };
            let is_range =
                self.is_next('-') && self.characters.get(self.at + 1).is_some_and(|end| *end != ']');
            let last = if is_range {
                self.at += 1;
                match self.next() {
                    Some('\\') => self.escaped()?,
                    Some(other) => other,
                    None => return Err(self.error("a [ without its ]", start)),
                }
            } else {
                first
            };
            if last < first {
                return Err(self.error("a range that ends before it starts", at));
            }
            ranges.push((first, last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        pattern.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn wildcards_match_the_whole_text() {
        for (pattern, matching, others) in [
            ("/cart", &["/cart"][..], &["/cart/", "/car", "/Cart", ""][..]),
            ("*", &["", "/", "/a/b"], &[]),
            ("/api/*", &["/api/", "/api/a/b"], &["/api", "/a/api/"]),
            ("*.php", &["/index.php", ".php", "/a.php.php"], &["/index.php5", "php"]),
            ("/*/x*y", &["/a/xy", "//x1y2y", "/a/b/xy"], &["/xy", "/a/x"]),
            ("/?", &["/a", "/ü"], &["/", "/ab"]),
            ("/[a-c]", &["/a", "/c"], &["/d", "/", "/ab"]),
            ("/[!a-c0]", &["/d", "/-"], &["/a", "/0"]),
            ("/[]]", &["/]"], &["/["]),
            ("/[a-]", &["/a", "/-"], &["/b"]),
            (r"/[\]x]", &["/]", "/x"], &[r"/\"]),
            (r"/\*\?\[", &["/*?["], &["/a?["]),
            ("**a**", &["a", "bab"], &["b", ""]),
            ("*ab*ab*c", &["ababc", "xabyabzc", "abababc"], &["abc", "abab"]),
        ] {
            for text in matching {
                assert!(glob(pattern).matches(text), "{pattern} {text:?}");
            }
            for text in others {
                assert!(!glob(pattern).matches(text), "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn the_case_of_ascii_can_be_ignored() {
        for (pattern, text) in
            [("*.Example.org", "WWW.eXample.ORG"), ("[a-z]x", "Bx"), ("[A-Z]x", "bX"), ("?", "É")]
        {
            assert!(glob(pattern).ignoring_case().matches(text), "{pattern} {text}");
        }
        assert!(!glob("[!a]").ignoring_case().matches("A"));
        assert!(!glob("*.Example.org").matches("www.example.org"));
    }

    #[test]
    fn a_hostile_text_takes_no_more_steps_than_its_length_times_that_of_the_pattern() {
        let pattern = glob(&("*a".repeat(30) + "b"));
        let text = "a".repeat(16 << 10);
        let started = std::time::Instant::now();
        assert!(!pattern.matches(&text));
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (pattern, expected) in [
            ("", r#"nothing at character 1 of """#),
            ("/a[b", r#"a [ without its ] at character 3 of "/a[b""#),
            ("/ü[]", r#"a [ without its ] at character 3 of "/ü[]""#),
            ("/[b-", r#"a [ without its ] at character 2 of "/[b-""#),
            ("/[z-a]", r#"a range that ends before it starts at character 3 of "/[z-a]""#),
            (r"/a\", r#"a \ with nothing after it at character 3 of "/a\\""#),
        ] {
            let error = pattern.parse::<Glob>().expect_err(pattern).to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(
                error.ends_with(
                    r"(expected a pattern like /api/* or *.example.org; type \* for a star itself)"
                )
            );
        }
    }
}
