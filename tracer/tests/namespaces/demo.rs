//! `tracer demo` explains each step in order, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer::lab::netns::Namespace;

use crate::{
    eventually,
    harness::{Fields, Tracer},
};

/// A namespace in which to start the demo, which creates its own ones.
fn here() -> Namespace {
    Namespace::new().unwrap_or_else(|error| panic!("no namespace: {error:#}"))
}

/// Words of each step of the explanation, in order.
const STEPS: [&str; 27] = [
    "asks for a connection (SYN)",
    "asks for confirmation (SYN-ACK)",
    "confirms: the connection is established",
    "requests the page",
    "acknowledges the request",
    "sends data",
    "200",
    "acknowledges",
    "complete: 200",
    "acknowledges",
    "requests the first picture",
    "304: use your cached copy",
    "requests the second picture",
    "304: use your cached copy",
    "acknowledges the answer",
    "server is ready to close and asks for confirmation (FIN)",
    "browser confirms",
    "browser is ready to close too (FIN)",
    "server confirms: the connection is closed",
    "Closed in good order",
    "never completes the handshake",
    "asks for a connection (SYN)",
    "SYN-RECEIVED",
    "SYN-ACK",
    "was never confirmed",
    "SYN-RECEIVED",
    "SYN flood",
];

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_demo_explains_its_steps_in_order() {
    let trace = Tracer::spawn(&here(), &["demo"]).wait();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    // A sentence may span several lines.
    let output = trace.output.join("\n");
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = words.as_str();
    for step in STEPS {
        let at = rest.find(step).unwrap_or_else(|| panic!("no {step:?} in order in\n{output}"));
        rest = &rest[at + step.len()..];
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_records_of_the_demo_are_complete() {
    // The harness checks each line against the schema.
    let trace = Tracer::spawn(&here(), &["demo", "-o", "json"]).wait();
    trace.assert_clean();
    assert_eq!(
        trace.names(),
        [
            "connection.opened",
            "http.exchange",
            "http.exchange",
            "http.exchange",
            "connection.closed",
            "connection.closed",
            "tracer.summary",
        ]
    );
    let exchanges: Vec<_> = trace
        .exchanges()
        .iter()
        .map(|e| (e.text("url.path"), e.number("http.response.status_code"), e.text("http.outcome")))
        .collect();
    let expected = [("/", 200, "complete"), ("/logo.png", 304, "complete"), ("/photo.jpg", 304, "complete")];
    assert_eq!(exchanges, expected);
    let ends: Vec<_> =
        trace.closed().iter().map(|c| (c.text("tcp.conn_state"), c.text("tcp.close.reason"))).collect();
    assert_eq!(ends, [("SF", "fin"), ("S1", "half_open_timeout")]);
}

/// The network namespaces of the threads of a process.
fn namespaces(process: Pid) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let links = tasks.flatten().filter_map(|task| std::fs::read_link(task.path().join("ns/net")).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

/// Whether any thread is in one of these namespaces, or any process has one open.
fn is_anybody_in(names: &[String]) -> bool {
    let named = |path: std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|link| names.iter().any(|name| link.to_string_lossy() == *name))
    };
    let entries = |path: std::path::PathBuf| {
        std::fs::read_dir(path)
            .map_or_else(|_| Vec::new(), |list| list.flatten().map(|entry| entry.path()).collect())
    };
    entries("/proc".into()).into_iter().any(|process| {
        entries(process.join("task")).into_iter().any(|task| named(task.join("ns/net")))
            || entries(process.join("fd")).into_iter().any(named)
    })
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_interrupted_demo_ends_soon_and_leaves_nothing_behind() {
    let around = here();
    let own = format!("net:[{}]", around.inode().expect("a namespace has a number"));
    for (signal, code) in [(Signal::SIGINT, Some(0)), (Signal::SIGTERM, Some(0)), (Signal::SIGKILL, None)] {
        let demo = Tracer::spawn(&around, &["demo"]);
        let process = demo.pid();
        demo.wait_for_lines(1, "the page", |line| line.contains("requests the page"));
        let made: Vec<_> = namespaces(process).into_iter().filter(|name| *name != own).collect();
        assert!(!made.is_empty(), "the demo has threads in namespaces of its own");
        kill(process, signal).expect("the demo is running");
        let signalled = Instant::now();
        let trace = demo.wait();
        assert_eq!(trace.code, code, "after {signal}: {}", trace.errors);
        assert!(signalled.elapsed() < Duration::from_secs(5), "{signal} took {:?}", signalled.elapsed());
        // Only file descriptors of the demo hold the programs, so they end with it.
        assert!(eventually(|| !is_anybody_in(&made)), "a namespace outlives the demo after {signal}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_demo_ends_quietly_when_its_reader_closes_the_pipe() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.arg("demo").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = here().command(command).expect("the demo starts");
    let mut output = BufReader::new(demo.stdout.take().expect("piped"));
    output.read_line(&mut String::new()).expect("text");
    drop(output);
    let output = demo.wait_with_output().expect("a child can be waited for");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(!errors.contains("panicked") && !errors.contains("pipe"), "{errors}");
}
