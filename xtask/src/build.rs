//! Builds the kernel object and tracer, and runs tracer.

use std::{env, fs, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use ebpf_build::{Object, Tools, find_program};

use crate::{
    process::{cargo, execute, is_root, step, target_dir, workspace},
    setup,
};

/// Builds the kernel object and prints its path and size.
pub(crate) fn object() -> Result<()> {
    let path = build_object(&setup::tools()?)?;
    let size = fs::metadata(&path).with_context(|| format!("{} was not built", path.display()))?.len();
    println!("{} ({size} bytes)", path.display());
    Ok(())
}

/// Builds tracer in release mode.
pub(crate) fn release() -> Result<()> {
    // tracer's build script would build the object too, but silently for most of a minute.
    build_object(&setup::tools()?)?;
    step("building tracer", || execute(cargo("build").args(["--release", "--package", "tracer"])))
}

/// Replaces this process with tracer, run as root, so that signals and the exit status are
/// tracer's.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    release()?;
    let tracer = target_dir()?.join("release/tracer");
    let mut command = if is_root() {
        Command::new(&tracer)
    } else {
        let Some(sudo) = find_program("sudo") else {
            bail!("tracer needs root and sudo was not found: type `{}` as root", tracer.display());
        };
        let mut command = Command::new(sudo);
        command.arg(&tracer);
        command
    };
    let error = command.args(arguments).exec();
    Err(error).with_context(|| format!("{} cannot be started", tracer.display()))
}

/// Builds the kernel object and returns its path.
pub(crate) fn build_object(tools: &Tools) -> Result<PathBuf> {
    with_object(tools, |object| {
        step("building the kernel object", || execute(&mut object.build()))?;
        Ok(object.path())
    })
}

/// Lints the kernel programs for the BPF target.
pub(crate) fn lint_object(tools: &Tools) -> Result<()> {
    with_object(tools, |object| {
        let object = Object { bench: true, ..*object };
        execute(object.clippy().args(["--", "--deny", "warnings"]))
    })
}

fn with_object<T>(tools: &Tools, work: impl FnOnce(&Object<'_>) -> Result<T>) -> Result<T> {
    work(&Object {
        tools,
        workspace: workspace(),
        target_dir: &target_dir()?,
        // The object is for the kernel of the machine that xtask runs on.
        arch: env::consts::ARCH,
        big_endian: cfg!(target_endian = "big"),
        bench: false,
    })
}
