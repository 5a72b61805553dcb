//! More records than the output accepts, or more events than the ring buffer holds: losses are
//! announced, counted, and end; the traffic is not disturbed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tracer::lab::netns::{Namespace, VethPair};

use crate::{
    eventually,
    harness::{Fields, Tracer},
    pair,
    schema::check_line,
    tcp_ends::{await_end, connect, exchange, listen},
    web::Folder,
};

/// Connections while nothing is written: three records each, several times as many as the queue
/// holds.
const WHILE_BLOCKED: usize = 2000;
/// Connections after that.
const AFTERWARDS: usize = 10;
/// Options with the smallest queue of records, and three records per connection.
const ARGUMENTS: [&str; 6] = ["-o", "json", "--output-bytes", "1M", "--events", "connection,exchange"];
/// How long tracer may take to end while nobody reads.
const END: Duration = Duration::from_secs(4);

/// A tracer whose output nobody reads yet.
struct Running {
    child: Child,
    errors: BufReader<ChildStderr>,
    printed: String,
}

impl Running {
    fn start(namespace: &Namespace, mut command: Command) -> Self {
        command.env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = namespace.command(command).expect("it starts");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        let mut running = Self { child, errors, printed: String::new() };
        running.wait_for("memory: at most ");
        running
    }

    /// Waits for `words` on standard error.
    #[track_caller]
    fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let read = self.errors.read_line(&mut line).expect("text");
            assert!(read > 0, "no {words:?} on standard error:\n{}", self.printed);
            self.printed += &line;
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers are small"))
    }

    /// Resident memory, in bytes.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// The limit for userspace memory that it has printed, in bytes.
    fn limit(&self) -> u64 {
        let figure = self.printed.split("userspace ").nth(1).and_then(|rest| rest.split(' ').next());
        figure.and_then(|figure| figure.parse::<u64>().ok()).expect("a figure") << 20
    }

    fn interrupt(&self) {
        kill(self.pid(), Signal::SIGINT).expect("it is running");
    }

    /// Waits for the end: its exit code, and standard error.
    fn end(mut self) -> (Option<i32>, String) {
        self.errors.read_to_string(&mut self.printed).expect("text");
        (self.child.wait().expect("a child can be waited for").code(), std::mem::take(&mut self.printed))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tracer(pair: &VethPair) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["trace", "-i", pair.server.interface]).args(ARGUMENTS);
    command
}

/// Runs connections one after the other, each with one exchange.
fn converse(pair: &VethPair, listener: &std::net::TcpListener, count: usize) {
    for _ in 0..count {
        let (mut client, mut server) = connect(pair, listener);
        exchange(&mut client, &mut server, "/", 200);
        drop(server);
        await_end(&mut client);
    }
}

/// Number of segments that a host has retransmitted.
fn retransmitted(namespace: &Namespace) -> u64 {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/snmp")).expect("namespace");
    let text = text.expect("proc is mounted");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let at = names.split(' ').position(|name| name == "RetransSegs").expect("it is counted");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}

fn assert_undisturbed(pair: &VethPair) {
    assert_eq!([&pair.client, &pair.server].map(|end| retransmitted(&end.namespace)), [0, 0]);
}

