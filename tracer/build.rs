//! Builds the kernel object and leaves it in `OUT_DIR/tracer-ebpf`, where `tracer` embeds it.
//!
//! If this machine lacks the tools, the object is empty and a warning names the command that
//! installs them: the workspace still builds and passes its host tests, and the loader reports the
//! empty object. A kernel program that does not compile is an error.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use ebpf_build::{Object, TOOLCHAIN_VARIABLE, Tools, target_dir};

/// The sources of the object, relative to the root of the workspace.
const SOURCES: [&str; 7] = [
    "Cargo.lock",
    "Cargo.toml",
    "tracer-common/Cargo.toml",
    "tracer-common/src",
    "tracer-ebpf/Cargo.toml",
    "tracer-ebpf/build.rs",
    "tracer-ebpf/src",
];

/// Requests an empty object, as in other projects that use aya.
const SKIP_VARIABLE: &str = "AYA_BUILD_SKIP";

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<()> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir.parent().context("the package lies in a workspace")?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let embedded = out_dir.join("tracer-ebpf");

    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-env-changed={SKIP_VARIABLE}");
    println!("cargo::rerun-if-env-changed={TOOLCHAIN_VARIABLE}");

    if env::var(SKIP_VARIABLE).is_ok_and(|value| value == "1" || value.eq_ignore_ascii_case("true")) {
        println!("cargo::warning={SKIP_VARIABLE} is set: tracer is built without its kernel programs");
        return write_empty(&embedded);
    }
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            println!("cargo::warning=tracer is built without its kernel programs: {missing}");
            println!("cargo::warning=to install what is missing, run `cargo xtask setup`");
            // A missing file makes cargo run this script again at the next build, when the tools
            // may be installed.
            println!("cargo::rerun-if-changed={}", out_dir.join("not-installed").display());
            return write_empty(&embedded);
        }
    };
    let object = Object {
        tools: &tools,
        workspace,
        target_dir: target_dir(&out_dir),
        arch: &variable("CARGO_CFG_TARGET_ARCH")?,
        big_endian: variable("CARGO_CFG_TARGET_ENDIAN")? == "big",
        bench: env::var_os("CARGO_FEATURE_BENCH").is_some(),
    };
    build(&object)?;
    fs::copy(object.path(), &embedded)
        .with_context(|| format!("{} cannot be copied to {}", object.path().display(), embedded.display()))?;
    Ok(())
}

/// Builds the object. The compiler's messages become warnings on success, and precede the error on
/// failure.
fn build(object: &Object<'_>) -> Result<()> {
    let mut command = object.build();
    let output = command.arg("--quiet").output().with_context(|| format!("{command:?} cannot be started"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprint!("{messages}");
        bail!("the kernel programs do not compile with {}", object.tools.toolchain);
    }
    for line in messages.lines() {
        println!("cargo::warning={line}");
    }
    Ok(())
}

fn write_empty(embedded: &Path) -> Result<()> {
    fs::write(embedded, []).with_context(|| format!("{} cannot be written", embedded.display()))
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("cargo sets {name} for build scripts"))
}
