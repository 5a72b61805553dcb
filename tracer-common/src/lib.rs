//! What the kernel programs and userspace share: one parser, one flow logic, one message scanner, one set of events.
//!
//! Reading order: [`frame`] (bytes) → [`wire`] (a TCP segment) → [`flow`] (what a segment changes in its connection)
//! → [`http1`] (where messages start and end) → [`event`] (what is reported to userspace). [`connection`] is the state of
//! both layers. [`observe`] is the whole path, run by the kernel programs on live frames and by userspace on others.
//!
//! No dependencies, no allocation, no panics: the same code must pass the kernel's verifier.
#![no_std]
#![deny(unsafe_code)]

pub mod config;
pub mod connection;
pub mod counter;
pub mod event;
mod flags;
pub mod flow;
pub mod frame;
pub mod http1;
pub mod observe;
#[cfg(feature = "aya")]
mod pod;
pub mod priority;
pub mod seq;
pub mod server;
pub mod sketch;
pub mod wire;
