//! What the kernel programs and userspace share: one parser, one flow logic, one message scanner, one event.
//!
//! Reading order: [`frame`] (bytes) → [`wire`] (a TCP segment) → [`flow`] (what a segment changes in its connection)
//! → [`http`] (where messages start and end) → [`event`] (what is told to userspace). [`observe`] is the whole path,
//! run by the kernel programs on live frames and by userspace on frames from anywhere else.
//!
//! No dependencies, no allocation, no panics: the same code must pass the kernel's verifier.
#![no_std]
#![deny(unsafe_code)]

pub mod config;
pub mod counter;
pub mod event;
pub mod flow;
pub mod frame;
pub mod http;
pub mod observe;
#[cfg(feature = "aya")]
mod pod;
pub mod seq;
pub mod sketch;
pub mod target;
pub mod value;
pub mod wire;
