//! Lists of methods, as in `POST,PUT`.

use std::str::FromStr;

use super::{InvalidPattern, list::items};

/// The methods of a list. Methods are case-sensitive on the wire (RFC 9110, 9.1), but nobody means
/// another one by `post`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodList(Vec<String>);

impl MethodList {
    /// Whether the list has this method.
    #[must_use]
    pub fn has(&self, method: &str) -> bool {
        self.0.iter().any(|one| one.eq_ignore_ascii_case(method))
    }
}

impl FromStr for MethodList {
    type Err = InvalidPattern;

    fn from_str(list: &str) -> Result<Self, InvalidPattern> {
        let method = |(at, item): (usize, &str)| {
            let wrong =
                |character| InvalidPattern::new("no method", list, at + character, "a list like POST,PUT");
            // A token (RFC 9110, 5.6.2).
            let is_part = |one: char| one.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(one);
            match item.chars().position(|one| !is_part(one)) {
                Some(character) => Err(wrong(character)),
                None if item.is_empty() => Err(wrong(0)),
                None => Ok(item.to_owned()),
            }
        };
        items(list).map(method).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_methods_in_any_case() {
        let list: MethodList = "get, PATCH".parse().expect("a list");
        for (method, has) in [("GET", true), ("patch", true), ("POST", false), ("", false)] {
            assert_eq!(list.has(method), has, "{method}");
        }
    }

    #[test]
    fn what_is_no_method_is_refused_with_its_place() {
        for (list, at) in [("", 1), ("GET,", 5), ("GET, PU T", 8), ("GET /", 4), ("GET,(", 5)] {
            let error = list.parse::<MethodList>().expect_err(list).to_string();
            assert!(error.starts_with(&format!("no method at character {at} of ")), "{error}");
            assert!(error.ends_with("(expected a list like POST,PUT)"), "{error}");
        }
    }
}
