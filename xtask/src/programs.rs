//! The programs that tests and benchmarks run, and the Debian packages that have them.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use ebpf_build::{Origin, Toolchain, find_program};

use crate::{apt::Apt, process::succeeds};

/// A command that runs programs of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsedBy {
    /// `cargo xtask fuzz`, which `cargo xtask test` includes.
    Fuzz,
    /// The tests that need root.
    RootTests,
    /// `cargo xtask bench`.
    Bench,
    /// `cargo xtask test-kernels`.
    Kernels,
}

use UsedBy::{Bench, Fuzz, Kernels, RootTests};

/// Each program, its Debian package, and the commands that run it.
const PROGRAMS: [(&str, &str, &[UsedBy]); 14] = [
    ("c++", "g++", &[Fuzz]),
    ("curl", "curl", &[RootTests]),
    ("ethtool", "ethtool", &[RootTests]),
    ("faketime", "faketime", &[RootTests]),
    ("hping3", "hping3", &[RootTests]),
    ("ip", "iproute2", &[RootTests, Bench]),
    ("nginx", "nginx-light", &[RootTests, Bench]),
    ("qemu-system-x86_64", "qemu-system-x86", &[Kernels]),
    ("strip", "binutils", &[Kernels]),
    ("tc", "iproute2", &[Kernels]),
    ("tcpdump", "tcpdump", &[RootTests, Bench]),
    ("tshark", "tshark", &[Bench]),
    ("wrk", "wrk", &[RootTests, Bench]),
    ("xz", "xz-utils", &[Kernels]),
];

/// Installs the programs that are missing.
pub(crate) fn install(apt: &mut Apt, by: &[UsedBy]) -> Result<()> {
    let packages: Vec<_> = missing(by).map(|(_, package)| package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    apt.install(&packages)?;
    if packages.contains(&"nginx-light") {
        stop_nginx();
    }
    Ok(())
}

/// Fails if a program is missing, with the command that installs it.
pub(crate) fn require(by: &[UsedBy]) -> Result<()> {
    let names: Vec<_> = missing(by).map(|(name, _)| name).collect();
    if !names.is_empty() {
        bail!("missing programs: {} (type `cargo xtask setup --tests` to install them)", names.join(", "));
    }
    Ok(())
}

/// The names and packages of the programs that these commands run and that are not installed.
fn missing(by: &[UsedBy]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let used = PROGRAMS.iter().filter(|(.., users)| users.iter().any(|user| by.contains(user)));
    used.map(|&(name, package, _)| (name, package)).filter(|(name, _)| find_program(name).is_none())
}

/// Installs clippy for the distribution's toolchain, if it has a package of the same version.
pub(crate) fn install_clippy(apt: &mut Apt, toolchain: &Toolchain) -> Result<()> {
    if toolchain.origin != Origin::Distribution || toolchain.cargo_clippy().is_file() {
        return Ok(());
    }
    // Debian names the release's packages and the newer ones for web browsers differently.
    for package in ["rust-web-clippy", "rust-clippy"] {
        if apt.candidate(package)? == Some(toolchain.version) {
            return apt.install(&[package]);
        }
    }
    Ok(())
}

/// Stops the web server that Debian's package starts and enables: the tests start their own.
fn stop_nginx() {
    let systemd = Path::new("/run/systemd/system").is_dir();
    if systemd {
        succeeds(Command::new("systemctl").args(["disable", "--now", "nginx"]));
    } else {
        succeeds(Command::new("service").args(["nginx", "stop"]));
        succeeds(Command::new("update-rc.d").args(["nginx", "disable"]));
    }
}
