//! Who the process is after attaching.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability};
use nix::{
    sys::prctl,
    unistd::{User, geteuid, setgroups, setresgid, setresuid},
};

/// Whom root becomes, unless told otherwise: the user that owns nothing.
pub const DEFAULT_USER: &str = "nobody";

/// Who to be from now on.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// Another user.
    Other(User),
    /// The same as before: its name, and why.
    Same(String, Option<&'static str>),
}

impl Identity {
    /// The user `asked` for; without one, root becomes [`DEFAULT_USER`] and others stay who they are.
    pub(super) fn resolve(asked: Option<&str>) -> Result<Self> {
        let me = geteuid();
        let name = match asked {
            Some(name) => name,
            None if me.is_root() => DEFAULT_USER,
            None => return Ok(Self::Same(own_name(), None)),
        };
        let found = User::from_name(name).context("cannot look up users")?;
        let Some(user) = found else {
            bail!("there is no user {name:?} to run as: name another with --user (root stays root)");
        };
        if user.uid == me {
            return Ok(Self::Same(user.name, None));
        }
        match (may_change()?, asked) {
            (true, _) => Ok(Self::Other(user)),
            (false, None) => {
                Ok(Self::Same(own_name(), Some("not nobody, without CAP_SETUID and CAP_SETGID")))
            }
            (false, Some(_)) => bail!(
                "becoming user {name} needs CAP_SETUID and CAP_SETGID, which {} runs this without: leave out --user",
                own_name()
            ),
        }
    }

    /// Becomes this user, in all threads. The permitted capabilities stay for now, those in force go.
    pub(super) fn assume(&self) -> Result<()> {
        let Self::Other(user) = self else { return Ok(()) };
        prctl::set_keepcaps(true)
            .and_then(|()| setgroups(&[]))
            .and_then(|()| setresgid(user.gid, user.gid, user.gid))
            .and_then(|()| setresuid(user.uid, user.uid, user.uid))
            .and_then(|()| prctl::set_keepcaps(false))
            .with_context(|| format!("cannot become user {}; --user root stays root", user.name))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(user) => f.write_str(&user.name),
            Self::Same(name, None) => f.write_str(name),
            Self::Same(name, Some(remark)) => write!(f, "{name} ({remark})"),
        }
    }
}

fn may_change() -> Result<bool> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability);
    has(Capability::CAP_SETUID)
        .and_then(|uid| Ok(uid && has(Capability::CAP_SETGID)?))
        .context("cannot read the capabilities of this thread")
}

/// The name of this user, or its number where it has none.
fn own_name() -> String {
    let me = geteuid();
    User::from_uid(me).ok().flatten().map_or_else(|| format!("user {me}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_an_error_that_names_it() {
        let error = Identity::resolve(Some("no such\nuser")).expect_err("there is none").to_string();
        assert!(error.contains(r#""no such\nuser""#) && error.contains("--user"), "{error}");
    }

    #[test]
    fn who_asks_for_oneself_stays() {
        let me = own_name();
        let identity = Identity::resolve(Some(&me)).expect("it is there");
        assert!(matches!(&identity, Identity::Same(name, None) if *name == me), "{identity}");
        assert_eq!(identity.to_string(), me);
    }
}
