//! An emulated machine that starts one kernel and ends by itself.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// How long a guest may take, in seconds: three times what it does on a busy machine.
const PATIENCE: u32 = 2400;
/// What `timeout` ends with when the time is over.
const TIMED_OUT: i32 = 124;
/// Memory of a guest, in MiB: several times what the file system and the tests take.
const MEMORY: u32 = 1024;
/// Lines of the console's end that are shown when a guest did not end in good order.
const TAIL: usize = 30;

/// Starts the kernel `image` with the file system `archive`, waits for its end, and returns its report. What the kernel
/// itself says goes to a file beside it.
pub(super) fn boot(image: &Path, archive: &Path) -> Result<String> {
    let (console, report) = (archive.with_extension("console"), archive.with_extension("report"));
    // `timeout` bounds the guest also where this process is killed; in the foreground, Ctrl-C ends it too.
    let mut guest = Command::new("timeout");
    guest.args(["--foreground", "--kill-after=10", &PATIENCE.to_string(), "qemu-system-x86_64"]);
    // One thread for both processors: with two, QEMU executes code that a kernel is just patching, and it panics.
    guest.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", &MEMORY.to_string()]);
    guest.args(["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"]);
    for file in [&console, &report] {
        guest.arg("-serial").arg(format!("file:{}", file.display()));
    }
    guest.arg("-kernel").arg(image).arg("-initrd").arg(archive);
    // A kernel that panics reboots at once, which ends the guest.
    guest.args(["-append", "console=ttyS0 loglevel=4 panic=-1"]);
    let status = guest.status().context("qemu-system-x86_64 cannot be started")?;
    let told = fs::read(&report).with_context(|| format!("{} cannot be read", report.display()))?;
    // A line discipline or two may have been there before the guest switched it off.
    let told = String::from_utf8_lossy(&told).replace('\r', "");
    if !status.success() || !told.contains("\n== tests\n") {
        let ended = match status.code() {
            Some(TIMED_OUT) => format!("did not end within {PATIENCE} s"),
            _ => format!("ended early, with {status}"),
        };
        let console = fs::read(&console).unwrap_or_default();
        bail!(
            "the guest {ended}; its console ends:\n{}\nits report ends:\n{}",
            end(&console),
            end(told.as_bytes())
        );
    }
    Ok(told)
}

fn end(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
