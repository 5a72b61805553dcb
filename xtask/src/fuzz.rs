//! Builds and runs the fuzz targets of `fuzz/` with libFuzzer, on a stable compiler and without a tool of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::process::{cargo, execute, execute_listening, step, target_dir, workspace};

/// The targets, which are the binaries of `fuzz/`.
const TARGETS: [&str; 5] = ["frame", "event", "http_stream", "capture", "records"];

/// What makes the compiler count which parts of the program an input reaches and what it is compared with: the passes
/// of LLVM that libFuzzer reads from, but no sanitizer, which would need a nightly compiler.
const COVERAGE: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // The counters of a function must stay with it.
    "-Ccodegen-units=1",
];

/// The environment variable that names the folder for seeds, for the test that writes them.
const SEEDS_VARIABLE: &str = "TRACER_FUZZ_SEEDS";

/// Memory that one input may take, in MiB: several times what a target needs.
const MEMORY: u32 = 1024;
/// Time that one input may take, in seconds: ten thousand times what an ordinary one takes.
const TIMEOUT: u32 = 10;

/// What libFuzzer says at the end, and before it how many inputs it ran.
const STATISTICS: &str = "stat::";
const INPUTS: &str = "stat::number_of_executed_units:";

/// Bytes of an input: a few dozen frames, so that thousands of inputs run in a second.
const MAX_LEN: u32 = 8 * 1024;

/// What to run, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Targets to run: frame, event, http_stream, capture, records [default: all]
    #[arg(value_name = "TARGET", value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long to run each, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
}

impl Options {
    /// All targets, so long.
    pub(crate) fn briefly(seconds: u32) -> Self {
        Self { targets: Vec::new(), seconds }
    }
}

/// Runs the targets one after the other; the first input that breaks one ends it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = target_dir()?.join("fuzz");
    let programs = step("building the fuzz targets", || build(&folder))?;
    step("writing seeds for fuzzing", || seeds(&folder.join("seeds")))?;
    let all = TARGETS.map(str::to_owned);
    let targets = if options.targets.is_empty() { &all[..] } else { &options.targets };
    for target in targets {
        step(&format!("fuzzing: {target}"), || fuzz(&folder, &programs, target, options.seconds))?;
    }
    Ok(())
}

/// Builds all targets, and returns the folder they are in.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo("build");
    build.args(["--release", "--bins", "--manifest-path"]).arg(workspace().join("fuzz/Cargo.toml"));
    // With a target named, build scripts are compiled without the flags.
    build.args(["--target", &host, "--target-dir"]).arg(folder);
    build.env("RUSTFLAGS", COVERAGE.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    // Nothing here runs in the kernel.
    execute(build.env("AYA_BUILD_SKIP", "1"))?;
    Ok(folder.join(host).join("release"))
}

/// The compiler's name for this machine.
fn host() -> Result<String> {
    let rustc = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let said = String::from_utf8_lossy(&rustc.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.with_context(|| format!("rustc does not name its host: {said}"))
}

/// Lets a test write what the tests are made of as inputs to start from.
fn seeds(folder: &Path) -> Result<()> {
    let mut test = cargo("test");
    test.args(["--quiet", "--package", "tracer", "--test", "frames", "--", "--ignored", "--exact"]);
    execute(test.arg("seeds::inputs_for_the_fuzz_targets").env(SEEDS_VARIABLE, folder))
}

fn fuzz(folder: &Path, programs: &Path, target: &str, seconds: u32) -> Result<()> {
    let (found, broken) = (folder.join("corpus").join(target), folder.join("broken"));
    for folder in [&found, &broken] {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let mut program = Command::new(programs.join(target));
    program.arg(&found).arg(folder.join("seeds").join(target));
    program.arg(format!("-artifact_prefix={}/{target}-", broken.display()));
    program.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={TIMEOUT}"),
        format!("-max_len={MAX_LEN}"),
    ]);
    program.args([format!("-rss_limit_mb={MEMORY}"), "-verbosity=0".to_owned()]);
    program.arg("-print_final_stats=1");
    if target == "capture" {
        // Of each input that is no capture it says so; libFuzzer's own words still come.
        program.arg("-close_fd_mask=2");
    }
    let on_line = |line: &str| {
        if let Some(inputs) = line.strip_prefix(INPUTS) {
            eprintln!("    {} inputs", inputs.trim());
        } else if !line.starts_with(STATISTICS) {
            eprintln!("{line}");
        }
    };
    if let Err(error) = execute_listening(&mut program, on_line) {
        bail!(
            "{error:#}; the input is in {}: give it to {} alone",
            broken.display(),
            programs.join(target).display()
        );
    }
    Ok(())
}
