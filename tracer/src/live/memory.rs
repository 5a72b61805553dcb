//! The most memory that the limits allow, computed before anything is kept.
//!
//! ```text
//! kernel     the tables of connections and of servers, set aside at the start; the ring buffer; small maps
//! userspace  the program; connections and handshakes; heads and exchanges under way; records waiting to be written
//! ```

use std::fmt;

use tracer_common::{
    connection::FlowState,
    flow::FlowKey,
    server::{MAX_SERVERS, ServerCounters, ServerKey},
};
use tracer_core::tracker;

use crate::config::Config;

/// What the kernel puts in front of each entry of a hash table: links, hash, and for an LRU table its place there
/// (`struct htab_elem`).
const ENTRY: u64 = 48;
/// A bucket of a hash table, with its lock; there are as many as entries, rounded up to a power of two.
const BUCKET: u64 = 16;
/// The pages before the data of a ring buffer: positions, and the kernel's own.
const RING_PAGES: u64 = 4;
/// The address of a page of the ring, which is mapped twice.
const PAGE_ADDRESSES: u64 = 2 * 8;
/// Bytes of a page, at least.
const PAGE: u64 = 4096;
/// The other maps, and the programs.
const SMALL_MAPS: u64 = 1 << 20;
/// What each CPU has of the maps that have something for each: room for a head, a header and counters, and an entry of each
/// table.
const OF_CPU: u64 = 16 << 10;
/// The program itself, with libraries, stacks, and what loading the kernel programs took.
const PROGRAM: u64 = 24 << 20;

/// The most memory there is need for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The tables of connections and of servers in the kernel.
    pub tables: u64,
    /// The rest in the kernel.
    pub ring: u64,
    /// Connections and handshakes in userspace.
    pub connections: u64,
    /// What is kept of messages under way, and records that wait to be written.
    pub buffers: u64,
    /// The program itself.
    pub program: u64,
}

impl Memory {
    /// What `config` allows on a host with so many CPUs.
    #[must_use]
    pub fn of(config: &Config, cpus: u64) -> Self {
        let ring = u64::from(config.kernel.ring_bytes);
        Self {
            tables: 2 * table::<FlowKey, FlowState>(config.kernel.max_connections.into(), cpus)
                + table::<ServerKey, ServerCounters>(MAX_SERVERS.into(), cpus),
            ring: ring + RING_PAGES * PAGE + ring / PAGE * PAGE_ADDRESSES + SMALL_MAPS + cpus * OF_CPU,
            connections: tracker::most_bytes(config.limits.max_connections.into()),
            buffers: u64::from(config.limits.buffer_bytes) + u64::from(config.limits.output_bytes),
            program: PROGRAM,
        }
    }

    /// In the kernel.
    #[must_use]
    pub const fn kernel(&self) -> u64 {
        self.tables + self.ring
    }

    /// In userspace.
    #[must_use]
    pub const fn userspace(&self) -> u64 {
        self.connections + self.buffers + self.program
    }
}

/// A hash table with room for so many entries.
#[must_use]
pub fn table<K, V>(entries: u64, cpus: u64) -> u64 {
    let entry = ENTRY + aligned(size_of::<K>()) + aligned(size_of::<V>());
    (entries + cpus) * entry + entries.next_power_of_two() * BUCKET + PAGE
}

const fn aligned(size: usize) -> u64 {
    size.next_multiple_of(8) as u64
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "memory: at most {} MiB: kernel {} MiB (tables {}, ring buffer {}), \
             userspace {} MiB (connections {}, buffers {})",
            mib(self.kernel() + self.userspace()),
            mib(self.kernel()),
            mib(self.tables),
            mib(self.ring),
            mib(self.userspace()),
            mib(self.connections),
            mib(self.buffers),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_room_for_its_entries_and_their_buckets() {
        let entry = 48 + 40 + size_of::<FlowState>() as u64;
        assert_eq!(table::<FlowKey, FlowState>(65_536, 0), 65_536 * (entry + 16) + 4096);
        assert_eq!(table::<FlowKey, FlowState>(65_537, 1), 65_538 * entry + 131_072 * 16 + 4096);
    }

    #[test]
    fn the_parts_are_the_whole() {
        let memory =
            Memory { tables: 3 << 20, ring: 1 << 20, connections: 5 << 20, buffers: 1, program: 2 << 20 };
        assert_eq!((memory.kernel(), memory.userspace()), (4 << 20, (7 << 20) + 1));
        let text = memory.to_string();
        assert!(
            text.starts_with("memory: at most 12 MiB: kernel 4 MiB (tables 3, ring buffer 1), "),
            "{text}"
        );
        assert!(text.ends_with("userspace 8 MiB (connections 5, buffers 1)"), "{text}");
    }
}
