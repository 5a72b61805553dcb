//! Missing privileges, and a request to terminate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use crate::{
    harness::{Fields, Tracer},
    pair,
    tcp_ends::{connect, exchange, listen},
    web::Folder,
};

/// The uid and gid of nobody, as on most systems. Any id that owns no files will do.
const NOBODY: u32 = 65_534;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn without_privileges_the_error_says_what_is_missing() {
    // A place that nobody can access, wherever the program was built.
    let folder = Folder::new();
    let program = folder.file("tracer");
    fs::copy(env!("CARGO_BIN_EXE_tracer"), &program).expect("the program can be copied");
    let parent = program.parent().expect("a folder");
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).expect("it is ours");
    for command in [&["trace", "-i", "lo"][..], &["demo"]] {
        let output = Command::new(&program).args(command).uid(NOBODY).gid(NOBODY).output();
        let output = output.expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {errors}");
        assert!(errors.contains("root") || errors.contains("CAP_"), "{command:?}: {errors}");
        assert!(output.stdout.is_empty(), "{command:?}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn sigterm_ends_tracer_with_everything_reported() {
    let pair = pair();
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &[]);
    let (mut client, mut server) = connect(&pair, &listener);
    exchange(&mut client, &mut server, "/", 200);
    tracer.wait_for(1, "http.exchange");
    kill(tracer.pid(), Signal::SIGTERM).expect("tracer is running");
    let trace = tracer.wait();
    trace.assert_clean();
    assert_eq!(trace.names(), ["connection.opened", "http.exchange", "connection.closed", "tracer.summary"]);
    let closed = trace.closed()[0];
    assert_eq!((closed.text("tcp.conn_state"), closed.text("tcp.close.reason")), ("S1", "end_of_trace"));
}
