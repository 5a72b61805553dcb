//! Server counters: how often they are read, and what the host knows about its own servers.

use std::{collections::HashSet, net::IpAddr};

use nix::ifaddrs::getifaddrs;
use tracer_core::record::{Listener, NamespaceCounters};

use super::{Pipeline, epoch_now};
use crate::{
    clock,
    live::kernel::listen::{Listening, Queues},
    outcome::Outcome,
};

/// Up to this number of servers, counters are read with every tick. Each server takes a system
/// call.
const MANY: usize = 256;
/// With more servers, counters are read every so many ticks.
const RARELY: u32 = 5;

/// When to read the counters, and the source of the listen queues.
#[derive(Debug)]
pub(super) struct Servers {
    /// Ticks until the next read.
    wait: u32,
    /// None if records of servers are not selected, or the kernel refuses.
    listening: Option<Listening>,
}

impl Servers {
    /// `wanted`: whether records of servers are selected.
    pub(super) fn new(wanted: bool) -> Self {
        let opened = wanted
            .then(Listening::open)
            .and_then(|opened| opened.inspect_err(|error| log::debug!("no listen queues: {error:#}")).ok());
        Self { wait: 0, listening: opened }
    }
}

impl Pipeline {
    /// Reads the counters of all servers, if it is time.
    pub(super) fn look_at_servers(&mut self) -> Result<(), Outcome> {
        if self.servers.wait > 0 {
            self.servers.wait -= 1;
            return Ok(());
        }
        let counters = self.sources.servers.read()?;
        self.servers.wait = if counters.len() > MANY { RARELY - 1 } else { 0 };
        self.analysis.on_servers(clock::now(), counters);
        self.outputs.deliver(&mut self.analysis)
    }

    /// Writes a record for each server, if they are selected.
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

/// Adds what the host knows about a server of its own.
fn complete(listener: &mut Listener, queues: &Queues, counters: NamespaceCounters, local: &HashSet<IpAddr>) {
    let server = listener.now.server();
    // A wildcard listener listens on the addresses of this network namespace only.
    if server.ip().is_loopback() || local.contains(&server.ip()) {
        listener.queue = queues.of(server);
        listener.namespace = listener.queue.is_some().then_some(counters);
    }
}

/// The addresses of this network namespace; empty if the kernel refuses.
fn local_addresses() -> HashSet<IpAddr> {
    let interfaces = getifaddrs().inspect_err(|error| log::debug!("no addresses of this host: {error}"));
    let addresses = interfaces.into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.collect()
}
