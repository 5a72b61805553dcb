//! Lists of status codes, as in `4xx,503,200-204`.

use std::{ops::RangeInclusive, str::FromStr};

use super::{InvalidPattern, list::items};

/// What to type.
const EXAMPLE: &str = "a list like 5xx,404,200-204";

/// The status codes of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList(Vec<RangeInclusive<u16>>);

impl StatusList {
    /// Whether the list has this status code.
    #[must_use]
    pub fn has(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for StatusList {
    type Err = InvalidPattern;

    fn from_str(list: &str) -> Result<Self, InvalidPattern> {
        let wrong = |what, at| InvalidPattern::new(what, list, at, EXAMPLE);
        let range = |(at, item): (usize, &str)| {
            if let Some((first, last)) = item.split_once('-') {
                let no_code = |at| move || wrong("no status code", at);
                let first_code = code(first).ok_or_else(no_code(at))?;
                let last_code = code(last).ok_or_else(no_code(at + first.chars().count() + 1))?;
                if last_code < first_code {
                    return Err(wrong("a range that ends before it starts", at));
                }
                return Ok(first_code..=last_code);
            }
            let single = code(item).map(|code| code..=code);
            single.or_else(|| class(item)).ok_or_else(|| wrong("no status code", at))
        };
        items(list).map(range).collect::<Result<_, _>>().map(Self)
    }
}

/// `404`: three digits (RFC 9110, 15).
fn code(text: &str) -> Option<u16> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|code| is_code && *code >= 100)
}

/// `4xx`: all that begin with this digit.
fn class(text: &str) -> Option<RangeInclusive<u16>> {
    let digit = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"))?;
    let first = code(&format!("{digit}00"))?;
    Some(first..=first + 99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_codes_classes_and_ranges() {
        for (list, inside, outside) in [
            ("404", &[404][..], &[403, 405, 40][..]),
            ("5xx", &[500, 599], &[499, 600]),
            ("4XX,503, 200-204", &[400, 499, 503, 200, 204], &[500, 199, 205]),
            ("100-999", &[100, 999], &[99]),
        ] {
            let parsed: StatusList = list.parse().unwrap_or_else(|error| panic!("{error}"));
            assert!(inside.iter().all(|status| parsed.has(*status)), "{list}");
            assert!(!outside.iter().any(|status| parsed.has(*status)), "{list}");
        }
    }

    #[test]
    fn what_is_no_status_is_refused_with_its_place() {
        for (list, expected) in [
            ("", r#"no status code at character 1 of """#),
            ("200,", r#"no status code at character 5 of "200,""#),
            ("200, 50", r#"no status code at character 6 of "200, 50""#),
            ("099", r#"no status code at character 1 of "099""#),
            ("0xx", r#"no status code at character 1 of "0xx""#),
            ("5x", r#"no status code at character 1 of "5x""#),
            ("200-2xx", r#"no status code at character 5 of "200-2xx""#),
            ("-299", r#"no status code at character 1 of "-299""#),
            ("503,299-200", r#"a range that ends before it starts at character 5 of "503,299-200""#),
            (">=500", r#"no status code at character 1 of ">=500""#),
        ] {
            let error = list.parse::<StatusList>().expect_err(list).to_string();
            assert!(
                error.starts_with(expected) && error.ends_with("(expected a list like 5xx,404,200-204)"),
                "{error}"
            );
        }
    }
}
