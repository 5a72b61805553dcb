//! tracer: TCP connections and their HTTP exchanges, observed from inside the kernel.
//!
//! The path of an event, and the modules along it:
//!
//! - [`kernel`]: loads and attaches the kernel programs, reads the ring buffer, the counters and the connection table.
//! - [`pipeline`]: the loop that moves events from the ring to the tracker and records to the sinks.
//! - [`tracker`]: events in, [`record`]s out; with [`tcp`] for the two endpoints and [`http`] for the exchanges.
//! - [`sink`]: records as text, JSON lines or an explanation.
//! - [`host`]: the path of a frame as in the kernel, run in userspace.
//! - [`demo`], with [`netns`]: a conversation to watch.

pub mod demo;
pub mod host;
pub mod netns;
pub mod record;
