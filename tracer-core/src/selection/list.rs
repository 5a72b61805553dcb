//! Lists on the command line, and what is wrong with an item: where, and what to type.

use std::{error::Error, fmt};

/// A value that cannot be understood: what was found, where, and an example of what to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPattern(String);

impl InvalidPattern {
    /// `what` is wrong at a character of `typed`, counted from 0; `example` is right.
    pub(super) fn new(what: &str, typed: &str, character: usize, example: &str) -> Self {
        Self(format!("{what} at character {} of {typed:?} (expected {example})", character + 1))
    }
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidPattern {}

/// The items of a list with commas, without the blanks around them, each with the number of its
/// first character.
pub(super) fn items(list: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    list.split(',').map(move |item| {
        let blanks = item.chars().take_while(|one| *one == ' ').count();
        let at = start + blanks;
        start += item.chars().count() + 1;
        (at, item.trim_matches(' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_has_its_place() {
        assert_eq!(items("a, ü,,b ").collect::<Vec<_>>(), [(0, "a"), (3, "ü"), (5, ""), (6, "b")]);
        assert_eq!(items("").collect::<Vec<_>>(), [(0, "")]);
    }
}
