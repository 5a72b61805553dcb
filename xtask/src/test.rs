//! Runs all checks and tests, those that find mistakes most cheaply first.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use ebpf_build::Tools;

use crate::{
    build, fuzz,
    process::{can_be_root, cargo, execute, is_root, step, workspace},
    programs::{self, UsedBy},
};

/// The tests of tracer that need root, by the name of their binary.
const ROOT_TESTS: [&str; 2] = ["kernel", "namespaces"];

/// Seconds that each fuzz target runs: enough to notice a failure on most inputs.
const FUZZ_SECONDS: u32 = 5;

/// Which tests to run, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Skip the tests that need root
    #[arg(long)]
    host_only: bool,
    /// Run this many root tests in parallel
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    root_threads: u16,
}

/// Runs every step and stops at the first failure. It installs nothing.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = !options.host_only && can_be_root();
    programs::require(if root { &[UsedBy::Fuzz, UsedBy::RootTests] } else { &[UsedBy::Fuzz] })?;
    let tools = match Tools::find() {
        Ok(tools) => Some(tools),
        Err(error) if options.host_only => {
            eprintln!("==> skipped: building and linting the kernel programs: {error:#}");
            None
        }
        Err(error) => return Err(anyhow!("{error:#} (type `cargo xtask setup --tests` to install it)")),
    };
    step("checking the formatting", || execute(cargo("fmt").args(["--all", "--check"])))?;
    if let Some(tools) = &tools {
        build::build_object(tools)?;
        lint_kernel_programs(tools)?;
    }
    host()?;
    fuzz::run(&fuzz::Options::all(FUZZ_SECONDS))?;
    let names = root_tests();
    if names.is_empty() {
        eprintln!("==> no tests need root");
    } else if root {
        for name in names {
            run_root_test(name, options.root_threads)?;
        }
    } else if options.host_only {
        eprintln!("==> skipped: tests that need root, because of --host-only: {}", names.join(", "));
    } else {
        bail!("skipped without root: {} (--host-only accepts this)", names.join(", "));
    }
    Ok(())
}

/// Runs the steps that need neither root nor the kernel programs.
fn host() -> Result<()> {
    step("linting for the host", || {
        let mut clippy = cargo("clippy");
        execute(clippy.args([
            "--workspace",
            "--all-targets",
            "--features",
            "tracer/bench",
            "--",
            "--deny",
            "warnings",
        ]))
    })?;
    step("building the documentation", || {
        let mut doc = cargo("doc");
        execute(doc.args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("running the host tests", || execute(cargo("test").arg("--workspace")))?;
    step("testing the memory use of a million connections", || {
        execute(cargo("test").args(["--package", "tracer", "--test", "memory", "--", "--ignored"]))
    })
}

/// Lints the kernel programs for the BPF target, if the toolchain that compiles them has clippy.
fn lint_kernel_programs(tools: &Tools) -> Result<()> {
    if !tools.toolchain.cargo_clippy().is_file() {
        eprintln!("==> skipped: linting the kernel programs: {} has no clippy", tools.toolchain);
        return Ok(());
    }
    step("linting the kernel programs", || build::lint_object(tools))
}

/// The root tests that exist.
fn root_tests() -> Vec<&'static str> {
    let tests = workspace().join("tracer/tests");
    ROOT_TESTS.into_iter().filter(|name| tests.join(name).join("main.rs").is_file()).collect()
}

/// Builds a test as the current user and runs it as root.
fn run_root_test(name: &str, threads: u16) -> Result<()> {
    let mut test = cargo("test");
    test.args(["--package", "tracer", "--test", name]);
    if !is_root() {
        test.args(["--config", r#"target."cfg(all())".runner = ["sudo", "--preserve-env"]"#]);
    }
    test.args(["--", "--ignored", &format!("--test-threads={threads}")]);
    step(&format!("running the {name} tests as root"), || execute(&mut test))
}
