//! Finds Rust toolchains that can build the kernel object.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use crate::program::{find_program, output};

/// The environment variable that selects a rustup toolchain.
pub const TOOLCHAIN_VARIABLE: &str = "TRACER_EBPF_TOOLCHAIN";

/// The sysroot of the distribution's toolchain.
const DISTRIBUTION_ROOT: &str = "/usr";

/// A Rust release, without its patch level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

/// The oldest release that can compile this workspace.
pub const MINIMUM: Version = match Version::parse(env!("CARGO_PKG_RUST_VERSION")) {
    Some(version) => version,
    None => panic!("rust-version in Cargo.toml starts with MAJOR.MINOR"),
};

impl Version {
    /// Parses `MAJOR.MINOR` and ignores the rest.
    pub const fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let Some((major, dot)) = number(bytes, 0) else { return None };
        if dot >= bytes.len() || bytes[dot] != b'.' {
            return None;
        }
        let Some((minor, _)) = number(bytes, dot + 1) else { return None };
        Some(Self { major, minor })
    }
}

/// Parses the decimal number that starts at `start`; returns it and its end.
///
/// A loop, because the standard library has no `const` parser for part of a string.
const fn number(bytes: &[u8], start: usize) -> Option<(u32, usize)> {
    let (mut value, mut end) = (0_u32, start);
    while end < bytes.len() && bytes[end].is_ascii_digit() {
        value = value.saturating_mul(10).saturating_add((bytes[end] - b'0') as u32);
        end += 1;
    }
    if end == start { None } else { Some((value, end)) }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How a toolchain was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Selected by `TRACER_EBPF_TOOLCHAIN`, which excludes all others.
    Named,
    /// rustup's toolchain `nightly`.
    Nightly,
    /// The toolchain of `rustc` in the current folder.
    Active,
    /// The distribution's toolchain.
    Distribution,
}

/// A Rust toolchain on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// How it was found.
    pub origin: Origin,
    /// Its sysroot: the folder with `bin` and `lib/rustlib`.
    pub root: PathBuf,
    /// The release of the compiler.
    pub version: Version,
    /// The major version of the compiler's LLVM, which writes the bitcode.
    pub llvm: u32,
    /// Whether it includes cargo.
    pub has_cargo: bool,
    /// Whether it includes the sources of `core`, which is compiled for the object (rustup's
    /// component `rust-src`).
    pub has_sources: bool,
}

impl Toolchain {
    /// Finds the toolchains on this machine, preferred first.
    pub fn find_all() -> Vec<Self> {
        if let Some(name) = named() {
            return rustup_root(&name)
                .and_then(|root| Self::inspect(Origin::Named, root))
                .into_iter()
                .collect();
        }
        let candidates = [
            (Origin::Nightly, rustup_root("nightly")),
            (Origin::Active, active_root()),
            (Origin::Distribution, Some(PathBuf::from(DISTRIBUTION_ROOT))),
        ];
        let mut found: Vec<Self> = Vec::new();
        for (origin, root) in candidates {
            let Some(root) = root else { continue };
            if found.iter().all(|toolchain| toolchain.root != root) {
                found.extend(Self::inspect(origin, root));
            }
        }
        found
    }

    /// Why this toolchain cannot compile the object; none if it can.
    pub fn shortcoming(&self) -> Option<String> {
        if self.version < MINIMUM {
            Some(format!("{self} is older than Rust {MINIMUM}"))
        } else if !self.has_cargo {
            Some(format!("{self} has no cargo"))
        } else if !self.has_sources {
            Some(format!("{self} has no rust-src"))
        } else {
            None
        }
    }

    /// The path of its rustc.
    pub fn rustc(&self) -> PathBuf {
        self.program("rustc")
    }

    /// The path of its cargo.
    pub fn cargo(&self) -> PathBuf {
        self.program("cargo")
    }

    /// The path of its cargo-clippy, which may not be installed.
    pub fn cargo_clippy(&self) -> PathBuf {
        self.program("cargo-clippy")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// Inspects the toolchain at `root`; none if there is none.
    fn inspect(origin: Origin, root: PathBuf) -> Option<Self> {
        let (version, llvm) = parse_verbose_version(&output(&root.join("bin/rustc"), &["-vV"])?)?;
        Some(Self {
            origin,
            version,
            llvm,
            has_cargo: root.join("bin/cargo").is_file(),
            has_sources: root.join("lib/rustlib/src/rust/library/core").is_dir(),
            root,
        })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rust {} (LLVM {}) in {}", self.version, self.llvm, self.root.display())
    }
}

/// The rustup toolchain that the user selected.
pub fn named() -> Option<String> {
    env::var(TOOLCHAIN_VARIABLE).ok().filter(|name| !name.is_empty())
}

/// The sysroot of a rustup toolchain, if it is installed.
fn rustup_root(name: &str) -> Option<PathBuf> {
    let rustc = output(&find_program("rustup")?, &["which", "--toolchain", name, "rustc"])?;
    Some(Path::new(&rustc).parent()?.parent()?.to_owned())
}

/// The sysroot of the compiler that cargo runs in the current folder.
fn active_root() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output(Path::new(&rustc), &["--print", "sysroot"]).map(PathBuf::from)
}

/// Parses the release and the major version of LLVM in the output of `rustc -vV`.
fn parse_verbose_version(text: &str) -> Option<(Version, u32)> {
    let value = |key| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let llvm = Version::parse(value("LLVM version:")?)?;
    Some((Version::parse(value("release:")?)?, llvm.major))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Toolchain {
        /// A toolchain that can compile the object.
        pub(crate) fn suitable(origin: Origin, llvm: u32) -> Self {
            let root = PathBuf::from("/toolchain");
            Self { origin, root, version: MINIMUM, llvm, has_cargo: true, has_sources: true }
        }
    }

    #[test]
    fn a_version_is_parsed_up_to_its_minor_number() {
        let rows = [
            ("1.95", Some((1, 95))),
            ("1.97.0-nightly", Some((1, 97))),
            ("1.96.0+dfsg1-1~deb12u2", Some((1, 96))),
            ("22.1.8", Some((22, 1))),
            ("1", None),
            ("1.", None),
            (".5", None),
            ("(none)", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                Version::parse(text).map(|version| (version.major, version.minor)),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(Version::parse("1.100") > Version::parse("1.99"));
        assert!(Version::parse("2.0") > Version::parse("1.100"));
    }

    #[test]
    fn release_and_llvm_are_parsed_from_a_verbose_version() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
                    host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(parse_verbose_version(text), Some((Version { major: 1, minor: 96 }, 22)));
    }

    #[test]
    fn a_compiler_without_llvm_is_ignored() {
        assert_eq!(parse_verbose_version("release: 1.96.0\nCranelift version: 0.1\n"), None);
    }

    #[test]
    fn the_first_shortcoming_is_reported() {
        let suitable = Toolchain::suitable(Origin::Active, 22);
        assert_eq!(suitable.shortcoming(), None);
        let old = Version { major: 1, minor: 63 };
        let rows = [
            (Toolchain { version: old, has_sources: false, ..suitable.clone() }, "is older than"),
            (Toolchain { has_cargo: false, ..suitable.clone() }, "has no cargo"),
            (Toolchain { has_sources: false, ..suitable }, "has no rust-src"),
        ];
        for (toolchain, part) in rows {
            let shortcoming = toolchain.shortcoming().expect("a shortcoming");
            assert!(shortcoming.contains(part), "{shortcoming:?} does not contain {part:?}");
        }
    }
}
