//! Runs tracer in a namespace, stops it as a user does, and collects its output.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tracer::lab::netns::{Namespace, PairEnd};

use crate::schema::check_line;

/// How long tracer may take to load its programs, to write a record or to end: far longer than it
/// takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// Start of the line that reports an attached hook.
const ATTACHED: &str = "tracer: attached: ";

/// A running `tracer`. Dropping it kills the process; [`Tracer::stop`] ends it regularly.
pub(crate) struct Tracer {
    child: Child,
    output: Arc<Lines>,
    errors: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
    arguments: Vec<String>,
}

/// The output of a tracer that has ended.
pub(crate) struct Trace {
    /// All records in the order of writing, including the summary; empty unless written as JSON.
    pub(crate) records: Vec<Value>,
    /// Lines of standard output, or of the file of `-w`.
    pub(crate) output: Vec<String>,
    /// Standard error.
    pub(crate) errors: String,
    /// Exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
}

impl Tracer {
    /// Starts `tracer trace -i INTERFACE -o json MORE…` at one end of a pair and waits until it is
    /// attached. Uses native XDP by default, as on hardware; on a veth it is opt-in.
    #[track_caller]
    pub(crate) fn at(end: &PairEnd, more: &[&str]) -> Self {
        let chosen = more.iter().any(|option| ["--attach", "--xdp-mode"].contains(option));
        let by: &[_] = if chosen { &[] } else { &["--xdp-mode", "native"] };
        let arguments = [&["trace", "-i", end.interface, "-o", "json"], by, more].concat();
        Self::start(&end.namespace, &arguments)
    }

    /// Starts `tracer ARGUMENTS…` in `namespace` and waits until it is attached.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let tracer = Self::spawn(namespace, arguments);
        tracer.await_attached();
        tracer
    }

    /// Waits until it is attached.
    #[track_caller]
    pub(crate) fn await_attached(&self) {
        // All programs are attached before the first line of the report is written.
        if let Err(why) = self.errors.wait_for(1, &|line| line.starts_with(ATTACHED)) {
            panic!("tracer {:?} did not attach ({why})\n{}", self.arguments, self.errors.text());
        }
    }

    /// Starts `tracer ARGUMENTS…` in `namespace` without waiting.
    #[track_caller]
    pub(crate) fn spawn(namespace: &Namespace, arguments: &[&str]) -> Self {
        Self::spawn_by(Command::new(env!("CARGO_BIN_EXE_tracer")), namespace, arguments)
    }

    /// Starts tracer by `command` with `arguments` in `namespace` without waiting.
    #[track_caller]
    pub(crate) fn spawn_by(mut command: Command, namespace: &Namespace, arguments: &[&str]) -> Self {
        // Most tests look at the start of connections too, which the default leaves out.
        let selects = arguments.first() != Some(&"trace") || arguments.contains(&"--events");
        let events: &[_] = if selects { &[] } else { &["--events", "connection,exchange"] };
        // RUST_LOG of the developer's shell must not add lines.
        command.args(arguments).args(events).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            namespace.command(command).unwrap_or_else(|error| panic!("tracer cannot be started: {error}"));
        let (output, errors) = (Arc::new(Lines::default()), Arc::new(Lines::default()));
        let readers = vec![
            Lines::read(&output, child.stdout.take().expect("the output is piped")),
            Lines::read(&errors, child.stderr.take().expect("the errors are piped")),
        ];
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { child, output, errors, readers, arguments }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers are small"))
    }

    /// Waits until `count` records with the name `event` are written to standard output.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize, event: &str) {
        let name = format!(r#""event.name":"{event}""#);
        self.wait_for_lines(count, &name, |line| line.contains(&name));
    }

    /// Waits until `count` lines of standard output match `wanted`.
    #[track_caller]
    pub(crate) fn wait_for_lines(&self, count: usize, what: &str, wanted: impl Fn(&str) -> bool) {
        if let Err(why) = self.output.wait_for(count, &wanted) {
            let (output, errors) = (self.output.text(), self.errors.text());
            panic!("waited for {count} x {what} ({why}); tracer wrote:\n{output}\n{errors}");
        }
    }

    /// Standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.text()
    }

    /// Interrupts tracer as Ctrl-C does, and returns its output.
    #[track_caller]
    pub(crate) fn stop(self) -> Trace {
        kill(self.pid(), Signal::SIGINT).expect("tracer is running");
        self.wait()
    }

    /// Waits until tracer ends by itself, and returns its output.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Trace {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                None => panic!("tracer does not end; it wrote\n{}", self.errors.text()),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("the readers do not panic");
        }
        let output = match self.file() {
            Some(path) => {
                let text = fs::read_to_string(&path);
                let text = text.unwrap_or_else(|error| panic!("no output in {}: {error}", path.display()));
                text.lines().map(str::to_owned).collect()
            }
            None => self.output.take(),
        };
        let is_json = self.arguments.iter().any(|argument| argument == "json");
        let records = if is_json { output.iter().map(|line| record(line)).collect() } else { Vec::new() };
        Trace { records, output, errors: self.errors.text(), code: status.code() }
    }

    /// The file after `-w`.
    fn file(&self) -> Option<PathBuf> {
        let option = self.arguments.iter().position(|argument| argument == "-w")?;
        self.arguments.get(option + 1).map(PathBuf::from)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Only while it is our child: after a wait, both do nothing.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Parses a line as a record and checks it against the schema.
#[track_caller]
fn record(line: &str) -> Value {
    if let Err(error) = check_line(line) {
        panic!("a record does not match the schema: {error}");
    }
    serde_json::from_str(line).expect("the schema check has parsed it")
}

impl Trace {
    /// The records with this name.
    pub(crate) fn of(&self, event: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record.text("event.name") == event).collect()
    }

    /// All `connection.opened`.
    pub(crate) fn opened(&self) -> Vec<&Value> {
        self.of("connection.opened")
    }

    /// All `http.exchange`.
    pub(crate) fn exchanges(&self) -> Vec<&Value> {
        self.of("http.exchange")
    }

    /// All `connection.closed`.
    pub(crate) fn closed(&self) -> Vec<&Value> {
        self.of("connection.closed")
    }

    /// The one `tracer.summary`, which is the last record.
    #[track_caller]
    pub(crate) fn summary(&self) -> &Value {
        let last = self.records.last().unwrap_or_else(|| panic!("no record at all\n{}", self.errors));
        assert_eq!(last.text("event.name"), "tracer.summary", "the last record is {last:#}");
        assert_eq!(self.of("tracer.summary").len(), 1, "{:#?}", self.names());
        last
    }

    /// The names of all records, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.text("event.name")).collect()
    }

    /// Number of events lost, for any reason.
    #[track_caller]
    pub(crate) fn events_lost(&self) -> u64 {
        let summary = self.records.last().expect("a summary");
        let lost = fields(summary).filter(|(name, _)| name.starts_with("tracer.events.lost."));
        lost.map(|(_, number)| number.as_u64().expect("a number")).sum()
    }

    /// Checks that tracer exited with 0 and lost no events.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.code, Some(0), "exit code; standard error:\n{}", self.errors);
        assert_eq!(self.events_lost(), 0, "lost: {:#}", self.summary());
        for record in self.closed() {
            assert_eq!(record.count("events.lost"), 0, "{record:#}");
        }
    }
}

