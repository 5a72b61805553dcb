//! Runs `tracer replay` as a command.
//!
//! - `any`: captures of all interfaces of a host that forwards
//! - `headers`: recorded header fields
//! - `golden`: the records of the captures in `tests/captures`, line by line
//! - `container`: the same frames in every file format
//! - `damage`: truncated and corrupt files
//! - `selection`: options that select records
//! - `command`: several files, pipes, and ways to end
#![forbid(unsafe_code)]

mod any;
mod command;
mod container;
#[path = "../support/containers.rs"]
mod containers;
mod damage;
mod golden;
mod headers;
#[path = "../support/packet.rs"]
mod packet;
#[path = "../support/schema.rs"]
mod schema;
mod selection;

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use containers::Frame;
use serde_json::Value;
use tracer::replay::capture::{Capture, Interrupt};

/// The result of a run.
#[derive(Debug)]
struct Replayed {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Replayed {
    /// A number of the summary, which is the last line.
    #[track_caller]
    fn summary(&self, name: &str) -> Option<u64> {
        let last = self.output.lines().last().unwrap_or_else(|| panic!("no record at all: {self:?}"));
        let last: Value = serde_json::from_str(last).expect("a record is JSON");
        assert_eq!(last["event.name"], "tracer.summary", "{last}");
        last[name].as_u64()
    }
}

/// The directory of the recorded captures.
fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn tracer(arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    // The working directory appears in no record.
    command.arg("replay").args(arguments).env_remove("RUST_LOG").current_dir(captures());
    // Most tests look at the start of connections too, which the default leaves out.
    if !arguments.iter().any(|argument| argument.as_ref() == "--events") {
        command.args(["--events", "connection,exchange"]);
    }
    command
}

/// `tracer replay ARGUMENTS…`, with `input` on standard input.
fn replay(arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Replayed {
    let mut command = tracer(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("tracer starts");
    let mut stdin = child.stdin.take().expect("the input is piped");
    thread::scope(|scope| {
        // tracer may end before it has read everything.
        scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().expect("tracer ends");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Replayed { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
    })
}

/// Replays a capture from standard input as JSON.
fn replay_bytes(capture: &[u8]) -> Replayed {
    replay(&["-", "-o", "json"], capture)
}

/// The bytes of a recorded capture.
fn recorded(name: &str) -> Vec<u8> {
    fs::read(captures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The frames of a recorded capture.
fn frames(name: &str) -> Vec<Frame> {
    let path = captures().join(name);
    let mut capture = Capture::open(&path, &Interrupt::default()).expect("it is a capture");
    let mut frames = Vec::new();
    while let Some(frame) = capture.next_frame().expect("it is whole") {
        let wire_len = u32::try_from(frame.wire_len).expect("short");
        frames.push(Frame { time: frame.time, wire_len, bytes: frame.bytes.to_vec() });
    }
    frames
}

/// A temporary file. Dropping it removes the file.
struct Temporary(PathBuf);

impl Temporary {
    fn new(content: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("tracer-replay-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("the temporary directory is writable");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
