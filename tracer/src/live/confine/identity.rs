//! The user that the process runs as after attaching.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability};
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid},
};

/// The user that root switches to by default: it owns no files.
pub const DEFAULT_USER: &str = "nobody";

/// The uid and gid of [`DEFAULT_USER`] on systems without that name: the kernel's overflow ids
/// (`kernel.overflowuid`).
const OVERFLOW: u32 = 65_534;

/// The user to run as.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// Another user: its name, uid and gid.
    Other(String, Uid, Gid),
    /// The current user: its name, and the reason if a switch was expected.
    Same(String, Option<&'static str>),
}

impl Identity {
    /// The user `requested`. Without one, root switches to [`DEFAULT_USER`] and other users are
    /// left unchanged.
    pub(super) fn resolve(requested: Option<&str>) -> Result<Self> {
        let me = geteuid();
        match requested {
            Some(name) => Self::named(name, me),
            None if !me.is_root() => Ok(Self::Same(own_name(), None)),
            None if may_change()? => Ok(Self::default_user()),
            None => Ok(Self::Same(own_name(), Some("not nobody, without CAP_SETUID and CAP_SETGID"))),
        }
    }

    fn named(name: &str, me: Uid) -> Result<Self> {
        let Some(user) = User::from_name(name).context("cannot look up users")? else {
            bail!("there is no user {name:?}: name another with --user (--user root keeps root)");
        };
        if user.uid == me {
            return Ok(Self::Same(user.name, None));
        }
        if !may_change()? {
            let own = own_name();
            bail!("switching to {name} needs CAP_SETUID and CAP_SETGID, which {own} lacks: leave out --user");
        }
        Ok(Self::Other(user.name, user.uid, user.gid))
    }

    /// [`DEFAULT_USER`], or the overflow ids: containers and rescue systems may have no user
    /// database.
    fn default_user() -> Self {
        match User::from_name(DEFAULT_USER) {
            Ok(Some(user)) => Self::Other(user.name, user.uid, user.gid),
            Ok(None) | Err(_) => {
                Self::Other(format!("user {OVERFLOW}"), Uid::from_raw(OVERFLOW), Gid::from_raw(OVERFLOW))
            }
        }
    }

    /// Switches all threads to this user. Keeps the permitted capabilities for now, but not the
    /// effective ones.
    pub(super) fn assume(&self) -> Result<()> {
        let Self::Other(name, uid, gid) = self else { return Ok(()) };
        prctl::set_keepcaps(true)
            .and_then(|()| setgroups(&[]))
            .and_then(|()| setresgid(*gid, *gid, *gid))
            .and_then(|()| setresuid(*uid, *uid, *uid))
            .and_then(|()| prctl::set_keepcaps(false))
            .with_context(|| format!("cannot switch to {name}; --user root keeps root"))
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

/// The name of the current user, or its uid if it has none.
fn own_name() -> String {
    let me = geteuid();
    User::from_uid(me).ok().flatten().map_or_else(|| format!("user {me}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_is_an_error_that_names_it() {
        let error = Identity::resolve(Some("no such\nuser")).expect_err("there is none").to_string();
        assert!(error.contains(r#""no such\nuser""#) && error.contains("--user"), "{error}");
    }

    #[test]
    fn naming_the_current_user_changes_nothing() {
        let me = own_name();
        let identity = Identity::resolve(Some(&me)).expect("it is there");
        assert!(matches!(&identity, Identity::Same(name, None) if *name == me), "{identity}");
        assert_eq!(identity.to_string(), me);
    }
}
