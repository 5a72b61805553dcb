//! What an operator runs into: no privileges, no room, a polite request to end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::harness::{Fields, Tracer};
use crate::pair;
use crate::schema::check_line;
use crate::tcp_ends::{await_end, connect, exchange, listen};
use crate::web::Folder;

/// The user and the group of nobody, as on most systems: any number that owns nothing will do.
const NOBODY: u32 = 65_534;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn without_privileges_it_says_what_is_missing() {
    // Where nobody may go, wherever the program was built.
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
fn a_request_to_terminate_is_followed_with_everything_told() {
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
    assert_eq!((closed.text("tcp.conn_state"), closed.text("tcp.close.reason")), ("S1", "end_of_capture"));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_full_disk_ends_it_with_an_error_and_keeps_what_was_written() {
    // A disk of its own in a mount namespace of its own. What is on it is shown before it goes.
    const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=16k none "$1" || exit 77
           "$2" trace -i "$3" -o json -w "$1/records"; code=$?
           cat "$1/records"; exit $code"#;
    let pair = pair();
    let listener = listen(&pair);
    let folder = Folder::new();
    let disk = folder.file("disk");
    fs::create_dir(&disk).expect("a folder");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(&disk);
    command.args([env!("CARGO_BIN_EXE_tracer"), pair.server.interface]).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pair.server.namespace.command(command).expect("unshare (util-linux) is installed");
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("tracer: attached") {
        line.clear();
        assert!(errors.read_line(&mut line).expect("text") > 0, "tracer did not attach");
    }
    // Each connection gives about two kilobytes of records.
    for _ in 0..200 {
        let (mut client, mut server) = connect(&pair, &listener);
        exchange(&mut client, &mut server, "/", 200);
        drop(server);
        await_end(&mut client);
    }
    let (mut output, mut said) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut output).expect("text");
    errors.read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("a child can be waited for").code(), Some(1), "{said}");
    assert!(said.contains("No space left") && said.contains("records"), "{said}");
    assert!(output.len() > 8 * 1024, "{} bytes were kept", output.len());
    assert!(output.ends_with('\n'), "the last line is torn");
    for line in output.lines() {
        check_line(line).unwrap_or_else(|error| panic!("{error}"));
    }
}
