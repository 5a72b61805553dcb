//! Downloads and unpacks Debian packages without installing them.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt::Apt,
    files::create_folder,
    process::{execute, step},
};

/// How the names of Debian's kernels for virtual machines start and end. These kernels boot quickly
/// and have the drivers that a guest needs.
const KERNEL: (&str, &str) = ("linux-image-", "-cloud-amd64");

/// The package of the newest kernel whose version starts with `version`.
pub(super) fn kernel(apt: &mut Apt, version: &str) -> Result<String> {
    let (start, end) = KERNEL;
    match newest(&apt.names(start)?, version) {
        Some(name) => Ok(name),
        None => bail!("apt has no package {start}{version}…{end}"),
    }
}

/// The newest of `names` that is a kernel of `version`. A kernel has at least one more number than
/// `version`, which excludes metapackages.
fn newest(names: &[String], version: &str) -> Option<String> {
    let (start, end) = KERNEL;
    let kernels = names.iter().filter(|name| {
        let release = name.strip_prefix(start).and_then(|name| name.strip_suffix(end));
        release.and_then(|release| release.strip_prefix(version)).is_some_and(|rest| rest.starts_with('.'))
    });
    kernels.max_by_key(|name| numbers(name)).cloned()
}

/// The numbers in a name, in order.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Downloads and unpacks `package` unless that was done before, and returns the folder of its
/// files.
pub(super) fn unpack(apt: &mut Apt, package: &str, folder: &Path) -> Result<PathBuf> {
    let files = folder.join(package);
    if files.is_dir() {
        return Ok(files);
    }
    let download = folder.join(format!("{package}.download"));
    create_folder(&download)?;
    apt.download(package, &download)?;
    let archive = file(&download, "")?;
    // The folder gets its final name when it is complete.
    let incomplete = folder.join(format!("{package}.incomplete"));
    step(&format!("unpacking {package}"), || {
        execute(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&incomplete))
    })?;
    fs::rename(&incomplete, &files).with_context(|| format!("{} cannot be created", files.display()))?;
    fs::remove_dir_all(&download).with_context(|| format!("{} cannot be removed", download.display()))?;
    Ok(files)
}

/// The kernel image in an unpacked package.
pub(super) fn image(kernel: &Path) -> Result<PathBuf> {
    file(&kernel.join("boot"), "vmlinuz-")
}

/// A file in `folder` whose name starts with `start`.
fn file(folder: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let starts =
        |path: &PathBuf| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(start));
    files.find(starts).with_context(|| format!("{} has no file {start}…", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_kernel_of_a_version_is_found_by_comparing_numbers() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
            "linux-image-6.1.0-58-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest(&names, "6.1").as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(&names, "6.12").as_deref(), Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest(&names, "5.10"), None);
    }
}