/// The fields of an object.
fn fields(record: &Value) -> impl Iterator<Item = (&String, &Value)> {
    record.as_object().expect("a record is an object").iter()
}

/// Access to the fields of a record. Panics with the record if a field is missing or has another
/// type.
pub(crate) trait Fields {
    /// A string.
    fn text(&self, name: &str) -> &str;
    /// A whole number.
    fn number(&self, name: &str) -> u64;
    /// A counter of something rare, which is absent when it is zero.
    fn count(&self, name: &str) -> u64;
    /// A boolean.
    fn flag(&self, name: &str) -> bool;
    /// Whether the field is present.
    fn has(&self, name: &str) -> bool;
}

impl Fields for Value {
    #[track_caller]
    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_else(|| panic!("{name} is not a string in {self:#}"))
    }

    #[track_caller]
    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_else(|| panic!("{name} is not a number in {self:#}"))
    }

    #[track_caller]
    fn count(&self, name: &str) -> u64 {
        if self.has(name) { self.number(name) } else { 0 }
    }

    #[track_caller]
    fn flag(&self, name: &str) -> bool {
        self[name].as_bool().unwrap_or_else(|| panic!("{name} is not a boolean in {self:#}"))
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Lines read from a pipe, which several threads can wait for.
#[derive(Default)]
struct Lines {
    reading: Mutex<Reading>,
    changed: Condvar,
}

#[derive(Default)]
struct Reading {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `pipe` to its end on its own thread, so that the writer never blocks.
    fn read(lines: &Arc<Self>, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = Arc::clone(lines);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            // A last line without a line end counts as well: the writer may have been killed.
            while matches!(pipe.read_until(b'\n', &mut bytes), Ok(1..)) {
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                bytes.clear();
                lines.lock().lines.push(line);
                lines.changed.notify_all();
            }
            lines.lock().ended = true;
            lines.changed.notify_all();
        })
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().expect("no thread panics with the lock")
    }

    /// Waits until `count` lines match `wanted`.
    ///
    /// # Errors
    /// Standard output ended first, or the wait timed out.
    fn wait_for(&self, count: usize, wanted: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        let deadline = Instant::now() + DEADLINE;
        let (mut checked, mut found) = (0, 0);
        let mut read = self.lock();
        loop {
            found += read.lines[checked..].iter().filter(|line| wanted(line)).count();
            checked = read.lines.len();
            if found >= count {
                return Ok(());
            }
            if read.ended {
                return Err("tracer has ended");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("timed out");
            }
            read = self.changed.wait_timeout(read, left).expect("no thread panics with the lock").0;
        }
    }

    fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }
}
