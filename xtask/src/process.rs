//! Runs cargo and other programs.

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
use serde_json::Value;

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's target folder: this program is `target/PROFILE/xtask`.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of xtask is unknown")?;
    let target_dir = program.parent().and_then(Path::parent);
    target_dir.map(Path::to_owned).with_context(|| format!("{} is not in a target folder", program.display()))
}

/// A subcommand of the cargo that runs xtask, in the workspace.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(workspace());
    command
}

/// Runs `command`; if it fails, the error contains the command line.
pub(crate) fn execute(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("`{}` cannot be started", command_line(command)))?;
    check(command, status)
}

/// Runs `command` and passes each line of its standard error to `on_line`.
pub(crate) fn execute_with_stderr(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<()> {
    command.stderr(Stdio::piped());
    let mut child =
        command.spawn().with_context(|| format!("`{}` cannot be started", command_line(command)))?;
    if let Some(errors) = child.stderr.take() {
        for line in BufReader::new(errors).split(b'\n') {
            let line =
                line.with_context(|| format!("the output of `{}` cannot be read", command_line(command)))?;
            on_line(&String::from_utf8_lossy(&line));
        }
    }
    let status =
        child.wait().with_context(|| format!("cannot wait for `{}` to exit", command_line(command)))?;
    check(command, status)
}

/// Runs `command` and returns its standard output. Its standard error goes to that of xtask.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("`{}` cannot be started", command_line(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    check(command, output.status).map(|()| text)
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed with {status}", command_line(command));
    }
    Ok(())
}

/// Whether `command` succeeds; its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The executable of the target `name` in the output of `cargo --message-format json`.
pub(crate) fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages
        .filter(|message| message["target"]["name"] == name)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next().with_context(|| format!("cargo built no {name}"))
}

/// Does `work`; prints its name before, and how long it took after.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let start = Instant::now();
    let outcome = work().with_context(|| format!("failed: {name}"))?;
    eprintln!("    {:.1} s", start.elapsed().as_secs_f64());
    Ok(outcome)
}

/// Whether the effective user of this process is root.
pub(crate) fn is_root() -> bool {
    // The folder belongs to the effective user of the process.
    fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}

/// Whether this process is root or can use sudo, which may ask for a password.
pub(crate) fn can_be_root() -> bool {
    is_root()
        || find_program("sudo").is_some_and(|sudo| {
            Command::new(sudo).arg("--validate").status().is_ok_and(|status| status.success())
        })
}

/// The command as a user would type it.
fn command_line(command: &Command) -> String {
    let words: Vec<_> =
        [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":"/target/tracer"}
{"reason":"compiler-artifact","target":{"name":"least"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"least"},"executable":"/target/least-1"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages, "least").expect("a program"), PathBuf::from("/target/least-1"));
        assert!(executable("", "least").is_err());
    }
}
