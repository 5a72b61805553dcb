//! What runs in a guest, built as `cargo xtask test` builds it.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::cargo;

/// The programs on this machine.
#[derive(Debug)]
pub(super) struct Programs {
    /// tracer, which the tests look for at this very path.
    pub(super) tracer: PathBuf,
    /// `tracer/tests/kernel`.
    pub(super) tests: PathBuf,
}

/// Builds them.
pub(super) fn build() -> Result<Programs> {
    let mut build: Command = cargo("test");
    build.args([
        "--package",
        "tracer",
        "--test",
        "kernel",
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let built = build.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    if !built.status.success() {
        bail!("the kernel tests cannot be built: cargo ended with {}", built.status);
    }
    let messages = String::from_utf8(built.stdout).context("cargo does not write UTF-8")?;
    let program = |name: &str| executable(&messages, name).with_context(|| format!("cargo built no {name}"));
    Ok(Programs { tracer: program("tracer")?, tests: program("kernel")? })
}

/// The executable of the target `name` in cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages
        .filter(|message| message["target"]["name"] == name)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next()
}
