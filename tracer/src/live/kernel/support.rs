//! What this kernel can do.

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

/// What is to be said beforehand of a kernel that is older than [`OLDEST`]; nothing of others.
///
/// # Errors
/// It is, and lacks what there is no tracing without: in words.
pub fn warning() -> Result<Option<String>> {
    if !before(OLDEST.0, OLDEST.1) {
        return Ok(None);
    }
    let features = features();
    let missing = features.iter().filter(|feature| feature.required && feature.there == Some(false));
    too_old(&release(), &missing.map(|feature| feature.name).collect::<Vec<_>>()).map(Some)
}

/// The number alone decides nothing: distributions bring features to kernels that keep their old number.
fn too_old(release: &str, missing: &[&str]) -> Result<String> {
    let (major, minor) = OLDEST;
    let found = format!("{release} is older than {major}.{minor}, the oldest kernel that tracer supports");
    ensure!(missing.is_empty(), "{found}, and has no {}: see `tracer doctor`", missing.join(", no "));
    Ok(format!("{found}: trying all the same, for it has what is needed"))
}

/// Whether the kernel is older than `major.minor`; one that does not tell is taken for new.
#[must_use]
pub fn before(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(major, minor, 0))
}

/// One thing that tracing builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// Whether this kernel has it; none if it does not tell (it asks for the same capabilities as tracing).
    pub there: Option<bool>,
    /// What it is for, and what happens without it.
    pub purpose: &'static str,
    /// Whether there is no tracing without it.
    pub required: bool,
}

/// Asks the kernel for everything that tracing builds on.
#[must_use]
pub fn features() -> Vec<Feature> {
    vec![
        Feature {
            name: "BPF ring buffer (5.8)",
            there: is_map_supported(MapType::RingBuf).ok(),
            purpose: "carries events to userspace",
            required: true,
        },
        Feature {
            name: "bpf_loop (5.17)",
            there: helper(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_loop),
            purpose: "reads message heads of any length",
            required: true,
        },
        Feature {
            name: "bpf_xdp_load_bytes (5.18)",
            there: helper(ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_load_bytes),
            purpose: "reads payload at XDP; without it, TC on ingress",
            required: false,
        },
        Feature {
            name: "TCX (6.6)",
            there: KernelVersion::current().ok().map(|_| !before(6, 6)),
            purpose: "TC by link; without it, clsact filters",
            required: false,
        },
        Feature {
            name: "BTF of the kernel",
            there: Some(fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false)),
            purpose: "not needed: the programs look at packets only",
            required: false,
        },
        Feature {
            name: "BPF JIT compiler",
            there: fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")
                .ok()
                .map(|on| on.trim_end() != "0"),
            purpose: "without it the programs are several times slower",
            required: false,
        },
    ]
}

fn helper(program: ProgramType, helper: BpfHelper) -> Option<bool> {
    is_helper_supported(program, helper).ok()
}

/// The limit for locked memory, in words; it counts before Linux 5.11 only.
#[must_use]
pub fn locked_memory() -> String {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let limit = match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((RLIM_INFINITY, _)) => "unlimited".to_owned(),
        Ok((bytes, _)) => format!("{} KiB", bytes / 1024),
        Err(error) => format!("unknown ({error})"),
    };
    let counts = if before(5, 11) { "counts for maps" } else { "does not count for maps on this kernel" };
    format!("{limit}, {counts}")
}

/// CPUs that the kernel may have memory of maps for.
#[must_use]
pub fn cpus() -> u64 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u64)
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn an_old_kernel_is_tried_if_it_has_what_is_needed_and_refused_in_one_line_if_not() {
        let warning = too_old("Linux 5.14.0-503.el9", &[]).expect("a warning");
        assert!(warning.starts_with("Linux 5.14.0-503.el9 is older than 5.18,"), "{warning}");
        let error =
            too_old("Linux 5.4.0", &["BPF ring buffer (5.8)", "bpf_loop (5.17)"]).expect_err("refused");
        let error = error.to_string();
        assert!(error.contains("has no BPF ring buffer (5.8), no bpf_loop (5.17)"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
