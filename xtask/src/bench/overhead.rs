//! What an observer costs a web server under load, beside what others cost it.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum as _};
use serde::Serialize;
use serde_json::Value;

use super::{
    figures::Figure,
    folder,
    load::{self, Load, Workload},
    measure,
    namespaces::Pair,
    observers::{Programs, Told, VARIANTS, Variant},
    report::{Cell, Report, Table},
    server::Nginx,
};
use crate::{
    build,
    process::{cargo, step, target_dir},
};

/// Between the end of the load and the account: what is in buffers is still worked on.
const DRAIN: Duration = Duration::from_millis(300);

/// The share of requests that the floor must have told of.
const FLOOR_SHARE: f64 = 0.99;

/// What is measured, and how often.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each variant is measured
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long the load lasts each time
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Only this load; repeatable
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Only observers whose name contains this, and none; repeatable
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 5, seconds: 2, workload: Vec::new(), variant: Vec::new() }
    }
}

/// One variant under one load, once.
#[derive(Debug, Serialize)]
struct Run {
    workload: &'static str,
    round: u32,
    variant: &'static str,
    load: Load,
    /// Requests by nginx's count.
    requests: u64,
    /// Seconds of processor time that the whole machine worked for a request.
    cpu_per_request: f64,
    /// The observer's own, and its peak of memory in bytes.
    observer_cpu: Option<f64>,
    observer_memory: Option<u64>,
    events_lost: Option<u64>,
    exchanges: Option<u64>,
}

/// Measures and tells.
pub(crate) fn run(options: &Options) -> Result<()> {
    let variants: Vec<&Variant> = VARIANTS
        .iter()
        .enumerate()
        .filter(|(index, variant)| {
            let wanted = &options.variant;
            *index == 0 || wanted.is_empty() || wanted.iter().any(|part| variant.name.contains(part.as_str()))
        })
        .map(|(_, variant)| variant)
        .collect();
    ensure!(variants.len() > 1, "no observer has {} in its name", options.variant.join(" or "));
    build::release()?;
    let folder = Folder::new()?;
    let programs = Programs {
        tracer: target_dir()?.join("release/tracer"),
        least: build_least()?,
        folder: folder.0.clone(),
    };
    let pair = Pair::new()?;
    let nginx = Nginx::start(&pair, &folder.0)?;
    let bench = Bench { options, pair: &pair, nginx: &nginx, programs: &programs };
    let mut report = Report::new("overhead");
    for &workload in Workload::value_variants() {
        if !options.workload.is_empty() && !options.workload.contains(&workload) {
            continue;
        }
        let runs = step(&format!("measuring: {}", workload.name()), || bench.rounds(workload, &variants))?;
        for run in &runs {
            report.keep(run)?;
        }
        report.tables.push(nobody(workload, &runs));
        report.tables.push(table(workload, options, &variants, &runs));
    }
    report.publish()
}

/// The bench of the crate `tracer` that is built for this one.
const LEAST: &str = "least";

/// The program that attaches what does nothing, or the least, from the crate `tracer`: nobody else reads its object.
fn build_least() -> Result<PathBuf> {
    let output = step("building the least observers", || {
        let mut build = cargo("bench");
        build.args([
            "--package",
            "tracer",
            "--features",
            "bench",
            "--bench",
            LEAST,
            "--no-run",
            "--message-format=json",
        ]);
        build.stderr(std::process::Stdio::inherit()).output().context("cargo cannot be started")
    })?;
    ensure!(output.status.success(), "the least observers cannot be built");
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo built no program")
}

/// The program in cargo's messages, a JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == LEAST).then_some(())?;
        message["executable"].as_str().map(PathBuf::from)
    })
}

/// A folder for one run, without what an interrupted one may have left.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = folder()?.join("overhead");
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", Path::display(&path)))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Bench<'a> {
    options: &'a Options,
    pair: &'a Pair,
    nginx: &'a Nginx,
    programs: &'a Programs,
}

