//! Tests that load programs into the kernel. Those that need a network create their own namespaces.
//!
//! - `attach`: where the programs are attached, also beside other programs
//! - `differential`: the same frames through the kernel programs and the host's observer
//! - `memory`: the kernel allocates as much memory as computed
//! - `process`: tracer is started, signalled and killed
//! - `removal`: closed connections are deleted from the tables
//!
//! They need root: `cargo xtask test`, or as root
//! `cargo test -p tracer --test kernel -- --ignored`.
#![forbid(unsafe_code)]

mod attach;
mod differential;
mod memory;
mod process;
mod removal;

use std::thread;
use std::time::{Duration, Instant};

use tracer::{
    config::{KernelConfig, MIN_RING_BYTES},
    lab::netns::{Namespace, PairOptions, VethPair},
};
use tracer_core::record::{EventName, Events};

/// How long a test waits for the kernel.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A default configuration for the kernel programs.
fn kernel_config() -> KernelConfig {
    KernelConfig {
        ports: "80".parse().expect("a port"),
        hosts: Vec::new(),
        events: Events::of(&[EventName::Segment]),
        decapsulate: false,
        ring_bytes: MIN_RING_BYTES,
        max_connections: 128,
        owners: true,
        process_details: false,
        log: false,
    }
}

/// A pair of namespaces with default options.
fn pair() -> VethPair {
    VethPair::new(PairOptions::default()).unwrap_or_else(|error| panic!("no pair of namespaces: {error:#}"))
}

/// Whether `condition` came true within [`TIMEOUT`].
fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(CHECK_INTERVAL);
    }
    true
}

/// Runs `work` inside the namespace, on its own thread and runtime.
fn inside<T: Send>(namespace: &Namespace, work: impl AsyncFnOnce() -> T + Send) -> T {
    let outcome = namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work())
    });
    outcome.expect("the namespace can be entered")
}
