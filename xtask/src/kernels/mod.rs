//! `cargo xtask test-kernels`: runs tracer and its kernel tests under other kernels, each in an
//! emulated machine.
//!
//! ```text
//!   Debian's package ─► kernel, modules ─┐
//!   tracer, kernel tests, libraries ─────┴─► initramfs ─► QEMU ─► report on serial port ─► row of the table
//! ```
//!
//! The guest has two serial ports, no disk and no network device. It is emulated, not virtualised,
//! so that it needs no privileges and runs inside other virtual machines.

mod guest;
mod initramfs;
mod package;
mod programs;
mod report;

use std::{env, path::PathBuf, thread};

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;

use self::report::Outcome;
use crate::{
    apt::Apt,
    build,
    process::{step, target_dir},
    programs::UsedBy,
    setup,
};

/// Which kernels to test.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Kernel versions; each selects Debian's newest cloud kernel whose version starts with it
    #[arg(value_name = "VERSION", default_values_t = ["6.1".to_owned(), "6.12".to_owned()])]
    versions: Vec<String>,
}

/// A kernel to boot, and its file system.
struct Guest {
    package: String,
    image: PathBuf,
    archive: PathBuf,
}

/// Boots all kernels, and fails at the end if a check failed under any of them.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(env::consts::ARCH == "x86_64", "this needs x86-64, but this machine is {}", env::consts::ARCH);
    let mut apt = Apt::default();
    crate::programs::install(&mut apt, &[UsedBy::Kernels])?;
    build::build_object(&setup::tools()?)?;
    let programs = step("building tracer and its kernel tests", programs::build)?;
    let folder = target_dir()?.join("kernels");
    let busybox = package::unpack(&mut apt, "busybox-static", &folder)?.join("bin/busybox");
    let mut guests = Vec::new();
    for version in &options.versions {
        let package = package::kernel(&mut apt, version)?;
        let kernel = package::unpack(&mut apt, &package, &folder)?;
        let archive = step(&format!("packing the initramfs for {package}"), || {
            initramfs::build(&folder.join(format!("{package}.root")), &busybox, &kernel, &programs)
        })?;
        guests.push(Guest { package, image: package::image(&kernel)?, archive });
    }
    let outcomes = step("booting the kernels, which takes minutes", || Ok(boot(&guests)))?;
    println!("{}", report::table(&outcomes));
    let failures: Vec<_> = outcomes.iter().flat_map(Outcome::failures).collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// Boots all guests in parallel; each uses one processor of this machine.
fn boot(guests: &[Guest]) -> Vec<Outcome> {
    thread::scope(|scope| {
        let started: Vec<_> = guests
            .iter()
            .map(|guest| (guest, scope.spawn(|| guest::boot(&guest.image, &guest.archive))))
            .collect();
        let outcomes = started.into_iter().map(|(guest, thread)| {
            let report = thread.join().unwrap_or_else(|_| Err(anyhow!("xtask panicked")));
            match report {
                Ok(report) => Outcome::of(&guest.package, &report),
                Err(error) => Outcome::without_report(&guest.package, &error),
            }
        });
        outcomes.collect()
    })
}
