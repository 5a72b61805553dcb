//! Finds or installs what the kernel object's build needs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use ebpf_build::{MINIMUM, Origin, TOOLCHAIN_VARIABLE, Toolchain, Tools, find_program, named};

use crate::{
    apt::{Apt, is_installed},
    process::{cargo, execute, step, succeeds},
};

/// The release of bpf-linker that the project was tested with.
const LINKER_VERSION: &str = "0.13.0";

/// The LLVM releases that it can be built with, the oldest first.
const LINKER_LLVMS: [u32; 3] = [21, 22, 23];

/// Debian's names of a toolchain: its current one for web browsers, and the one of the release.
const DEBIAN_TOOLCHAINS: [[&str; 3]; 2] =
    [["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

/// Returns the tools, after installing those that are missing.
pub(crate) fn run() -> Result<Tools> {
    if let Ok(tools) = Tools::find() {
        return Ok(tools);
    }
    let mut apt = Apt::default();
    if able().is_empty() {
        add_rust_src();
    }
    if able().is_empty() {
        install_toolchain(&mut apt)?;
    }
    if let Ok(tools) = Tools::find() {
        return Ok(tools);
    }
    let llvm = linker_llvm(&mut apt)?;
    install_linker(&mut apt, llvm)?;
    Tools::find().context("the kernel object still cannot be built after the installation")
}

/// The toolchains that can compile the object, in the order of preference.
fn able() -> Vec<Toolchain> {
    Toolchain::find_all().into_iter().filter(|toolchain| toolchain.shortcoming().is_none()).collect()
}

/// The LLVM to build a linker with, for the preferred toolchain that there is one for.
fn linker_llvm(apt: &mut Apt) -> Result<u32> {
    let installed: Vec<_> = LINKER_LLVMS.into_iter().filter(|&llvm| llvm_prefix(llvm).is_some()).collect();
    if let Some(llvm) = oldest_fit(&able(), &installed) {
        return Ok(llvm);
    }
    let mut packaged = Vec::new();
    for llvm in LINKER_LLVMS {
        if apt.candidate(&format!("llvm-{llvm}-dev"))?.is_some() {
            packaged.push(llvm);
        }
    }
    if let Some(llvm) = oldest_fit(&able(), &packaged) {
        return Ok(llvm);
    }
    // A compiler may be newer than every packaged LLVM, but not the compiler that is packaged next to them.
    if !packaged.is_empty() && named().is_none() {
        install_toolchain(apt)?;
    }
    oldest_fit(&able(), &packaged).with_context(|| {
        let needed = able().first().map_or(0, |toolchain| toolchain.llvm);
        format!(
            "bpf-linker for LLVM {needed} is missing, and there is no package llvm-{needed}-dev: install that LLVM, \
             then type `LLVM_PREFIX=FOLDER cargo install bpf-linker --version {LINKER_VERSION} \
             --no-default-features --features llvm-{needed}`"
        )
    })
}

/// The oldest LLVM that reads the bitcode of the first toolchain that any of them reads.
fn oldest_fit(toolchains: &[Toolchain], llvms: &[u32]) -> Option<u32> {
    toolchains.iter().find_map(|toolchain| llvms.iter().copied().find(|&llvm| llvm >= toolchain.llvm))
}

/// Asks rustup for the component that the first toolchain lacks that may have it. It is silent: where rustup cannot
/// fetch it, the distribution's toolchain is next.
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
        // What is named is meant: nothing else is installed in its place.
        bail!(
            "{TOOLCHAIN_VARIABLE} is {name}, which cannot build the kernel object: type \
             `rustup toolchain install {name} --component rust-src`, or unset {TOOLCHAIN_VARIABLE}"
        );
    }
    for packages in DEBIAN_TOOLCHAINS {
        if apt.candidate(packages[0])?.is_some_and(|version| version >= MINIMUM) {
            return apt.install(&packages).context("a Rust toolchain with the sources of `core` is missing");
        }
    }
    bail!(
        "no Rust toolchain has the sources of `core`, and the distribution has none from Rust {MINIMUM} on: \
         type `rustup component add rust-src`"
    );
}

/// Builds bpf-linker with this LLVM.
fn install_linker(apt: &mut Apt, llvm: u32) -> Result<()> {
    let llvm_dev = format!("llvm-{llvm}-dev");
    // llvm-config's libraries, and the C++ library that LLVM is written with.
    let needed = [&llvm_dev, "libzstd-dev", "zlib1g-dev", "libxml2-dev", "g++"];
    let missing: Vec<_> = needed.into_iter().filter(|package| !is_installed(package)).collect();
    if !missing.is_empty() {
        apt.install(&missing).context("what bpf-linker is built with is missing")?;
    }
    let prefix = llvm_prefix(llvm).with_context(|| format!("LLVM {llvm} is not where it is expected"))?;
    step(&format!("building bpf-linker {LINKER_VERSION} with LLVM {llvm}"), || {
        execute(
            cargo("install")
                .args(["bpf-linker", "--version", LINKER_VERSION, "--locked", "--force", "--quiet"])
                .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
                .env("LLVM_PREFIX", prefix),
        )
    })
}

/// Where LLVM's development files are, if they are installed.
fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let prefix = Path::new("/usr/lib").join(format!("llvm-{llvm}"));
    prefix.join("bin/llvm-config").exists().then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(origin: Origin, llvm: u32) -> Toolchain {
        Toolchain {
            origin,
            root: PathBuf::from("/toolchain"),
            version: MINIMUM,
            llvm,
            has_cargo: true,
            has_sources: true,
        }
    }

    #[test]
    fn the_linker_gets_the_oldest_llvm_that_reads_the_compilers_bitcode() {
        let toolchains = [toolchain(Origin::Active, 22)];
        let rows: [(&[u32], _); 4] =
            [(&[21, 22, 23], Some(22)), (&[21, 23], Some(23)), (&[21], None), (&[], None)];
        for (llvms, expected) in rows {
            assert_eq!(oldest_fit(&toolchains, llvms), expected, "{llvms:?}");
        }
    }

    #[test]
    fn a_toolchain_that_no_llvm_fits_gives_way_to_the_next() {
        let toolchains = [toolchain(Origin::Nightly, 24), toolchain(Origin::Distribution, 22)];
        assert_eq!(oldest_fit(&toolchains, &[22, 23]), Some(22));
    }
}
