//! The files that stay within reach, by Landlock: what the kernel tells under `/proc`, and the folder of the output.

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

/// The newest interface of Landlock that this was tried with; older ones restrict less.
const KNOWN: ABI = ABI::V7;

/// What may be read: the state of the network and of this process, and how many processors there are.
const READABLE: [&str; 2] = ["/proc", "/sys/devices/system/cpu"];

/// Leaves this thread what it reads, and the folders of `outputs` to write files in. Says which interface is in force.
pub(super) fn restrict(outputs: &[PathBuf]) -> Result<String> {
    let (folders, files): (Vec<_>, Vec<_>) = outputs.iter().map(|output| writable(output)).unzip();
    let (folders, files) = (folders.concat(), files.into_iter().flatten());
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(KNOWN)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(KNOWN)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(READABLE, read())))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(folders, write() | AccessFs::MakeReg)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(files, write())))
        .context("the kernel refuses")?;
    let status = ruleset.restrict_self().context("the kernel refuses")?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => bail!("switched off on this kernel"),
        (RulesetStatus::NotEnforced, _) => bail!("not in this kernel"),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(format!(" (ABI {effective_abi})")),
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => Ok(String::new()),
    }
}

fn read() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Truncating takes back half a line that a full disk has left.
fn write() -> BitFlags<AccessFs> {
    AccessFs::WriteFile | AccessFs::Truncate
}

/// Where `output` is opened anew: the folder of a file, also behind a symbolic link; anything else is itself.
fn writable(output: &Path) -> (Vec<PathBuf>, Option<PathBuf>) {
    let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return (Vec::new(), Some(target));
    }
    (vec![folder(output), folder(&target)], None)
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Whether the file at `path`, and a new one in its place, can be opened with the capabilities that are in force.
pub(super) fn may_open_anew(path: &Path) -> bool {
    let may = |path: &Path, flags| faccessat(AT_FDCWD, path, flags, AtFlags::AT_EACCESS).is_ok();
    let is_special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    may(path, AccessFlags::W_OK) && (is_special || may(&folder(path), AccessFlags::W_OK | AccessFlags::X_OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_for_its_folder_and_a_device_for_itself() {
        let (folders, file) = writable(Path::new("/nonexistent/records"));
        assert_eq!((folders[0].as_path(), file), (Path::new("/nonexistent"), None));
        let (folders, file) = writable(Path::new("records"));
        assert_eq!((folders[0].as_path(), file), (Path::new("."), None));
        assert_eq!(writable(Path::new("/dev/full")), (Vec::new(), Some(PathBuf::from("/dev/full"))));
    }
}
