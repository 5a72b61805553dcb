//! Takes connections out of the tables, a list at once: by a program that is attached nowhere.

use anyhow::{Context as _, Result};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use tracer_common::flow::{MAX_REMOVALS, Removal};

use super::Kernel;

/// The program, which gets the list in place of a frame.
pub(super) const PROGRAM: &str = "tracer_remove";

impl Kernel {
    /// Takes these incarnations of connections out of the tables; returns how many of those that were looked up are not there
    /// any more.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove(&self, removals: &[Removal]) -> Result<u64> {
        let program = self.ebpf.program(PROGRAM).context("the object has no program that removes")?;
        let program: &Xdp = program.try_into().context("not an XDP program")?;
        let mut missing = 0;
        for list in removals.chunks(MAX_REMOVALS) {
            let options = TestRunOptions { data_in: Some(Removal::bytes(list)), ..TestRunOptions::new() };
            let outcome = program.test_run(options);
            let outcome = outcome.context("cannot take what is over out of the connection tables")?;
            missing += u64::from(outcome.return_value);
        }
        Ok(missing)
    }
}
