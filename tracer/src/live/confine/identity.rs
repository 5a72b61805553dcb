//! Who the process is after attaching.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability};
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid},
};

/// Whom root becomes, unless told otherwise: the user that owns nothing.
pub const DEFAULT_USER: &str = "nobody";

/// Its number, and that of its group, where the system has no such name: what the kernel shows for users it cannot name
/// (`kernel.overflowuid`).
const OVERFLOW: u32 = 65_534;

/// Who to be from now on.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// Another user: its name, its number, and its group.
    Other(String, Uid, Gid),
    /// The same as before: its name, and why.
    Same(String, Option<&'static str>),
}

impl Identity {
    /// The user `asked` for; without one, root becomes [`DEFAULT_USER`] and others stay who they are.
    pub(super) fn resolve(asked: Option<&str>) -> Result<Self> {
        let me = geteuid();
        match asked {
            Some(name) => Self::named(name, me),
            None if !me.is_root() => Ok(Self::Same(own_name(), None)),
            None if may_change()? => Ok(Self::default_user()),
            None => Ok(Self::Same(own_name(), Some("not nobody, without CAP_SETUID and CAP_SETGID"))),
        }
    }

    fn named(name: &str, me: Uid) -> Result<Self> {
        let Some(user) = User::from_name(name).context("cannot look up users")? else {
            bail!("there is no user {name:?} to run as: name another with --user (root stays root)");
        };
        if user.uid == me {
            return Ok(Self::Same(user.name, None));
        }
        if !may_change()? {
            let own = own_name();
            bail!(
                "becoming {name} needs CAP_SETUID and CAP_SETGID, which {own} runs this without: leave out --user"
            );
        }
        Ok(Self::Other(user.name, user.uid, user.gid))
    }

    /// Containers and rescue systems may know no users at all.
    fn default_user() -> Self {
        match User::from_name(DEFAULT_USER) {
            Ok(Some(user)) => Self::Other(user.name, user.uid, user.gid),
            Ok(None) | Err(_) => {
                Self::Other(format!("user {OVERFLOW}"), Uid::from_raw(OVERFLOW), Gid::from_raw(OVERFLOW))
            }
        }
    }

    /// Becomes this user, in all threads. The permitted capabilities stay for now, those in force go.
    pub(super) fn assume(&self) -> Result<()> {
        let Self::Other(name, uid, gid) = self else { return Ok(()) };
        prctl::set_keepcaps(true)
            .and_then(|()| setgroups(&[]))
            .and_then(|()| setresgid(*gid, *gid, *gid))
            .and_then(|()| setresuid(*uid, *uid, *uid))
            .and_then(|()| prctl::set_keepcaps(false))
            .with_context(|| format!("cannot become {name}; --user root stays root"))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name, ..) | Self::Same(name, None) => f.write_str(name),
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
