//! Debian packages.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use ebpf_build::{Version, find_program};

use crate::process::{execute, is_root, step};

/// apt-get, which updates its package lists before the first installation.
#[derive(Debug, Default)]
pub(crate) struct Apt {
    updated: bool,
}

impl Apt {
    /// Installs `packages`, or fails with the command to type.
    pub(crate) fn install(&mut self, packages: &[&str]) -> Result<()> {
        let list = packages.join(" ");
        if find_program("apt-get").is_none() {
            bail!("apt-get was not found: install what Debian calls {list}");
        }
        if !is_root() {
            bail!("type `sudo apt-get install --no-install-recommends {list}`, then run this again");
        }
        self.update()?;
        step(&format!("installing {list}"), || {
            // Drops dpkg's progress, but not its errors.
            let mut install = apt_get();
            install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
            execute(install.stdout(Stdio::null()))
        })
    }

    /// The names of all packages that start with `start`.
    pub(crate) fn names(&mut self, start: &str) -> Result<Vec<String>> {
        if is_root() && find_program("apt-get").is_some() {
            self.update()?;
        }
        let names = Command::new("apt-cache").args(["pkgnames", start]).output();
        let names = names.context("apt-cache was not found: this needs a Debian system")?.stdout;
        Ok(String::from_utf8_lossy(&names).lines().map(str::to_owned).collect())
    }

    /// Downloads `package` into `folder` without installing it.
    pub(crate) fn download(&mut self, package: &str, folder: &Path) -> Result<()> {
        step(&format!("downloading {package}"), || {
            // Otherwise apt warns where its unprivileged user cannot write to the folder.
            let mut download = apt_get();
            download.args(["--option", "APT::Sandbox::User=root", "download", package]);
            execute(download.current_dir(folder).stdout(Stdio::null()))
        })
    }

    /// The version of `package` that apt would install, if it has the package.
    pub(crate) fn candidate(&mut self, package: &str) -> Result<Option<Version>> {
        if is_root() && find_program("apt-get").is_some() {
            self.update()?;
        }
        let policy = Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output();
        // Without apt-cache, no package is available.
        Ok(policy.ok().and_then(|policy| parse_candidate(&String::from_utf8_lossy(&policy.stdout))))
    }

    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        self.updated = true;
        step("updating the package lists", || {
            // If one source fails, others may still have the packages; the installation reports
            // what is missing.
            if let Err(error) = execute(apt_get().arg("update")) {
                eprintln!("    {error:#}");
            }
            Ok(())
        })
    }
}

/// Whether `package` is installed; leftover configuration files do not count.
pub(crate) fn is_installed(package: &str) -> bool {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    query.is_ok_and(|query| query.stdout == b"installed")
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet", "--quiet", "--option", "Dpkg::Use-Pty=0"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Parses the candidate version from the output of `apt-cache policy PACKAGE`, without the Debian
/// epoch (`1:`).
fn parse_candidate(policy: &str) -> Option<Version> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    Version::parse(version.split_once(':').map_or(version, |(_epoch, version)| version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_version_is_parsed_from_apt_cache_policy() {
        let rows = [
            ("rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n", Some((1, 96))),
            ("llvm-22-dev:\n  Installed: (none)\n  Candidate: 1:22.1.8-1~deb12u1\n", Some((22, 1))),
            ("rustc-web:\n  Installed: (none)\n  Candidate: (none)\n", None),
            ("", None),
        ];
        for (policy, expected) in rows {
            let version = parse_candidate(policy).map(|version| (version.major, version.minor));
            assert_eq!(version, expected, "{policy:?}");
        }
    }
}
