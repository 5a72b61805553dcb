//! The benches of the crate `tracer`, which measure what cannot be seen from outside.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use super::report::Report;
use crate::process::{cargo, step};

/// Runs `cargo bench -p tracer --bench NAME`, whose standard output is the report.
pub(super) fn run(name: &str) -> Result<()> {
    let output = step(&format!("measuring: {name}"), || {
        let mut bench = cargo("bench");
        bench.args(["--package", "tracer", "--features", "bench", "--bench", name]).stderr(Stdio::inherit());
        bench.output().context("cargo cannot be started")
    })?;
    if !output.status.success() {
        bail!("the bench {name} failed with {}", output.status);
    }
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the bench {name} printed no report"))?;
    report.publish()
}
