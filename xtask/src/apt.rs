//! Debian packages.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use ebpf_build::{Version, find_program};

use crate::process::{execute, is_root, step};

/// apt-get, and whether its lists of packages were fetched.
#[derive(Debug, Default)]
pub(crate) struct Apt {
    updated: bool,
}

impl Apt {
    /// Installs `packages`, or fails with the command that would.
    pub(crate) fn install(&mut self, packages: &[&str]) -> Result<()> {
        let list = packages.join(" ");
        if find_program("apt-get").is_none() {
            bail!("this is no Debian system: install what Debian calls {list}");
        }
        if !is_root() {
            bail!("type `sudo apt-get install --no-install-recommends {list}`, then run this again");
        }
        self.update()?;
        step(&format!("installing {list}"), || {
            // dpkg's account of every package is dropped; its errors are not.
            let mut install = apt_get();
            install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
            execute(install.stdout(Stdio::null()))
        })
    }

    /// The packages whose names start with `start`.
    pub(crate) fn names(&mut self, start: &str) -> Result<Vec<String>> {
        if is_root() && find_program("apt-get").is_some() {
            self.update()?;
        }
        let names = Command::new("apt-cache").args(["pkgnames", start]).output();
        let names = names.context("this is no Debian system: there is no apt-cache")?.stdout;
        Ok(String::from_utf8_lossy(&names).lines().map(str::to_owned).collect())
    }

    /// Fetches `package` into `folder`, and installs nothing.
    pub(crate) fn download(&mut self, package: &str, folder: &Path) -> Result<()> {
        step(&format!("fetching {package}"), || {
            // A file that only root may reach is no reason to warn: nobody else is to read it.
            let mut download = apt_get();
            download.args(["--option", "APT::Sandbox::User=root", "download", package]);
            execute(download.current_dir(folder).stdout(Stdio::null()))
        })
    }

    /// The version of `package` that would be installed, if there is one.
    pub(crate) fn candidate(&mut self, package: &str) -> Result<Option<Version>> {
        if is_root() && find_program("apt-get").is_some() {
            self.update()?;
        }
        let policy = Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output();
        // Without apt-cache there are no packages.
        Ok(policy.ok().and_then(|policy| parse_candidate(&String::from_utf8_lossy(&policy.stdout))))
    }

    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        self.updated = true;
        step("fetching the lists of packages", || {
            // One source that does not answer is no reason to stop: the packages may come from the others, and
            // the installation says so if they do not.
            if let Err(error) = execute(apt_get().arg("update")) {
                eprintln!("    {error:#}");
            }
            Ok(())
        })
    }
}

/// Whether `package` is installed, and not only its configuration left.
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

/// The candidate's version in what `apt-cache policy PACKAGE` prints; a Debian epoch (`1:`) is no part of it.
fn parse_candidate(policy: &str) -> Option<Version> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    Version::parse(version.split_once(':').map_or(version, |(_epoch, version)| version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_read_from_apts_policy() {
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
