//! The paths of cgroups, by their numbers.
//!
//! A process that lives says where it is. Of one that has ended only the number of its cgroup is known: in the hierarchy of
//! version 2 it is the inode number of a directory.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::{fd::OwnedFd, unix::fs::DirEntryExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags},
};

use super::{container::Container, lives};

/// The most cgroups that are remembered; when there are more, all are forgotten. A host has a few hundred.
const MAX_CGROUPS: usize = 16_384;
/// The depth down to which directories are searched: containers in containers lie at about ten.
const MAX_DEPTH: u32 = 24;
/// How long a search is not repeated, because it reads the whole hierarchy.
const INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of the memory of all cgroups.
pub(super) const MAX_BYTES: u64 = (MAX_CGROUPS * 256) as u64;

/// The containers of the cgroups that were seen.
#[derive(Default)]
pub(super) struct Cgroups {
    containers: HashMap<u64, Container>,
    searched: Option<Instant>,
}

impl Cgroups {
    /// The container of a process in the cgroup `number`.
    pub(super) fn container(&mut self, number: u64, pid: u32, started: u64) -> Container {
        if let Some(container) = self.containers.get(&number) {
            return container.clone();
        }
        // The number may be that of another process by now.
        if let Ok(cgroups) = fs::read_to_string(format!("/proc/{pid}/cgroup"))
            && lives(pid, started)
        {
            let container = container_of(&cgroups);
            // Without a hierarchy of version 2, all processes have the same number.
            if cgroups.lines().any(|line| line.starts_with("0::") && line.len() > "0::/".len()) {
                self.remember(number, container.clone());
            }
            return container;
        }
        if self.searched.is_none_or(|searched| searched.elapsed() >= INTERVAL)
            && let Some(root) = root()
        {
            self.searched = Some(Instant::now());
            self.search(&root, "", MAX_DEPTH);
        }
        self.containers.get(&number).cloned().unwrap_or_default()
    }

    fn remember(&mut self, number: u64, container: Container) {
        if self.containers.len() >= MAX_CGROUPS {
            self.containers.clear();
        }
        self.containers.insert(number, container);
    }

    /// Remembers the cgroups in a directory that has this path in its hierarchy.
    fn search(&mut self, directory: &Path, path: &str, depth: u32) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            self.remember(entry.ino(), Container::of(&path));
            self.search(&entry.path(), &path, depth - 1);
        }
    }
}

/// The container in `/proc/PID/cgroup`: in the hierarchy of version 2, or else in one of version 1.
fn container_of(cgroups: &str) -> Container {
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.map(Container::of).find(|container| *container != Container::default()).unwrap_or_default()
}

/// Opens the root of the hierarchy of version 2, which need not be mounted anywhere.
///
/// # Errors
/// The kernel has no such hierarchy, or does not let this process mount it.
pub fn open_root() -> Result<OwnedFd> {
    if let Some(path) = root() {
        return Ok(File::open(&path).with_context(|| format!("cannot open {}", path.display()))?.into());
    }
    let detached = || {
        let system = mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        mount::fsconfig_create(&system)?;
        let mounted = mount::fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        openat(&mounted, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    detached().context("no cgroup2 file system is mounted, nor can be")
}

/// Where the hierarchy of version 2 is mounted.
fn root() -> Option<PathBuf> {
    root_in(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// The same, in the lines of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn root_in(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        kind.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f0c9a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789ab";

    #[test]
    fn the_hierarchy_of_version_2_is_found() {
        let mounts = "24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      25 24 0:23 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n\
                      26 24 0:24 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(root_in(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(root_in("24 1 0:22 / / rw - ext4 /dev/vda rw\n"), None);
    }

    #[test]
    fn a_container_is_found_in_both_versions() {
        let id = |cgroups: &str| container_of(cgroups).id;
        assert_eq!(id(&format!("0::/docker/{ID}\n")).as_deref(), Some(ID));
        assert_eq!(
            id(&format!("9:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/x\n0::/\n")).as_deref(),
            Some(ID)
        );
        assert_eq!(id("0::/../..\n"), None);
        assert_eq!(id("garbage"), None);
    }

    #[test]
    fn the_cgroup_of_a_process_that_has_ended_is_searched_for() {
        let root = std::env::temp_dir().join(format!("cgroups-{}", std::process::id()));
        let inner = root.join("system.slice").join(format!("docker-{ID}.scope"));
        fs::create_dir_all(&inner).expect("directories");
        let number = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&inner).expect("metadata"));
        let mut cgroups = Cgroups::default();
        cgroups.search(&root, "", MAX_DEPTH);
        fs::remove_dir_all(&root).expect("removed");
        // No process has this number.
        assert_eq!(cgroups.container(number, u32::MAX, 0).id.as_deref(), Some(ID));
    }
}
