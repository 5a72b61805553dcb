//! Other programs: cargo, and whatever else a command runs.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use ebpf_build::find_program;

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder that cargo calls `target`: this program is `target/PROFILE/xtask`.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of xtask is not known")?;
    let target_dir = program.parent().and_then(Path::parent);
    target_dir.map(Path::to_owned).with_context(|| format!("{} is not in a target folder", program.display()))
}

/// The cargo that runs xtask, in the workspace.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(workspace());
    command
}

/// Runs `command` to its end; a failure is an error that repeats the command.
pub(crate) fn execute(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("`{}` cannot be started", words(command)))?;
    check(command, status)
}

/// The same, and `on_line` gets each line that the command writes to standard error.
pub(crate) fn execute_listening(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<()> {
    command.stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("`{}` cannot be started", words(command)))?;
    if let Some(errors) = child.stderr.take() {
        for line in BufReader::new(errors).split(b'\n') {
            let line = line.with_context(|| format!("`{}` cannot be read", words(command)))?;
            on_line(&String::from_utf8_lossy(&line));
        }
    }
    let status = child.wait().with_context(|| format!("`{}` does not end", words(command)))?;
    check(command, status)
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed with {status}", words(command));
    }
    Ok(())
}

/// Whether `command` succeeds; it is asked quietly.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Does `work` between a line that says what it is and one that says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let start = Instant::now();
    let outcome = work().with_context(|| format!("failed: {what}"))?;
    eprintln!("    {:.1} s", start.elapsed().as_secs_f64());
    Ok(outcome)
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    // The folder belongs to the process's effective user.
    fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}

/// Whether this process is root or sudo lets it be, after asking for a password if need be.
pub(crate) fn can_be_root() -> bool {
    is_root()
        || find_program("sudo").is_some_and(|sudo| {
            Command::new(sudo).arg("--validate").status().is_ok_and(|status| status.success())
        })
}

/// The command as it would be typed.
fn words(command: &Command) -> String {
    let words: Vec<_> =
        [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
