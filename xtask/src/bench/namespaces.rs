//! A client and a server in network namespaces of their own, with a virtual cable between.
//!
//! The namespaces have no names: each lives as long as a process that sleeps in it. Everything that is started here
//! is killed by the kernel when the bench ends, however it ends, and with the last process goes the namespace with
//! its cable. There is nothing to clean up.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::process::execute;

/// The interface of both ends.
pub(super) const INTERFACE: &str = "veth-bench";
/// The server's address.
pub(super) const SERVER: &str = "10.77.0.1";
const CLIENT: &str = "10.77.0.2";

/// How long to wait for what takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Two namespaces that reach each other.
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
        // A connection for each request uses up the usual 28,000 within seconds.
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

    /// Waits until the sleeper has left the namespace of this process.
    fn wait(&mut self) -> Result<()> {
        let here = fs::read_link("/proc/self/ns/net").context("this kernel has no network namespaces")?;
        let there = self.path();
        wait_for("a network namespace", || {
            if let Some(status) = self.holder.try_wait().context("a child can be waited for")? {
                bail!("there is no network namespace to be had: unshare ended with {status}");
            }
            Ok(fs::read_link(Path::new(&there)).is_ok_and(|there| there != here))
        })
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// `program` in the namespace, by its own process number; killed when the bench ends.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path()));
        command.args(["setpriv", "--pdeathsig", "KILL", program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        end(&mut self.holder);
    }
}

/// Kills a child that still runs.
pub(super) fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits until `condition` comes true.
pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("waited in vain for {what}");
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
