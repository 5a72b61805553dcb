//! The time of day is stepped under the real program. Only tracer sees that, by libfaketime: the clock of the host is everybody's.

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

/// The library of Debian's package; the loader looks for it where this machine's libraries are.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";
/// The steps, forward and back.
const HOUR: Duration = Duration::from_secs(3600);
/// How far a time may be from where it should be, because everything takes its time on a busy machine.
const ABOUT: Duration = Duration::from_secs(20);
/// In which tracer looks at the clock several times.
const PAUSE: Duration = Duration::from_secs(1);

/// A tracer whose time of day is that of the last change of `file`, and goes on from there. Landlock lets it look at that, but
/// not read files.
fn by_clock_of(file: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.env("LD_PRELOAD", LIBRARY).env("FAKETIME", "%").env("FAKETIME_FOLLOW_FILE", file);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// What libfaketime shares with the children of a process; tracer has no right any more to remove it in the end.
struct Shared(Pid);

impl Drop for Shared {
    fn drop(&mut self) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            let _ = fs::remove_file(format!("/dev/shm/{name}{}", self.0));
        }
    }
}

/// Asks over a connection for a head without content, and waits for it.
fn ask(stream: &mut TcpStream) {
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
fn a_stepped_clock_moves_time_stamps_and_no_duration() {
    let (pair, folder) = (pair(), Folder::new());
    let _nginx = Nginx::start(&pair.server.namespace);
    // Tracer, which is another user then, has to reach it.
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
    ask(&mut stream);
    for (told, time) in [(1, begin.0 + HOUR), (2, begin.0 - HOUR)] {
        // A record has the time of day of when it is made.
        tracer.wait_for(told, "http.exchange");
        clock.set_modified(time).expect("the file is ours");
        thread::sleep(PAUSE);
        ask(&mut stream);
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
        assert!(away < ABOUT, "{away:?} away: {exchange:#}");
        assert!(u128::from(exchange.number("http.duration_ns")) < PAUSE.as_nanos(), "{exchange:#}");
    }
    let closed = trace.closed()[0];
    let duration = Duration::from_nanos(closed.number("tcp.duration_ns"));
    assert!((2 * PAUSE..longest).contains(&duration), "{closed:#}");
}
