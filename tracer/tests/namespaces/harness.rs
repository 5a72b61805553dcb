//! The real program at work: started in a namespace, stopped as a user stops it, and every word it said.

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
use tracer::lab::netns::{End, Namespace};

use crate::schema::check_line;

/// How long tracer may take to load its programs, to write a record or to end; far more than it does on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// What the report of a hook looks like.
const ATTACHED: &str = "tracer: attached: ";

/// A running `tracer`. It is killed when this is dropped; [`Tracer::stop`] is the polite way.
pub(crate) struct Tracer {
    child: Child,
    output: Arc<Lines>,
    errors: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
    arguments: Vec<String>,
}

/// What a tracer that has ended said.
pub(crate) struct Trace {
    /// Every record in the order of writing, the summary included; empty unless written as JSON.
    pub(crate) records: Vec<Value>,
    /// Standard output, line by line; or the file of `-w`.
    pub(crate) output: Vec<String>,
    /// Standard error.
    pub(crate) errors: String,
    /// Exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
}

impl Tracer {
    /// `tracer trace -i INTERFACE -o json MORE…` at one end of a pair, attached when this returns. By XDP if nothing else is said,
    /// as on the cards that traffic comes from elsewhere: on a veth it has to be asked for.
    #[track_caller]
    pub(crate) fn at(end: &End, more: &[&str]) -> Self {
        let chosen = more.iter().any(|option| ["--attach", "--xdp-mode"].contains(option));
        let by: &[_] = if chosen { &[] } else { &["--xdp-mode", "native"] };
        let arguments = [&["trace", "-i", end.interface, "-o", "json"], by, more].concat();
        Self::start(&end.namespace, &arguments)
    }

    /// `tracer ARGUMENTS…` in `namespace`, attached when this returns.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let tracer = Self::spawn(namespace, arguments);
        tracer.await_attached();
        tracer
    }

    /// Waits until it is attached.
    #[track_caller]
    pub(crate) fn await_attached(&self) {
        // Everything is attached before the first line of the report is written.
        if let Err(why) = self.errors.wait_for(1, &|line| line.starts_with(ATTACHED)) {
            panic!("tracer {:?} did not attach ({why})\n{}", self.arguments, self.errors.text());
        }
    }

    /// The same without waiting for anything.
    #[track_caller]
    pub(crate) fn spawn(namespace: &Namespace, arguments: &[&str]) -> Self {
        Self::spawn_by(Command::new(env!("CARGO_BIN_EXE_tracer")), namespace, arguments)
    }

    /// The same with the command that starts the program.
    #[track_caller]
    pub(crate) fn spawn_by(mut command: Command, namespace: &Namespace, arguments: &[&str]) -> Self {
        // Most tests look at the start of connections too, which the default leaves out.
        let selects = arguments.first() != Some(&"trace") || arguments.contains(&"--events");
        let events: &[_] = if selects { &[] } else { &["--events", "connection,exchange"] };
        // The level of the developer's own shell must not add lines.
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

    /// Its process number.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers are small"))
    }

    /// Waits until `count` records named `event` are written to standard output.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize, event: &str) {
        let name = format!(r#""event.name":"{event}""#);
        self.wait_for_lines(count, &name, |line| line.contains(&name));
    }

    /// Waits until `count` lines of standard output are as wanted.
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

    /// Interrupts it as Ctrl-C does, and returns everything it said.
    #[track_caller]
    pub(crate) fn stop(self) -> Trace {
        kill(self.pid(), Signal::SIGINT).expect("tracer is running");
        self.wait()
    }

    /// Waits until it ends by itself, and returns everything it said.
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
            None => self.output.taken(),
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
        // By its own number, and only while it is our child: after a wait both do nothing.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One line as a record, which must be as the schema wants it.
#[track_caller]
fn record(line: &str) -> Value {
    if let Err(error) = check_line(line) {
        panic!("a record is not as the schema says: {error}");
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

    /// The names of all records, in order: what a complete trace is compared with.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.text("event.name")).collect()
    }

    /// How many events were lost, for whatever reason.
    #[track_caller]
    pub(crate) fn events_lost(&self) -> u64 {
        let summary = self.records.last().expect("a summary");
        let lost = fields(summary).filter(|(name, _)| name.starts_with("tracer.events.lost."));
        lost.map(|(_, number)| number.as_u64().expect("a number")).sum()
    }

    /// Whether tracer ended well, and nothing was lost, misread or left open.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.code, Some(0), "exit code; standard error:\n{}", self.errors);
        assert_eq!(self.events_lost(), 0, "lost: {:#}", self.summary());
        for record in self.closed() {
            assert_eq!(record.number("events.lost"), 0, "{record:#}");
        }
    }
}

/// The fields of an object.
fn fields(record: &Value) -> impl Iterator<Item = (&String, &Value)> {
    record.as_object().expect("a record is an object").iter()
}

/// Fields of a record; a missing one or one of another type is a panic that shows the record.
pub(crate) trait Fields {
    /// A text.
    fn text(&self, name: &str) -> &str;
    /// A whole number.
    fn number(&self, name: &str) -> u64;
    /// A yes or no.
    fn flag(&self, name: &str) -> bool;
    /// Whether the field is there.
    fn has(&self, name: &str) -> bool;
}

impl Fields for Value {
    #[track_caller]
    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {self:#}"))
    }

    #[track_caller]
    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {self:#}"))
    }

    #[track_caller]
    fn flag(&self, name: &str) -> bool {
        self[name].as_bool().unwrap_or_else(|| panic!("{name} is no flag in {self:#}"))
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Lines as they come from a pipe, for many to wait on.
#[derive(Default)]
struct Lines {
    reading: Mutex<Reading>,
    news: Condvar,
}

#[derive(Default)]
struct Reading {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `pipe` to its end on a thread of its own, so that the writer never waits.
    fn read(lines: &Arc<Self>, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = Arc::clone(lines);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            // A last line without its end counts as well: somebody may have been killed in the middle of it.
            while matches!(pipe.read_until(b'\n', &mut bytes), Ok(1..)) {
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                bytes.clear();
                lines.lock().lines.push(line);
                lines.news.notify_all();
            }
            lines.lock().ended = true;
            lines.news.notify_all();
        })
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().expect("nobody panics with the lines in hand")
    }

    /// Waits until `count` lines are `wanted`; else tells why that will not come.
    fn wait_for(&self, count: usize, wanted: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        let deadline = Instant::now() + DEADLINE;
        let (mut looked_at, mut found) = (0, 0);
        let mut read = self.lock();
        loop {
            found += read.lines[looked_at..].iter().filter(|line| wanted(line)).count();
            looked_at = read.lines.len();
            if found >= count {
                return Ok(());
            }
            if read.ended {
                return Err("it has ended");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("in vain");
            }
            read = self.news.wait_timeout(read, left).expect("nobody panics with the lines in hand").0;
        }
    }

    fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }
}
