//! tracer: TCP connections and their HTTP exchanges, observed from inside the kernel.
//!
//! This crate is the shell around [`tracer_core`], which turns events into records:
//!
//! - [`cli`] and [`config`]: the command line and the validated configuration; [`doctor`]: what this host supports.
//! - [`live`]: loads and attaches the kernel programs, drops privileges, and moves events from the ring to the core.
//! - [`replay`]: reads capture files and moves their frames through the same core.
//! - [`output`]: the outputs: formats, bounded queues, files and pipes. [`outcome`]: how a run ends.
//! - [`lab`]: private network namespaces and the demo in them.
//! - [`clock`], [`logging`]: time and diagnostics.

pub mod cli;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod lab;
pub mod live;
pub mod logging;
pub mod outcome;
pub mod output;
mod redact_key;
pub mod replay;
