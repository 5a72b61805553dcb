//! Those who watch: tracer in several ways, and what else people use.

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
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    measure::{self, Usage},
    namespaces::{INTERFACE, Pair, end, wait_for},
};

/// After the programs say that they are ready: dumpcap says so a little early, and all take a breath.
const SETTLE: Duration = Duration::from_millis(300);

/// Somebody who watches, or nobody.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Nobody,
    /// Programs on the hooks that do nothing.
    Noop,
    /// What any observer that passes heads through the ring and writes lines must do, and no more.
    Floor,
    /// `tracer trace` with these arguments; `-w` comes by itself.
    Tracer(&'static str),
    Tcpdump(&'static str),
    Tshark,
}

/// All, the one that the others are compared with first, and the same once more last: how far that is from 1 is how
/// far the others are to be trusted.
pub(super) const VARIANTS: [Variant; 12] = [
    Variant { name: "none", kind: Kind::Nobody },
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
    Variant { name: "none again", kind: Kind::Nobody },
];

/// What observers are made of.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) tracer: PathBuf,
    /// The program that attaches the least.
    pub(super) least: PathBuf,
    /// Where records and complaints go.
    pub(super) folder: PathBuf,
}

/// What tracer told in its records, and what the floor wrote instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    /// Exchanges with a request; none if they were not asked for.
    pub(super) exchanges: Option<u64>,
    /// Events that were lost.
    pub(super) lost: u64,
}

/// A variant at work.
#[derive(Debug)]
pub(super) struct Observer {
    process: Option<Process>,
    kind: Kind,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// The least programs stay until this is closed.
    stdin: Option<ChildStdin>,
    records: PathBuf,
    errors: PathBuf,
}

impl Kind {
    /// Whether it ends when its standard input does, and not by a signal.
    fn ends_with_stdin(self) -> bool {
        matches!(self, Self::Noop | Self::Floor)
    }
}

impl Variant {
    /// Whether what it does counts only if it does so for nearly all requests: a floor that loses work is none.
    pub(super) fn is_floor(&self) -> bool {
        self.kind == Kind::Floor
    }

    /// The observer is attached when this returns.
    pub(super) fn start(&self, pair: &Pair, programs: &Programs) -> Result<Observer> {
        let records = programs.folder.join("records");
        let errors = programs.folder.join("errors");
        let Some((mut command, ready)) = self.command(pair, programs, &records)? else {
            thread::sleep(SETTLE);
            return Ok(Observer { process: None, kind: self.kind });
        };
        let complaints = File::create(&errors).context("the observer's errors have no file")?;
        let stdin = if self.kind.ends_with_stdin() { Stdio::piped() } else { Stdio::null() };
        let mut child = command
            .env_remove("RUST_LOG")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(complaints)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        let stdin = child.stdin.take();
        let mut process = Process { child, stdin, records, errors };
        process.wait_until(self.name, ready)?;
        thread::sleep(SETTLE);
        Ok(Observer { process: Some(process), kind: self.kind })
    }

    /// The command, and what it says on standard error when it is attached.
    fn command(
        &self,
        pair: &Pair,
        programs: &Programs,
        records: &Path,
    ) -> Result<Option<(Command, &'static str)>> {
        let path = |path: &Path| path.to_str().map(str::to_owned).context("a path is no text");
        Ok(match self.kind {
            Kind::Nobody => None,
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
                // What it captures goes through a file, which must be removed with the rest.
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
            if let Some(status) = self.child.try_wait().context("a child can be waited for")? {
                bail!("{name} ended with {status}:\n{errors}");
            }
            Ok(errors.contains(ready))
        })
    }
}

impl Observer {
    /// What it has taken until now; none if nobody watches from a process.
    pub(super) fn usage(&self) -> Result<Option<Usage>> {
        match (&self.process, self.kind) {
            (Some(process), Kind::Floor | Kind::Tracer(_) | Kind::Tcpdump(_) | Kind::Tshark) => {
                measure::usage(process.child.id()).map(Some)
            }
            (
                _,
                Kind::Nobody | Kind::Noop | Kind::Floor | Kind::Tracer(_) | Kind::Tcpdump(_) | Kind::Tshark,
            ) => Ok(None),
        }
    }

    /// Ends it as a user does, and returns what it told.
    pub(super) fn stop(mut self) -> Result<Option<Told>> {
        let Some(mut process) = self.process.take() else { return Ok(None) };
        drop(process.stdin.take());
        if !self.kind.ends_with_stdin() {
            let id = i32::try_from(process.child.id()).context("a process number is too large")?;
            kill(Pid::from_raw(id), Signal::SIGINT).context("the observer has ended by itself")?;
        }
        let stopped = wait_for("the observer's end", || {
            Ok(process.child.try_wait().context("a child can be waited for")?.is_some())
        });
        let told = match self.kind {
            Kind::Tracer(arguments) if arguments.contains("json") => {
                let told = stopped.and_then(|()| read(&process.records));
                told.map(|told| {
                    let asked = !arguments.contains("--events");
                    Some(Told { exchanges: told.exchanges.filter(|_| asked), ..told })
                })
            }
            Kind::Floor => stopped.and_then(|()| read(&process.records)).map(Some),
            Kind::Nobody | Kind::Noop | Kind::Tracer(_) | Kind::Tcpdump(_) | Kind::Tshark => {
                stopped.map(|()| None)
            }
        };
        let _ = fs::remove_file(&process.records);
        self.process = Some(process);
        told
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            end(&mut process.child);
        }
    }
}

/// Reads the records of a run.
fn read(path: &Path) -> Result<Told> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut last, mut exchanges) = (Vec::new(), Vec::new(), 0);
    while lines.read_until(b'\n', &mut line).context("the records cannot be read")? > 0 {
        exchanges += u64::from(is_request(&String::from_utf8_lossy(&line)));
        std::mem::swap(&mut line, &mut last);
        line.clear();
    }
    let lost = parse_lost(&last).context("the last record is no summary: the observer did not end well")?;
    Ok(Told { exchanges: Some(exchanges), lost })
}

fn is_request(record: &str) -> bool {
    record.contains(r#""event.name":"http.exchange""#) && record.contains(r#""http.request.method":"#)
}

/// The sum of all causes, which are absent when zero.
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
    fn what_is_lost_is_summed_up() {
        let summary =
            br#"{"event.name":"tracer.summary","tracer.events.lost.open":2,"tracer.events.lost.close":3}"#;
        assert_eq!(parse_lost(summary), Some(5));
        assert_eq!(parse_lost(br#"{"event.name":"tracer.summary"}"#), Some(0));
        assert_eq!(parse_lost(br#"{"event.name":"http.exchange"}"#), None);
    }
}
