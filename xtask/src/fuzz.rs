//! Builds and runs the fuzz targets in `fuzz/` with libFuzzer, on stable Rust and without
//! cargo-fuzz.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    files::create_folder,
    process::{cargo, execute, execute_with_stderr, step, target_dir, workspace},
    programs::{self, UsedBy},
};

/// The fuzz targets: the binaries of `fuzz/`.
const TARGETS: [&str; 6] = ["frame", "event", "http_stream", "capture", "records", "dialogue"];

/// Compiler flags for the coverage counters and traced comparisons that guide libFuzzer. They
/// enable no sanitizer, which would need a nightly compiler.
const COVERAGE: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // A function and its counters must be in the same codegen unit.
    "-Ccodegen-units=1",
];

/// The environment variable with the output folder for the test that writes the seeds.
const SEEDS_VARIABLE: &str = "TRACER_FUZZ_SEEDS";

/// Memory limit for one input, in MiB: several times what a target needs.
const MEMORY: u32 = 1024;
/// Time limit for one input, in seconds: ten thousand times what an ordinary input takes.
const TIMEOUT: u32 = 10;

/// Prefix of libFuzzer's final statistics.
const STATISTICS: &str = "stat::";
/// The statistic with the number of inputs that it ran.
const INPUTS: &str = "stat::number_of_executed_units:";

/// Maximum size of an input in bytes: a few dozen frames, so that thousands of inputs run a second.
const MAX_LEN: u32 = 8 * 1024;

/// Which targets to run, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Targets to run: frame, event, http_stream, capture, records, dialogue [default: all]
    #[arg(value_name = "TARGET", value_parser = TARGETS)]
    targets: Vec<String>,
    /// Seconds to run each target
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
}

impl Options {
    /// All targets, each for `seconds`.
    pub(crate) fn all(seconds: u32) -> Self {
        // Of dialogues, the host tests try the same ones each time: a changed length can make another valid one.
        let targets = TARGETS.iter().filter(|target| **target != "dialogue");
        Self { targets: targets.map(ToString::to_string).collect(), seconds }
    }
}

/// Runs the targets one after the other, and stops at the first failing input.
pub(crate) fn run(options: &Options) -> Result<()> {
    programs::require(&[UsedBy::Fuzz])?;
    let folder = target_dir()?.join("fuzz");
    let binaries = step("building the fuzz targets", || build(&folder))?;
    step("writing fuzz seeds", || seeds(&folder.join("seeds")))?;
    let all = TARGETS.map(str::to_owned);
    let targets = if options.targets.is_empty() { &all[..] } else { &options.targets };
    for target in targets {
        step(&format!("fuzzing: {target}"), || fuzz(&folder, &binaries, target, options.seconds))?;
    }
    Ok(())
}

/// Builds all targets and returns the folder that contains them.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo("build");
    build.args(["--release", "--bins", "--manifest-path"]).arg(workspace().join("fuzz/Cargo.toml"));
    // With an explicit target, RUSTFLAGS do not apply to build scripts.
    build.args(["--target", &host, "--target-dir"]).arg(folder);
    build.env("RUSTFLAGS", COVERAGE.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    // Fuzzing needs no kernel object.
    execute(build.env("AYA_BUILD_SKIP", "1"))?;
    Ok(folder.join(host).join("release"))
}

/// The target triple of this machine.
fn host() -> Result<String> {
    let rustc = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let version = String::from_utf8_lossy(&rustc.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.with_context(|| format!("`rustc -vV` printed no host: {version}"))
}

/// Writes the frames of the frame tests as initial inputs, by running the test that exports them.
fn seeds(folder: &Path) -> Result<()> {
    let mut test = cargo("test");
    test.args(["--quiet", "--package", "tracer", "--test", "frames", "--", "--ignored", "--exact"]);
    execute(test.arg("seeds::inputs_for_the_fuzz_targets").env(SEEDS_VARIABLE, folder))
}

fn fuzz(folder: &Path, binaries: &Path, target: &str, seconds: u32) -> Result<()> {
    let (corpus, failing) = (folder.join("corpus").join(target), folder.join("failing"));
    for folder in [&corpus, &failing] {
        create_folder(folder)?;
    }
    let mut program = Command::new(binaries.join(target));
    program.arg(&corpus).arg(folder.join("seeds").join(target));
    program.arg(format!("-artifact_prefix={}/{target}-", failing.display()));
    program.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={TIMEOUT}"),
        format!("-max_len={MAX_LEN}"),
    ]);
    program.args([format!("-rss_limit_mb={MEMORY}"), "-verbosity=0".to_owned()]);
    program.arg("-print_final_stats=1");
    if target == "capture" {
        // Closes standard error to the target, which reports every invalid capture; libFuzzer's
        // own messages are still printed.
        program.arg("-close_fd_mask=2");
    }
    let on_line = |line: &str| {
        if let Some(inputs) = line.strip_prefix(INPUTS) {
            eprintln!("    {} inputs", inputs.trim());
        } else if !line.starts_with(STATISTICS) {
            eprintln!("{line}");
        }
    };
    if let Err(error) = execute_with_stderr(&mut program, on_line) {
        bail!(
            "{error:#}; to reproduce, pass the input in {} to {}",
            failing.display(),
            binaries.join(target).display()
        );
    }
    Ok(())
}