/// Checks that every line is whole and valid, that every record is written or counted, and that the
/// loss and its end were announced.
fn check(output: &str, cause: &str) {
    assert!(output.ends_with('\n'), "the last line is torn");
    let parsed = |line| -> Value {
        check_line(line).unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(line).expect("JSON")
    };
    let records: Vec<Value> = output.lines().map(parsed).collect();
    let summary = records.last().expect("a summary");
    assert_eq!(summary.text("event.name"), "tracer.summary");
    let degraded: Vec<_> =
        records.iter().filter(|record| record.text("event.name") == "tracer.degraded").collect();
    assert!(degraded.len() >= 2 && degraded.len() % 2 == 0, "{degraded:#?}");
    let of = |state: &str| -> Vec<&&Value> {
        degraded.iter().filter(|record| record.text("tracer.degraded.state") == state).collect()
    };
    assert!(degraded.iter().all(|record| record.text("tracer.degraded.reason") == cause), "{degraded:#?}");
    assert_eq!(of("entered").len(), of("left").len());

    let (written, lost) = (summary.number("tracer.records.written"), summary.count("tracer.records.lost"));
    println!("{cause}: {written} records written, {lost} lost");
    assert_eq!(written, records.len() as u64 - 1);
    assert_eq!(of("left").iter().map(|record| record.number("tracer.degraded.lost")).sum::<u64>(), lost);
    assert!(lost > 100, "only {lost} records were lost: too few for this test");
    assert_eq!(summary.number("tracer.connections.opened"), (WHILE_BLOCKED + AFTERWARDS) as u64);
    let made = 3 * (WHILE_BLOCKED + AFTERWARDS) + degraded.len();
    assert_eq!(written + lost, made as u64, "{summary:#}");
    // The last records were written after the loss ended.
    let last = &records[records.len() - 1 - 3 * AFTERWARDS..records.len() - 1];
    assert!(last.iter().all(|record| record.text("event.name") != "tracer.degraded"), "{last:#?}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_stalled_pipe_loses_only_counted_records() {
    let pair = pair();
    let listener = listen(&pair);
    let mut running = Running::start(&pair.server.namespace, tracer(&pair));
    converse(&pair, &listener, WHILE_BLOCKED);
    running.wait_for("DEGRADED: shedding records");
    let (resident, limit) = (running.resident(), running.limit());
    println!("{resident} bytes resident, limit {limit}");
    assert!(resident <= limit, "{resident} bytes, limit {limit}");
    let mut stdout = running.child.stdout.take().expect("piped");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("text");
        text
    });
    running.wait_for("no longer degraded");
    converse(&pair, &listener, AFTERWARDS);
    thread::sleep(Duration::from_secs(1));
    running.interrupt();
    let (code, printed) = running.end();
    assert_eq!(code, Some(0), "{printed}");
    check(&reader.join().expect("no panic"), "output_blocked");
    assert_undisturbed(&pair);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_interrupt_with_a_stalled_pipe_ends_tracer_soon_and_reports_the_loss() {
    let pair = pair();
    let listener = listen(&pair);
    let mut running = Running::start(&pair.server.namespace, tracer(&pair));
    converse(&pair, &listener, WHILE_BLOCKED);
    running.wait_for("DEGRADED: shedding records");
    let started = Instant::now();
    running.interrupt();
    let mut stdout = running.child.stdout.take().expect("piped");
    let (code, printed) = running.end();
    println!("ended after {:?}; {printed}", started.elapsed());
    assert!(started.elapsed() < END, "it took {:?}", started.elapsed());
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("records could not be written"), "{printed}");
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("text");
    assert!(text.ends_with('\n') && text.lines().all(|line| check_line(line).is_ok()), "a line is torn");
    // Every record is written or counted.
    let line = printed.lines().find(|line| line.contains("could not be written")).expect("the line");
    let number =
        |nth| line.split(' ').nth(nth).and_then(|word| word.parse::<usize>().ok()).expect("a number");
    assert_eq!(number(1) + text.lines().count(), number(3), "{line}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_full_disk_loses_counted_records_until_there_is_space_again() {
    // A separate disk in a separate mount namespace.
    const ON_A_FULL_DISK: &str = r#"mount -t tmpfs -o size=8m none "$1" && head -c 8300000 /dev/zero > "$1/filler" || exit 77
           disk="$1"; shift; exec "$@" -w "$disk/records""#;
    let pair = pair();
    let listener = listen(&pair);
    let folder = Folder::new();
    let disk = folder.file("disk");
    fs::create_dir(&disk).expect("a folder");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", ON_A_FULL_DISK, "sh"]).arg(&disk);
    let plain = tracer(&pair);
    command.arg(plain.get_program()).args(plain.get_args());
    let mut running = Running::start(&pair.server.namespace, command);
    let inside = |name: &str| -> PathBuf {
        Path::new(&format!("/proc/{}/root", running.pid()))
            .join(disk.strip_prefix("/").expect("absolute"))
            .join(name)
    };
    let (filler, records) = (inside("filler"), inside("records"));
    let mut records = File::open(records).expect("tracer has created it");
    converse(&pair, &listener, WHILE_BLOCKED);
    running.wait_for("No space left on device");
    running.wait_for("DEGRADED: shedding records");
    fs::remove_file(filler).expect("the filler can be removed");
    running.wait_for("no longer degraded");
    converse(&pair, &listener, AFTERWARDS);
    thread::sleep(Duration::from_secs(1));
    running.interrupt();
    let (code, printed) = running.end();
    assert_eq!(code, Some(0), "{printed}");
    let mut output = String::new();
    records.read_to_string(&mut output).expect("text");
    check(&output, "output_full");
    assert_undisturbed(&pair);
}

/// Exchanges while tracer is stopped: their heads and ends fit into the smallest ring buffer, but
/// not their segment rows.
const UNREAD: usize = 80;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn segment_rows_are_shed_before_any_head_or_end_of_a_message() {
    let pair = pair();
    let listener = listen(&pair);
    let events = "connection,exchange,segment";
    let tracer = Tracer::at(&pair.server, &["--ring-bytes", "64K", "--events", events]);
    let (mut client, mut server) = connect(&pair, &listener);
    exchange(&mut client, &mut server, "/first", 200);
    tracer.wait_for(1, "http.exchange");
    kill(tracer.pid(), Signal::SIGSTOP).expect("tracer is running");
    for number in 0..UNREAD {
        exchange(&mut client, &mut server, &format!("/{number}"), 400 + number as u16);
    }
    kill(tracer.pid(), Signal::SIGCONT).expect("tracer is stopped");
    assert!(eventually(|| tracer.errors().contains("no longer degraded")), "{}", tracer.errors());
    drop(server);
    await_end(&mut client);
    drop(client);
    tracer.wait_for(1, "connection.closed");
    let (emitted, lost) = crate::operation_loss::counted(tracer.pid());
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    let summary = trace.summary();
    println!("{emitted} events emitted, {lost} lost");
    assert_eq!(summary.number("tracer.events.received"), emitted, "{summary:#}");
    assert_eq!(
        summary.number("tracer.events.lost.segment_ring_full"),
        lost,
        "nothing else was lost: {summary:#}"
    );
    assert!(lost > 10, "only {lost} rows were lost: too few for this test");
    let states: Vec<_> = trace
        .of("tracer.degraded")
        .iter()
        .map(|record| {
            (
                record.text("tracer.degraded.state"),
                record.text("tracer.degraded.shed"),
                record.text("tracer.degraded.reason"),
            )
        })
        .collect();
    assert_eq!(states, [("entered", "segments", "reader_behind"), ("left", "segments", "reader_behind")]);
    let exchanges = trace.exchanges();
    assert_eq!(exchanges.len(), UNREAD + 1);
    for (number, exchange) in exchanges[1..].iter().enumerate() {
        assert_eq!(exchange.text("http.outcome"), "complete", "{exchange:#}");
        assert_eq!(exchange.text("url.original"), format!("/{number}"));
        assert_eq!(exchange.number("http.response.status_code"), 400 + number as u64);
    }
    assert_eq!(trace.closed()[0].count("events.lost"), lost, "the connection reports the loss");
    assert_undisturbed(&pair);
}
