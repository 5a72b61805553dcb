//! The program: parses the command line, runs the command, and sets the exit code.
#![forbid(unsafe_code)]

use std::{process::ExitCode, thread};

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tracer::{
    cli::{self, Command},
    config::ReplayConfig,
    doctor,
    lab::demo,
    live::pipeline,
    logging,
    replay::{self, capture::Interrupt},
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
        Command::Replay(config) => {
            let all_read = replay_until_interrupted(&config)?;
            Ok(if all_read { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Demo(output) => demo::run(&output).map(|()| ExitCode::SUCCESS),
        Command::Doctor(attach) => {
            let report = wait_for(doctor::examine(&attach))?;
            report.print()?;
            Ok(if report.tracing_works() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Replays on this thread, because reading files blocks. Another thread waits for signals.
fn replay_until_interrupted(config: &ReplayConfig) -> Result<bool> {
    let interrupt = Interrupt::default();
    let runtime = runtime()?;
    let interrupted = {
        let _entered = runtime.enter();
        pipeline::interrupted()?
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn({
            let interrupt = interrupt.clone();
            move || {
                runtime.block_on(interrupted);
                interrupt.set();
            }
        })
        .context("cannot start a thread")?;
    replay::run(config, interrupt)
}

/// Runs `work` on this thread: tracing must not move to another one (see [`pipeline`]).
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime()?.block_on(work)
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}
