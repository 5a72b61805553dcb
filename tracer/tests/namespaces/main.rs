//! Tests in network namespaces. Every test creates its own and sends nothing outside them.
//!
//! - `network`: the ends of a [`tracer::lab::netns::VethPair`] reach each other
//! - `conversation`: the demo's server and browser, and the segments they cause
//! - `half_open`: spoofed SYNs leave the server's kernel in SYN-RECEIVED
//! - `leftovers`: namespaces end with their owner, even after a kill
//! - `harness`: starts and stops tracer
//! - `web`: nginx and curl; `account`: expected records
//! - `agreement`: live tracing and replay report the same for the same frames
//! - `http_nginx`: tracer, nginx and curl report the same exchanges
//! - `http_load`: high load
//! - `http_output`: the human-readable formats
//! - `header_fields`: recorded header fields and traces
//! - `http_sockets`: conversations that ordinary servers and clients do not have
//! - `tcp_ends`: how connections end; `tcp_frames`: tags and fragments; `tcp_more`: midstream
//!   connections and two tracers; `live_cases`: the captures of `tests/cases`
//! - `operation_flood`: spoofed SYNs; `operation_syn_flood`: floods and other load that is not a
//!   flood; `operation_slow_clients`: late handshakes that look like a flood; `operation_loss`:
//!   lost events; `operation_overload`: a blocked output or a full ring buffer;
//!   `operation_errors`: missing privileges, SIGTERM
//! - `start_stop`: tracer starts and stops under load
//! - `promiscuous`: traffic of other hosts, over a bridge
//! - `owners`: the processes at both ends
//! - `privileges`: those kept after attaching; `secrets`: no output or log contains them
//! - `faults`: code shared by their tests; `faults_process`: tracer is killed, stopped or short of
//!   memory; `faults_interface`: faults of interfaces; `clock`: the wall clock is stepped
//! - `footprint`: memory and CPU use of tracer
//! - `demo`: the demo as a user sees it
//!
//! They need root: `cargo xtask test`, or as root
//! `cargo test -p tracer --test namespaces -- --ignored`.
#![forbid(unsafe_code)]

mod account;
mod agreement;
#[path = "../cases/check.rs"]
mod check;
mod clock;
mod conversation;
mod demo;
mod faults;
mod faults_interface;
mod faults_process;
mod footprint;
mod half_open;
mod harness;
mod header_fields;
mod http_load;
mod http_nginx;
mod http_output;
mod http_sockets;
mod leftovers;
mod live_cases;
mod network;
mod operation_errors;
mod operation_flood;
mod operation_loss;
mod operation_overload;
mod operation_slow_clients;
mod operation_syn_flood;
mod owners;
mod privileges;
mod promiscuous;
#[path = "../support/schema.rs"]
mod schema;
mod secrets;
mod sniffer;
mod start_stop;
mod tcp_ends;
mod tcp_frames;
mod tcp_more;
mod web;

use std::thread;
use std::time::{Duration, Instant};

use tracer::lab::netns::{PairOptions, VethPair};

/// How long a test waits for the kernel.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

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
