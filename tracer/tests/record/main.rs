//! Records the captures of `tests/captures` again: conversations of nginx and curl, and crafted
//! segments, in private namespaces.
//!
//! Run as root `cargo test -p tracer --test record -- --ignored`. Then run
//! `UPDATE_GOLDENS=1 cargo test -p tracer --test replay`, because each recording has new ports and
//! times.
#![forbid(unsafe_code)]

mod scenes;
#[expect(dead_code, reason = "other tests use the logs of nginx and curl")]
#[path = "../namespaces/web.rs"]
mod web;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tracer::lab::netns::{PairEnd, PairOptions, VethPair};

/// How long an operation may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which no more packets come: longer than a delayed ACK.
const SILENCE: Duration = Duration::from_millis(300);

/// Whether `condition` came true within [`TIMEOUT`].
fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// A tcpdump at one end.
struct Recorder(Child);

impl Recorder {
    /// Starts recording.
    fn start(end: &PairEnd, path: &Path) -> Self {
        let mut command = Command::new("tcpdump");
        // Write each packet at once, and keep the privileges to write the file.
        command
            .args(["-i", end.interface, "-U", "--immediate-mode", "-Z", "root", "-w"])
            .arg(path)
            .arg("tcp");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let child = end.namespace.command(command);
        let mut child = child.unwrap_or_else(|error| panic!("tcpdump is not installed: {error}"));
        let errors = BufReader::new(child.stderr.take().expect("the errors are piped"));
        let listens = errors.lines().map_while(Result::ok).any(|line| line.contains("listening on"));
        assert!(listens, "tcpdump does not listen");
        Self(child)
    }

    /// Stops recording when the file no longer grows.
    fn finish(mut self, path: &Path) {
        let size = || fs::metadata(path).map_or(0, |file| file.len());
        let mut before = 0;
        while before != size() || before == 0 {
            before = size();
            thread::sleep(SILENCE);
        }
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("process numbers are small"));
        kill(pid, Signal::SIGINT).expect("tcpdump is running");
        self.0.wait().expect("a child can be waited for");
    }
}

#[test]
#[ignore = "needs root, and changes files of the repository: see above"]
fn record() {
    fs::create_dir_all(directory()).expect("the directory can be made");
    for (name, scene) in scenes::SCENES {
        let pair = VethPair::new(PairOptions::default()).expect("a pair of namespaces");
        let path = directory().join(format!("{name}.pcap"));
        let recorder = Recorder::start(&pair.client, &path);
        scene(&pair);
        recorder.finish(&path);
    }
}
