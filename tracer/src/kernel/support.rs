//! What this kernel can do.

use std::fs;

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported},
    util::KernelVersion,
};

/// The kernel's release, as `uname -r`.
#[must_use]
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown version".to_owned(), |release| format!("Linux {}", release.trim_end()))
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
