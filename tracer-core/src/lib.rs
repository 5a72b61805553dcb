//! The core of tracer, sans-IO: events in, records out. It knows no kernel, no clock, no file and no runtime.
//!
//! ```text
//! Event ─► analysis ─► tracker ─► connection ─► tcp, http ─► Record ─► selection ─► render
//! frame ─► host (the kernel's path, run in userspace) ─► Event
//! ```
#![forbid(unsafe_code)]

pub mod analysis;
pub mod connection;
pub mod host;
pub mod http;
pub mod listener;
pub mod overload;
pub mod record;
pub mod render;
pub mod selection;
pub mod summary;
mod tcp;
pub mod tracker;
