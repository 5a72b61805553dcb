//! Deletes connections from the tables in batches, by test runs of a program that is not attached.

use anyhow::{Context as _, Result};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use tracer_common::flow::{MAX_REMOVALS, Removal};

use super::Kernel;

/// The program, which receives the batch as the frame of a test run.
pub(super) const PROGRAM: &str = "tracer_remove";

impl Kernel {
    /// Deletes these incarnations of connections from the tables. Returns how many of those that
    /// had been looked up were no longer in them.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove(&self, removals: &[Removal]) -> Result<u64> {
        let program =
            self.ebpf.program(PROGRAM).with_context(|| format!("the object has no program {PROGRAM}"))?;
        let program: &Xdp = program.try_into().context("not an XDP program")?;
        let mut missing = 0;
        for list in removals.chunks(MAX_REMOVALS) {
            let options = TestRunOptions { data_in: Some(Removal::bytes(list)), ..TestRunOptions::new() };
            let outcome = program.test_run(options);
            let outcome = outcome.context("cannot delete closed connections from the tables")?;
            missing += u64::from(outcome.return_value);
        }
        Ok(missing)
    }
}
