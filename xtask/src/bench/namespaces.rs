//! A client and a server in separate network namespaces, connected by a veth pair.
//!
//! The namespaces have no names: each exists as long as a process sleeps in it. The kernel kills
//! all processes started here when xtask exits, for whatever reason, and removes the namespaces and
//! the veth pair with them. No cleanup is needed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::process::execute;

/// The name of both interfaces of the veth pair.
pub(super) const INTERFACE: &str = "veth-bench";
/// The server's address.
pub(super) const SERVER: &str = "10.77.0.1";
const CLIENT: &str = "10.77.0.2";

/// Time limit for operations that take milliseconds.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// Interval between two checks of a condition.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Two connected namespaces.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) server: Namespace,
    pub(super) client: Namespace,
}

impl Pair {
    pub(super) fn new() -> Result<Self> {
        let pair = Self { server: Namespace::new()?, client: Namespace::new()? };
        let peer = pair.client.holder.id().to_string();
        let link = ["link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", &peer];
        execute(pair.server.command("ip").args(link))?;
        for (namespace, address) in [(&pair.server, SERVER), (&pair.client, CLIENT)] {
            let address = format!("{address}/24");
            execute(namespace.command("ip").args(["address", "add", &address, "dev", INTERFACE]))?;
            execute(namespace.command("ip").args(["link", "set", INTERFACE, "up"]))?;
        }
        // One connection per request would exhaust the default 28,000 ports within seconds.
        let ports = "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range";
        execute(pair.client.command("sh").args(["-c", ports]))?;
        Ok(pair)
    }
}

/// A network namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "setpriv", "--pdeathsig", "KILL", "sleep", "infinity"]);
        let holder = command.stdin(Stdio::null()).spawn().context("unshare cannot be started")?;
        let mut namespace = Self { holder };
        namespace.wait()?;
        Ok(namespace)
    }

    /// Waits until the sleeping process has left the namespace of this process.
    fn wait(&mut self) -> Result<()> {
        let here =
            fs::read_link("/proc/self/ns/net").context("this kernel does not support network namespaces")?;
        let there = self.path();
        wait_for("a network namespace", || {
            if let Some(status) = self.holder.try_wait().context("cannot wait for unshare")? {
                bail!("no network namespace can be created: unshare failed with {status}");
            }
            Ok(fs::read_link(Path::new(&there)).is_ok_and(|there| there != here))
        })
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Runs `program` in the namespace. The child has the process ID of `program`, and the kernel
    /// kills it when xtask exits.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path()));
        command.args(["setpriv", "--pdeathsig", "KILL", program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        kill(&mut self.holder);
    }
}

/// Kills a child and waits for it.
pub(super) fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits until `condition` is true.
pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("timed out waiting for {what}");
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
