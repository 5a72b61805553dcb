//! What needs real network namespaces. Every test makes its own and sends nothing outside them.
//!
//! - `network`: the ends of a [`tracer::lab::netns::VethPair`] reach each other
//! - `conversation`: the demo's server and browser, and the segments they cause
//! - `half_open`: forged handshakes leave the server's kernel in SYN-RECEIVED
//! - `leftovers`: nothing stays behind, not even after a kill
//! - `harness`: the real program, started and stopped by the tests of it
//! - `web`: nginx and curl; `account`: what the records must say
//! - `agreement`: live tracing and replay say the same of the same frames
//! - `http_nginx`: what tracer says of nginx and curl is what they say themselves
//! - `http_load`: much at once
//! - `http_output`: the formats for people
//! - `http_sockets`: conversations that no server or client can be asked to have
//! - `tcp_ends`: how connections end; `tcp_frames`: tags and fragments; `tcp_more`: what tracer does not see alone, or not from its start
//! - `operation_flood`: forged SYNs; `operation_syn_flood`: floods and what is none; `operation_slow_clients`: what only looks like one at the server; `operation_loss`: events are lost; `operation_overload`: the output or the ring takes no more; `operation_trouble`: no privileges, no room
//! - `privileges`: what is left of them once tracer is attached; `secrets`: they are in no output or log
//! - `faults`: what their tests share; `faults_process`: tracer itself is killed, stopped, starved; `faults_interface`: what happens to interfaces; `clock`: the time of day is stepped
//! - `footprint`: the memory that tracer takes
//! - `demo`: the demo as a user sees it
//!
//! They need root: `cargo xtask test`, or as root `cargo test -p tracer --test namespaces -- --ignored`.
#![forbid(unsafe_code)]

mod account;
mod agreement;
mod clock;
mod conversation;
mod demo;
mod faults;
mod faults_interface;
mod faults_process;
mod footprint;
mod half_open;
mod harness;
mod http_load;
mod http_nginx;
mod http_output;
mod http_sockets;
mod leftovers;
mod network;
mod operation_flood;
mod operation_loss;
mod operation_overload;
mod operation_slow_clients;
mod operation_syn_flood;
mod operation_trouble;
mod privileges;
#[path = "../support/schema.rs"]
mod schema;
mod secrets;
mod sniffer;
mod tcp_ends;
mod tcp_frames;
mod tcp_more;
mod web;

use std::thread;
use std::time::{Duration, Instant};

use tracer::lab::netns::{PairOptions, VethPair};

/// How long a test waits for what the kernel does in its own time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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
