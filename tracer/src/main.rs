//! tracer: the command line, the command, the exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tracer::{
    cli::{self, Command},
    demo, doctor, logging, pipeline,
};

fn main() -> ExitCode {
    logging::start();
    match execute(cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            logging::note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Trace(config) => {
            wait_for(async { pipeline::run(&config, pipeline::interrupted()?).await })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(format) => demo::run(format).map(|()| ExitCode::SUCCESS),
        Command::Doctor(attach) => {
            let report = wait_for(doctor::examine(&attach))?;
            report.print()?;
            Ok(if report.tracing_works() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Runs `work` on this thread: one is enough, and tracing must not move to another (see [`pipeline`]).
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}
