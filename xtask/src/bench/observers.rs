//! The observers to compare: tracer with various options, other programs, and minimal programs.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    measure::{self, Usage},
    namespaces::{INTERFACE, Pair, kill, wait_for},
};

/// Delay after a program reports that it is ready, because dumpcap does so slightly too early.
const START_DELAY: Duration = Duration::from_millis(300);

/// An observer, or none.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    None,
    /// XDP and TC programs that only pass packets on.
    Noop,
    /// The minimum that an observer must do if it passes message headers through a ring buffer and
    /// writes lines.
    Floor,
    /// `tracer trace` with these arguments, without `-w`.
    Tracer(&'static str),
    Tcpdump(&'static str),
    Tshark,
}

/// All variants. The first is the baseline, and the last repeats it: how far its ratio is from 1
/// shows the error of the other ratios.
pub(super) const VARIANTS: [Variant; 12] = [
    Variant { name: "none", kind: Kind::None },
    Variant { name: "no-op XDP and TC", kind: Kind::Noop },
    Variant { name: "floor: ring and file", kind: Kind::Floor },
    Variant { name: "tracer -o json", kind: Kind::Tracer("-o json") },
    Variant { name: "tracer -o text", kind: Kind::Tracer("-o text") },
    Variant { name: "tracer --events connection", kind: Kind::Tracer("-o json --events connection") },
    Variant { name: "tracer --attach xdp", kind: Kind::Tracer("-o json --attach xdp") },
    Variant { name: "tracer --attach tc", kind: Kind::Tracer("-o json --attach tc") },
    Variant { name: "tcpdump -s 96", kind: Kind::Tcpdump("-s 96") },
    Variant { name: "tcpdump", kind: Kind::Tcpdump("") },
    Variant { name: "tshark, fields", kind: Kind::Tshark },
    Variant { name: "none again", kind: Kind::None },
];

/// The files that observers need.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) tracer: PathBuf,
    /// The minimal observers.
    pub(super) least: PathBuf,
    /// The folder for records and error messages.
    pub(super) folder: PathBuf,
}

/// What tracer reports in its records, or the floor in its lines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reported {
    /// Exchanges with a request; none if exchanges were not selected.
    pub(super) exchanges: Option<u64>,
    /// Lost events.
    pub(super) lost: u64,
}

/// A running observer.
#[derive(Debug)]
pub(super) struct Observer {
    process: Option<Process>,
    kind: Kind,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Closing this stops the minimal observers.
    stdin: Option<ChildStdin>,
    records: PathBuf,
    errors: PathBuf,
}

impl Kind {
    /// Whether the observer stops when its standard input is closed, rather than by a signal.
    fn stops_with_stdin(self) -> bool {
        matches!(self, Self::Noop | Self::Floor)
    }
}

impl Variant {
    /// Whether this is the floor, which is valid only if it reports nearly all requests.
    pub(super) fn is_floor(&self) -> bool {
        self.kind == Kind::Floor
    }

    /// Starts the observer, which is attached when this returns.
    pub(super) fn start(&self, pair: &Pair, programs: &Programs) -> Result<Observer> {
        let records = programs.folder.join("records");
        let errors = programs.folder.join("errors");
        let Some((mut command, ready)) = self.command(pair, programs, &records)? else {
            thread::sleep(START_DELAY);
            return Ok(Observer { process: None, kind: self.kind });
        };
        let stderr =
            File::create(&errors).with_context(|| format!("{} cannot be created", errors.display()))?;
        let stdin = if self.kind.stops_with_stdin() { Stdio::piped() } else { Stdio::null() };
        let mut child = command
            .env_remove("RUST_LOG")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        let stdin = child.stdin.take();
        let mut process = Process { child, stdin, records, errors };
        process.wait_until(self.name, ready)?;
        thread::sleep(START_DELAY);
        Ok(Observer { process: Some(process), kind: self.kind })
    }

    /// The command, and the message on standard error that means it is attached.
    fn command(
        &self,
        pair: &Pair,
        programs: &Programs,
        records: &Path,
    ) -> Result<Option<(Command, &'static str)>> {
        let path = |path: &Path| path.to_str().map(str::to_owned).context("a path is not valid UTF-8");
        Ok(match self.kind {
            Kind::None => None,
            Kind::Noop | Kind::Floor => {
                let mut command = pair.server.command(&path(&programs.least)?);
                command.arg(INTERFACE);
                if self.kind == Kind::Floor {
                    command.arg(records);
                }
                Some((command, "attached"))
            }
            Kind::Tracer(arguments) => {
                let mut command = pair.server.command(&path(&programs.tracer)?);
                command.args(["trace", "-i", INTERFACE, "-w"]).arg(records);
                command.args(arguments.split_whitespace());
                Some((command, "tracer: attached: "))
            }
            Kind::Tcpdump(arguments) => {
                let mut command = pair.server.command("tcpdump");
                command.args(["-i", INTERFACE, "-n", "-Z", "root", "-w", "/dev/null"]);
                command.args(arguments.split_whitespace()).arg("tcp port 80");
                Some((command, "listening on"))
            }
            Kind::Tshark => {
                let mut command = pair.server.command("tshark");
                command.args(["-i", INTERFACE, "-n", "-f", "tcp port 80", "-Y", "http", "-T", "fields"]);
                for field in TSHARK_FIELDS {
                    command.args(["-e", field]);
                }
                // tshark captures into a temporary file, which must be removed too.
                command.env("TMPDIR", &programs.folder);
                Some((command, "Capturing on"))
            }
        })
    }
}

