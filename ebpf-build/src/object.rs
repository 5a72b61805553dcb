//! Builds the kernel object.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Tools;

/// The package with the kernel programs, and the name of the object file.
const PACKAGE: &str = "tracer-ebpf";

/// A build of the kernel object.
#[derive(Debug)]
pub struct Object<'a> {
    /// The tools that build it.
    pub tools: &'a Tools,
    /// The folder with the workspace's `Cargo.toml`.
    pub workspace: &'a Path,
    /// Cargo's target folder, below which all profiles of tracer share one object.
    pub target_dir: &'a Path,
    /// The architecture of the kernel in rustc's spelling (`x86_64`), which determines the layout
    /// of `pt_regs`.
    pub arch: &'a str,
    /// Whether the kernel is big-endian.
    pub big_endian: bool,
    /// Whether it has the programs that only benchmarks load.
    pub bench: bool,
}

impl Object<'_> {
    /// The path of the object after [`Self::build`].
    pub fn path(&self) -> PathBuf {
        self.cargo_target_dir().join(self.target()).join("release").join(PACKAGE)
    }

    /// The command that builds the object.
    pub fn build(&self) -> Command {
        self.command(Command::new(self.tools.toolchain.cargo()), "build")
    }

    /// The command that lints the kernel programs for the BPF target.
    pub fn clippy(&self) -> Command {
        let toolchain = &self.tools.toolchain;
        // Not `cargo clippy`, because cargo would run the `cargo-clippy` on PATH, which may belong
        // to another toolchain.
        let mut command = self.command(Command::new(toolchain.cargo_clippy()), "clippy");
        command.env("CARGO", toolchain.cargo());
        command
    }

    fn command(&self, mut command: Command, subcommand: &str) -> Command {
        let toolchain = &self.tools.toolchain;
        command
            .arg(subcommand)
            .args([
                "--package",
                PACKAGE,
                "--bins",
                "--release",
                "--target",
                self.target(),
                "-Zbuild-std=core",
            ])
            .args(if self.bench { ["--features", "bench"].as_slice() } else { &[] })
            .arg("--target-dir")
            .arg(self.cargo_target_dir())
            .current_dir(self.workspace)
            .env("RUSTC", toolchain.rustc())
            // Enables `-Zbuild-std` and the features of the BPF target in a stable compiler.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags())
            .env(self.linker_variable(), &self.tools.linker.path);
        for (name, _) in env::vars_os() {
            if is_of_outer_build(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
    }

    /// The compiler flags. The linker generates BTF, which the kernel needs to check maps and
    /// functions, from debug information.
    fn rustflags(&self) -> OsString {
        format!(
            "--cfg=bpf_target_arch=\"{}\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf\x1f-Ctarget-cpu=v3",
            self.arch
        )
        .into()
    }

    fn target(&self) -> &'static str {
        if self.big_endian { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
    }

    fn linker_variable(&self) -> String {
        format!("CARGO_TARGET_{}_LINKER", self.target().replace('-', "_").to_uppercase())
    }

    /// A separate target folder. Cargo holds a lock on its target folder while it runs a build
    /// script, so that a second cargo would wait forever for the same folder.
    fn cargo_target_dir(&self) -> PathBuf {
        self.target_dir.join("ebpf")
    }
}

/// Whether an environment variable belongs to the enclosing build and must not reach this one:
/// compiler wrappers of linters and editors, the toolchain of rustup's proxies, and the variables
/// that cargo sets for build scripts. Some build scripts rerun when those change, so that builds by
/// a build script and by xtask would alternately invalidate each other.
fn is_of_outer_build(variable: &str) -> bool {
    const NAMES: [&str; 9] = [
        "CARGO_INCREMENTAL",
        "HOST",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "TARGET",
    ];
    const PREFIXES: [&str; 5] = ["CARGO_CFG_", "CARGO_FEATURE_", "CARGO_MANIFEST_", "CARGO_PKG_", "DEP_"];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Cargo's target folder, derived from the `OUT_DIR` of a build script:
/// `target/PROFILE/build/…/out`.
pub fn target_dir(out_dir: &Path) -> &Path {
    let build = out_dir.ancestors().find(|folder| folder.ends_with("build"));
    // Any folder works as a fallback, but then profiles do not share the object.
    build.and_then(Path::parent).and_then(Path::parent).unwrap_or(out_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_derived_from_out_dir() {
        let rows = [
            ("/src/target/debug/build/tracer-0123456789abcdef/out", "/src/target"),
            ("/src/target/release/build/tracer/0123456789abcdef/out", "/src/target"),
            ("/home/build/target/debug/build/tracer-0123456789abcdef/out", "/home/build/target"),
            ("/elsewhere/out", "/elsewhere/out"),
        ];
        for (out_dir, expected) in rows {
            assert_eq!(target_dir(Path::new(out_dir)), Path::new(expected));
        }
    }
}
