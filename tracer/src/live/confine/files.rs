//! The files that stay accessible, enforced by Landlock: `/proc`, CPUs and cgroups in `/sys`, and the
//! output's directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use nix::{
    fcntl::{AT_FDCWD, AtFlags},
    unistd::{AccessFlags, faccessat},
};

/// The newest Landlock ABI that was tested. Kernels with an older one restrict less.
const TESTED_ABI: ABI = ABI::V7;

/// Directories that stay readable: the state of the network and of processes, the number of CPUs, and the
/// tree of cgroups.
const READABLE: [&str; 3] = ["/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup"];

/// Restricts this thread to reading [`READABLE`] and to writing files in the directories of
/// `outputs`. Returns the ABI in force, for the user.
pub(super) fn restrict(outputs: &[PathBuf]) -> Result<String> {
    let (directories, files): (Vec<_>, Vec<_>) = outputs.iter().map(|output| writable(output)).unzip();
    let (directories, files) = (directories.concat(), files.into_iter().flatten());
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(TESTED_ABI))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(TESTED_ABI)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(TESTED_ABI)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(READABLE, read())))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(directories, write() | AccessFs::MakeReg)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(files, write())))
        .context("the kernel refuses")?;
    let status = ruleset.restrict_self().context("the kernel refuses")?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => bail!("disabled on this kernel"),
        (RulesetStatus::NotEnforced, _) => bail!("not supported by this kernel"),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(format!(" (ABI {effective_abi})")),
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => Ok(String::new()),
    }
}

fn read() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Truncating is needed to remove the partial line that a full disk leaves.
fn write() -> BitFlags<AccessFs> {
    AccessFs::WriteFile | AccessFs::Truncate
}

/// What reopening `output` needs: for a regular file, its directory and that of the file it links
/// to; for anything else, the path itself.
fn writable(output: &Path) -> (Vec<PathBuf>, Option<PathBuf>) {
    let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return (Vec::new(), Some(target));
    }
    (vec![directory(output), directory(&target)], None)
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Whether the effective capabilities suffice to open `path` after a file there was renamed: to
/// create a file in its directory and in that of the file it links to, or to open anything else.
pub(super) fn may_reopen(path: &Path) -> bool {
    let may = |path: &Path, flags| faccessat(AT_FDCWD, path, flags, AtFlags::AT_EACCESS).is_ok();
    let (directories, special) = writable(path);
    directories.iter().all(|directory| may(directory, AccessFlags::W_OK | AccessFlags::X_OK))
        && special.is_none_or(|special| may(&special, AccessFlags::W_OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_needs_its_directory_and_a_device_only_itself() {
        let (directories, file) = writable(Path::new("/nonexistent/records"));
        assert_eq!((directories[0].as_path(), file), (Path::new("/nonexistent"), None));
        let (directories, file) = writable(Path::new("records"));
        assert_eq!((directories[0].as_path(), file), (Path::new("."), None));
        assert_eq!(writable(Path::new("/dev/full")), (Vec::new(), Some(PathBuf::from("/dev/full"))));
    }
}
