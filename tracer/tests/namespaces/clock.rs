//! The wall clock is stepped while tracer runs. libfaketime changes it for tracer only.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Pid;

use crate::{
    harness::{Fields, Tracer},
    pair,
    web::{Folder, Nginx},
};

/// The library of Debian's package, in the library directory of this architecture.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";
/// The size of the steps, forward and back.
const HOUR: Duration = Duration::from_secs(3600);
/// Tolerance for times on a busy machine.
const TOLERANCE: Duration = Duration::from_secs(20);
/// Pause in which tracer reads the clock several times.
const PAUSE: Duration = Duration::from_secs(1);

/// A command that runs tracer with a wall clock that starts at the modification time of `file`.
/// Landlock allows reading that time, but not the file.
fn by_clock_of(file: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.env("LD_PRELOAD", LIBRARY).env("FAKETIME", "%").env("FAKETIME_FOLLOW_FILE", file);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// Shared memory of libfaketime, which the confined tracer cannot remove. Dropping this removes it.
struct Shared(Pid);

impl Drop for Shared {
    fn drop(&mut self) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            let _ = fs::remove_file(format!("/dev/shm/{name}{}", self.0));
        }
    }
}

/// Sends a HEAD request over a connection and waits for the response.
fn request_head(stream: &mut TcpStream) {
    stream.write_all(b"HEAD /small HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("nginx answers");
        head.push(byte[0]);
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_stepped_clock_changes_timestamps_but_no_durations() {
    let (pair, folder) = (pair(), Folder::new());
    let _nginx = Nginx::start(&pair.server.namespace);
    // tracer must reach it after switching to another user.
    fs::set_permissions(folder.file(""), Permissions::from_mode(0o711)).expect("the folder is ours");
    let clock = File::create(folder.file("clock")).expect("the folder is new");
    let path = folder.file("clock");
    let arguments = ["trace", "-i", pair.server.interface, "-o", "json"];
    let tracer =
        Tracer::spawn_by(by_clock_of(path.to_str().expect("text")), &pair.server.namespace, &arguments);
    let _shared = Shared(tracer.pid());
    tracer.await_attached();

    let begin = (SystemTime::now(), Instant::now());
    let server = SocketAddr::from((pair.server.v4, 80));
    let connect = || TcpStream::connect(server).expect("nginx listens");
    let mut stream = pair.client.namespace.run(connect).expect("namespace");
    request_head(&mut stream);
    for (count, time) in [(1, begin.0 + HOUR), (2, begin.0 - HOUR)] {
        // The timestamp of a record is the wall clock when it is created.
        tracer.wait_for(count, "http.exchange");
        clock.set_modified(time).expect("the file is ours");
        thread::sleep(PAUSE);
        request_head(&mut stream);
    }
    drop(stream);
    let longest = begin.1.elapsed() + PAUSE;
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();

    let exchanges = trace.exchanges();
    assert_eq!(exchanges.len(), 3, "{:#?}", trace.names());
    for (exchange, expected) in exchanges.iter().zip([begin.0, begin.0 + HOUR, begin.0 - HOUR]) {
        let time = humantime::parse_rfc3339(exchange.text("timestamp")).expect("a time");
        let away = time.duration_since(expected).unwrap_or_else(|earlier| earlier.duration());
        assert!(away < TOLERANCE, "{away:?} away: {exchange:#}");
        assert!(u128::from(exchange.number("http.duration_ns")) < PAUSE.as_nanos(), "{exchange:#}");
    }
    let closed = trace.closed()[0];
    let duration = Duration::from_nanos(closed.number("tcp.duration_ns"));
    assert!((2 * PAUSE..longest).contains(&duration), "{closed:#}");
}
