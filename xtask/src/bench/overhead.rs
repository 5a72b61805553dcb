//! Measures the overhead of observers on a web server under load.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum as _};
use serde::Serialize;

use super::{
    figures::Figure,
    folder,
    load::{self, Load, Workload},
    measure,
    namespaces::Pair,
    observers::{Programs, Reported, VARIANTS, Variant},
    report::{Cell, Report, Table},
    server::Nginx,
};
use crate::{
    build,
    process::{cargo, executable, output, step, target_dir},
};

/// Delay between the end of the load and the measurement, while buffers are drained.
const DRAIN: Duration = Duration::from_millis(300);

/// The share of requests that the floor must report to be valid.
const FLOOR_SHARE: f64 = 0.99;

/// What to measure, and how often.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of measurements of each variant
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Duration of the load in each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Measure only this workload; repeatable
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Measure only the baseline and observers whose name contains this; repeatable
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 5, seconds: 2, workload: Vec::new(), variant: Vec::new() }
    }
}

/// One measurement of one variant under one workload.
#[derive(Debug, Serialize)]
struct Run {
    workload: &'static str,
    round: u32,
    variant: &'static str,
    load: Load,
    /// Requests as counted by nginx.
    requests: u64,
    /// CPU time in seconds of the whole machine per request.
    cpu_per_request: f64,
    /// CPU time of the observer in seconds.
    observer_cpu: Option<f64>,
    /// Peak resident memory of the observer in bytes.
    observer_memory: Option<u64>,
    events_lost: Option<u64>,
    exchanges: Option<u64>,
}

/// Runs the benchmark and publishes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    let variants: Vec<&Variant> = VARIANTS
        .iter()
        .enumerate()
        .filter(|(index, variant)| {
            let selected = &options.variant;
            *index == 0
                || selected.is_empty()
                || selected.iter().any(|part| variant.name.contains(part.as_str()))
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
        report.tables.push(baseline_table(workload, &runs));
        report.tables.push(table(workload, options, &variants, &runs));
    }
    report.publish()
}

/// The benchmark of the `tracer` crate with the minimal observers.
const LEAST: &str = "least";

/// Builds the minimal observers. They are in the `tracer` crate because it embeds the kernel
/// object.
fn build_least() -> Result<PathBuf> {
    let messages = step("building the minimal observers", || {
        let mut build = cargo("bench");
        build.args(["--package", "tracer", "--features", "bench", "--bench", LEAST, "--no-run"]);
        output(build.args(["--message-format", "json-render-diagnostics"]))
    })?;
    executable(&messages, LEAST)
}

/// A folder for one run. Creating it removes what an interrupted run may have left.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = folder()?.join("overhead");
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).with_context(|| format!("{} cannot be created", Path::display(&path)))?;
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
    /// Measures all variants in each round, every other round in reverse, so that no variant always
    /// follows the same other one.
    fn rounds(&self, workload: Workload, variants: &[&Variant]) -> Result<Vec<Run>> {
        // The very first load is slower, because caches are cold.
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
        let requests_before = self.nginx.requests()?;
        let usage_before = observer.usage()?;
        let cpu_before = measure::machine_cpu_time()?;
        let load = load::run(self.pair, workload, self.options.seconds)?;
        thread::sleep(DRAIN);
        let cpu = measure::machine_cpu_time()? - cpu_before;
        let usage = observer.usage()?;
        // The status request counts itself.
        let requests = self.nginx.requests()? - requests_before - 1;
        let reported = observer.stop()?;
        if let Some(exchanges) =
            reported.and_then(|reported| reported.exchanges).filter(|_| variant.is_floor())
        {
            let share = exchanges as f64 / requests as f64;
            ensure!(
                share >= FLOOR_SHARE,
                "the floor reported only {exchanges} of {requests} requests, so it is no valid baseline"
            );
        }
        Ok(Run {
            workload: workload.name(),
            round,
            variant: variant.name,
            load,
            requests,
            cpu_per_request: cpu / requests as f64,
            observer_cpu: usage.zip(usage_before).map(|(after, before)| after.cpu - before.cpu),
            observer_memory: usage.map(|usage| usage.memory),
            events_lost: reported.map(|reported: Reported| reported.lost),
            exchanges: reported.and_then(|reported| reported.exchanges),
        })
    }
}

/// The runs without an observer.
fn baseline_table(workload: Workload, runs: &[Run]) -> Table {
    let columns = ["", "requests/s", "p50 µs", "p99 µs", "CPU µs/request"];
    let mut table = Table::new(format!("{}: without observer", workload.name()), &columns);
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

/// All observers, as ratios to the run without observer in the same round.
fn table(workload: Workload, options: &Options, variants: &[&Variant], runs: &[Run]) -> Table {
    let title = format!(
        "{}: ratios to the run without observer of the same round; {} rounds of {} s, median (min–max)",
        workload.name(),
        options.rounds,
        options.seconds
    );
    let columns = [
        "",
        "requests/s",
        "CPU/request",
        "p50",
        "p99",
        "observer CPU s / 1M requests",
        "observer peak MiB",
        "events lost",
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
        let observer_cpu = of().filter_map(|run| Some(run.observer_cpu? * 1e6 / run.requests as f64));
        let observer_memory = of().filter_map(|run| Some(run.observer_memory? as f64 / f64::from(1 << 20)));
        let lost = of().filter_map(|run| run.events_lost).reduce(|sum, lost| sum + lost);
        table.push(vec![
            variant.name.into(),
            ratio(|run| run.load.rate),
            ratio(|run| run.cpu_per_request),
            ratio(|run| run.load.p50),
            ratio(|run| run.load.p99),
            Figure::cell(observer_cpu),
            Figure::cell(observer_memory),
            lost.map_or_else(|| "–".to_owned(), |lost| lost.to_string()).into(),
            exchanges_of_requests(of()),
        ]);
    }
    table
}

/// A cell with the reported exchanges and the requests of all rounds.
fn exchanges_of_requests<'a>(runs: impl Iterator<Item = &'a Run>) -> Cell {
    let counted = runs.filter_map(|run| Some((run.exchanges?, run.requests)));
    let sum = counted.reduce(|sum, run| (sum.0 + run.0, sum.1 + run.1));
    sum.map_or_else(|| "–".to_owned(), |(exchanges, requests)| format!("{exchanges}/{requests}")).into()
}
