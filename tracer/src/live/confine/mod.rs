//! What `tracer trace` gives up once its programs are attached: whoever takes over the process by the bytes of a packet
//! finds nothing to take.
//!
//! ```text
//!   Plan::new      before anything is attached: who to become, which capabilities stay
//!   Plan::enforce  after: no_new_privs ─► files (Landlock) ─► identity ─► capabilities ─► calls (seccomp)
//! ```
//!
//! What a kernel does not have is told and gone without. Capabilities and Landlock belong to a thread: other threads are to
//! be started afterwards, and inherit both.

mod calls;
mod capabilities;
mod files;
mod identity;

use std::fmt;

use anyhow::{Context as _, Result};
use nix::sys::prctl;

use self::{calls::Scope, capabilities::Kept, identity::Identity};
use crate::{
    config::{Confine, Interfaces},
    live::{
        kernel::support,
        privilege::{Capability, TRACING},
    },
    output::Needs,
};

pub use self::identity::DEFAULT_USER;

/// What is going to be given up.
#[derive(Debug)]
pub struct Plan {
    identity: Identity,
    kept: Kept,
    /// Whether interfaces that come later are attached to.
    attaches_later: bool,
    /// What the outputs need.
    needs: Needs,
}

/// What is in force. As text it is the line for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confined {
    user: String,
    capabilities: String,
    in_force: Vec<String>,
    missing: Vec<String>,
}

/// Kernels before this one ask for CAP_BPF for every use of a map, where unprivileged BPF is switched off.
const FREE_MAPS: (u8, u8) = (5, 19);
/// Kernels before this one have no TC links: filters are removed by netlink, which asks for CAP_NET_ADMIN.
const TC_LINKS: (u8, u8) = (6, 6);

impl Plan {
    /// What `asked`, the interfaces and this kernel come to; `needs` is what the outputs need.
    ///
    /// # Errors
    /// There is no such user, or this one may not become it: what was found and what to type.
    pub fn new(asked: &Confine, interfaces: &Interfaces, needs: Needs) -> Result<Self> {
        let attaches_later = asked.keep_privileges || *interfaces == Interfaces::Any;
        let mut kept = Kept::default();
        if attaches_later {
            kept.add(&TRACING, "for interfaces that come later")?;
        }
        if support::before(FREE_MAPS.0, FREE_MAPS.1) {
            kept.add(&[Capability::CAP_BPF], "to read maps on this kernel")?;
        }
        if support::before(TC_LINKS.0, TC_LINKS.1) {
            kept.add(&[Capability::CAP_NET_ADMIN], "to remove TC filters at the end")?;
        }
        let identity = Identity::resolve(asked.user.as_deref())?;
        Ok(Self { identity, kept, attaches_later, needs })
    }

    /// Whether interfaces that come later can be attached to.
    #[must_use]
    pub const fn attaches_later(&self) -> bool {
        self.attaches_later
    }

    /// Gives it all up, for this thread and those that it starts from now on.
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
        self.keep_the_outputs(files_are_confined, &mut confined)?;
        self.kept.enforce()?;
        // Others who run as the same user may not look into this process.
        prctl::set_dumpable(false).context("cannot forbid core dumps")?;
        let scope = if self.attaches_later { Scope::Attach } else { Scope::Observe };
        confined.note("seccomp", calls::restrict(scope));
        confined.user = self.identity.to_string();
        confined.capabilities = self.kept.to_string();
        Ok(confined)
    }

    /// SIGHUP opens the output files again, perhaps where only root may write. CAP_DAC_OVERRIDE does that; it stays only where
    /// Landlock restricts it to the folders of the files.
    fn keep_the_outputs(&mut self, files_are_confined: bool, confined: &mut Confined) -> Result<()> {
        for path in self.needs.files.iter().filter(|path| !files::may_open_anew(path)) {
            if files_are_confined {
                return self.kept.add_permitted(Capability::CAP_DAC_OVERRIDE, "to open the output file anew");
            }
            confined.missing.push(format!(
                "opening {} anew: give the folder to this user, or name another with --user",
                path.display()
            ));
        }
        Ok(())
    }
}

impl Confined {
    /// Whether `what` is in force; takes note of it, or of why it is not.
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

/// What this host would put in force, each with its name, or why not: tried on a thread that ends at once.
#[must_use]
pub fn trial() -> Vec<(&'static str, Result<String>)> {
    let tried = std::thread::spawn(|| {
        vec![("Landlock", files::restrict(&[])), ("seccomp", calls::restrict_this_thread(Scope::Observe))]
    });
    tried.join().unwrap_or_default()
}

/// As in "as nobody, without capabilities", but for what the output file asks for.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as {}, {}", self.identity, self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_in_force_and_what_is_not() {
        let mut confined = Confined {
            user: "nobody".to_owned(),
            capabilities: Kept::default().to_string(),
            ..Confined::default()
        };
        assert!(confined.note("Landlock", Ok(" (ABI 7)".to_owned())));
        assert!(confined.note("seccomp", Ok(String::new())));
        assert_eq!(confined.to_string(), "runs as nobody, without capabilities; Landlock (ABI 7), seccomp");
        assert!(!confined.note("no_new_privs", Err(anyhow::anyhow!("the kernel says no"))));
        assert!(confined.to_string().ends_with("; not in force: no_new_privs (the kernel says no)"));
    }
}
