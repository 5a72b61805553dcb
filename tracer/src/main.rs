//! tracer: the command line, the command, the exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tracer::{
    capture::Interrupt,
    cli::{self, Command},
    config::ReplayConfig,
    demo, doctor, logging, pipeline, replay,
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
            let all_read = wait_for(replay_until_interrupted(*config))?;
            Ok(if all_read { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Demo(format) => demo::run(format).map(|()| ExitCode::SUCCESS),
        Command::Doctor(attach) => {
            let report = wait_for(doctor::examine(&attach))?;
            report.print()?;
            Ok(if report.tracing_works() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Replays on a thread of its own: reading a file blocks.
async fn replay_until_interrupted(config: ReplayConfig) -> Result<bool> {
    let interrupt = Interrupt::default();
    let interrupted = pipeline::interrupted()?;
    let mut work = tokio::task::spawn_blocking({
        let interrupt = interrupt.clone();
        move || replay::run(&config, interrupt)
    });
    tokio::select! {
        outcome = &mut work => outcome,
        () = interrupted => {
            interrupt.set();
            work.await
        }
    }
    .context("the replay broke off")?
}

/// Runs `work` on this thread: one is enough, and tracing must not move to another (see [`pipeline`]).
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}
