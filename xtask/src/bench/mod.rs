//! Measures the overhead of tracing and the speed of replay, compared with other programs.
//!
//! All variants of a comparison are measured in one run, alternating for several rounds, because
//! measurements from different times on a busy machine are not comparable. Tables go to standard
//! output; tables and all measurements go to `target/bench` as JSON.

mod captures;
mod figures;
mod library;
mod load;
mod machine;
mod measure;
mod namespaces;
mod observers;
mod overhead;
mod pcap;
mod replay;
mod report;
mod server;

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::{
    apt::Apt,
    files::create_folder,
    process::{is_root, target_dir},
    programs::{self, UsedBy},
};

/// Which benchmark to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Option<Bench>,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Run all benchmarks with their default options
    All,
    /// Measure the time of the kernel programs per packet; needs root
    Kernel,
    /// Measure the overhead of observers on a web server under load; needs root
    Overhead(overhead::Options),
    /// Measure the speed and memory of reading captures
    Replay(replay::Options),
    /// Measure the CPU time of userspace per event
    Events,
    /// Run a command and print its resource usage; a separate process, because getrusage sums up
    /// all children
    #[command(hide = true)]
    Measure {
        /// The command to run
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Runs the benchmark, prints its tables and writes `target/bench/NAME.json`.
pub(crate) fn run(options: Options) -> Result<()> {
    match options.bench.unwrap_or(Bench::All) {
        Bench::All => all(),
        Bench::Kernel => kernel(),
        Bench::Overhead(options) => overhead(&options),
        Bench::Replay(options) => replay(&options),
        Bench::Events => library::run("events"),
        Bench::Measure { command } => measure::child(&command),
    }
}

/// Runs all benchmarks, even if one fails.
fn all() -> Result<()> {
    require_root("all")?;
    let outcomes = [
        ("kernel", kernel()),
        ("events", library::run("events")),
        ("replay", replay(&replay::Options::default())),
        ("overhead", overhead(&overhead::Options::default())),
    ];
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        if let Err(error) = outcome {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed benchmarks: {}", failed.join(", "));
    }
    Ok(())
}

fn kernel() -> Result<()> {
    require_root("kernel")?;
    library::run("kernel")
}

fn overhead(options: &overhead::Options) -> Result<()> {
    require_root("overhead")?;
    programs::install(&mut Apt::default(), &[UsedBy::Bench])?;
    overhead::run(options)
}

fn replay(options: &replay::Options) -> Result<()> {
    programs::install(&mut Apt::default(), &[UsedBy::Bench])?;
    replay::run(options)
}

fn require_root(name: &str) -> Result<()> {
    if !is_root() {
        bail!("this needs root: type `sudo --preserve-env env PATH=\"$PATH\" cargo xtask bench {name}`");
    }
    Ok(())
}

/// The folder for results and captures.
fn folder() -> Result<PathBuf> {
    let folder = target_dir()?.join("bench");
    create_folder(&folder)?;
    Ok(folder)
}
