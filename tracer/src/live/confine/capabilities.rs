//! The capabilities that are kept, and why.

use std::fmt;

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet, runtime};

use crate::live::privilege::{Capabilities, names};

/// Capabilities to keep, each group with its purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RetainedCaps(Vec<(Vec<Capability>, &'static str)>);

impl RetainedCaps {
    /// Keeps those of `wanted` that are effective, or the capability that implies them.
    pub(super) fn add(&mut self, wanted: &[Capability], purpose: &'static str) -> Result<()> {
        let current = Capabilities::current()?;
        self.extend(wanted.iter().filter_map(|capability| current.granting(*capability)), purpose);
        Ok(())
    }

    /// Keeps `wanted` if it is permitted, effective or not.
    pub(super) fn add_permitted(&mut self, wanted: Capability, purpose: &'static str) -> Result<()> {
        let permitted = caps::has_cap(None, CapSet::Permitted, wanted).context("cannot read capabilities")?;
        self.extend(permitted.then_some(wanted), purpose);
        Ok(())
    }

    fn extend(&mut self, more: impl IntoIterator<Item = Capability>, purpose: &'static str) {
        let mut group = Vec::new();
        for capability in more {
            if !self.all().contains(&capability) && !group.contains(&capability) {
                group.push(capability);
            }
        }
        if !group.is_empty() {
            self.0.push((group, purpose));
        }
    }

    fn all(&self) -> CapsHashSet {
        self.0.iter().flat_map(|(group, _)| group).copied().collect()
    }

    /// Drops all other capabilities for good.
    pub(super) fn enforce(&self) -> Result<()> {
        let all = self.all();
        let set = |kind, wanted: &CapsHashSet| caps::set(None, kind, wanted);
        // Effective before permitted, because it must be a subset. Clearing the inheritable set
        // clears the ambient set too.
        set(CapSet::Effective, &all)
            .and_then(|()| set(CapSet::Permitted, &all))
            .and_then(|()| set(CapSet::Inheritable, &CapsHashSet::new()))
            .context("cannot drop capabilities")
    }
}

/// As in "with CAP_BPF (to read maps on this kernel)".
impl fmt::Display for RetainedCaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("without capabilities");
        }
        let groups = self.0.iter().map(|(group, purpose)| format!("{} ({purpose})", names(group)));
        write!(f, "with {}", groups.collect::<Vec<_>>().join(", "))
    }
}

/// Empties the bounding set if that is permitted. If not, nothing is lost: the set matters only for
/// exec, which seccomp forbids.
pub(super) fn clear_bounding() -> Result<()> {
    let may = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .context("cannot read the capabilities of this thread")?;
    let known = if may { runtime::thread_all_supported() } else { CapsHashSet::new() };
    known
        .into_iter()
        .try_for_each(|capability| caps::drop(None, CapSet::Bounding, capability))
        .context("cannot empty the bounding set of capabilities")
}

/// Clears the effective capabilities, so that access checks show what works without them.
pub(super) fn suspend() -> Result<()> {
    caps::clear(None, CapSet::Effective).context("cannot suspend capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_is_kept_once_with_its_purpose() {
        let mut retained = RetainedCaps::default();
        assert_eq!(retained.to_string(), "without capabilities");
        retained.extend([Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_BPF], "for this");
        retained.extend([Capability::CAP_BPF], "for that");
        retained.extend([Capability::CAP_DAC_OVERRIDE], "for the file");
        assert_eq!(
            retained.to_string(),
            "with CAP_BPF, CAP_NET_ADMIN (for this), CAP_DAC_OVERRIDE (for the file)"
        );
        assert_eq!(retained.all().len(), 3);
    }
}
