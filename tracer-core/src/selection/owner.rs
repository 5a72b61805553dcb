//! Processes and containers, as they are typed.

use std::str::FromStr;

use super::InvalidPattern;
use crate::record::Owner;

/// Bytes of the name that the kernel keeps of a process (`TASK_COMM_LEN` without its last byte).
const MAX_NAME: usize = 15;
/// Shortest prefix of the identifier of a container: Docker and Kubernetes show 12 characters, and
/// four are seldom shared.
const MIN_PREFIX: usize = 4;

/// A process: by its number, or by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// The number in the initial PID namespace.
    Pid(u32),
    /// The name, of at most 15 bytes.
    Name(String),
}

impl Process {
    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, owner: &Owner) -> bool {
        match self {
            Self::Pid(pid) => owner.pid == *pid,
            Self::Name(name) => owner.name.as_str() == name,
        }
    }
}

impl FromStr for Process {
    type Err = InvalidPattern;

    fn from_str(typed: &str) -> Result<Self, InvalidPattern> {
        if typed.is_empty() {
            return Err(InvalidPattern::new("nothing", typed, 0, "a name or a number, like nginx or 812"));
        }
        let end = (0..=MAX_NAME.min(typed.len())).rev().find(|end| typed.is_char_boundary(*end)).unwrap_or(0);
        Ok(typed.parse().map_or_else(|_| Self::Name(typed[..end].to_owned()), Self::Pid))
    }
}

/// The start of the identifier of a container, or the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerId(String);

impl ContainerId {
    /// Whether this process runs in it.
    #[must_use]
    pub fn has(&self, owner: &Owner) -> bool {
        owner.container.as_ref().is_some_and(|id| id.as_str().starts_with(&self.0))
    }
}

impl FromStr for ContainerId {
    type Err = InvalidPattern;

    fn from_str(typed: &str) -> Result<Self, InvalidPattern> {
        let example = "at least four characters of its identifier, like 3f0c9a1b2c3d";
        if typed.chars().count() < MIN_PREFIX {
            return Err(InvalidPattern::new("too few characters", typed, typed.chars().count(), example));
        }
        match typed.chars().position(|one| !one.is_ascii_alphanumeric() && !"-_.:".contains(one)) {
            Some(at) => {
                Err(InvalidPattern::new("no character of a container's identifier", typed, at, example))
            }
            None => Ok(Self(typed.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Text;

    fn owner() -> Owner {
        Owner {
            pid: 812,
            name: Text::from_wire(b"a-very-long-nam"),
            container: Some(Text::from_wire(b"3f0c9a1b2c3d")),
            ..Owner::default()
        }
    }

    #[test]
    fn a_process_is_named_by_its_number_or_its_name_as_far_as_the_kernel_keeps_it() {
        for (typed, is) in [
            ("812", true),
            ("81", false),
            ("a-very-long-nam", true),
            ("a-very-long-name-of-a-program", true),
            ("a-very", false),
            ("A-very-long-nam", false),
            ("ü-very-long-nam", false),
        ] {
            assert_eq!(typed.parse::<Process>().map(|process| process.is(&owner())), Ok(is), "{typed}");
        }
        assert_eq!("a-very-long-naü".parse(), Ok(Process::Name("a-very-long-na".into())));
        assert!("".parse::<Process>().expect_err("nothing").to_string().contains("like nginx or 812"));
    }

    #[test]
    fn a_container_is_named_by_the_start_of_its_identifier() {
        for (typed, has) in [("3f0c", true), ("3f0c9a1b2c3d", true), ("3f0d", false), ("0c9a", false)] {
            assert_eq!(typed.parse::<ContainerId>().map(|id| id.has(&owner())), Ok(has), "{typed}");
            assert_eq!(typed.parse::<ContainerId>().map(|id| id.has(&Owner::default())), Ok(false));
        }
        for (typed, expected) in [
            ("", "too few characters at character 1"),
            ("3f0", "too few characters at character 4"),
            ("3f0c*", "no character of a container's identifier at character 5"),
        ] {
            let error = typed.parse::<ContainerId>().expect_err(typed).to_string();
            assert!(error.starts_with(expected) && error.contains("like 3f0c9a1b2c3d"), "{error}");
        }
    }
}
