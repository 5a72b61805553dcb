//! The programs that the tests and the benches run tracer against.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use ebpf_build::{Origin, Toolchain, find_program};

use crate::{apt::Apt, process::succeeds};

/// Each program and its Debian package.
const PROGRAMS: [(&str, &str); 8] = [
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
    ("curl", "curl"),
    ("tcpdump", "tcpdump"),
    ("ethtool", "ethtool"),
    ("hping3", "hping3"),
    ("ip", "iproute2"),
    ("faketime", "faketime"),
];

/// What the benches compare with as well.
const TSHARK: (&str, &str) = ("tshark", "tshark");

/// What starts guests, and what goes into them.
const GUESTS: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("strip", "binutils"),
    ("tc", "iproute2"),
    ("xz", "xz-utils"),
];

/// Installs the programs that are missing.
pub(crate) fn install() -> Result<()> {
    install_missing(&PROGRAMS).context("the tests need programs that are missing")
}

/// The same for the benches.
pub(crate) fn install_for_bench() -> Result<()> {
    install_missing(&[&PROGRAMS[..], &[TSHARK]].concat())
        .context("the benches need programs that are missing")
}

/// And for the guests of `test-kernels`.
pub(crate) fn install_for_kernels() -> Result<()> {
    install_missing(&GUESTS).context("guests need programs that are missing")
}

fn install_missing(programs: &[(&str, &str)]) -> Result<()> {
    let missing = programs.iter().filter(|(program, _)| find_program(program).is_none());
    let packages: Vec<_> = missing.map(|&(_, package)| package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    Apt::default().install(&packages)?;
    if packages.contains(&"nginx-light") {
        stop_nginx();
    }
    Ok(())
}

/// Installs clippy for a compiler that Debian packages: the release's packages and the current ones for web browsers
/// are named apart, and only those of the compiler's own version fit it.
pub(crate) fn install_clippy(toolchain: &Toolchain) -> Result<()> {
    if toolchain.origin != Origin::Distribution || toolchain.cargo_clippy().is_file() {
        return Ok(());
    }
    let mut apt = Apt::default();
    for package in ["rust-web-clippy", "rust-clippy"] {
        if apt.candidate(package)? == Some(toolchain.version) {
            return apt.install(&[package]);
        }
    }
    Ok(())
}

/// Stops the web server that its package starts at once and at every boot: the tests start their own, and nobody
/// asked for one on port 80. Where the package started nothing, neither command has anything to do.
fn stop_nginx() {
    let systemd = Path::new("/run/systemd/system").is_dir();
    if systemd {
        succeeds(Command::new("systemctl").args(["disable", "--now", "nginx"]));
    } else {
        succeeds(Command::new("service").args(["nginx", "stop"]));
        succeeds(Command::new("update-rc.d").args(["nginx", "disable"]));
    }
}
