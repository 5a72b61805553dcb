//! Measures the speed and memory of programs that read captures.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ebpf_build::find_program;
use serde::Serialize;
use serde_json::Value;

use super::{
    captures::{Kind, Written},
    figures::Figure,
    folder,
    measure::{self, Measurement},
    report::{Report, Table},
};
use crate::{
    build,
    process::{step, target_dir},
};

/// Most simultaneous connections that tshark is measured with; with more it takes minutes per run.
const TSHARK_CONNECTIONS: u32 = 100_000;

/// What to measure, and how often.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of times that each program reads each capture
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Size of the captures; at 1, tshark takes a few seconds for each
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,
    /// Read only captures whose name contains this: bulk, keep-alive, short, half-open, growth
    #[arg(long, value_name = "NAME", default_value = "")]
    capture: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 5, scale: 1.0, capture: String::new() }
    }
}

/// One measurement of one program with one capture.
#[derive(Debug, Serialize)]
struct Run {
    capture: String,
    packets: u64,
    bytes: u64,
    round: u32,
    program: &'static str,
    #[serde(flatten)]
    measurement: Measurement,
}

/// Runs the benchmark and publishes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.scale > 0.0, "--scale must be more than 0");
    let kinds: Vec<_> = Kind::ALL.into_iter().filter(|kind| kind.name().contains(&options.capture)).collect();
    ensure!(!kinds.is_empty(), "no capture has {} in its name", options.capture);
    build::release()?;
    let tracer = target_dir()?.join("release/tracer");
    let folder = folder()?;
    let mut report = Report::new("replay");
    let mut growth = Vec::new();
    for kind in kinds {
        let name = kind.name();
        let written = step(&format!("writing the capture {name}"), || kind.write(&folder, options.scale))?;
        let programs = programs(&tracer, kind, options.scale, &written.path)?;
        step("checking the records of tracer", || check(&programs[0], kind, &written))?;
        let runs = step("measuring", || rounds(options.rounds, &name, &programs, &written))?;
        for run in &runs {
            report.keep(run)?;
        }
        report.tables.push(table(kind, options, &written, &programs, &runs));
        if matches!(kind, Kind::Growth(_)) {
            growth.push((kind.connections(options.scale), runs));
        }
    }
    if growth.len() > 1 {
        report.tables.push(growth_table(&growth));
    }
    report.publish()
}

/// A program that reads a capture.
#[derive(Debug)]
struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    fn new(name: &'static str, path: impl Into<PathBuf>, arguments: &str, capture: &Path) -> Self {
        let capture = capture.as_os_str();
        let word = |word: &str| if word == "FILE" { capture.to_owned() } else { word.into() };
        Self { name, path: path.into(), arguments: arguments.split_whitespace().map(word).collect() }
    }
}

/// tracer and the programs to compare it with: tshark analyses, tcpdump copies, cat only reads.
fn programs(tracer: &Path, kind: Kind, scale: f64, capture: &Path) -> Result<Vec<Program>> {
    let find = |name: &str| find_program(name).with_context(|| format!("{name} is not installed"));
    // The limit is raised only where the number of open connections is what is measured.
    let limit = match kind {
        Kind::Growth(_) => format!("--max-connections {}", kind.connections(scale).max(65_536) + 1),
        Kind::Bulk | Kind::KeepAlive | Kind::Short | Kind::HalfOpen => String::new(),
    };
    let replay = format!("replay -o json {limit} -w /dev/null FILE");
    let mut programs = vec![Program::new("tracer replay -o json", tracer, &replay, capture)];
    if kind.connections(scale) <= TSHARK_CONNECTIONS {
        programs.push(Program::new("tshark", find("tshark")?, &tshark(), capture));
    }
    // Otherwise tcpdump switches to another user, who may not be able to read the file.
    let copy = "-r FILE -n -Z root -w /dev/null";
    programs.push(Program::new("tcpdump -w /dev/null", find("tcpdump")?, copy, capture));
    programs.push(Program::new("cat", find("cat")?, "FILE", capture));
    Ok(programs)
}

/// The fields that tshark prints: those that correspond to fields of tracer's records. tshark has
/// no fields for Zeek's state and history, who closed, totals per side, and exchanges.
const TSHARK_FIELDS: [&str; 34] = [
    "frame.time_epoch",
    "tcp.stream",
    "communityid",
    "ip.version",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "tcp.flags.str",
    "tcp.len",
    "tcp.completeness",
    "tcp.analysis.initial_rtt",
    "tcp.time_relative",
    "tcp.analysis.retransmission",
    "tcp.analysis.fast_retransmission",
    "tcp.analysis.spurious_retransmission",
    "tcp.analysis.out_of_order",
    "tcp.analysis.duplicate_ack",
    "tcp.analysis.zero_window",
    "tcp.analysis.keep_alive",
    "tcp.analysis.zero_window_probe",
    "tcp.analysis.lost_segment",
    "tcp.checksum.status",
    "http.host",
    "http.request.method",
    "http.request.uri",
    "http.request.uri.path",
    "http.request.uri.query",
    "http.request.version",
    "http.response.version",
    "http.response.code",
    "http.content_length",
    "http.transfer_encoding",
    "http.time",
];

