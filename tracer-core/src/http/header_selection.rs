//! The header fields to record: the names of `--header`.

use std::{error::Error, fmt, sync::Arc};

use tracer_common::http1::is_token_character;

use crate::record::HeaderName;

/// The most names: each line of a head is compared with all of them.
const MAX_NAMES: usize = 32;

/// Fields whose value is a URI reference or a request target (RFC 9110, 10.1.3, 10.2.2, 8.7; RFC 4918, 10.3), and those in
/// which proxies pass on the request target.
const REFERENCES: [&str; 8] = [
    "referer",
    "location",
    "content-location",
    "destination",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Fields whose value is an authority.
const AUTHORITIES: [&str; 2] = ["host", "x-forwarded-host"];

/// The header fields to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSelection(Vec<Selected>);

/// A field to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) name: Arc<HeaderName>,
    pub(super) kind: ValueKind,
}

/// What the value of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// A URI reference: redacted as a request target is.
    Reference,
    /// An authority, in which user information may be.
    Authority,
    /// Anything else.
    Other,
}

/// Names that are no selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidSelection {
    /// A name that is no token (RFC 9110, 5.6.2).
    NotAName(String),
    /// The number of names, if they are too many.
    TooMany(usize),
    /// Two names that no record can have both, because the first with a dot is the start of the second.
    Nested(String, String),
}

impl fmt::Display for InvalidSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAName(name) => write!(f, "{name:?} is not a field name"),
            Self::TooMany(number) => write!(f, "{number} field names are given, {MAX_NAMES} is the most"),
            Self::Nested(one, other) => {
                write!(f, "a record cannot have both {one:?} and {other:?}: give one of the two field names")
            }
        }
    }
}

impl Error for InvalidSelection {}

impl HeaderSelection {
    /// The fields with these names, in any case; a name may be repeated.
    ///
    /// # Errors
    /// The names are invalid, or too many.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidSelection> {
        let mut unique: Vec<String> = Vec::new();
        for name in names {
            let name = name.as_ref().to_ascii_lowercase();
            if name.is_empty() || !name.bytes().all(is_token_character) {
                return Err(InvalidSelection::NotAName(name));
            }
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        if unique.len() > MAX_NAMES {
            return Err(InvalidSelection::TooMany(unique.len()));
        }
        for one in &unique {
            let is_below =
                |other: &&String| other.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with('.'));
            if let Some(other) = unique.iter().find(is_below) {
                return Err(InvalidSelection::Nested(one.clone(), other.clone()));
            }
        }
        Ok(Self(unique.iter().map(|name| Selected::new(name)).collect()))
    }

    /// The place of a name in the selection, and what is selected.
    pub(super) fn find(&self, name: &[u8]) -> Option<(usize, &Selected)> {
        let is_it =
            |(_, selected): &(usize, &Selected)| name.eq_ignore_ascii_case(selected.name.as_str().as_bytes());
        self.0.iter().enumerate().find(is_it)
    }
}

impl Selected {
    fn new(name: &str) -> Self {
        let kind = if REFERENCES.contains(&name) {
            ValueKind::Reference
        } else if AUTHORITIES.contains(&name) {
            ValueKind::Authority
        } else {
            ValueKind::Other
        };
        Self { name: Arc::new(HeaderName::new(name)), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_kept_once() {
        let selection = HeaderSelection::new(["User-Agent", "x", "USER-AGENT"]).expect("names");
        let find =
            |name: &str| selection.find(name.as_bytes()).map(|(place, found)| (place, found.name.as_str()));
        assert_eq!(find("user-agent"), Some((0, "user-agent")));
        assert_eq!(find("X"), Some((1, "x")));
        assert_eq!(find("user-agen"), None);
        assert_eq!(selection.0.len(), 2);
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for name in ["", "a b", "a:", "\u{e9}", "a\r\nb", "\"a\"", "a/b"] {
            assert_eq!(HeaderSelection::new([name]), Err(InvalidSelection::NotAName(name.to_owned())));
        }
        let names = |number: usize| (0..number).map(|number| format!("n{number}"));
        assert!(HeaderSelection::new(names(MAX_NAMES)).is_ok());
        assert_eq!(HeaderSelection::new(names(MAX_NAMES + 1)), Err(InvalidSelection::TooMany(MAX_NAMES + 1)));
        assert!(HeaderSelection::new(["x", "xy.z", "!#$%&'*+-.^_`|~09"]).is_ok());
        let nested = InvalidSelection::Nested("x".to_owned(), "x.y".to_owned());
        assert_eq!(HeaderSelection::new(["x.y", "X"]), Err(nested));
    }
}