const TSHARK_FIELDS: [&str; 9] = [
    "frame.time_epoch",
    "tcp.stream",
    "ip.src",
    "tcp.srcport",
    "http.host",
    "http.request.method",
    "http.request.uri",
    "http.response.code",
    "http.time",
];

impl Process {
    fn wait_until(&mut self, name: &str, ready: &str) -> Result<()> {
        wait_for(name, || {
            let errors = fs::read_to_string(&self.errors).unwrap_or_default();
            if let Some(status) = self.child.try_wait().context("cannot wait for the observer")? {
                bail!("{name} exited with {status}:\n{errors}");
            }
            Ok(errors.contains(ready))
        })
    }
}

impl Observer {
    /// The resource usage until now; none if the observer has no userspace part to measure.
    pub(super) fn usage(&self) -> Result<Option<Usage>> {
        match (&self.process, self.kind) {
            (Some(process), Kind::Floor | Kind::Tracer(_) | Kind::Tcpdump(_) | Kind::Tshark) => {
                measure::usage(process.child.id()).map(Some)
            }
            (
                _,
                Kind::None | Kind::Noop | Kind::Floor | Kind::Tracer(_) | Kind::Tcpdump(_) | Kind::Tshark,
            ) => Ok(None),
        }
    }

    /// Stops the observer as a user would, and returns what it reported.
    pub(super) fn stop(mut self) -> Result<Option<Reported>> {
        let Some(mut process) = self.process.take() else { return Ok(None) };
        drop(process.stdin.take());
        if !self.kind.stops_with_stdin() {
            let id = i32::try_from(process.child.id()).context("a process ID is too large")?;
            signal::kill(Pid::from_raw(id), Signal::SIGINT).context("the observer has already exited")?;
        }
        let stopped = wait_for("the observer to exit", || {
            Ok(process.child.try_wait().context("cannot wait for the observer")?.is_some())
        });
        let reported = match self.kind {
            Kind::Tracer(arguments) if arguments.contains("json") => {
                let reported = stopped.and_then(|()| read(&process.records));
                reported.map(|reported| {
                    let selected = !arguments.contains("--events");
                    Some(Reported { exchanges: reported.exchanges.filter(|_| selected), ..reported })
                })
            }
            Kind::Floor => stopped.and_then(|()| read(&process.records)).map(Some),
            Kind::None | Kind::Noop | Kind::Tracer(_) | Kind::Tcpdump(_) | Kind::Tshark => {
                stopped.map(|()| None)
            }
        };
        let _ = fs::remove_file(&process.records);
        self.process = Some(process);
        reported
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            kill(&mut process.child);
        }
    }
}

/// Counts exchanges and lost events in the records of a run.
fn read(path: &Path) -> Result<Reported> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut last, mut exchanges) = (Vec::new(), Vec::new(), 0);
    while lines.read_until(b'\n', &mut line).context("the records cannot be read")? > 0 {
        exchanges += u64::from(is_request(&String::from_utf8_lossy(&line)));
        std::mem::swap(&mut line, &mut last);
        line.clear();
    }
    let lost =
        parse_lost(&last).context("the last record is not a summary: the observer did not stop cleanly")?;
    Ok(Reported { exchanges: Some(exchanges), lost })
}

fn is_request(record: &str) -> bool {
    record.contains(r#""event.name":"http.exchange""#) && record.contains(r#""http.request.method":"#)
}

/// The sum of the lost events in a summary; counters that are zero are absent.
fn parse_lost(summary: &[u8]) -> Option<u64> {
    let summary: Value = serde_json::from_slice(summary).ok()?;
    (summary["event.name"] == "tracer.summary").then_some(())?;
    let fields = summary.as_object()?.iter();
    Some(
        fields
            .filter(|(name, _)| name.starts_with("tracer.events.lost."))
            .filter_map(|(_, count)| count.as_u64())
            .sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_counts_if_it_has_a_request() {
        assert!(is_request(r#"{"event.name":"http.exchange","http.request.method":"GET"}"#));
        assert!(!is_request(r#"{"event.name":"http.exchange","http.response.status_code":408}"#));
        assert!(!is_request(r#"{"event.name":"http.request","http.request.method":"GET"}"#));
    }

    #[test]
    fn lost_events_are_summed_up() {
        let summary =
            br#"{"event.name":"tracer.summary","tracer.events.lost.open":2,"tracer.events.lost.close":3}"#;
        assert_eq!(parse_lost(summary), Some(5));
        assert_eq!(parse_lost(br#"{"event.name":"tracer.summary"}"#), Some(0));
        assert_eq!(parse_lost(br#"{"event.name":"http.exchange"}"#), None);
    }
}
