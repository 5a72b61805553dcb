//! Boots one kernel in an emulated machine that powers itself off.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// Time limit for a guest, in seconds: three times what it takes on a busy machine.
const TIMEOUT: u32 = 2400;
/// Exit status of `timeout` after the time limit.
const TIMED_OUT: i32 = 124;
/// Memory of a guest, in MiB: several times what its file system and the tests need.
const MEMORY: u32 = 1024;
/// Number of last lines of the console and the report that are shown after a failure.
const TAIL: usize = 30;

/// Boots the kernel `image` with the file system `archive`, waits until it powers off, and returns
/// its report. The kernel's console goes to a file next to `archive`.
pub(super) fn boot(image: &Path, archive: &Path) -> Result<String> {
    let (console, report) = (archive.with_extension("console"), archive.with_extension("report"));
    // `timeout` stops the guest even if xtask is killed; with --foreground, Ctrl-C reaches it too.
    let mut guest = Command::new("timeout");
    guest.args(["--foreground", "--kill-after=10", &TIMEOUT.to_string(), "qemu-system-x86_64"]);
    // One thread for both processors: with two, QEMU executes code while the guest kernel patches
    // it, and the kernel panics.
    guest.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", &MEMORY.to_string()]);
    guest.args(["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"]);
    for file in [&console, &report] {
        guest.arg("-serial").arg(format!("file:{}", file.display()));
    }
    guest.arg("-kernel").arg(image).arg("-initrd").arg(archive);
    // A kernel that panics reboots at once, which ends the guest because of -no-reboot.
    guest.args(["-append", "console=ttyS0 loglevel=4 panic=-1"]);
    let status = guest.status().context("qemu-system-x86_64 cannot be started")?;
    let text = fs::read(&report).with_context(|| format!("{} cannot be read", report.display()))?;
    // The terminal may translate line ends before the guest sets it to raw mode.
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    if !status.success() || !text.contains("\n== tests\n") {
        let failure = match status.code() {
            Some(TIMED_OUT) => format!("did not power off within {TIMEOUT} s"),
            _ => format!("stopped early: {status}"),
        };
        let console = fs::read(&console).unwrap_or_default();
        bail!(
            "the guest {failure}; end of its console:\n{}\nend of its report:\n{}",
            tail(&console),
            tail(text.as_bytes())
        );
    }
    Ok(text)
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
