//! Builds the programs that run in a guest, as `cargo xtask test` builds them.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::{cargo, executable, output};

/// The paths of the programs on this machine.
#[derive(Debug)]
pub(super) struct Programs {
    /// tracer, which the tests expect at this path.
    pub(super) tracer: PathBuf,
    /// `tracer/tests/kernel`.
    pub(super) tests: PathBuf,
}

/// Builds the programs.
pub(super) fn build() -> Result<Programs> {
    let mut build = cargo("test");
    build.args(["--package", "tracer", "--test", "kernel", "--no-run"]);
    let messages = output(build.args(["--message-format", "json-render-diagnostics"]))?;
    Ok(Programs { tracer: executable(&messages, "tracer")?, tests: executable(&messages, "kernel")? })
}
