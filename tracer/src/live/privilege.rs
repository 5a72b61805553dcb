//! Checks the effective capabilities first, because the kernel only answers "Operation not
//! permitted".

use anyhow::{Context as _, Result, bail};
pub use caps::Capability;
use caps::{CapSet, CapsHashSet};
use nix::unistd::geteuid;

/// The capabilities for loading and attaching. CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON, which
/// Linux 5.8 split off it.
pub const TRACING: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
/// The capabilities for creating network namespaces.
pub const NAMESPACES: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN];

/// The effective capabilities of this thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities(CapsHashSet);

impl Capabilities {
    /// The effective capabilities now.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn current() -> Result<Self> {
        caps::read(None, CapSet::Effective).map(Self).context("cannot read the capabilities of this thread")
    }

    /// Whether `capability` is effective, itself or through CAP_SYS_ADMIN.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.granting(capability).is_some()
    }

    /// The effective capability that grants `capability`: itself, or CAP_SYS_ADMIN if that implies
    /// it.
    #[must_use]
    pub fn granting(&self, capability: Capability) -> Option<Capability> {
        let implied = matches!(capability, Capability::CAP_BPF | Capability::CAP_PERFMON);
        if self.0.contains(&capability) {
            return Some(capability);
        }
        (implied && self.0.contains(&Capability::CAP_SYS_ADMIN)).then_some(Capability::CAP_SYS_ADMIN)
    }

    /// Those of `needed` that are not effective.
    #[must_use]
    pub fn missing(&self, needed: &[Capability]) -> Vec<Capability> {
        needed.iter().copied().filter(|capability| !self.has(*capability)).collect()
    }
}

/// Fails unless all capabilities that `what` needs are effective.
///
/// # Errors
/// A capability is missing: which one, and what to type.
pub fn require(what: &str, needed: &[Capability]) -> Result<()> {
    let missing = Capabilities::current()?.missing(needed);
    if !missing.is_empty() {
        bail!("{}", explain(what, needed, &missing, geteuid().as_raw(), &command_line()));
    }
    Ok(())
}

/// The names of capabilities in one line.
#[must_use]
pub fn names<'a>(capabilities: impl IntoIterator<Item = &'a Capability>) -> String {
    capabilities.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn explain(what: &str, needed: &[Capability], missing: &[Capability], user: u32, command: &str) -> String {
    let (needed, missing) = (names(needed), names(missing));
    if user == 0 {
        return format!(
            "{what} needs {needed}; root lacks {missing} here, as in a container: add them, for example with \
             `docker run --cap-add`"
        );
    }
    format!("{what} needs root, or {needed}; user {user} lacks {missing}: type `sudo {command}`")
}

/// The command line of this process, to repeat with sudo.
fn command_line() -> String {
    std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(effective: &[Capability], needed: &[Capability]) -> String {
        names(&Capabilities(effective.iter().copied().collect()).missing(needed))
    }

    #[test]
    fn root_lacks_no_capability_and_a_user_all() {
        let all: Vec<_> = caps::all().into_iter().collect();
        assert_eq!(missing(&all, &TRACING), "");
        assert_eq!(missing(&[], &TRACING), "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
        assert_eq!(missing(&all, &NAMESPACES), "");
        assert_eq!(missing(&[], &NAMESPACES), "CAP_NET_ADMIN, CAP_SYS_ADMIN");
    }

    #[test]
    fn sys_admin_implies_bpf_and_perfmon_but_not_net_admin() {
        let admin = Capability::CAP_SYS_ADMIN;
        assert_eq!(missing(&[admin], &TRACING), "CAP_NET_ADMIN");
        assert_eq!(missing(&[admin, Capability::CAP_NET_ADMIN], &TRACING), "");
    }

    #[test]
    fn the_three_capabilities_are_enough_for_tracing() {
        assert_eq!(missing(&TRACING, &TRACING), "");
    }

    #[test]
    fn the_message_says_who_lacks_what_and_what_to_type() {
        let message = explain("tracing", &TRACING, &TRACING[..1], 1000, "tracer trace");
        assert!(message.contains("user 1000 lacks CAP_BPF"), "{message}");
        assert!(message.ends_with("type `sudo tracer trace`"), "{message}");
        let message = explain("tracing", &TRACING, &TRACING[1..2], 0, "tracer trace");
        assert!(message.contains("root lacks CAP_NET_ADMIN") && !message.contains("sudo"), "{message}");
    }
}
