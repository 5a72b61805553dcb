//! The upper bound on memory that follows from the limits, computed at the start.
//!
//! ```text
//! kernel     tables of connections and servers (preallocated), ring buffer, small maps
//! userspace  program, connections and handshakes, open heads and exchanges, queued records
//! ```

use std::fmt;

use tracer_common::{
    config::MAX_CONNECTING,
    connection::FlowState,
    event::OwnerEvent,
    flow::FlowKey,
    server::{MAX_SERVERS, ServerCounters, ServerKey},
};
use tracer_core::{selection, tracker};

use crate::{config::Config, live::owner};

/// Bytes of the kernel's header of a hash table entry: links, hash, and the LRU node of an LRU
/// table (`struct htab_elem`).
const ENTRY_HEADER: u64 = 48;
/// Bytes of a bucket of a hash table, with its lock. There is one per entry, rounded up to a power
/// of two.
const BUCKET: u64 = 16;
/// Pages before the data of a ring buffer: the positions and the kernel's header.
const RING_PAGES: u64 = 4;
/// Bytes of the addresses of a page of the ring buffer, which is mapped twice.
const PAGE_ADDRESSES: u64 = 2 * 8;
/// Bytes of a page; the smallest size of all architectures.
const PAGE: u64 = 4096;
/// Bytes of the other maps and the programs.
const SMALL_MAPS: u64 = 1 << 20;
/// Bytes per CPU, for the per-CPU maps (scratch buffers for a message head and a header, counters)
/// and one entry of each table.
const PER_CPU: u64 = 16 << 10;
/// Bytes of the process itself: code, libraries, stacks, and the memory used to load the kernel
/// programs.
const PROGRAM: u64 = 24 << 20;

/// The upper bound on memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The kernel's tables of connections and servers.
    pub tables: u64,
    /// The rest of the kernel's memory: the ring buffer, small maps and programs.
    pub ring: u64,
    /// Connections and handshakes in userspace.
    pub connections: u64,
    /// Buffers of incomplete messages, and records that wait to be selected or written.
    pub buffers: u64,
    /// The process itself.
    pub program: u64,
}

impl Memory {
    /// The bound for `config` on a host with `cpus` CPUs.
    #[must_use]
    pub fn of(config: &Config, cpus: u64) -> Self {
        let ring = u64::from(config.kernel.ring_bytes);
        Self {
            tables: 2 * table::<FlowKey, FlowState>(config.kernel.max_connections.into(), cpus)
                + table::<ServerKey, ServerCounters>(MAX_SERVERS.into(), cpus)
                + if config.kernel.owners { owner_tables(config.kernel.max_connections, cpus) } else { 0 },
            ring: ring + RING_PAGES * PAGE + ring / PAGE * PAGE_ADDRESSES + SMALL_MAPS + cpus * PER_CPU,
            connections: tracker::max_bytes(config.limits.max_connections.into())
                + if config.kernel.owners { owner::MAX_BYTES } else { 0 },
            buffers: u64::from(config.limits.buffer_bytes)
                + u64::from(config.limits.output_bytes) * config.records.outputs.len() as u64
                + selection::max_bytes(&config.records.criteria, config.limits.max_connections.into()),
            program: PROGRAM,
        }
    }

    /// Total in the kernel.
    #[must_use]
    pub const fn kernel(&self) -> u64 {
        self.tables + self.ring
    }

    /// Total in userspace.
    #[must_use]
    pub const fn userspace(&self) -> u64 {
        self.connections + self.buffers + self.program
    }
}

/// Bytes of the tables of those who read and who connect.
fn owner_tables(max_connections: u32, cpus: u64) -> u64 {
    table::<u64, u8>(max_connections.into(), cpus) + table::<u64, OwnerEvent>(MAX_CONNECTING.into(), cpus)
}

/// Bytes of a hash table for `entries` entries on a host with `cpus` CPUs.
#[must_use]
pub fn table<K, V>(entries: u64, cpus: u64) -> u64 {
    let entry = ENTRY_HEADER + aligned(size_of::<K>()) + aligned(size_of::<V>());
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
    fn a_table_counts_its_entries_and_buckets() {
        let entry = 48 + 40 + size_of::<FlowState>() as u64;
        assert_eq!(table::<FlowKey, FlowState>(65_536, 0), 65_536 * (entry + 16) + 4096);
        assert_eq!(table::<FlowKey, FlowState>(65_537, 1), 65_538 * entry + 131_072 * 16 + 4096);
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
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
