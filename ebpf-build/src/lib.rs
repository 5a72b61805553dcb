//! Finds what can build tracer's kernel object, and builds it.
//!
//! Used by `tracer/build.rs`, which embeds the object, and by `cargo xtask`, which installs what is missing, so
//! that both mean the same tools and the same object.
//!
//! This is done here and not by `aya-build` for three reasons. `aya-build` asks for `-Zbuild-std` only if
//! `RUSTC_BOOTSTRAP` is in its environment, which a build script cannot set for itself without `unsafe`, so that
//! a plain `cargo build` with a stable compiler would not work. It runs `rustup run NAME`, for which a
//! distribution's compiler has to be linked into rustup. And it builds under `OUT_DIR`, which compiles `core` and
//! the macros once for every profile: most of a minute each time.

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

/// What a build of the kernel object runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The compiler, its cargo and the sources of `core`.
    pub toolchain: Toolchain,
    /// The linker that turns the compiler's bitcode into a BPF object.
    pub linker: Linker,
}

impl Tools {
    /// Finds the tools on this machine; the error says in one line what is missing.
    pub fn find() -> Result<Self> {
        Self::choose(&Toolchain::find_all(), &Linker::find_all())
    }

    /// Chooses the first toolchain that is able to compile the object and has a linker that reads its bitcode.
    fn choose(toolchains: &[Toolchain], linkers: &[Linker]) -> Result<Self> {
        let able: Vec<_> = toolchains.iter().filter(|toolchain| toolchain.shortcoming().is_none()).collect();
        let Some(first) = able.first() else {
            return Err(match toolchains.iter().find_map(Toolchain::shortcoming) {
                Some(shortcoming) => anyhow!("no Rust toolchain can build the kernel object: {shortcoming}"),
                None => anyhow!("no Rust toolchain can build the kernel object: none was found"),
            });
        };
        able.iter()
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

    fn linker(llvm: Option<u32>) -> Linker {
        Linker { path: PathBuf::from("/bin/bpf-linker"), llvm }
    }

    #[test]
    fn the_first_able_toolchain_is_chosen() {
        let bare = Toolchain { has_sources: false, ..toolchain(Origin::Nightly, 22) };
        let found = [bare, toolchain(Origin::Active, 22), toolchain(Origin::Distribution, 22)];
        let tools = Tools::choose(&found, &[linker(Some(22))]).expect("two toolchains are able");
        assert_eq!(tools.toolchain.origin, Origin::Active);
    }

    #[test]
    fn a_toolchain_whose_bitcode_no_linker_reads_is_passed_over() {
        let found = [toolchain(Origin::Nightly, 23), toolchain(Origin::Distribution, 22)];
        let tools = Tools::choose(&found, &[linker(Some(22))]).expect("the second fits");
        assert_eq!(tools.toolchain.origin, Origin::Distribution);
    }

    #[test]
    fn a_linker_that_is_too_old_does_not_hide_one_that_fits() {
        let found = [toolchain(Origin::Active, 22)];
        let tools = Tools::choose(&found, &[linker(Some(21)), linker(Some(22))]).expect("the second fits");
        assert_eq!(tools.linker.llvm, Some(22));
    }

    #[test]
    fn the_error_names_what_is_missing() {
        let bare = Toolchain { has_sources: false, ..toolchain(Origin::Active, 22) };
        let rows = [
            (Tools::choose(&[], &[]), "none was found"),
            (Tools::choose(&[bare], &[]), "rust-src"),
            (Tools::choose(&[toolchain(Origin::Active, 22)], &[]), "bpf-linker is neither"),
            (Tools::choose(&[toolchain(Origin::Active, 22)], &[linker(Some(21))]), "LLVM 21"),
        ];
        for (outcome, part) in rows {
            let message = outcome.expect_err("something is missing").to_string();
            assert!(message.contains(part), "{message:?} does not contain {part:?}");
        }
    }
}
