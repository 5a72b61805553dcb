//! How right `tracer replay` is about captures whose content is known.
//!
//! The captures are not part of the project: they are other people's. A folder of them lies beside the checkout, with a
//! file that says what is in each, and a program that compares.

mod completeness;
mod figures;
mod live;
mod score;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use ebpf_build::find_program;

use self::figures::{Figure, Floors};
use crate::process::{cargo, execute, step, target_dir, workspace};

/// What is measured, and what becomes of it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder with the captures and their truth [default: shared/corpus beside the checkout]
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Also send the frames over a virtual cable, and compare what live tracing says of them; needs root, takes minutes
    #[arg(long)]
    live: bool,
    /// Record the figures: from now on they must not get worse
    #[arg(long)]
    record: bool,
}

/// What was measured: the figures, and what was wrong, a line each.
#[derive(Debug, Default)]
struct Measured {
    figures: Vec<Figure>,
    failures: Vec<String>,
}

/// The program that is measured, and on what.
#[derive(Debug)]
struct Subject {
    tracer: PathBuf,
    corpus: PathBuf,
    target_dir: PathBuf,
}

/// Measures, writes `target/corpus.md` and `target/corpus-failures.txt`, and fails if a figure got worse.
pub(crate) fn run(options: &Options) -> Result<()> {
    let beside = workspace().join("../shared/corpus");
    let corpus = options.corpus.clone().unwrap_or(beside);
    if !corpus.is_dir() {
        if options.corpus.is_some() {
            bail!("{} is not a folder", corpus.display());
        }
        println!(
            "skipped: there are no captures in {} (--corpus DIR names another folder)",
            corpus.display()
        );
        return Ok(());
    }
    if find_program("python3").is_none() {
        bail!(
            "python3 is missing, which the captures' program of comparison needs: type `apt-get install python3`"
        );
    }
    step("building tracer", || execute(cargo("build").args(["--release", "--package", "tracer"])))?;
    let target_dir = target_dir()?;
    let subject = Subject { tracer: target_dir.join("release/tracer"), corpus, target_dir };
    tell(&subject.target_dir, measure(&subject, options.live)?, options.record)
}

fn measure(subject: &Subject, live: bool) -> Result<Measured> {
    let mut measured = step("comparing with the truth", || score::measure(subject))?;
    if live {
        let more = step("comparing with live tracing", || live::measure(subject))?;
        measured.figures.extend(more.figures);
        measured.failures.extend(more.failures);
    }
    if find_program("tshark").is_none() {
        println!("not measured, because tshark is missing: {}", completeness::NAME);
        return Ok(measured);
    }
    let more = step("comparing with tshark in two passes", || completeness::measure(subject))?;
    // Next to the one of a single pass.
    let place = measured.figures.iter().position(|figure| figure.name == "completeness");
    let place = place.map_or(measured.figures.len(), |place| place + 1);
    measured.figures.splice(place..place, more.figures);
    measured.failures.extend(more.failures);
    Ok(measured)
}

fn tell(target_dir: &Path, measured: Measured, record: bool) -> Result<()> {
    let recorded = workspace().join("xtask/corpus.json");
    let mut floors = Floors::parse(&read(&recorded)?)?;
    let table = figures::table(&measured.figures, &floors);
    print!("{table}");
    write(&target_dir.join("corpus.md"), &table)?;
    let failures = target_dir.join("corpus-failures.txt");
    write(&failures, &(measured.failures.join("\n") + "\n"))?;
    println!("\nwhat was wrong: {} ({} lines)", failures.display(), measured.failures.len());
    if record {
        floors.record(&measured.figures);
        return write(&recorded, &floors.to_string());
    }
    let worse = floors.shortfalls(&measured.figures);
    if !worse.is_empty() {
        bail!("worse than recorded: {} (--record accepts that)", worse.join("; "));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
