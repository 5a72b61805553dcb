//! Measures the accuracy of `tracer replay` on captures with ground truth.
//!
//! The captures belong to other projects and are not part of this one. They are in a folder outside
//! the checkout, with a ground-truth file for each and a script that compares, `score.py`.

mod figures;
mod live;
mod score;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use ebpf_build::find_program;

use self::figures::{Figure, Floors};
use crate::{
    files::{read, write},
    process::{cargo, execute, step, target_dir, workspace},
};

/// What to measure, and whether to record it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder with the captures and their ground truth [default: ../shared/corpus]
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Also send the frames over a veth pair and compare live tracing with replay; needs root and
    /// minutes
    #[arg(long)]
    live: bool,
    /// Record the figures as the minimum for later runs
    #[arg(long)]
    record: bool,
}

/// The figures, and one line for each wrong result.
#[derive(Debug, Default)]
struct Measured {
    figures: Vec<Figure>,
    failures: Vec<String>,
}

/// The program to measure and the captures to measure it on.
#[derive(Debug)]
struct Subject {
    tracer: PathBuf,
    corpus: PathBuf,
    target_dir: PathBuf,
}

/// Measures, writes `target/corpus.md` and `target/corpus-failures.txt`, and fails if a figure is
/// lower than recorded.
pub(crate) fn run(options: &Options) -> Result<()> {
    let default = workspace().join("../shared/corpus");
    let corpus = options.corpus.clone().unwrap_or(default);
    if !corpus.is_dir() {
        if options.corpus.is_some() {
            bail!("{} is not a folder", corpus.display());
        }
        println!("skipped: {} does not exist (--corpus DIR selects another folder)", corpus.display());
        return Ok(());
    }
    if find_program("python3").is_none() {
        bail!("score.py needs python3: type `apt-get install python3`");
    }
    step("building tracer", || execute(cargo("build").args(["--release", "--package", "tracer"])))?;
    let target_dir = target_dir()?;
    let subject = Subject { tracer: target_dir.join("release/tracer"), corpus, target_dir };
    report(&subject.target_dir, measure(&subject, options.live)?, options.record)
}

fn measure(subject: &Subject, live: bool) -> Result<Measured> {
    let mut measured = step("comparing with the ground truth", || score::measure(subject))?;
    if live {
        let more = step("comparing live tracing with replay", || live::measure(subject))?;
        measured.figures.extend(more.figures);
        measured.failures.extend(more.failures);
    }
    Ok(measured)
}

/// Prints and writes the figures, then records them or compares them with those recorded.
fn report(target_dir: &Path, measured: Measured, record: bool) -> Result<()> {
    let recorded = workspace().join("xtask/corpus.json");
    let mut floors = Floors::parse(&read(&recorded)?)?;
    let table = figures::table(&measured.figures, &floors);
    print!("{table}");
    write(&target_dir.join("corpus.md"), &table)?;
    let failures = target_dir.join("corpus-failures.txt");
    write(&failures, measured.failures.join("\n") + "\n")?;
    println!("\nwrong results: {} ({} lines)", failures.display(), measured.failures.len());
    if record {
        floors.record(&measured.figures);
        return write(&recorded, floors.to_string());
    }
    let shortfalls = floors.shortfalls(&measured.figures);
    if !shortfalls.is_empty() {
        bail!("lower than recorded: {} (--record accepts this)", shortfalls.join("; "));
    }
    Ok(())
}
