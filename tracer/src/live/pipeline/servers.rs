//! The servers asked for connections: how often they are looked at, and what the host itself knows of them.

use std::{collections::HashSet, net::IpAddr};

use nix::ifaddrs::getifaddrs;
use tracer_core::record::{Listener, NamespaceCounters};

use super::{Pipeline, epoch_now};
use crate::{
    clock,
    live::kernel::listen::{Listening, Queues},
    outcome::Outcome,
};

/// So many servers are looked at with every tick; more of them more rarely, because each is a question to the kernel.
const MANY: usize = 256;
/// With so many ticks between.
const RARELY: u32 = 5;

/// When to look, and where to ask.
#[derive(Debug)]
pub(super) struct Servers {
    /// Ticks still to let go by.
    wait: u32,
    /// None when nobody wants to know, or the kernel does not tell.
    listening: Option<Listening>,
}

impl Servers {
    /// `asked`: somebody wants to know what the host knows.
    pub(super) fn new(asked: bool) -> Self {
        let opened = asked
            .then(Listening::open)
            .and_then(|opened| opened.inspect_err(|error| log::debug!("no listen queues: {error:#}")).ok());
        Self { wait: 0, listening: opened }
    }
}

impl Pipeline {
    /// Looks at the counts of all servers, if it is time.
    pub(super) fn look_at_servers(&mut self) -> Result<(), Outcome> {
        if self.servers.wait > 0 {
            self.servers.wait -= 1;
            return Ok(());
        }
        let targets = self.sources.targets.read()?;
        self.servers.wait = if targets.len() > MANY { RARELY - 1 } else { 0 };
        self.analysis.on_servers(clock::now(), targets);
        self.outputs.deliver(&mut self.analysis)
    }

    /// Tells how it stands with all servers, if that is asked for.
    pub(super) fn report_servers(&mut self) -> Result<(), Outcome> {
        self.servers.wait = 0;
        self.look_at_servers()?;
        let known = self.servers.listening.as_mut().and_then(|listening| {
            listening.read().inspect_err(|error| log::debug!("no listen queues: {error:#}")).ok()
        });
        let local = if known.is_some() { local_addresses() } else { HashSet::new() };
        let servers = self.analysis.listeners(clock::now(), epoch_now(), |listener| {
            if let Some((queues, counters)) = &known {
                complete(listener, queues, *counters, &local);
            }
        });
        servers.iter().try_for_each(|record| self.outputs.write(record))
    }
}

/// Adds what the host knows of a server of its own.
fn complete(listener: &mut Listener, queues: &Queues, counters: NamespaceCounters, local: &HashSet<IpAddr>) {
    let server = listener.now.server();
    // What listens at all addresses listens at no others than those of this network namespace.
    if server.ip().is_loopback() || local.contains(&server.ip()) {
        listener.queue = queues.of(server);
        listener.namespace = listener.queue.is_some().then_some(counters);
    }
}

/// The addresses of this network namespace; none if the kernel does not tell.
fn local_addresses() -> HashSet<IpAddr> {
    let interfaces = getifaddrs().inspect_err(|error| log::debug!("no addresses of this host: {error}"));
    let addresses = interfaces.into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.collect()
}
