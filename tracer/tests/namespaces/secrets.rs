//! No output of tracer contains secrets of an exchange, not even its most verbose log.

use std::fs;
use std::net::SocketAddrV4;
use std::process::Command;

use socket2::{Domain, Protocol, Socket, Type};
use tracer::lab::{demo::half_open::SpoofedSyn, netns::VethPair};

use crate::{
    eventually,
    harness::Tracer,
    pair,
    web::{Folder, Nginx, curl},
};

/// A part of every secret, and the user information as curl encodes it for Basic authentication.
const SECRETS: [&str; 2] = ["s3cr3t", "czNjcjN0LXVzZXI6czNjcjN0LXBhc3M="];
/// A request with user information and secret fields. nginx sets a secret cookie in its response.
const SECRET_REQUEST: [&str; 7] = [
    "http://s3cr3t-user:s3cr3t-pass@10.77.0.1/account",
    "-H",
    "Cookie: session=s3cr3t",
    "-H",
    "Proxy-Authorization: Bearer s3cr3t",
    "-H",
    "Referer: http://s3cr3t-user@example.org/",
];
/// A request as to a proxy, with user information in the request target.
const TARGET: [&str; 3] =
    ["--request-target", "http://s3cr3t-user:s3cr3t-pass@10.77.0.1/small", "http://10.77.0.1/"];
const EVERY_EVENT: &str = "connection,exchange,state,segment,request,response,half-open,flood,stats";
/// The protocol number of raw IP (`IPPROTO_RAW`).
const RAW_IP: i32 = 255;

/// Sends a TCP header with a data offset of 0, which makes the kernel programs log a message.
fn send_malformed(pair: &VethPair) {
    let server = SocketAddrV4::new(pair.server.v4, 80);
    let mut packet = SpoofedSyn::numbered(0, server).to_packet();
    packet[20 + 12] = 0;
    let send = || {
        let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW_IP))).expect("root");
        raw.send_to(&packet, &server.into()).expect("it can be sent")
    };
    pair.client.namespace.run(send).expect("namespace");
}

/// Traces the secrets in `format`, to standard output or to `file`. Returns all output.
#[track_caller]
fn written(pair: &VethPair, format: &str, file: Option<&str>) -> String {
    let mut command = Command::new("env");
    command.args(["RUST_LOG=trace", env!("CARGO_BIN_EXE_tracer")]);
    let interface = pair.server.interface;
    let mut arguments = vec![
        "trace",
        "--kernel-log",
        "-i",
        interface,
        "-o",
        format,
        "--events",
        EVERY_EVENT,
        "--header",
        "common",
    ];
    arguments.extend(file.map(|file| ["-w", file]).into_iter().flatten());
    let tracer = Tracer::spawn_by(command, &pair.server.namespace, &arguments);
    tracer.await_attached();
    send_malformed(pair);
    assert_eq!(curl(&pair.client, &SECRET_REQUEST)[0].status, 200);
    curl(&pair.client, &TARGET);
    let ends = ["connection.closed", "= Closed", "  fin  by "];
    let is_end = |line: &str| ends.iter().any(|end| line.contains(end));
    match file {
        Some(file) => {
            let ends = || {
                fs::read_to_string(file).map_or(0, |text| text.lines().filter(|line| is_end(line)).count())
            };
            assert!(eventually(|| ends() >= 2), "the connections are not reported: {}", tracer.errors());
        }
        None => tracer.wait_for_lines(2, "a connection that is over", is_end),
    }
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    let log = &trace.errors;
    assert!(log.contains("tracer: debug: ") && log.contains("malformed TCP header"), "no log: {log}");
    trace.output.join("\n") + log
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn no_secret_is_in_any_output_or_log() {
    let (pair, folder) = (pair(), Folder::new());
    let _nginx = Nginx::start(&pair.server.namespace);
    for format in ["text", "json", "explain"] {
        let file = folder.file(format);
        for file in [None, file.to_str()] {
            let text = written(&pair, format, file);
            assert!(text.contains("/account") && text.contains("200"), "{format}: not reported:\n{text}");
            for secret in SECRETS {
                assert!(!text.contains(secret), "{secret} in {format}:\n{text}");
            }
        }
    }
}
