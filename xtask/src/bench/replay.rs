//! How fast captures are read, and in how much memory.

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
    measure::{self, Taken},
    report::{Report, Table},
};
use crate::{
    build,
    process::{step, target_dir},
};

/// With more of them at once, tshark takes minutes for one reading.
const TSHARK_CONNECTIONS: u32 = 100_000;

/// What is measured, and how often.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each program reads each capture
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Size of the captures; at 1, tshark takes some seconds for one
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,
    /// Only captures whose name contains this: bulk, keep-alive, short, half-open, growth
    #[arg(long, value_name = "NAME", default_value = "")]
    capture: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 5, scale: 1.0, capture: String::new() }
    }
}

/// One program reads one capture.
#[derive(Debug, Serialize)]
struct Run {
    capture: String,
    packets: u64,
    bytes: u64,
    round: u32,
    program: &'static str,
    #[serde(flatten)]
    taken: Taken,
}

/// Makes the captures, reads them in every way, and tells.
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
        step("looking whether it is read right", || check(&programs[0], kind, &written))?;
        let runs = step("reading it", || rounds(options.rounds, &name, &programs, &written))?;
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

/// A way to read a capture.
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

/// tracer, and what it is compared with: the same questions, only copying, only reading.
fn programs(tracer: &Path, kind: Kind, scale: f64, capture: &Path) -> Result<Vec<Program>> {
    let find = |name: &str| find_program(name).with_context(|| format!("{name} is not installed"));
    // Half-open handshakes are bounded as they are for a user; connections open at once are the question.
    let limit = match kind {
        Kind::Growth(_) => format!("--max-connections {}", kind.connections(scale).max(65_536) + 1),
        Kind::Bulk | Kind::KeepAlive | Kind::Short | Kind::HalfOpen => String::new(),
    };
    let replay = format!("replay -o json {limit} -w /dev/null FILE");
    let mut programs = vec![Program::new("tracer replay -o json", tracer, &replay, capture)];
    if kind.connections(scale) <= TSHARK_CONNECTIONS {
        programs.push(Program::new("tshark", find("tshark")?, &tshark(), capture));
    }
    // Else tcpdump becomes another user, who may not read the file.
    let copy = "-r FILE -n -Z root -w /dev/null";
    programs.push(Program::new("tcpdump -w /dev/null", find("tcpdump")?, copy, capture));
    programs.push(Program::new("cat", find("cat")?, "FILE", capture));
    Ok(programs)
}

/// What tshark is asked: what tracer's records tell, as far as it has a name for it. Of what it leaves out (Zeek's state and
/// history, who closed, totals of each side, pairs of requests and responses) some follows from these.
const QUESTIONS: [&str; 34] = [
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

/// The questions as tshark's arguments: asked of the segments that tracer's records are about. tracer verifies checksums
/// and tells the Community ID unasked.
fn tshark() -> String {
    let display = "http||tcp.analysis.flags||tcp.flags.syn==1||tcp.flags.fin==1||tcp.flags.reset==1";
    let unasked = "--enable-protocol communityid -o tcp.check_checksum:TRUE";
    let fields: Vec<String> = QUESTIONS.iter().map(|field| format!("-e {field}")).collect();
    format!("-n -r FILE {unasked} -Y {display} -T fields {}", fields.join(" "))
}

/// Whether tracer finds in a capture what was put there; otherwise its speed means nothing.
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
    let output = child.stdout.take().context("its output is piped")?;
    let last = BufReader::new(output).lines().last().context("tracer wrote nothing")??;
    child.wait().context("tracer does not end")?;
    let summary: Value = serde_json::from_str(&last).context("the summary is no JSON")?;
    let number = |field: &str| summary[field].as_u64().unwrap_or(0);
    let skipped =
        summary.as_object().into_iter().flatten().any(|(name, _)| name.starts_with("tracer.skipped"));
    let right = number("tracer.frames") == written.packets
        && number("tracer.exchanges") == written.exchanges
        && (number("tracer.connections.evicted") == 0 || kind == Kind::HalfOpen)
        && !skipped;
    if !right {
        bail!(
            "{} packets and {} exchanges were written, tracer says {last}",
            written.packets,
            written.exchanges
        );
    }
    Ok(())
}

/// All programs in turn, beginning with another one each round.
fn rounds(count: u32, capture: &str, programs: &[Program], written: &Written) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..count {
        for index in 0..programs.len() {
            let program = &programs[(index + round as usize) % programs.len()];
            let taken = measure::take(&program.path, &program.arguments)?;
            runs.push(Run {
                capture: capture.to_owned(),
                packets: written.packets,
                bytes: written.bytes,
                round,
                program: program.name,
                taken,
            });
        }
    }
    Ok(runs)
}

fn of<'a>(program: &'a str, runs: &'a [Run]) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.program == program)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn table(kind: Kind, options: &Options, written: &Written, programs: &[Program], runs: &[Run]) -> Table {
    let title = format!(
        "replay, {}: {}; {} packets, {:.1} MiB; {} rounds, median (least–most)",
        kind.name(),
        kind.about(options.scale),
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
            Some(run.taken.elapsed / tracer.taken.elapsed)
        });
        table.push(vec![
            program.name.into(),
            Figure::cell(runs_of().map(|run| run.packets as f64 / run.taken.elapsed / 1e3)),
            Figure::cell(runs_of().map(|run| mebibytes(run.bytes) / run.taken.elapsed)),
            Figure::cell(runs_of().map(|run| run.taken.cpu)),
            Figure::cell(runs_of().map(|run| mebibytes(run.taken.memory))),
            Figure::cell(ratios),
        ]);
    }
    table
}

/// What a connection more costs tracer.
fn growth_table(growth: &[(u32, Vec<Run>)]) -> Table {
    let columns = ["connections open at once", "µs a connection", "peak MiB", "bytes a connection more"];
    let mut table = Table::new("growth: tracer replay -o json, median (least–most)", &columns);
    let tracer = |runs: &'_ [Run]| -> Vec<Taken> {
        runs.iter().filter(|run| run.program.starts_with("tracer")).map(|run| run.taken).collect()
    };
    let mut before: Option<(u32, f64)> = None;
    for (connections, runs) in growth {
        let taken = tracer(runs);
        let count = f64::from(*connections);
        let more = before.map_or_else(Vec::new, |(fewer, memory)| {
            let more = |taken: &Taken| (taken.memory as f64 - memory) / (count - f64::from(fewer));
            taken.iter().map(more).collect()
        });
        table.push(vec![
            connections.to_string().into(),
            Figure::cell(taken.iter().map(|taken| taken.elapsed * 1e6 / count)),
            Figure::cell(taken.iter().map(|taken| mebibytes(taken.memory))),
            Figure::cell(more),
        ]);
        before = Figure::of(taken.iter().map(|taken| taken.memory as f64))
            .map(|memory| (*connections, memory.median));
    }
    table
}
