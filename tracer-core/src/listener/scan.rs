//! Many ports of one host, tried out by few.

use std::collections::{HashMap, hash_map::Values};

use hashbrown::DefaultHashBuilder;
use tracer_common::{
    server::{Count, ServerKey},
    sketch::{REGISTERS, Sketch},
};

use super::{
    sources::{estimate, merge},
    watch::Watch,
};

/// So many ports of one host, at least.
const PORTS: u64 = 10;
/// Tried out: asked for no more than so many connections in some seconds.
const TRIES: u64 = 8;
/// One client for so many ports, or more.
const PORTS_OF_A_CLIENT: u64 = 5;

/// What there is of a host's ports that are tried out.
#[derive(Clone, Copy)]
struct Host {
    ports: u64,
    /// Those that gave nobody a connection.
    fruitless: u64,
    clients: Sketch,
}

impl Host {
    const NONE: Self = Self { ports: 0, fruitless: 0, clients: [0; REGISTERS] };

    fn is_scanned(&self) -> bool {
        self.ports >= PORTS
            && self.fruitless * 2 >= self.ports
            && estimate(&self.clients) * PORTS_OF_A_CLIENT <= self.ports
    }
}

type Watches = HashMap<ServerKey, Watch, DefaultHashBuilder>;

/// Marks the ports that are tried out.
pub(super) fn mark(watches: &mut Watches, now: u64) {
    let hosts = if watches.len() as u64 >= PORTS { hosts(watches.values(), now) } else { HashMap::default() };
    for watch in watches.values_mut() {
        let host = hosts.get(&watch.key().address);
        watch.is_scanned = is_tried(watch, now) && host.is_some_and(Host::is_scanned);
    }
}

fn hosts(watches: Values<'_, ServerKey, Watch>, now: u64) -> HashMap<[u32; 4], Host, DefaultHashBuilder> {
    let mut hosts: HashMap<_, _, DefaultHashBuilder> = HashMap::default();
    for watch in watches.filter(|watch| is_tried(watch, now)) {
        let host = hosts.entry(watch.key().address).or_insert(Host::NONE);
        host.ports += 1;
        host.fruitless += u64::from(watch.lately(now).get(Count::Completed) == 0);
        merge(&mut host.clients, &watch.addresses());
    }
    hosts
}

fn is_tried(watch: &Watch, now: u64) -> bool {
    (1..=TRIES).contains(&watch.lately(now).get(Count::Attempts))
}
