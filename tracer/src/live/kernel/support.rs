//! Detects what this kernel supports.

use std::fs;

use anyhow::{Result, ensure};
use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported},
    util::KernelVersion,
};

/// The oldest kernel that tracer supports, major and minor: the first with `bpf_xdp_load_bytes`.
pub const OLDEST: (u8, u8) = (5, 18);

/// The kernel's release, as `uname -r`.
#[must_use]
pub fn release() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "Linux of unknown version".to_owned(),
        |names| format!("Linux {}", names.release().display()),
    )
}

/// A warning if the kernel is older than [`OLDEST`] but has all required features.
///
/// # Errors
/// The kernel is older and lacks a required feature: which one, for the user.
pub fn warning() -> Result<Option<String>> {
    if !before(OLDEST.0, OLDEST.1) {
        return Ok(None);
    }
    let features = features();
    let missing = features.iter().filter(|feature| feature.required && feature.available == Some(false));
    too_old(&release(), &missing.map(|feature| feature.name).collect::<Vec<_>>()).map(Some)
}

/// The version alone does not decide: distributions backport features.
fn too_old(release: &str, missing: &[&str]) -> Result<String> {
    let (major, minor) = OLDEST;
    let found = format!("{release} is older than {major}.{minor}, the oldest kernel that tracer supports");
    ensure!(missing.is_empty(), "{found}, and has no {}: see `tracer doctor`", missing.join(", no "));
    Ok(format!("{found}; continuing: all required features are present"))
}

/// Whether the kernel is older than `major.minor`; false if its version is unknown.
#[must_use]
pub fn before(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(major, minor, 0))
}

/// The name of the feature that compiles programs.
pub const JIT: &str = "BPF JIT compiler";

/// A feature of the kernel that tracer uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name, with the version that introduced it.
    pub name: &'static str,
    /// Whether this kernel has it; none if unknown (probing needs the same capabilities as
    /// tracing).
    pub available: Option<bool>,
    /// What tracer uses it for, and what happens without it.
    pub purpose: &'static str,
    /// Whether tracing needs it.
    pub required: bool,
}

/// Probes every feature that tracer uses.
#[must_use]
pub fn features() -> Vec<Feature> {
    vec![
        Feature {
            name: "BPF ring buffer (5.8)",
            available: is_map_supported(MapType::RingBuf).ok(),
            purpose: "carries events to userspace",
            required: true,
        },
        Feature {
            name: "bpf_loop (5.17)",
            available: helper(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_loop),
            purpose: "reads message heads of any length",
            required: true,
        },
        Feature {
            name: "bpf_xdp_load_bytes (5.18)",
            available: helper(ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_load_bytes),
            purpose: "reads payload at XDP; without it, TC on ingress",
            required: false,
        },
        Feature {
            name: "TCX (6.6)",
            available: KernelVersion::current().ok().map(|_| !before(6, 6)),
            purpose: "attaches TC by BPF links; without it, clsact filters",
            required: false,
        },
        Feature {
            name: "BTF of the kernel",
            available: Some(fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false)),
            purpose: "not needed: the programs read packets only",
            required: false,
        },
        Feature {
            name: JIT,
            // The setting exists in the first network namespace only.
            available: fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")
                .ok()
                .map(|on| on.trim_end() != "0"),
            purpose: "without it, the programs are several times slower",
            required: false,
        },
    ]
}

fn helper(program: ProgramType, helper: BpfHelper) -> Option<bool> {
    is_helper_supported(program, helper).ok()
}

/// Describes the limit on locked memory, which applies to maps before Linux 5.11 only.
#[must_use]
pub fn locked_memory() -> String {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let limit = match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((RLIM_INFINITY, _)) => "unlimited".to_owned(),
        Ok((bytes, _)) => format!("{} KiB", bytes / 1024),
        Err(error) => format!("unknown ({error})"),
    };
    let applies = if before(5, 11) { "applies to maps" } else { "does not apply to maps on this kernel" };
    format!("{limit}, {applies}")
}

/// The number of possible CPUs, for which the kernel allocates per-CPU maps.
#[must_use]
pub fn cpus() -> u64 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u64)
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn an_old_kernel_is_accepted_with_all_features_and_refused_in_one_line_without() {
        let warning = too_old("Linux 5.14.0-503.el9", &[]).expect("a warning");
        assert!(warning.starts_with("Linux 5.14.0-503.el9 is older than 5.18,"), "{warning}");
        let error =
            too_old("Linux 5.4.0", &["BPF ring buffer (5.8)", "bpf_loop (5.17)"]).expect_err("refused");
        let error = error.to_string();
        assert!(error.contains("has no BPF ring buffer (5.8), no bpf_loop (5.17)"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
