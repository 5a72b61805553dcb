//! The capabilities that stay, and why.

use std::fmt;

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet, runtime};

use crate::live::privilege::{Capabilities, names};

/// Capabilities to keep, each lot with what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept(Vec<(Vec<Capability>, &'static str)>);

impl Kept {
    /// Keeps those of `wanted` that are in force, or what stands for them.
    pub(super) fn add(&mut self, wanted: &[Capability], purpose: &'static str) -> Result<()> {
        let current = Capabilities::current()?;
        self.extend(wanted.iter().filter_map(|capability| current.standing_for(*capability)), purpose);
        Ok(())
    }

    /// Keeps `wanted` if it is permitted, in force or not.
    pub(super) fn add_permitted(&mut self, wanted: Capability, purpose: &'static str) -> Result<()> {
        let permitted = caps::has_cap(None, CapSet::Permitted, wanted).context("cannot read capabilities")?;
        self.extend(permitted.then_some(wanted), purpose);
        Ok(())
    }

    fn extend(&mut self, more: impl IntoIterator<Item = Capability>, purpose: &'static str) {
        let mut lot = Vec::new();
        for capability in more {
            if !self.all().contains(&capability) && !lot.contains(&capability) {
                lot.push(capability);
            }
        }
        if !lot.is_empty() {
            self.0.push((lot, purpose));
        }
    }

    fn all(&self) -> CapsHashSet {
        self.0.iter().flat_map(|(lot, _)| lot).copied().collect()
    }

    /// Gives up all the others, for good.
    pub(super) fn enforce(&self) -> Result<()> {
        let all = self.all();
        let set = |kind, wanted: &CapsHashSet| caps::set(None, kind, wanted);
        // None that is not permitted may be effective, hence the order; ambient ones go with the inheritable.
        set(CapSet::Effective, &all)
            .and_then(|()| set(CapSet::Permitted, &all))
            .and_then(|()| set(CapSet::Inheritable, &CapsHashSet::new()))
            .context("cannot give up capabilities")
    }
}

/// As in "with CAP_BPF (to read maps on this kernel)".
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("without capabilities");
        }
        let lots = self.0.iter().map(|(lot, purpose)| format!("{} ({purpose})", names(lot)));
        write!(f, "with {}", lots.collect::<Vec<_>>().join(", "))
    }
}

/// Empties the bounding set, where that is allowed: it matters only to programs that are started, and none can be.
pub(super) fn clear_bounding() -> Result<()> {
    let may = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .context("cannot read the capabilities of this thread")?;
    let known = if may { runtime::thread_all_supported() } else { CapsHashSet::new() };
    known
        .into_iter()
        .try_for_each(|capability| caps::drop(None, CapSet::Bounding, capability))
        .context("cannot empty the bounding set of capabilities")
}

/// Puts all capabilities out of force, so that the kernel can be asked what is possible without.
pub(super) fn suspend() -> Result<()> {
    caps::clear(None, CapSet::Effective).context("cannot suspend capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_is_kept_once_with_its_reason() {
        let mut kept = Kept::default();
        assert_eq!(kept.to_string(), "without capabilities");
        kept.extend([Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_BPF], "for this");
        kept.extend([Capability::CAP_BPF], "for that");
        kept.extend([Capability::CAP_DAC_OVERRIDE], "for the file");
        assert_eq!(
            kept.to_string(),
            "with CAP_BPF, CAP_NET_ADMIN (for this), CAP_DAC_OVERRIDE (for the file)"
        );
        assert_eq!(kept.all().len(), 3);
    }
}
