//! What tracing costs, and how fast a replay is, beside the programs that people use for the same.
//!
//! Every comparison is made within one run, the variants in turn, several rounds: on a machine that does other things
//! as well, only what is measured side by side can be compared. Tables go to standard output, and with every single
//! measurement as JSON to `target/bench`.

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

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::{
    process::{is_root, target_dir},
    test_programs,
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Option<Bench>,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Everything, with the default options
    All,
    /// What the kernel programs cost a packet; needs root
    Kernel,
    /// What an observer costs a web server under load; needs root
    Overhead(overhead::Options),
    /// How fast captures are read, and in how much memory
    Replay(replay::Options),
    /// What userspace costs an event
    Events,
    /// Run a command and tell what it took: a program of its own, for the kernel keeps one account of all children
    #[command(hide = true)]
    Measure {
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Measures, prints the tables and writes `target/bench/NAME.json`.
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

/// All of them, also if one fails.
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
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(())
}

fn kernel() -> Result<()> {
    require_root("kernel")?;
    library::run("kernel")
}

fn overhead(options: &overhead::Options) -> Result<()> {
    require_root("overhead")?;
    test_programs::install_for_bench()?;
    overhead::run(options)
}

fn replay(options: &replay::Options) -> Result<()> {
    test_programs::install_for_bench()?;
    replay::run(options)
}

fn require_root(name: &str) -> Result<()> {
    if !is_root() {
        bail!("this needs root: type `sudo --preserve-env env PATH=\"$PATH\" cargo xtask bench {name}`");
    }
    Ok(())
}

/// The folder of results and captures.
fn folder() -> Result<PathBuf> {
    let folder = target_dir()?.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}
