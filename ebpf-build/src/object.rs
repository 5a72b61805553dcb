//! The build of the kernel object.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Tools;

/// The package with the kernel programs, and the file that is made of it.
const PACKAGE: &str = "tracer-ebpf";

/// One build of the kernel object.
#[derive(Debug)]
pub struct Object<'a> {
    /// What builds it.
    pub tools: &'a Tools,
    /// The folder with the workspace's `Cargo.toml`.
    pub workspace: &'a Path,
    /// The folder that cargo calls `target`: all profiles of tracer share the one object below it.
    pub target_dir: &'a Path,
    /// The architecture of the kernel, as rustc calls it (`x86_64`): it decides what `pt_regs` looks like.
    pub arch: &'a str,
    /// Whether the kernel is big-endian.
    pub big_endian: bool,
    /// Whether it has the programs that only benchmarks load.
    pub bench: bool,
}

impl Object<'_> {
    /// Where the object lies after [`Self::build`].
    pub fn path(&self) -> PathBuf {
        self.cargo_target_dir().join(self.target()).join("release").join(PACKAGE)
    }

    /// The command that builds the object.
    pub fn build(&self) -> Command {
        self.command(Command::new(self.tools.toolchain.cargo()), "build")
    }

    /// The command that lints what [`Self::build`] compiles.
    pub fn clippy(&self) -> Command {
        let toolchain = &self.tools.toolchain;
        // Not `cargo clippy`: cargo would look for `cargo-clippy` on PATH, which may be that of another toolchain.
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
            // `-Zbuild-std` and the BPF target's features, from a stable compiler.
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

    /// The kernel loads BTF to check maps and functions, and the linker makes it of debug information.
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

    /// A folder of its own: cargo locks the folder it builds in, and a build script runs inside such a lock.
    fn cargo_target_dir(&self) -> PathBuf {
        self.target_dir.join("ebpf")
    }
}

/// Whether a variable is there for the build that this one is a part of, and not for this one: incremental builds, which
/// optimize less; a wrapper that lints,
/// or one that compiles nothing because an editor only wants to know the crates; the choice of rustup's proxies; and
/// what cargo tells a build script, some of which build scripts of this build watch, so that it would be made anew
/// by turns for a build script and for xtask.
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

/// The folder that cargo calls `target`, from a build script's `OUT_DIR`: `target/PROFILE/build/…/out`.
pub fn target_dir(out_dir: &Path) -> &Path {
    let build = out_dir.ancestors().find(|folder| folder.ends_with("build"));
    // Any folder would do, only less would be shared.
    build.and_then(Path::parent).and_then(Path::parent).unwrap_or(out_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_found_from_a_build_script() {
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
