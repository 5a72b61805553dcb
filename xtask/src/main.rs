//! `cargo xtask`: sets up, builds, runs, tests and measures tracer.

mod apt;
mod bench;
mod build;
mod corpus;
mod docs;
mod files;
mod fuzz;
mod kernels;
mod process;
mod programs;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, builds, runs, tests and measures tracer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install missing build tools
    Setup(setup::Options),
    /// Build only the kernel object
    BuildEbpf,
    /// Build tracer in release mode
    Build,
    /// Build tracer in release mode and run it as root
    Run {
        /// Arguments for tracer, after `--`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run all checks and tests
    Test(test::Options),
    /// Write docs/fields.md and docs/cli.md
    Docs(docs::Options),
    /// Run the kernel tests under other kernels, in emulated machines
    TestKernels(kernels::Options),
    /// Fuzz the parsers
    Fuzz(fuzz::Options),
    /// Compare `tracer replay` with the ground truth of a folder of captures
    Corpus(corpus::Options),
    /// Measure the overhead of tracing and the speed of replay, compared with other programs
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Task::Setup(options) => setup::run(&options),
        Task::BuildEbpf => build::object(),
        Task::Build => build::release(),
        Task::Run { arguments } => build::run(&arguments),
        Task::Test(options) => test::run(&options),
        Task::Docs(options) => docs::run(&options),
        Task::TestKernels(options) => kernels::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Corpus(options) => corpus::run(&options),
        Task::Bench(options) => bench::run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
