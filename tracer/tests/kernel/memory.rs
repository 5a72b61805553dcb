//! The kernel allocates as much memory as computed.

use std::fs;

use tracer::{
    cli,
    live::{
        kernel::{Kernel, support},
        memory::{Memory, table},
    },
};
use tracer_common::server::{MAX_SERVERS, ServerCounters, ServerKey};
use tracer_common::{connection::FlowState, flow::FlowKey};

/// A number of connections and a ring size that no other test uses.
const CONNECTIONS: u32 = 100_003;
const RING: u32 = 32 << 20;

/// Bytes that the kernel counts for each map of this process with `entries` entries.
fn counted(entries: u32) -> Vec<u64> {
    let files = fs::read_dir("/proc/self/fdinfo").expect("proc is mounted").flatten();
    let mut maps: Vec<(u64, u64)> = files
        .filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            let number = |name: &str| -> Option<u64> {
                text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
            };
            (number("max_entries:")? == u64::from(entries))
                .then_some((number("map_id:")?, number("memlock:")?))
        })
        .collect();
    // A map may have several file descriptors.
    maps.sort_unstable();
    maps.dedup();
    maps.into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_tables_and_the_ring_take_little_less_than_computed() {
    if support::before(6, 4) {
        println!("skipped: kernels before 6.4 report the size of a map's entries, not the memory they take");
        return;
    }
    let mut config = cli::trace(&["--max-connections", "100003", "--ring-bytes", "32M"]).expect("valid");
    config.kernel.max_connections = CONNECTIONS;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let _loaded = Kernel::load(&config.kernel).expect("root may load it");
    let computed = Memory::of(&config, support::cpus());
    let mut tables = counted(CONNECTIONS);
    tables.sort_unstable();
    assert_eq!(tables.len(), 3, "{tables:?}");
    // The smallest is the list of those who read.
    let readers = vec![tables.remove(0)];
    let servers = counted(MAX_SERVERS);
    assert_eq!(servers.len(), 1, "{servers:?}");
    let of_one = table::<FlowKey, FlowState>(CONNECTIONS.into(), support::cpus());
    let of_servers = table::<ServerKey, ServerCounters>(MAX_SERVERS.into(), support::cpus());
    let of_readers = table::<u64, u8>(CONNECTIONS.into(), support::cpus());
    let computed_of = [(&tables, of_one), (&servers, of_servers), (&readers, of_readers)];
    for (bytes, computed) in
        computed_of.iter().flat_map(|(found, computed)| found.iter().map(move |bytes| (bytes, computed)))
    {
        assert!(bytes <= computed && *bytes >= computed / 10 * 9, "{bytes} bytes, computed {computed}");
    }
    let ring = counted(RING);
    assert_eq!(ring.len(), 1, "{ring:?}");
    assert!(
        ring[0] <= computed.ring && ring[0] >= u64::from(RING),
        "{ring:?} bytes, computed {}",
        computed.ring
    );
}
