//! The capabilities in force, told before the kernel says only "Operation not permitted".

use anyhow::{Context as _, Result, bail};
pub use caps::Capability;
use caps::{CapSet, CapsHashSet};
use nix::unistd::geteuid;

/// What loading and attaching needs. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as it did before Linux 5.8.
pub const TRACING: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
/// What private network namespaces need.
pub const NAMESPACES: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN];

/// The effective capabilities of this thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities(CapsHashSet);

impl Capabilities {
    /// Those in force now.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn current() -> Result<Self> {
        caps::read(None, CapSet::Effective).map(Self).context("cannot read the capabilities of this thread")
    }

    /// Whether `capability` is in force, itself or by CAP_SYS_ADMIN.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.standing_for(capability).is_some()
    }

    /// What is in force of `capability`: itself, or CAP_SYS_ADMIN in its place.
    #[must_use]
    pub fn standing_for(&self, capability: Capability) -> Option<Capability> {
        let stands = matches!(capability, Capability::CAP_BPF | Capability::CAP_PERFMON);
        if self.0.contains(&capability) {
            return Some(capability);
        }
        (stands && self.0.contains(&Capability::CAP_SYS_ADMIN)).then_some(Capability::CAP_SYS_ADMIN)
    }

    /// Those of `needed` that are not in force.
    #[must_use]
    pub fn missing(&self, needed: &[Capability]) -> Vec<Capability> {
        needed.iter().copied().filter(|capability| !self.has(*capability)).collect()
    }
}

/// Fails, with what was found and what to type, unless everything that `what` needs is in force.
///
/// # Errors
/// Something is missing.
pub fn require(what: &str, needed: &[Capability]) -> Result<()> {
    let missing = Capabilities::current()?.missing(needed);
    if !missing.is_empty() {
        bail!("{}", explain(what, needed, &missing, geteuid().as_raw(), &command_line()));
    }
    Ok(())
}

/// Capabilities in one line.
#[must_use]
pub fn names<'a>(capabilities: impl IntoIterator<Item = &'a Capability>) -> String {
    capabilities.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn explain(what: &str, needed: &[Capability], missing: &[Capability], user: u32, command: &str) -> String {
    let (needed, missing) = (names(needed), names(missing));
    if user == 0 {
        return format!(
            "{what} needs {needed}; this root runs without {missing}, as in a container: start it with these, as by \
             `docker run --cap-add`"
        );
    }
    format!("{what} needs root, or {needed}; user {user} runs this without {missing}: type `sudo {command}`")
}

/// The command line to repeat under sudo.
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
    fn root_lacks_nothing_and_a_user_everything() {
        let all: Vec<_> = caps::all().into_iter().collect();
        assert_eq!(missing(&all, &TRACING), "");
        assert_eq!(missing(&[], &TRACING), "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
        assert_eq!(missing(&all, &NAMESPACES), "");
        assert_eq!(missing(&[], &NAMESPACES), "CAP_NET_ADMIN, CAP_SYS_ADMIN");
    }

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon_but_not_for_net_admin() {
        let admin = Capability::CAP_SYS_ADMIN;
        assert_eq!(missing(&[admin], &TRACING), "CAP_NET_ADMIN");
        assert_eq!(missing(&[admin, Capability::CAP_NET_ADMIN], &TRACING), "");
    }

    #[test]
    fn the_three_alone_are_enough() {
        assert_eq!(missing(&TRACING, &TRACING), "");
    }

    #[test]
    fn the_message_says_who_lacks_what_and_what_to_type() {
        let message = explain("tracing", &TRACING, &TRACING[..1], 1000, "tracer trace");
        assert!(message.contains("user 1000 runs this without CAP_BPF"), "{message}");
        assert!(message.ends_with("type `sudo tracer trace`"), "{message}");
        let message = explain("tracing", &TRACING, &TRACING[1..2], 0, "tracer trace");
        assert!(message.contains("without CAP_NET_ADMIN") && !message.contains("sudo"), "{message}");
    }
}
