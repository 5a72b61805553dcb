//! Private network namespaces, for the demo and for tests with real packets.
//!
//! A [`Namespace`] is anonymous: it has no name under `/run/netns` and no mount. Only an open file
//! descriptor keeps it alive, so the kernel removes it, with every link in it, when its owner ends,
//! even by `kill -9`.
//!
//! ```text
//!   Namespace ── fd ─► net:[…]          run / spawn: a thread enters, works, ends
//!   VethPair  ── server: veth-server 10.77.0.1 fd77::1 ◄──► client: veth-client 10.77.0.2 fd77::2
//! ```
//!
//! A network namespace belongs to a *thread*. Only [`Namespace::enter_current_thread`] moves the
//! calling thread. `/sys/class/net` keeps showing the namespace in which it was mounted;
//! `/proc/thread-self/net` and `/proc/sys/net` follow the thread.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns, unshare};

use crate::live::privilege;

pub mod link;
mod pair;

pub use pair::{PairEnd, PairOptions, PairVlan, VethPair};

/// The network namespace of the calling thread, as a file that keeps it alive while open.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// One anonymous network namespace, kept alive by a file descriptor. Clones share it.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Close-on-exec, as every file of the standard library, so that no child process keeps it
    /// alive.
    file: Arc<File>,
}

impl Namespace {
    /// Creates a namespace that contains only `lo`, which is up.
    pub fn new() -> Result<Self> {
        privilege::require("a private network namespace", &privilege::NAMESPACES)?;
        // On another thread, so that the calling thread stays in its namespace.
        let file = run_on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot create a network namespace")?;
            link::set_up("lo")?;
            File::open(CURRENT).with_context(|| format!("cannot open {CURRENT}"))
        })?;
        Ok(Self { file: Arc::new(file) })
    }

    /// The inode number of the namespace, as in `net:[4026532000]`.
    pub fn inode(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.ino())
    }

    /// Runs `work` on a new thread in the namespace and waits for it. A panic of `work` resumes in
    /// the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        run_on_thread(|| self.enter_current_thread().map(|()| work()))
    }

    /// Starts `work` on a new thread in the namespace, and keeps the namespace alive until it is
    /// done.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<Result<T>> {
        let namespace = self.clone();
        thread::spawn(move || namespace.enter_current_thread().map(|()| work()))
    }

    /// Starts `command` in the namespace.
    ///
    /// The thread that starts the child ends at once, so `command` must not request a parent-death
    /// signal: the kernel sends it when the starting *thread* ends. The child keeps the namespace
    /// alive until it ends, and the caller must wait for it.
    pub fn command(&self, mut command: Command) -> io::Result<Child> {
        self.run(move || command.spawn()).map_err(io::Error::other)?
    }

    /// Moves the calling thread into the namespace. Threads and children that it starts later
    /// follow.
    ///
    /// The thread cannot return to its old namespace without a handle to it: use a thread started
    /// for this.
    pub fn enter_current_thread(&self) -> Result<()> {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")
    }

    /// Reads the setting `name` of this namespace, a path under `/proc/sys/net` such as
    /// `ipv4/ip_forward`.
    pub fn setting(&self, name: &str) -> Result<String> {
        let path = setting_path(name);
        let value = self.run(|| fs::read_to_string(&path))?;
        let value = value.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(value.trim_end().to_owned())
    }

    /// Changes the setting `name` of this namespace only, a path under `/proc/sys/net`.
    pub fn change_setting(&self, name: &str, value: &str) -> Result<()> {
        // Where /proc/sys is read-only (containers), a setting that already has the value must not
        // fail.
        if self.setting(name)? == value {
            return Ok(());
        }
        let path = setting_path(name);
        let written = self.run(|| fs::write(&path, value))?;
        written.with_context(|| format!("cannot write {value} to {}", path.display()))
    }
}

fn setting_path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}

/// Runs `work` on a new thread and waits for it. A panic resumes in the caller with its own
/// message.
fn run_on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match thread::scope(|scope| scope.spawn(work).join()) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
