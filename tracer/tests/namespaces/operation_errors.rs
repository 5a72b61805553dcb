//! Missing privileges, and a request to terminate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use tracer::lab::netns::Namespace;

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
fn promiscuous_interfaces_need_a_privilege_that_the_error_names() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-net_raw", "--"]).arg(env!("CARGO_BIN_EXE_tracer"));
    command.args(["trace", "-i", "lo", "--promiscuous"]);
    let output = command.output().expect("setpriv (util-linux) is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("tracer: --promiscuous needs CAP_NET_RAW; "), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_doctor_knows_the_jit_in_every_namespace() {
    let namespace = Namespace::new().expect("a namespace");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.arg("doctor").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = namespace.command(command).expect("the program starts");
    let report = child.wait_with_output().expect("it ends").stdout;
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("  BPF JIT compiler: ") && !report.contains("  ?   BPF JIT"), "{report}");
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
