//! The machine, time and commit of a measurement.

use std::{fmt, fs, process::Command, thread, time::SystemTime};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::process::workspace;

/// The conditions of a measurement, without which its figures mean little.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    kernel: String,
    cpu: String,
    cores: usize,
    /// Time in UTC at the end of the measurement.
    time: String,
    /// The checked-out commit, with `+` if files were changed; empty outside a git repository.
    commit: String,
}

impl Machine {
    /// The current conditions.
    pub(super) fn now() -> Result<Self> {
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel release is unknown")?;
        let cpu = fs::read_to_string("/proc/cpuinfo").context("the processor is unknown")?;
        let cores = thread::available_parallelism().context("the number of cores is unknown")?;
        Ok(Self {
            kernel: kernel.trim().to_owned(),
            cpu: model(&cpu).to_owned(),
            cores: cores.get(),
            time: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: commit(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cpu, cores, time, commit } = self;
        write!(f, "Linux {kernel}, {cores} cores of {cpu}, {time}, commit {commit}")
    }
}

/// The processor model in `/proc/cpuinfo`, which some architectures do not name.
fn model(cpuinfo: &str) -> &str {
    let names = cpuinfo.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    names.map(|(_, name)| name.trim()).next().unwrap_or("unknown")
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(workspace()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain"]).is_some_and(|files| !files.is_empty());
    git(&["rev-parse", "--short=12", "HEAD"])
        .map_or_else(String::new, |commit| if changed { commit + "+" } else { commit })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_processor_model_is_parsed_from_cpuinfo() {
        let text = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\nprocessor\t: 1\n";
        assert_eq!(super::model(text), "AMD EPYC 7763");
        assert_eq!(super::model(""), "unknown");
    }
}