impl Bench<'_> {
    /// All variants in turn, every other round backwards, so that none is always measured behind the same other.
    fn rounds(&self, workload: Workload, variants: &[&Variant]) -> Result<Vec<Run>> {
        // The first load of all is slower: nobody has touched anything yet.
        load::run(self.pair, workload, 1)?;
        let mut runs = Vec::new();
        for round in 0..self.options.rounds {
            let mut order = variants.to_vec();
            if round % 2 == 1 {
                order.reverse();
            }
            for variant in order {
                let run = self.measure(workload, round, variant);
                runs.push(run.with_context(|| format!("{}, {}", variant.name, workload.name()))?);
            }
        }
        Ok(runs)
    }

    fn measure(&self, workload: Workload, round: u32, variant: &Variant) -> Result<Run> {
        let observer = variant.start(self.pair, self.programs)?;
        let asked = self.nginx.requests()?;
        let own = observer.usage()?;
        let busy = measure::machine_busy()?;
        let load = load::run(self.pair, workload, self.options.seconds)?;
        thread::sleep(DRAIN);
        let busy = measure::machine_busy()? - busy;
        let usage = observer.usage()?;
        // Less the question itself.
        let requests = self.nginx.requests()? - asked - 1;
        let told = observer.stop()?;
        if let Some(exchanges) = told.and_then(|told| told.exchanges).filter(|_| variant.is_floor()) {
            let share = exchanges as f64 / requests as f64;
            ensure!(
                share >= FLOOR_SHARE,
                "{exchanges} of {requests} requests: a floor that loses work is none"
            );
        }
        Ok(Run {
            workload: workload.name(),
            round,
            variant: variant.name,
            load,
            requests,
            cpu_per_request: busy / requests as f64,
            observer_cpu: usage.zip(own).map(|(after, before)| after.cpu - before.cpu),
            observer_memory: usage.map(|usage| usage.memory),
            events_lost: told.map(|told: Told| told.lost),
            exchanges: told.and_then(|told| told.exchanges),
        })
    }
}

/// The runs without an observer.
fn nobody(workload: Workload, runs: &[Run]) -> Table {
    let columns = ["", "requests/s", "p50 µs", "p99 µs", "CPU µs a request"];
    let mut table = Table::new(format!("{}: nobody watches", workload.name()), &columns);
    for name in [VARIANTS[0].name, VARIANTS[VARIANTS.len() - 1].name] {
        let of = || runs.iter().filter(|run| run.variant == name);
        if of().next().is_some() {
            table.push(vec![
                name.into(),
                Figure::cell(of().map(|run| run.load.rate)),
                Figure::cell(of().map(|run| run.load.p50 * 1e6)),
                Figure::cell(of().map(|run| run.load.p99 * 1e6)),
                Figure::cell(of().map(|run| run.cpu_per_request * 1e6)),
            ]);
        }
    }
    table
}

/// Everybody, compared with nobody in the same round.
fn table(workload: Workload, options: &Options, variants: &[&Variant], runs: &[Run]) -> Table {
    let title = format!(
        "{}: ratios to none of the same round; {} rounds of {} s, median (least–most)",
        workload.name(),
        options.rounds,
        options.seconds
    );
    let columns = [
        "",
        "requests/s",
        "CPU a request",
        "p50",
        "p99",
        "own CPU s / 1M requests",
        "own peak MiB",
        "lost",
        "exchanges / requests",
    ];
    let mut table = Table::new(title, &columns);
    for variant in &variants[1..] {
        let of = || runs.iter().filter(|run| run.variant == variant.name);
        let ratio = |figure: fn(&Run) -> f64| {
            Figure::cell(of().filter_map(|run| {
                let none = |other: &&Run| other.variant == VARIANTS[0].name && other.round == run.round;
                Some(figure(run) / figure(runs.iter().find(none)?))
            }))
        };
        let own_cpu = of().filter_map(|run| Some(run.observer_cpu? * 1e6 / run.requests as f64));
        let own_memory = of().filter_map(|run| Some(run.observer_memory? as f64 / f64::from(1 << 20)));
        let lost = of().filter_map(|run| run.events_lost).reduce(|sum, lost| sum + lost);
        table.push(vec![
            variant.name.into(),
            ratio(|run| run.load.rate),
            ratio(|run| run.cpu_per_request),
            ratio(|run| run.load.p50),
            ratio(|run| run.load.p99),
            Figure::cell(own_cpu),
            Figure::cell(own_memory),
            lost.map_or_else(|| "–".to_owned(), |lost| lost.to_string()).into(),
            told(of()),
        ]);
    }
    table
}

/// Exchanges of all rounds, and requests.
fn told<'a>(runs: impl Iterator<Item = &'a Run>) -> Cell {
    let counted = runs.filter_map(|run| Some((run.exchanges?, run.requests)));
    let sum = counted.reduce(|sum, run| (sum.0 + run.0, sum.1 + run.1));
    sum.map_or_else(|| "–".to_owned(), |(exchanges, requests)| format!("{exchanges}/{requests}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":"/target/tracer"}
{"reason":"compiler-artifact","target":{"name":"least"},"executable":"/target/least-1"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/target/least-1")));
        assert_eq!(executable(""), None);
    }
}
