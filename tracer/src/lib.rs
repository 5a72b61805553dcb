//! tracer: TCP connections and their HTTP exchanges, observed from inside the kernel.
//!
//! The path of an event, and the modules along it:
//!
//! - [`cli`] and [`config`]: what is asked for; [`doctor`]: whether this host can do it.
//! - [`kernel`]: loads and attaches the kernel programs, reads the ring buffer, the counters and the connection table.
//! - [`pipeline`]: the loop that moves events from the ring to the analysis.
//! - [`capture`], [`replay`]: the frames of capture files, and their way through the same analysis.
//! - [`analysis`]: events in, records to the sink; with the questions of the tracker answered in between.
//! - [`tracker`]: events in, [`record`]s out; with [`tcp`] for the two endpoints and [`http`] for the exchanges.
//! - [`sink`]: records as text, JSON lines or an explanation; [`summary`]: what was seen, told and lost.
//! - [`host`]: the path of a frame as in the kernel, run in userspace.
//! - [`privilege`], [`confine`]: what tracing needs, and what is given up once it has begun.
//! - [`clock`], [`logging`]: time and diagnostics.
//! - [`demo`], with [`netns`]: a conversation to watch.

pub mod analysis;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod confine;
pub mod demo;
pub mod doctor;
pub mod host;
pub mod http;
pub mod kernel;
pub mod listener;
pub mod logging;
pub mod memory;
pub mod netns;
pub mod overload;
pub mod pipeline;
pub mod privilege;
pub mod record;
mod redaction;
pub mod replay;
pub mod sink;
pub mod summary;
pub mod tcp;
pub mod tracker;
