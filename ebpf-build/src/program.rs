//! Finds and runs programs on `PATH`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Folders of system programs, which may be missing from the `PATH` of an ordinary user.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The first file called `name` in the folders of `PATH` and of system programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    find_programs(name).next()
}

/// All files called `name` in the folders of `PATH` and of system programs.
pub(crate) fn find_programs(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect();
    folders.into_iter().map(move |folder| folder.join(name)).filter(|file| file.is_file())
}

/// The trimmed standard output of `program`; none if it cannot be started or fails.
pub(crate) fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        // rustup must not download a toolchain that is only inspected.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
