//! Finds the tools that build tracer's kernel object, and builds it.
//!
//! `tracer/build.rs`, which embeds the object, and `cargo xtask`, which installs missing tools,
//! share this crate so that they use the same tools and build the same object.
//!
//! `aya-build` does not fit for three reasons:
//! - It passes `-Zbuild-std` only if `RUSTC_BOOTSTRAP` is set, which a build script cannot set for
//!   itself without `unsafe`. A plain `cargo build` with a stable compiler would fail.
//! - It runs `rustup run NAME`, which requires that a distribution's compiler is linked into
//!   rustup.
//! - It builds under `OUT_DIR`, so that `core` and the macros are compiled once for each profile,
//!   which takes most of a minute each time.

mod linker;
mod object;
mod program;
mod toolchain;

use anyhow::{Result, anyhow};

pub use self::{
    linker::Linker,
    object::{Object, target_dir},
    program::find_program,
    toolchain::{MINIMUM, Origin, TOOLCHAIN_VARIABLE, Toolchain, Version, named},
};

/// The tools that build the kernel object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The compiler, its cargo and the sources of `core`.
    pub toolchain: Toolchain,
    /// The linker that turns the compiler's bitcode into a BPF object.
    pub linker: Linker,
}

impl Tools {
    /// Finds the tools on this machine. The error names what is missing, in one line.
    pub fn find() -> Result<Self> {
        Self::choose(&Toolchain::find_all(), &Linker::find_all())
    }

    /// Chooses the first toolchain that can compile the object and whose bitcode a linker reads.
    fn choose(toolchains: &[Toolchain], linkers: &[Linker]) -> Result<Self> {
        let suitable: Vec<_> =
            toolchains.iter().filter(|toolchain| toolchain.shortcoming().is_none()).collect();
        let Some(first) = suitable.first() else {
            return Err(match toolchains.iter().find_map(Toolchain::shortcoming) {
                Some(shortcoming) => anyhow!("no Rust toolchain can build the kernel object: {shortcoming}"),
                None => anyhow!("no Rust toolchain was found to build the kernel object"),
            });
        };
        suitable
            .iter()
            .find_map(|&toolchain| {
                let linker = linkers.iter().find(|linker| linker.reads(toolchain.llvm))?;
                Some(Self { toolchain: toolchain.clone(), linker: linker.clone() })
            })
            .ok_or_else(|| match linkers.first() {
                None => anyhow!("bpf-linker is neither on PATH nor in cargo's bin folder"),
                Some(linker) => anyhow!("{linker} cannot read the bitcode of {first}"),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn linker(llvm: Option<u32>) -> Linker {
        Linker { path: PathBuf::from("/bin/bpf-linker"), llvm }
    }

    #[test]
    fn the_first_suitable_toolchain_is_chosen() {
        let without_sources = Toolchain { has_sources: false, ..Toolchain::suitable(Origin::Nightly, 22) };
        let found = [
            without_sources,
            Toolchain::suitable(Origin::Active, 22),
            Toolchain::suitable(Origin::Distribution, 22),
        ];
        let tools = Tools::choose(&found, &[linker(Some(22))]).expect("two toolchains are suitable");
        assert_eq!(tools.toolchain.origin, Origin::Active);
    }

    #[test]
    fn a_toolchain_whose_bitcode_no_linker_reads_is_skipped() {
        let found = [Toolchain::suitable(Origin::Nightly, 23), Toolchain::suitable(Origin::Distribution, 22)];
        let tools = Tools::choose(&found, &[linker(Some(22))]).expect("the second matches");
        assert_eq!(tools.toolchain.origin, Origin::Distribution);
    }

    #[test]
    fn a_linker_that_is_too_old_is_skipped() {
        let found = [Toolchain::suitable(Origin::Active, 22)];
        let tools = Tools::choose(&found, &[linker(Some(21)), linker(Some(22))]).expect("the second matches");
        assert_eq!(tools.linker.llvm, Some(22));
    }

    #[test]
    fn the_error_names_what_is_missing() {
        let without_sources = Toolchain { has_sources: false, ..Toolchain::suitable(Origin::Active, 22) };
        let rows = [
            (Tools::choose(&[], &[]), "no Rust toolchain was found"),
            (Tools::choose(&[without_sources], &[]), "rust-src"),
            (Tools::choose(&[Toolchain::suitable(Origin::Active, 22)], &[]), "bpf-linker is neither"),
            (Tools::choose(&[Toolchain::suitable(Origin::Active, 22)], &[linker(Some(21))]), "LLVM 21"),
        ];
        for (outcome, part) in rows {
            let message = outcome.expect_err("something is missing").to_string();
            assert!(message.contains(part), "{message:?} does not contain {part:?}");
        }
    }
}