/// The arguments of tshark. It prints the segments that cause records of tracer; checksums and the
/// Community ID, which tracer always has, must be enabled.
fn tshark() -> String {
    let filter = "http||tcp.analysis.flags||tcp.flags.syn==1||tcp.flags.fin==1||tcp.flags.reset==1";
    let options = "--enable-protocol communityid -o tcp.check_checksum:TRUE";
    let fields: Vec<String> = TSHARK_FIELDS.iter().map(|field| format!("-e {field}")).collect();
    format!("-n -r FILE {options} -Y {filter} -T fields {}", fields.join(" "))
}

/// Fails unless tracer reports exactly what was written to the capture.
fn check(tracer: &Program, kind: Kind, written: &Written) -> Result<()> {
    let mut command = Command::new(&tracer.path);
    let arguments = tracer
        .arguments
        .iter()
        .map(|word| if word == "/dev/null" { "/dev/stdout".into() } else { word.clone() });
    let mut child = command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("tracer cannot be started")?;
    let output = child.stdout.take().context("tracer has no output")?;
    let last = BufReader::new(output).lines().last().context("tracer wrote nothing")??;
    child.wait().context("cannot wait for tracer")?;
    let summary: Value = serde_json::from_str(&last).context("the summary is not JSON")?;
    let number = |field: &str| summary[field].as_u64().unwrap_or(0);
    let skipped =
        summary.as_object().into_iter().flatten().any(|(name, _)| name.starts_with("tracer.skipped"));
    let correct = number("tracer.frames") == written.packets
        && number("tracer.exchanges") == written.exchanges
        && (number("tracer.connections.evicted") == 0 || kind == Kind::HalfOpen)
        && !skipped;
    if !correct {
        bail!(
            "the capture has {} packets and {} exchanges, but tracer reports {last}",
            written.packets,
            written.exchanges
        );
    }
    Ok(())
}

/// Measures all programs in each round, starting with a different one each time.
fn rounds(count: u32, capture: &str, programs: &[Program], written: &Written) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..count {
        for index in 0..programs.len() {
            let program = &programs[(index + round as usize) % programs.len()];
            let measurement = measure::measure(&program.path, &program.arguments)?;
            runs.push(Run {
                capture: capture.to_owned(),
                packets: written.packets,
                bytes: written.bytes,
                round,
                program: program.name,
                measurement,
            });
        }
    }
    Ok(runs)
}

/// The runs of a program.
fn of<'a>(program: &'a str, runs: &'a [Run]) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.program == program)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn table(kind: Kind, options: &Options, written: &Written, programs: &[Program], runs: &[Run]) -> Table {
    let title = format!(
        "replay, {}: {}; {} packets, {:.1} MiB; {} rounds, median (min–max)",
        kind.name(),
        kind.description(options.scale),
        written.packets,
        mebibytes(written.bytes),
        options.rounds
    );
    let columns = ["", "1000 packets/s", "MiB/s", "CPU s", "peak MiB", "time / tracer's"];
    let mut table = Table::new(title, &columns);
    for program in programs {
        let runs_of = || of(program.name, runs);
        let ratios = runs_of().filter_map(|run| {
            let tracer = of(programs[0].name, runs).find(|other| other.round == run.round)?;
            Some(run.measurement.elapsed / tracer.measurement.elapsed)
        });
        table.push(vec![
            program.name.into(),
            Figure::cell(runs_of().map(|run| run.packets as f64 / run.measurement.elapsed / 1e3)),
            Figure::cell(runs_of().map(|run| mebibytes(run.bytes) / run.measurement.elapsed)),
            Figure::cell(runs_of().map(|run| run.measurement.cpu)),
            Figure::cell(runs_of().map(|run| mebibytes(run.measurement.memory))),
            Figure::cell(ratios),
        ]);
    }
    table
}

/// Time and memory of tracer per connection, by the number of open connections.
fn growth_table(growth: &[(u32, Vec<Run>)]) -> Table {
    let columns =
        ["connections open at once", "µs/connection", "peak MiB", "bytes per additional connection"];
    let mut table = Table::new("growth: tracer replay -o json, median (min–max)", &columns);
    let tracer = |runs: &'_ [Run]| -> Vec<Measurement> {
        runs.iter().filter(|run| run.program.starts_with("tracer")).map(|run| run.measurement).collect()
    };
    let mut previous: Option<(u32, f64)> = None;
    for (connections, runs) in growth {
        let measurements = tracer(runs);
        let count = f64::from(*connections);
        let growth = previous.map_or_else(Vec::new, |(fewer, memory)| {
            let additional = count - f64::from(fewer);
            measurements.iter().map(|run| (run.memory as f64 - memory) / additional).collect()
        });
        table.push(vec![
            connections.to_string().into(),
            Figure::cell(measurements.iter().map(|run| run.elapsed * 1e6 / count)),
            Figure::cell(measurements.iter().map(|run| mebibytes(run.memory))),
            Figure::cell(growth),
        ]);
        previous = Figure::of(measurements.iter().map(|run| run.memory as f64))
            .map(|memory| (*connections, memory.median));
    }
    table
}
