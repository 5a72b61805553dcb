//! Drops privileges after attach, so that a bug triggered by packet data cannot be escalated.
//!
//! ```text
//!   Plan::new      before attaching: which user to run as, which capabilities to keep
//!   Plan::enforce  after attaching: no_new_privs ─► files (Landlock) ─► identity
//!                  ─► capabilities ─► calls (seccomp)
//! ```
//!
//! Layers that the kernel does not support are reported and skipped. Capabilities and Landlock
//! belong to a thread, so start other threads afterwards: they inherit both.

mod calls;
mod capabilities;
mod files;
mod identity;

use std::fmt;

use anyhow::{Context as _, Result};
use nix::sys::prctl;

use self::{calls::Scope, capabilities::RetainedCaps, identity::Identity};
use crate::{
    config::{Confine, Interfaces},
    live::{
        kernel::support,
        privilege::{Capability, TRACING},
    },
    output::Needs,
};

pub use self::identity::DEFAULT_USER;

/// The privileges to drop and to keep.
#[derive(Debug)]
pub struct Plan {
    identity: Identity,
    retained: RetainedCaps,
    /// Whether new interfaces will be attached to.
    attaches_later: bool,
    /// What the outputs need.
    needs: Needs,
}

/// The sandbox in force. Its `Display` is the line for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confined {
    user: String,
    capabilities: String,
    in_force: Vec<String>,
    missing: Vec<String>,
}

/// Kernels before this one require CAP_BPF for every access to a map if unprivileged BPF is
/// disabled.
const FREE_MAPS: (u8, u8) = (5, 19);
/// Kernels before this one have no TC links: removing a filter by netlink requires CAP_NET_ADMIN.
const TC_LINKS: (u8, u8) = (6, 6);

impl Plan {
    /// Plans what `options`, the interfaces, the outputs and this kernel require.
    ///
    /// # Errors
    /// The requested user does not exist, or the current one may not switch to it.
    pub fn new(options: &Confine, interfaces: &Interfaces, needs: Needs) -> Result<Self> {
        let attaches_later = options.keep_privileges || *interfaces == Interfaces::Any;
        let mut retained = RetainedCaps::default();
        if attaches_later {
            retained.add(&TRACING, "for new interfaces")?;
        }
        if support::before(FREE_MAPS.0, FREE_MAPS.1) {
            retained.add(&[Capability::CAP_BPF], "to read maps on this kernel")?;
        }
        if support::before(TC_LINKS.0, TC_LINKS.1) {
            retained.add(&[Capability::CAP_NET_ADMIN], "to remove TC filters on exit")?;
        }
        let identity = Identity::resolve(options.user.as_deref())?;
        Ok(Self { identity, retained, attaches_later, needs })
    }

    /// Whether the process can attach to new interfaces after [`enforce`](Self::enforce).
    #[must_use]
    pub const fn attaches_later(&self) -> bool {
        self.attaches_later
    }

    /// Enforces the plan on this thread and on those that it starts from now on.
    ///
    /// # Errors
    /// The user or the capabilities cannot be changed.
    pub fn enforce(mut self) -> Result<Confined> {
        let mut confined = Confined::default();
        match prctl::set_no_new_privs() {
            Ok(()) => confined.in_force.push("no_new_privs".to_owned()),
            Err(error) => confined.missing.push(format!("no_new_privs ({error})")),
        }
        let files_are_confined = confined.note("Landlock", files::restrict(&self.needs.files));
        capabilities::clear_bounding()?;
        self.identity.assume()?;
        capabilities::suspend()?;
        self.ensure_reopen(files_are_confined, &mut confined)?;
        self.retained.enforce()?;
        // Deny ptrace and core dumps to other processes of the same user.
        prctl::set_dumpable(false).context("cannot forbid core dumps")?;
        let scope = if self.attaches_later { Scope::Attach } else { Scope::Observe };
        confined.note("seccomp", calls::restrict(scope));
        confined.user = self.identity.to_string();
        confined.capabilities = self.retained.to_string();
        Ok(confined)
    }

    /// Makes sure that SIGHUP can reopen the output files, even where only root may write. That
    /// takes CAP_DAC_OVERRIDE, which is kept only if Landlock limits it to the files' directories.
    fn ensure_reopen(&mut self, files_are_confined: bool, confined: &mut Confined) -> Result<()> {
        for path in self.needs.files.iter().filter(|path| !files::may_reopen(path)) {
            if files_are_confined {
                let purpose = "to reopen the output file";
                return self.retained.add_permitted(Capability::CAP_DAC_OVERRIDE, purpose);
            }
            confined.missing.push(format!(
                "reopening {}: give its directory to this user, or name another user with --user",
                path.display()
            ));
        }
        Ok(())
    }
}

impl Confined {
    /// Records whether `what` is in force, or why it is not. Returns whether it is.
    fn note(&mut self, what: &str, outcome: Result<String>) -> bool {
        match &outcome {
            Ok(detail) => self.in_force.push(format!("{what}{detail}")),
            Err(reason) => self.missing.push(format!("{what} ({reason:#})")),
        }
        outcome.is_ok()
    }
}

/// As in "runs as nobody, without capabilities; no_new_privs, Landlock (ABI 7), seccomp".
impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runs as {}, {}; {}", self.user, self.capabilities, self.in_force.join(", "))?;
        if !self.missing.is_empty() {
            write!(f, "; not in force: {}", self.missing.join(", "))?;
        }
        Ok(())
    }
}

/// Tries the layers of the sandbox that depend on the kernel, on a thread that ends at once: the
/// name of each and its outcome.
#[must_use]
pub fn trial() -> Vec<(&'static str, Result<String>)> {
    let tried = std::thread::spawn(|| {
        vec![("Landlock", files::restrict(&[])), ("seccomp", calls::restrict_this_thread(Scope::Observe))]
    });
    tried.join().unwrap_or_default()
}

/// As in "as nobody, without capabilities". Does not include what the output file requires.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as {}, {}", self.identity, self.retained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_in_force_and_what_is_not() {
        let mut confined = Confined {
            user: "nobody".to_owned(),
            capabilities: RetainedCaps::default().to_string(),
            ..Confined::default()
        };
        assert!(confined.note("Landlock", Ok(" (ABI 7)".to_owned())));
        assert!(confined.note("seccomp", Ok(String::new())));
        assert_eq!(confined.to_string(), "runs as nobody, without capabilities; Landlock (ABI 7), seccomp");
        assert!(!confined.note("no_new_privs", Err(anyhow::anyhow!("the kernel says no"))));
        assert!(confined.to_string().ends_with("; not in force: no_new_privs (the kernel says no)"));
    }
}
