//! The capabilities in force, told before the kernel says only "Operation not permitted".

use std::fs;

use anyhow::{Context as _, Result, bail};

/// A capability that loading or attaching needs: its name, its bit in the kernel's sets (`linux/capability.h`), and what
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The name as in capabilities(7).
    pub name: &'static str,
    /// What tracer needs it for.
    pub purpose: &'static str,
    bit: u32,
}

/// What tracing needs. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as it did before Linux 5.8.
pub const NEEDED: [Capability; 3] = [
    Capability { name: "CAP_BPF", purpose: "maps and programs", bit: 39 },
    Capability { name: "CAP_NET_ADMIN", purpose: "XDP and TC", bit: 12 },
    Capability { name: "CAP_PERFMON", purpose: "programs that compare packet pointers", bit: 38 },
];

/// CAP_SYS_ADMIN.
const SYS_ADMIN: u32 = 21;
/// CAP_NET_ADMIN.
const NET_ADMIN: u32 = 12;

/// The effective capabilities of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    effective: u64,
    user: u32,
}

impl Capabilities {
    /// Those in force now.
    ///
    /// # Errors
    /// `/proc` does not tell.
    pub fn current() -> Result<Self> {
        let status =
            fs::read_to_string("/proc/thread-self/status").context("cannot read /proc/thread-self/status")?;
        Self::from_status(&status).context("/proc/thread-self/status does not tell the capabilities")
    }

    fn from_status(status: &str) -> Option<Self> {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let effective = u64::from_str_radix(line("CapEff:")?.trim(), 16).ok()?;
        // Real, effective, saved, file system.
        let user = line("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { effective, user })
    }

    const fn has_bit(self, bit: u32) -> bool {
        self.effective & (1 << bit) != 0
    }

    /// Whether `capability` is in force, itself or by CAP_SYS_ADMIN.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.has_bit(capability.bit) || (capability.bit != NET_ADMIN && self.has_bit(SYS_ADMIN))
    }

    /// Whether the programs of others can be named: the kernel asks for CAP_SYS_ADMIN.
    #[must_use]
    pub const fn can_name_others(self) -> bool {
        self.has_bit(SYS_ADMIN)
    }

    /// The needed ones that are not in force.
    #[must_use]
    pub fn missing(self) -> Vec<Capability> {
        NEEDED.into_iter().filter(|capability| !self.has(*capability)).collect()
    }
}

/// Fails, with what was found and what to type, unless every needed capability is in force.
///
/// # Errors
/// One is missing.
pub fn require() -> Result<()> {
    let capabilities = Capabilities::current()?;
    let missing = capabilities.missing();
    if !missing.is_empty() {
        bail!("{}", explain(&missing, capabilities.user, &command_line()));
    }
    Ok(())
}

fn explain(missing: &[Capability], user: u32, command: &str) -> String {
    let all = NEEDED.map(|capability| capability.name).join(", ");
    let missing = missing.iter().map(|capability| capability.name).collect::<Vec<_>>().join(", ");
    if user == 0 {
        return format!(
            "tracing needs {all}; this root runs without {missing}, as in a container: start it with these, as by \
             `docker run --cap-add`"
        );
    }
    format!("tracing needs root, or {all}; user {user} runs this without {missing}: type `sudo {command}`")
}

/// The command line to repeat under sudo.
fn command_line() -> String {
    std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(effective: &str) -> Vec<&'static str> {
        let status = format!("Name:\tx\nUid:\t1000\t1001\t1002\t1003\nCapEff:\t{effective}\n");
        let capabilities = Capabilities::from_status(&status).expect("a status");
        capabilities.missing().into_iter().map(|capability| capability.name).collect()
    }

    #[test]
    fn root_lacks_nothing_and_a_user_everything() {
        assert_eq!(missing("000001ffffffffff"), [""; 0]);
        assert_eq!(missing("0000000000000000"), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
    }

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon_but_not_for_net_admin() {
        assert_eq!(missing("0000000000200000"), ["CAP_NET_ADMIN"]);
        assert_eq!(missing("0000000000201000"), [""; 0]);
    }

    #[test]
    fn the_three_alone_are_enough() {
        assert_eq!(missing("000000c000001000"), [""; 0]);
    }

    #[test]
    fn a_status_without_the_line_is_not_taken_for_root() {
        assert_eq!(Capabilities::from_status("Name:\tx\n"), None);
        assert_eq!(Capabilities::from_status("Uid:\t0\t0\t0\t0\nCapEff:\tgarbage\n"), None);
    }

    #[test]
    fn the_message_says_who_lacks_what_and_what_to_type() {
        let message = explain(&NEEDED[..1], 1000, "tracer trace");
        assert!(message.contains("user 1000 runs this without CAP_BPF"), "{message}");
        assert!(message.ends_with("type `sudo tracer trace`"), "{message}");
        let message = explain(&NEEDED[1..2], 0, "tracer trace");
        assert!(message.contains("without CAP_NET_ADMIN") && !message.contains("sudo"), "{message}");
    }
}
