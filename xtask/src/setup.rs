//! Finds or installs what the kernel object's build needs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use ebpf_build::{Linker, MINIMUM, Origin, TOOLCHAIN_VARIABLE, Toolchain, Tools, find_program, named};

use crate::{
    apt::Apt,
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
    let (toolchain, llvm) = toolchain(&mut apt)?;
    if !Linker::find_all().iter().any(|linker| linker.reads(toolchain.llvm)) {
        install_linker(&mut apt, llvm)?;
    }
    Tools::find().context("the kernel object still cannot be built after the installation")
}

/// The preferred toolchain for which a linker can be had, and the LLVM to build that linker with.
fn toolchain(apt: &mut Apt) -> Result<(Toolchain, u32)> {
    if let Some(choice) = choose(apt)? {
        return Ok(choice);
    }
    if add_rust_src()
        && let Some(choice) = choose(apt)?
    {
        return Ok(choice);
    }
    if let Some(name) = named() {
        // What is named is meant: nothing else is installed in its place.
        bail!(
            "{TOOLCHAIN_VARIABLE} is {name}, which cannot build the kernel object: type \
             `rustup toolchain install {name} --component rust-src`, or unset {TOOLCHAIN_VARIABLE}"
        );
    }
    install_toolchain(apt)?;
    choose(apt)?
        .with_context(|| format!("no LLVM of {LINKER_LLVMS:?} can be had that reads what rustc writes"))
}

/// The first toolchain that is able to compile the object, and the LLVM of a linker for it.
fn choose(apt: &mut Apt) -> Result<Option<(Toolchain, u32)>> {
    let found = Toolchain::find_all();
    let able: Vec<_> = found.into_iter().filter(|toolchain| toolchain.shortcoming().is_none()).collect();
    let installed: Vec<_> = LINKER_LLVMS.into_iter().filter(|&llvm| llvm_prefix(llvm).is_some()).collect();
    let choice = pair(&able, &installed);
    if able.is_empty() || choice.is_some() {
        return Ok(choice);
    }
    let mut available = Vec::new();
    for llvm in LINKER_LLVMS {
        if apt.candidate(&format!("llvm-{llvm}-dev"))?.is_some() {
            available.push(llvm);
        }
    }
    Ok(pair(&able, &available))
}

/// The first toolchain that one of the LLVM releases can read, and the oldest of those.
fn pair(toolchains: &[Toolchain], llvms: &[u32]) -> Option<(Toolchain, u32)> {
    toolchains.iter().find_map(|toolchain| {
        let llvm = llvms.iter().copied().find(|&llvm| llvm >= toolchain.llvm)?;
        Some((toolchain.clone(), llvm))
    })
}

/// Asks rustup for the component that a toolchain lacks. It is silent: where rustup cannot fetch it, the
/// distribution's toolchain is next.
fn add_rust_src() -> bool {
    let Some(rustup) = find_program("rustup") else { return false };
    Toolchain::find_all().iter().filter(|toolchain| toolchain.version >= MINIMUM).any(|toolchain| {
        let name = match toolchain.origin {
            Origin::Named => named(),
            Origin::Nightly => Some("nightly".to_owned()),
            Origin::Active => None,
            Origin::Distribution => return false,
        };
        let mut command = Command::new(&rustup);
        command.args(["component", "add", "rust-src"]);
        if let Some(name) = name {
            command.args(["--toolchain", &name]);
        }
        succeeds(&mut command)
    })
}

/// Installs the distribution's toolchain.
fn install_toolchain(apt: &mut Apt) -> Result<()> {
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
    let dev = format!("llvm-{llvm}-dev");
    // llvm-config's libraries, and the C++ library that LLVM is written with.
    let mut packages = vec!["libzstd-dev", "zlib1g-dev", "libxml2-dev"];
    if llvm_prefix(llvm).is_none() {
        packages.insert(0, &dev);
    }
    if find_program("g++").is_none() {
        packages.push("g++");
    }
    if packages.len() > 3 {
        apt.install(&packages).context("what bpf-linker is built with is missing")?;
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
        let llvm = |llvms| pair(&toolchains, llvms).map(|(_, llvm)| llvm);
        assert_eq!(llvm(&[21, 22, 23]), Some(22));
        assert_eq!(llvm(&[21, 23]), Some(23));
        assert_eq!(llvm(&[21]), None);
        assert_eq!(llvm(&[]), None);
    }

    #[test]
    fn a_toolchain_that_no_llvm_fits_gives_way_to_the_next() {
        let toolchains = [toolchain(Origin::Nightly, 24), toolchain(Origin::Distribution, 22)];
        let origin = pair(&toolchains, &[22, 23]).map(|(toolchain, _)| toolchain.origin);
        assert_eq!(origin, Some(Origin::Distribution));
    }
}
