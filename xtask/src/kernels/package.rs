//! Debian's packages, unpacked beside each other and not installed.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt::Apt,
    process::{execute, step},
};

/// What the names of kernels for virtual machines start and end with. They have what a guest needs, and start quickly.
const KERNEL: (&str, &str) = ("linux-image-", "-cloud-amd64");

/// The newest kernel whose version starts with `version`.
pub(super) fn kernel(apt: &mut Apt, version: &str) -> Result<String> {
    let (start, end) = KERNEL;
    match newest(&apt.names(start)?, version) {
        Some(name) => Ok(name),
        None => bail!("Debian's package sources on this machine have no {start}{version}…{end}"),
    }
}

/// The newest of `names` that is a kernel of `version`: one with the version's numbers and at least one more, so that the
/// packages that only refer to others are none.
fn newest(names: &[String], version: &str) -> Option<String> {
    let (start, end) = KERNEL;
    let kernels = names.iter().filter(|name| {
        let release = name.strip_prefix(start).and_then(|name| name.strip_suffix(end));
        release.and_then(|release| release.strip_prefix(version)).is_some_and(|rest| rest.starts_with('.'))
    });
    kernels.max_by_key(|name| numbers(name)).cloned()
}

/// The numbers in a name, in their order.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Fetches `package` unless it is there, and returns the folder of its files.
pub(super) fn unpack(apt: &mut Apt, package: &str, folder: &Path) -> Result<PathBuf> {
    let files = folder.join(package);
    if files.is_dir() {
        return Ok(files);
    }
    let fetched = folder.join(format!("{package}.fetched"));
    fs::create_dir_all(&fetched).with_context(|| format!("{} cannot be made", fetched.display()))?;
    apt.download(package, &fetched)?;
    let archive = only_file(&fetched, "")?;
    // Under another name until it is complete.
    let incomplete = folder.join(format!("{package}.incomplete"));
    step(&format!("unpacking {package}"), || {
        execute(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&incomplete))
    })?;
    fs::rename(&incomplete, &files).with_context(|| format!("{} cannot be made", files.display()))?;
    fs::remove_dir_all(&fetched).with_context(|| format!("{} cannot be removed", fetched.display()))?;
    Ok(files)
}

/// The kernel's image in an unpacked package.
pub(super) fn image(kernel: &Path) -> Result<PathBuf> {
    only_file(&kernel.join("boot"), "vmlinuz-")
}

fn only_file(folder: &Path, start: &str) -> Result<PathBuf> {
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
    fn the_newest_kernel_of_a_version_is_found_by_its_numbers() {
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
