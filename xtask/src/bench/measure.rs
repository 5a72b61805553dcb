//! Measures CPU time and memory of programs by the accounting of the kernel.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// Ticks per second in /proc: USER_HZ, which is 100 on every architecture.
const TICKS: f64 = 100.0;

/// The resource usage of a program from start to exit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// Wall-clock time in seconds.
    pub(super) elapsed: f64,
    /// CPU time in seconds.
    pub(super) cpu: f64,
    /// Peak resident memory in bytes; at least that of xtask when it starts the program.
    pub(super) memory: u64,
}

/// Runs `program` in a child process that calls [`child`], and discards its standard output.
pub(super) fn measure(program: &Path, arguments: &[OsString]) -> Result<Measurement> {
    let xtask = std::env::current_exe().context("the path of xtask is unknown")?;
    let mut command = Command::new(xtask);
    command.args(["bench", "measure", "--"]).arg(program).args(arguments).stderr(Stdio::piped());
    let output = command.output().context("xtask cannot be started")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} {}:\n{errors}", program.display(), arguments.join(OsStr::new(" ")).display());
    }
    serde_json::from_slice(&output.stdout).context("the measuring process printed no measurement")
}

/// Runs `command` and prints its [`Measurement`] as JSON.
pub(super) fn child(command: &[OsString]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let elapsed = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("failed with {status} (signal {:?})", status.signal());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("the resource usage cannot be read")?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let measurement = Measurement {
        elapsed,
        cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
        // The kernel reports KiB.
        memory: u64::try_from(usage.max_rss()).unwrap_or(0) << 10,
    };
    println!("{}", serde_json::to_string(&measurement).context("the measurement cannot be written as JSON")?);
    Ok(())
}

/// CPU time in seconds that all processors have been busy since boot.
pub(super) fn machine_cpu_time() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
    parse_busy(&stat).context("/proc/stat has an unexpected format")
}

/// The sum of the first line without idle, iowait and steal. User and nice include guest time.
fn parse_busy(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks.as_slice() else { return None };
    Some((user + nice + system + irq + softirq) as f64 / TICKS)
}

/// The resource usage of a running process and its children.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// CPU time in seconds.
    pub(super) cpu: f64,
    /// Peak resident memory in bytes.
    pub(super) memory: u64,
}

/// The usage of a process and of its children.
pub(super) fn usage(process: u32) -> Result<Usage> {
    let mut sum = Usage::default();
    for entry in fs::read_dir("/proc").context("/proc cannot be read")?.flatten() {
        // Other processes may exit in the meantime.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some(stat) = parse_stat(&stat) else { continue };
        if stat.process == process || stat.parent == process {
            sum.cpu += stat.cpu;
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            sum.memory += parse_peak(&status).unwrap_or(0);
        }
    }
    Ok(sum)
}

#[derive(Debug, PartialEq)]
struct Stat {
    process: u32,
    parent: u32,
    cpu: f64,
}

/// Parses `/proc/PID/stat`. The process name in parentheses may contain spaces and parentheses.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (process, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    // From the third field, the state, on.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        process: process.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        cpu: (ticks(14)? + ticks(15)?) as f64 / TICKS,
    })
}

/// Parses VmHWM in `/proc/PID/status`, in bytes. Kernel threads have none.
fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_excludes_idle_iowait_and_steal() {
        let stat = "cpu  100 20 30 40000 500 6 7 80 0 0\ncpu0 1 2 3\n";
        assert_eq!(parse_busy(stat), Some(1.63));
        assert_eq!(parse_busy("intr 1"), None);
    }

    #[test]
    fn a_process_is_parsed_whatever_its_name() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 0 0 0 150 50 9 9 20 0 1 0 5 6 7\n";
        assert_eq!(parse_stat(stat), Some(Stat { process: 42, parent: 7, cpu: 2.0 }));
        assert_eq!(parse_peak("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(parse_peak("Name:\tkthreadd\n"), None);
    }
}
