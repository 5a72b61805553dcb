//! Runs the command: exit codes and messages that need no privileges.
#![forbid(unsafe_code)]

use std::process::{Command, Output};

fn tracer(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    let Output { status, stdout, stderr } = command.args(arguments).output().expect("tracer starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// Whether the tests may trace. If so, the error is a later one than missing privileges.
fn is_privileged() -> bool {
    let capabilities = tracer::live::privilege::Capabilities::current().expect("capabilities");
    capabilities.missing(&tracer::live::privilege::TRACING).is_empty()
}

#[test]
fn bad_arguments_give_exit_code_2_and_say_what_is_expected() {
    for (arguments, expected) in [
        (&["trace", "-p", "80-"][..], "expected a list like 80,8080,8000-8099"),
        (&["trace", "--host", "example.org"], "192.0.2.0/24"),
        (&["trace", "--events", "packets"], "opened, closed, connection, exchange, request"),
        (&["trace", "--duration", "10"], "90s"),
        (&["trace", "--ring-bytes", "3M"], "power of two"),
        (&["trace", "--max-connections", "0"], "--max-connections"),
        (&["trace", "-o", "xml"], "json"),
        (&["replay", "a", "--header", "user agent"], "character 5 of \"user agent\""),
        (&["trace", "--header", "referer,Cookie"], "--header-unsafe cookie"),
        (&["trace", "--header", "set-cookie"], "--header-unsafe set-cookie"),
        (&["replay", "a", "--header", "authorization"], "--header-unsafe authorization"),
        (&["replay", "a", "--header", "proxy-authorization"], "--header-unsafe proxy-authorization"),
        (&["trace", "--header", "x", "--header", "x.y"], "\"x\" and \"x.y\""),
        (&["trace", "--status", "5x"], "no status code at character 1"),
        (&["trace", "--path", "/[a"], "a [ without its ] at character 2"),
        (&["trace", "-p", "https"], "cannot read TLS"),
        (&["trace", "-r", "a.pcap"], "type tracer replay a.pcap"),
        (&["trace", "tcp", "port", "8080"], "type -p 8080"),
        (&["replay", "a.pcap", "-Y", "http.response.code >= 500"], "type --status 5xx"),
        (&["-i", "eth0"], "type tracer trace -i eth0"),
        (&["tarce"], "trace"),
        (&[], "Usage"),
    ] {
        let (code, stdout, stderr) = tracer(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn too_many_hosts_are_bad_arguments() {
    let hosts = (0..1025).flat_map(|number| ["--host".to_owned(), format!("2001:db8::{number:x}")]);
    let arguments: Vec<_> = std::iter::once("trace".to_owned()).chain(hosts).collect();
    let (code, _, stderr) = tracer(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("1024 is the most"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_written_is_reported_before_attaching() {
    let (code, stdout, stderr) = tracer(&["trace", "-w", "/nonexistent/folder/file"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let expected = if is_privileged() { "/nonexistent/folder/file" } else { "type `sudo " };
    assert!(stderr.starts_with("tracer: ") && stderr.contains(expected), "{stderr}");
    assert!(!stderr.contains("attached"), "{stderr}");
}

#[test]
fn an_unknown_user_is_reported_before_attaching() {
    let (code, stdout, stderr) = tracer(&["trace", "-i", "lo", "--user", "no such user"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let expected = if is_privileged() { "there is no user \"no such user\"" } else { "type `sudo " };
    assert!(stderr.contains(expected) && !stderr.contains("attached"), "{stderr}");
}

#[test]
fn help_and_version_are_not_errors() {
    let (code, stdout, _) = tracer(&["trace", "--help"]);
    assert_eq!(code, Some(0));
    for option in [
        "--interface",
        "--port",
        "--host",
        "--output",
        "--events",
        "--write",
        "--attach",
        "--xdp-mode",
        "--ring-bytes",
        "--max-connections",
        "--half-open-timeout",
        "--idle-timeout",
        "--duration",
        "--count",
        "--kernel-log",
        "--user",
        "--keep-privileges",
        "--status",
        "--failed",
        "--sample",
    ] {
        assert!(stdout.contains(option), "{option}");
    }
    let (code, stdout, _) = tracer(&["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(stdout, format!("tracer {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_doctor_reports_with_and_without_privileges() {
    let (code, stdout, stderr) = tracer(&["doctor"]);
    for part in [
        "Kernel\n",
        "Privileges\n",
        "After attaching\n",
        "Kernel programs\n",
        "Interfaces\n",
        "Not measured\n",
    ] {
        assert!(stdout.contains(part), "{stdout}{stderr}");
    }
    assert!(!stdout.contains("?   BPF JIT") || !stdout.contains("instructions verified"), "{stdout}");
    let works = stdout.ends_with("tracing works here\n");
    assert_eq!(code, Some(if works { 0 } else { 1 }), "{stdout}");
}

#[test]
fn an_unknown_interface_and_an_unwritable_file_are_named_once() {
    let (_, stdout, _) = tracer(&["doctor", "-i", "nosuch"]);
    let interfaces: Vec<_> = stdout.lines().filter(|line| line.contains("interface")).collect();
    assert_eq!(interfaces, ["  NO  nosuch: there is no such interface"], "{stdout}");
    let (code, _, stderr) = tracer(&["replay", "-w", "/nonexistent/records", "/dev/null"]);
    assert_eq!(code, Some(1));
    assert_eq!(stderr.matches("cannot write to").count(), 1, "{stderr}");
    assert!(stderr.starts_with("tracer: cannot write to /nonexistent/records: "), "{stderr}");
}
