//! Port scans: many ports of one host, tried by few clients.

use std::collections::{HashMap, hash_map::Values};

use hashbrown::DefaultHashBuilder;
use tracer_common::{
    server::{Count, ServerKey},
    sketch::{REGISTERS, Sketch},
};

use super::{
    monitor::ServerMonitor,
    sources::{estimate, merge},
};

/// A scan tries at least this many ports of one host.
const PORTS: u64 = 10;
/// A port is only tried if it has at most this many attempts in some seconds.
const TRIES: u64 = 8;
/// A scan has at least this many ports per client.
const PORTS_OF_A_CLIENT: u64 = 5;

/// The ports of a host that are only tried.
#[derive(Clone, Copy)]
struct Host {
    ports: u64,
    /// Ports without a completed handshake.
    unsuccessful: u64,
    clients: Sketch,
}

impl Host {
    const NONE: Self = Self { ports: 0, unsuccessful: 0, clients: [0; REGISTERS] };

    fn is_scanned(&self) -> bool {
        self.ports >= PORTS
            && self.unsuccessful * 2 >= self.ports
            && estimate(&self.clients) * PORTS_OF_A_CLIENT <= self.ports
    }
}

type Monitors = HashMap<ServerKey, ServerMonitor, DefaultHashBuilder>;

/// Marks the ports that are scanned.
pub(super) fn mark(monitors: &mut Monitors, now: u64) {
    let hosts =
        if monitors.len() as u64 >= PORTS { hosts(monitors.values(), now) } else { HashMap::default() };
    for monitor in monitors.values_mut() {
        let host = hosts.get(&monitor.key().address);
        monitor.is_scanned = is_only_tried(monitor, now) && host.is_some_and(Host::is_scanned);
    }
}

fn hosts(
    monitors: Values<'_, ServerKey, ServerMonitor>,
    now: u64,
) -> HashMap<[u32; 4], Host, DefaultHashBuilder> {
    let mut hosts: HashMap<_, _, DefaultHashBuilder> = HashMap::default();
    for monitor in monitors.filter(|monitor| is_only_tried(monitor, now)) {
        let host = hosts.entry(monitor.key().address).or_insert(Host::NONE);
        host.ports += 1;
        host.unsuccessful += u64::from(monitor.lately(now).get(Count::Completed) == 0);
        merge(&mut host.clients, &monitor.addresses());
    }
    hosts
}

fn is_only_tried(monitor: &ServerMonitor, now: u64) -> bool {
    (1..=TRIES).contains(&monitor.lately(now).get(Count::Attempts))
}
