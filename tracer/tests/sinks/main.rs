//! Records as the sinks write them.
//!
//! - `contract`: every line that can be written in JSON is as the schema says
//! - `text`: lines for a terminal
//! - `explain`: the demo's story and the failures, step by step
#![forbid(unsafe_code)]

mod contract;
mod explain;
#[path = "../support/mod.rs"]
mod support;
mod text;
