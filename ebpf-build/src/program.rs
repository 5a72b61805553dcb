//! Programs on `PATH`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where system programs lie that an ordinary user's `PATH` may leave out.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The first file called `name` in the folders of `PATH`, then in those for system programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    find_programs(name).next()
}

/// Every file called `name` in the folders of `PATH`, then in those for system programs.
pub(crate) fn find_programs(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect();
    folders.into_iter().map(move |folder| folder.join(name)).filter(|file| file.is_file())
}

/// What `program` prints, or nothing where it cannot be started or fails.
pub(crate) fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        // A question about a toolchain must not download one.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
