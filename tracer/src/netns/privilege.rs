//! Whether this thread may make network namespaces, told before the kernel says only "Operation not permitted".

use std::fs;

use anyhow::{Context, Result, bail};

/// The capabilities the work needs, with their bit in the kernel's sets (`linux/capability.h`).
const NEEDED: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// Fails, with what was found and what to type, unless this thread has every needed capability.
pub(super) fn require() -> Result<()> {
    let status =
        fs::read_to_string("/proc/thread-self/status").context("cannot read /proc/thread-self/status")?;
    let missing = missing(&status).context("/proc/thread-self/status has no line CapEff")?;
    if !missing.is_empty() {
        bail!(
            "private network namespaces need {}; user {} runs this without it: run it as root (sudo {})",
            missing.join(" and "),
            user(&status).unwrap_or("unknown"),
            program(),
        );
    }
    Ok(())
}

/// The needed capabilities that the effective set in `status` lacks; none if there is no such set.
fn missing(status: &str) -> Option<Vec<&'static str>> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    let lacks = |bit: u32| effective & (1 << bit) == 0;
    Some(NEEDED.iter().filter(|(_, bit)| lacks(*bit)).map(|(name, _)| *name).collect())
}

/// The effective user number in `status`: the second of real, effective, saved, file system.
fn user(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)
}

/// The command line to repeat under sudo.
fn program() -> String {
    std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_lacks_nothing() {
        assert_eq!(missing("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(vec![]));
    }

    #[test]
    fn a_user_lacks_both() {
        assert_eq!(missing("CapEff:\t0000000000000000\n"), Some(vec!["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]));
    }

    #[test]
    fn root_of_a_container_may_lack_one() {
        // Docker's default set with --cap-add NET_ADMIN.
        assert_eq!(missing("CapEff:\t00000000a80435fb\n"), Some(vec!["CAP_SYS_ADMIN"]));
        assert_eq!(missing("CapEff:\t00000000a80425fb\n"), Some(vec!["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]));
    }

    #[test]
    fn a_status_without_the_line_is_not_taken_for_root() {
        assert_eq!(missing("Name:\tx\n"), None);
        assert_eq!(missing("CapEff:\tgarbage\n"), None);
    }

    #[test]
    fn the_user_is_the_effective_one() {
        assert_eq!(user("Uid:\t1000\t1001\t1002\t1003\n"), Some("1001"));
    }
}
