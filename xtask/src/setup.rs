//! Installs what building and testing need.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use ebpf_build::{MINIMUM, Origin, TOOLCHAIN_VARIABLE, Toolchain, Tools, find_program, named};

use crate::{
    apt::{Apt, is_installed},
    process::{cargo, execute, step, succeeds},
    programs::{self, UsedBy},
};

/// The release of bpf-linker that tracer is tested with.
const LINKER_VERSION: &str = "0.13.0";

/// The LLVM releases that this bpf-linker can be built with, oldest first.
const LINKER_LLVMS: [u32; 3] = [21, 22, 23];

/// The packages of Debian's Rust toolchains: the newer one for web browsers, then the release's
/// own.
const DEBIAN_TOOLCHAINS: [[&str; 3]; 2] =
    [["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

/// What to install.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also install the programs that `cargo xtask test` runs
    #[arg(long)]
    tests: bool,
}

/// Installs what is missing.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tools = tools()?;
    if options.tests {
        let mut apt = Apt::default();
        programs::install(&mut apt, &[UsedBy::RootTests, UsedBy::Fuzz])?;
        programs::install_clippy(&mut apt, &tools.toolchain)?;
    }
    Ok(())
}

/// Returns the tools that build the kernel object, and installs them if they are missing.
pub(crate) fn tools() -> Result<Tools> {
    if let Ok(tools) = Tools::find() {
        return Ok(tools);
    }
    let mut apt = Apt::default();
    if suitable().is_empty() {
        add_rust_src();
    }
    if suitable().is_empty() {
        install_toolchain(&mut apt)?;
    }
    if let Ok(tools) = Tools::find() {
        return Ok(tools);
    }
    let llvm = linker_llvm(&mut apt)?;
    install_linker(&mut apt, llvm)?;
    Tools::find().context("the kernel object cannot be built even after the installation")
}

/// The toolchains that can compile the object, preferred first.
fn suitable() -> Vec<Toolchain> {
    Toolchain::find_all().into_iter().filter(|toolchain| toolchain.shortcoming().is_none()).collect()
}

/// The LLVM to build bpf-linker with: one that is installed or packaged and reads the bitcode of
/// the most preferred toolchain possible.
fn linker_llvm(apt: &mut Apt) -> Result<u32> {
    let installed: Vec<_> = LINKER_LLVMS.into_iter().filter(|&llvm| llvm_prefix(llvm).is_some()).collect();
    if let Some(llvm) = oldest_fit(&compiler_llvms(), &installed) {
        return Ok(llvm);
    }
    let mut packaged = Vec::new();
    for llvm in LINKER_LLVMS {
        if apt.candidate(&format!("llvm-{llvm}-dev"))?.is_some() {
            packaged.push(llvm);
        }
    }
    if let Some(llvm) = oldest_fit(&compiler_llvms(), &packaged) {
        return Ok(llvm);
    }
    // A compiler may be newer than every packaged LLVM; the packaged compiler is not.
    if !packaged.is_empty() && named().is_none() {
        install_toolchain(apt)?;
    }
    oldest_fit(&compiler_llvms(), &packaged).with_context(|| {
        let needed = compiler_llvms().first().copied().unwrap_or(0);
        format!(
            "bpf-linker for LLVM {needed} is missing, and there is no package llvm-{needed}-dev: install that LLVM, \
             then type `LLVM_PREFIX=FOLDER cargo install bpf-linker --version {LINKER_VERSION} \
             --no-default-features --features llvm-{needed}`"
        )
    })
}

/// The LLVM releases of the toolchains that can compile the object, preferred first.
fn compiler_llvms() -> Vec<u32> {
    suitable().iter().map(|toolchain| toolchain.llvm).collect()
}

/// The oldest of `llvms` that reads the bitcode of the first compiler whose bitcode any of them
/// reads. Both are LLVM releases; `llvms` is sorted.
fn oldest_fit(compilers: &[u32], llvms: &[u32]) -> Option<u32> {
    compilers.iter().find_map(|compiler| llvms.iter().copied().find(|llvm| llvm >= compiler))
}

/// Adds rustup's component rust-src to the first toolchain that accepts it. Failures are silent:
/// the distribution's toolchain is tried next.
fn add_rust_src() {
    let Some(rustup) = find_program("rustup") else { return };
    let found = Toolchain::find_all();
    found.iter().filter(|toolchain| toolchain.version >= MINIMUM).any(|toolchain| {
        let mut command = Command::new(&rustup);
        command.args(["component", "add", "rust-src"]);
        match toolchain.origin {
            Origin::Named => command.arg("--toolchain").args(named()),
            Origin::Nightly => command.args(["--toolchain", "nightly"]),
            Origin::Active => &mut command,
            Origin::Distribution => return false,
        };
        succeeds(&mut command)
    });
}

/// Installs the distribution's toolchain.
fn install_toolchain(apt: &mut Apt) -> Result<()> {
    if let Some(name) = named() {
        // The user has chosen a toolchain, so no other is installed instead.
        bail!(
            "{TOOLCHAIN_VARIABLE} is {name}, which cannot build the kernel object: type \
             `rustup toolchain install {name} --component rust-src`, or unset {TOOLCHAIN_VARIABLE}"
        );
    }
    for packages in DEBIAN_TOOLCHAINS {
        if apt.candidate(packages[0])?.is_some_and(|version| version >= MINIMUM) {
            return apt.install(&packages).context("no Rust toolchain has the sources of `core`");
        }
    }
    bail!(
        "no Rust toolchain has the sources of `core`, and the distribution packages none of Rust {MINIMUM} or later: \
         type `rustup component add rust-src`"
    );
}

/// Builds bpf-linker with this LLVM release.
fn install_linker(apt: &mut Apt, llvm: u32) -> Result<()> {
    let llvm_dev = format!("llvm-{llvm}-dev");
    // The libraries that llvm-config names, and the C++ standard library that LLVM needs.
    let needed = [&llvm_dev, "libzstd-dev", "zlib1g-dev", "libxml2-dev", "g++"];
    let missing: Vec<_> = needed.into_iter().filter(|package| !is_installed(package)).collect();
    if !missing.is_empty() {
        apt.install(&missing).context("packages that bpf-linker is built with are missing")?;
    }
    let prefix = llvm_prefix(llvm).with_context(|| format!("LLVM {llvm} is not in /usr/lib/llvm-{llvm}"))?;
    step(&format!("building bpf-linker {LINKER_VERSION} with LLVM {llvm}"), || {
        execute(
            cargo("install")
                .args(["bpf-linker", "--version", LINKER_VERSION, "--locked", "--force", "--quiet"])
                .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
                .env("LLVM_PREFIX", prefix),
        )
    })
}

/// The folder of LLVM's development files, if they are installed.
fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let prefix = Path::new("/usr/lib").join(format!("llvm-{llvm}"));
    prefix.join("bin/llvm-config").exists().then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_gets_the_oldest_llvm_that_reads_the_bitcode_of_the_compiler() {
        let rows: [(&[u32], _); 4] =
            [(&[21, 22, 23], Some(22)), (&[21, 23], Some(23)), (&[21], None), (&[], None)];
        for (llvms, expected) in rows {
            assert_eq!(oldest_fit(&[22], llvms), expected, "{llvms:?}");
        }
    }

    #[test]
    fn a_compiler_that_is_newer_than_every_llvm_is_skipped() {
        assert_eq!(oldest_fit(&[24, 22], &[22, 23]), Some(22));
    }
}
