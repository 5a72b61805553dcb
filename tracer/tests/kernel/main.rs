//! What needs a kernel to load programs into. Tests that need a network make their own namespaces.
//!
//! - `attach`: where the programs go, and what happens when somebody else is there
//! - `differential`: the same frames through the kernel programs and the host's side of the observer
//! - `memory`: what the kernel sets aside is what was computed
//! - `process`: the program as it is started, signalled and killed
//! - `removal`: connections are taken out of the tables
//!
//! They need root: `cargo xtask test`, or as root `cargo test -p tracer --test kernel -- --ignored`.
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

/// How long a test waits for what the kernel does in its own time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is loaded where a test does not care.
fn kernel_config() -> KernelConfig {
    KernelConfig {
        ports: "80".parse().expect("a port"),
        hosts: Vec::new(),
        events: Events::of(&[EventName::Segment]),
        decapsulate: false,
        ring_bytes: MIN_RING_BYTES,
        max_connections: 128,
        log: false,
    }
}

/// A plain pair, or the reason why not.
fn pair() -> VethPair {
    VethPair::new(PairOptions::default()).unwrap_or_else(|error| panic!("no pair of namespaces: {error:#}"))
}

/// Whether `condition` came true within [`PATIENCE`].
fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
    true
}

/// Runs `work` inside the namespace, on a thread and a runtime of its own.
fn inside<T: Send>(namespace: &Namespace, work: impl AsyncFnOnce() -> T + Send) -> T {
    let outcome = namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work())
    });
    outcome.expect("the namespace can be entered")
}
