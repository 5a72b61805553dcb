//! `cargo xtask`: sets up, builds, runs, tests and measures tracer.

mod apt;
mod bench;
mod build;
mod corpus;
mod fuzz;
mod kernels;
mod process;
mod setup;
mod test;
mod test_programs;

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
    /// Find or install what the kernel object's build needs
    Setup,
    /// Build the kernel object alone
    BuildEbpf,
    /// Build tracer for release
    Build,
    /// Build tracer for release and run it as root
    Run {
        /// What tracer is given, after `--`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Check and test everything
    Test(test::Options),
    /// Test under other kernels, in emulated machines
    TestKernels(kernels::Options),
    /// Give the parsers inputs that nobody thought of
    Fuzz(fuzz::Options),
    /// Measure the replay of captures whose content is known
    Corpus(corpus::Options),
    /// Measure what tracing costs and how fast captures are read, beside other programs
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Task::Setup => setup::run().map(|_tools| ()),
        Task::BuildEbpf => build::object(),
        Task::Build => build::release(),
        Task::Run { arguments } => build::run(&arguments),
        Task::Test(options) => test::run(&options),
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
