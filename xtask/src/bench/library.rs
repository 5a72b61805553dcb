//! Runs the benchmarks of the `tracer` crate, which measure internals.

use anyhow::{Context as _, Result};

use super::report::Report;
use crate::process::{cargo, output, step};

/// Runs `cargo bench -p tracer --bench NAME` and publishes the report on its standard output.
pub(super) fn run(name: &str) -> Result<()> {
    let json = step(&format!("measuring: {name}"), || {
        output(cargo("bench").args(["--package", "tracer", "--features", "bench", "--bench", name]))
    })?;
    let report: Report =
        serde_json::from_str(&json).with_context(|| format!("the benchmark {name} printed no report"))?;
    report.publish()
}
