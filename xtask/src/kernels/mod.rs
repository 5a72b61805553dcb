//! `cargo xtask test-kernels`: tracer and its kernel tests under other kernels, each in an emulated machine.
//!
//! ```text
//!   Debian's package ─► kernel, modules ─┐
//!   tracer, kernel tests, libraries ─────┴─► initramfs ─► QEMU ─► report on a serial port ─► one row of the table
//! ```
//!
//! The guest has no disk and no network device: two serial ports are all there is. It is emulated, not virtualised, so
//! that it needs no privileges and runs inside other virtual machines.

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
    setup, test_programs,
};

/// Which kernels.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Versions, each of which stands for the newest of Debian's cloud kernels that starts with it
    #[arg(value_name = "VERSION", default_values_t = ["6.1".to_owned(), "6.12".to_owned()])]
    versions: Vec<String>,
}

/// What is to be booted.
struct Guest {
    package: String,
    image: PathBuf,
    archive: PathBuf,
}

/// Boots the kernels, and fails at the end if something failed under one of them.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "the kernels are those of x86-64, and this is {}",
        env::consts::ARCH
    );
    test_programs::install_for_kernels()?;
    build::build_object(&setup::run()?)?;
    let programs = step("building tracer and its kernel tests", programs::build)?;
    let folder = target_dir()?.join("kernels");
    let mut apt = Apt::default();
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
    let outcomes = step("booting the kernels, for some minutes", || Ok(boot(&guests)))?;
    println!("{}", report::table(&outcomes));
    let broken: Vec<_> = outcomes.iter().flat_map(Outcome::complaints).collect();
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

/// Boots all guests at once: each takes one processor of this machine.
fn boot(guests: &[Guest]) -> Vec<Outcome> {
    thread::scope(|scope| {
        let started: Vec<_> = guests
            .iter()
            .map(|guest| (guest, scope.spawn(|| guest::boot(&guest.image, &guest.archive))))
            .collect();
        let ended = started.into_iter().map(|(guest, thread)| {
            let told = thread.join().unwrap_or_else(|_| Err(anyhow!("xtask has panicked")));
            match told {
                Ok(report) => Outcome::of(&guest.package, &report),
                Err(error) => Outcome::without_report(&guest.package, &error),
            }
        });
        ended.collect()
    })
}
