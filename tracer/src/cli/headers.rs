//! `--header` and `--header-unsafe`: the header fields to record.

use std::str::FromStr;

use clap::Args;
use tracer_common::http1::is_token_character;
use tracer_core::http::HeaderSelection;

use crate::config::Invalid;

/// What `common` stands for: fields that help with most questions, and hold no secret as a rule.
const COMMON: [&str; 7] =
    ["user-agent", "referer", "x-forwarded-for", "x-request-id", "content-type", "location", "retry-after"];
/// Fields that hold credentials: only `--header-unsafe` records them.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

#[derive(Debug, Args)]
#[command(next_help_heading = "What")]
pub(super) struct HeaderArguments {
    /// Header fields to record, as in user-agent,x-request-id; repeatable. "common" is user-agent,
    /// referer, x-forwarded-for, x-request-id, content-type, location and retry-after
    #[arg(long = "header", value_name = "NAME[,NAME…]")]
    headers: Vec<SafeNames>,

    /// The same for any field, also those with credentials: authorization, proxy-authorization,
    /// cookie and set-cookie
    #[arg(long = "header-unsafe", value_name = "NAME[,NAME…]")]
    unsafe_headers: Vec<Names>,
}

/// A list of field names.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

/// A list of names of fields without credentials.
#[derive(Clone, Debug)]
struct SafeNames(Names);

impl FromStr for Names {
    type Err = Invalid;

    fn from_str(list: &str) -> Result<Self, Invalid> {
        let mut at = 1;
        let mut names = Vec::new();
        for name in list.split(',') {
            if name.is_empty() {
                return Err(Invalid(format!(
                    "a field name is missing at character {at} of {list:?}: write a list like user-agent,x-request-id"
                )));
            }
            let is_invalid = |character: char| !u8::try_from(character).is_ok_and(is_token_character);
            if let Some((place, wrong)) =
                name.chars().enumerate().find(|(_, character)| is_invalid(*character))
            {
                return Err(Invalid(format!(
                    "no field name has {wrong:?}, character {} of {list:?}: write a list like user-agent,x-request-id",
                    at + place
                )));
            }
            at += name.chars().count() + 1;
            names.push(name.to_ascii_lowercase());
        }
        Ok(Self(names))
    }
}

impl FromStr for SafeNames {
    type Err = Invalid;

    fn from_str(list: &str) -> Result<Self, Invalid> {
        let names: Names = list.parse()?;
        match names.0.iter().find(|name| SECRET.contains(&name.as_str())) {
            Some(secret) => Err(Invalid(format!(
                "{secret} holds credentials: write --header-unsafe {secret} to record it all the same"
            ))),
            None => Ok(Self(names)),
        }
    }
}

impl HeaderArguments {
    /// The selected fields, if any are.
    pub(super) fn checked(&self) -> Result<Option<HeaderSelection>, Invalid> {
        let safe = self.headers.iter().flat_map(|names| &names.0.0).flat_map(|name| match name.as_str() {
            "common" => COMMON.to_vec(),
            name => vec![name],
        });
        let any = self.unsafe_headers.iter().flat_map(|names| &names.0).map(String::as_str);
        let names: Vec<_> = safe.chain(any).collect();
        if names.is_empty() {
            return Ok(None);
        }
        HeaderSelection::new(names).map(Some).map_err(|invalid| Invalid(invalid.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(safe: &[&str], any: &[&str]) -> Result<Option<HeaderSelection>, Invalid> {
        let arguments = HeaderArguments {
            headers: safe.iter().map(|list| list.parse()).collect::<Result<_, _>>()?,
            unsafe_headers: any.iter().map(|list| list.parse()).collect::<Result<_, _>>()?,
        };
        arguments.checked()
    }

    #[test]
    fn lists_are_joined_and_common_is_a_list() {
        assert_eq!(selected(&[], &[]), Ok(None));
        let all = |names: &[&str]| Ok(Some(HeaderSelection::new(names).expect("names")));
        assert_eq!(selected(&["X-A,x-b", "x-a"], &["Cookie,x-c"]), all(&["x-a", "x-b", "cookie", "x-c"]));
        assert_eq!(selected(&["common"], &[]), all(&COMMON));
        assert_eq!(selected(&["x-a,Common"], &[]), all(&[&["x-a"][..], &COMMON].concat()));
        assert!(COMMON.iter().all(|name| !SECRET.contains(name)));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (list, expected) in [
            ("", "missing at character 1 "),
            ("a,,b", "missing at character 3 "),
            ("a,b,", "missing at character 5 "),
            ("user agent", "' ', character 5 "),
            ("referer,user-agent:", "':', character 19 "),
            ("a,\u{e9}b", "'é', character 3 "),
            ("a\u{1b}[2J", "'\\u{1b}', character 2 "),
        ] {
            for error in [selected(&[list], &[]), selected(&[], &[list])] {
                let error = error.expect_err(list).to_string();
                assert!(error.contains(expected) && error.contains("user-agent,x-request-id"), "{error}");
                assert!(!error.contains('\u{1b}'), "{error:?}");
            }
        }
    }

    #[test]
    fn credentials_need_the_other_option() {
        for secret in SECRET {
            let list = format!("referer,{}", secret.to_ascii_uppercase());
            let error = selected(&[&list], &[]).expect_err(secret).to_string();
            assert!(error.contains(&format!("--header-unsafe {secret}")), "{error}");
            assert!(selected(&[], &[&list]).is_ok(), "{secret}");
        }
    }
}
