//! The kernel deletes closed connections from its tables, in batches.

use aya::programs::{TestRun as _, TestRunOptions};
use tracer::live::kernel::Kernel;
use tracer_common::event::Event;
use tracer_common::flow::{MAX_REMOVALS, Removal};

use crate::{
    differential::table::{
        build::{SYN, Tcp},
        talk::Talk,
    },
    kernel_config,
};

/// Connections after their handshake: more than one batch.
const CONFIRMED: u16 = MAX_REMOVALS as u16 + 6;
/// Half-open connections.
const ATTEMPTS: u16 = 2;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn closed_connections_are_deleted_but_not_later_ones_with_the_same_ports() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let loaded = runtime.block_on(async { Kernel::load(&kernel_config()) });
    let (mut kernel, mut sources) = loaded.unwrap_or_else(|error| panic!("{error:#}"));
    let observer = kernel.xdp("tracer_xdp").unwrap_or_else(|error| panic!("{error:#}"));
    let confirmed = (0..CONFIRMED).flat_map(|number| {
        Talk::connected(40_000 + number, [1_000, 5_000])
            .done(None, "")
            .steps
            .into_iter()
            .map(|step| step.frame)
    });
    let attempts = (0..ATTEMPTS)
        .map(|number| Tcp { from: 50_000 + number, flags: SYN, ack: 0, ..Tcp::default() }.frame());
    for frame in confirmed.chain(attempts) {
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
        observer.test_run(options).unwrap_or_else(|error| panic!("{error}"));
    }
    let mut all: Vec<Removal> = Vec::new();
    sources.ring.drain_all(|bytes| {
        let header = *Event::from_bytes(bytes).expect("an event").header();
        if !all.iter().any(|removal| removal.key == header.key) {
            all.push(Removal { key: header.key, flow: header.flow, recovered: 1 });
        }
    });
    assert_eq!(all.len(), usize::from(CONFIRMED + ATTEMPTS));
    let present = || {
        all.iter().filter(|removal| sources.tables.find(&removal.key).expect("an answer").is_some()).count()
    };
    let remove = |list: &[Removal]| kernel.remove(list).unwrap_or_else(|error| panic!("{error:#}"));

    let others: Vec<_> = all.iter().map(|removal| Removal { flow: removal.flow + 1, ..*removal }).collect();
    assert_eq!(
        (remove(&others), present()),
        (all.len() as u64, all.len()),
        "other connections of the same endpoints stay"
    );
    assert_eq!((remove(&all), present()), (0, 0), "all were in the tables, and now none is");
    assert_eq!(remove(&all), all.len() as u64, "missing connections that were looked up are counted");
    let known: Vec<_> = all.iter().map(|removal| Removal { recovered: 0, ..*removal }).collect();
    assert_eq!(
        (remove(&known), remove(&[])),
        (0, 0),
        "missing connections that were not looked up are not counted"
    );
}
