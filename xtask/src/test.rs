//! Checks and tests everything, in the order in which mistakes are cheapest to find.

use anyhow::{Result, bail};
use clap::Args;
use ebpf_build::Tools;

use crate::{
    build, fuzz,
    process::{can_be_root, cargo, execute, is_root, step, workspace},
    setup, test_programs,
};

/// The tests of tracer that need root, by the name of their binary.
const ROOT_TESTS: [&str; 2] = ["kernel", "namespaces"];

/// How long each fuzz target runs, in seconds: enough to notice what is broken for most inputs.
const FUZZ_SECONDS: u32 = 5;

/// What to leave out, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave out the tests that need root
    #[arg(long)]
    host_only: bool,
    /// How many tests that need root run at once
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    root_threads: u16,
}

/// Runs every check; the first that fails ends it.
pub(crate) fn run(options: &Options) -> Result<()> {
    step("checking the format", || execute(cargo("fmt").args(["--all", "--check"])))?;
    let tools = match setup::run() {
        Ok(tools) => Some(tools),
        Err(error) if options.host_only => {
            eprintln!("    going on without the kernel programs: {error:#}");
            None
        }
        Err(error) => return Err(error),
    };
    let root = !options.host_only && can_be_root();
    if root {
        test_programs::install()?;
    }
    if let Some(tools) = &tools {
        if is_root() {
            test_programs::install_clippy(&tools.toolchain)?;
        }
        build::build_object(tools)?;
        lint_kernel_programs(tools)?;
    }
    host()?;
    fuzz::run(&fuzz::Options::briefly(FUZZ_SECONDS))?;
    let names = root_tests();
    if names.is_empty() {
        eprintln!("==> no tests need root");
    } else if root {
        for name in names {
            run_root_test(name, options.root_threads)?;
        }
    } else if options.host_only {
        eprintln!("==> skipped, because of --host-only: {}", names.join(", "));
    } else {
        bail!("skipped, because they need root: {} (--host-only accepts that)", names.join(", "));
    }
    Ok(())
}

/// What needs no root.
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
    step("testing on the host", || execute(cargo("test").arg("--workspace")))?;
    step("testing the memory of a million connections", || {
        execute(cargo("test").args(["--package", "tracer", "--test", "memory", "--", "--ignored"]))
    })
}

/// Lints the kernel programs for the kernel, if the toolchain that compiles them has clippy.
fn lint_kernel_programs(tools: &Tools) -> Result<()> {
    if !tools.toolchain.cargo_clippy().is_file() {
        eprintln!("==> not linting for the kernel: {} has no clippy", tools.toolchain);
        return Ok(());
    }
    step("linting for the kernel", || build::lint_object(tools))
}

/// The tests that need root and exist.
fn root_tests() -> Vec<&'static str> {
    let tests = workspace().join("tracer/tests");
    ROOT_TESTS.into_iter().filter(|name| tests.join(name).join("main.rs").is_file()).collect()
}

/// Builds a test as this user, and runs it as root.
fn run_root_test(name: &str, threads: u16) -> Result<()> {
    let mut test = cargo("test");
    test.args(["--package", "tracer", "--test", name]);
    if !is_root() {
        test.args(["--config", r#"target."cfg(all())".runner = ["sudo", "--preserve-env"]"#]);
    }
    test.args(["--", "--ignored", &format!("--test-threads={threads}")]);
    step(&format!("testing as root: {name}"), || execute(&mut test))
}
