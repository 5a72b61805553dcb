//! The owners of both ends: the right process, or none.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tracer::lab::netns::{Namespace, VethPair};

use crate::harness::{Fields as _, Trace, Tracer};
use crate::web::Folder;
use crate::{TIMEOUT, eventually, pair};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
/// The last one of a connection.
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";

/// A running `server.py`. Dropping it kills its processes.
struct Server(Child);

impl Server {
    #[track_caller]
    fn start(namespace: &Namespace, way: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/namespaces/owners/server.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(way);
        Self::run(namespace, command)
    }

    /// nginx with two workers, whose response is the number of the worker.
    #[track_caller]
    fn nginx(namespace: &Namespace, folder: &Folder) -> Self {
        let path = folder.file("nginx.conf");
        let configuration = format!(
            "daemon off; user root; worker_processes 2; pid {0}; error_log stderr crit; events {{ }}
            http {{
                access_log off;
                server {{ listen 80 reuseport; listen [::]:80 reuseport; location / {{ return 200 $pid; }} }}
            }}",
            folder.file("nginx.pid").display()
        );
        std::fs::write(&path, configuration).expect("the folder is writable");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(path);
        Self::run(namespace, command)
    }

    #[track_caller]
    fn run(namespace: &Namespace, mut command: Command) -> Self {
        command.process_group(0).stdin(Stdio::null());
        let child = namespace.command(command);
        let server = Self(child.unwrap_or_else(|error| panic!("the server cannot be started: {error}")));
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let listens = || TcpStream::connect_timeout(&local, TIMEOUT).is_ok();
        assert!(eventually(|| namespace.run(listens).expect("namespace")), "the server does not listen");
        server
    }

    fn pid(&self) -> u64 {
        self.0.id().into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).expect("process numbers are small");
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Connects to port 80 of `address`, from this port if it is not 0.
fn connect(address: IpAddr, port: u16) -> TcpStream {
    let to = SocketAddr::new(address, 80);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    if port != 0 {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
        socket.set_reuse_address(true).expect("the option exists");
        socket.bind(&SocketAddr::new(any, port).into()).expect("the port is free");
    }
    socket.connect_timeout(&to.into(), TIMEOUT).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a read timeout");
    stream
}

/// Sends a request; returns the process that the response names.
fn ask(stream: &mut TcpStream, request: &[u8]) -> u64 {
    stream.write_all(request).expect("the request can be sent");
    let mut response = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let text = String::from_utf8_lossy(&response);
        if let Some((head, content)) = text.split_once("\r\n\r\n")
            && let Some((_, rest)) = head.split_once("Content-Length: ")
            && let Some(Ok(length)) = rest.lines().next().map(str::parse::<usize>)
            && content.len() >= length
        {
            return content.parse().expect("a number");
        }
        match stream.read(&mut buffer).expect("the server answers") {
            0 => panic!("the response is incomplete: {text}"),
            len => response.extend_from_slice(&buffer[..len]),
        }
    }
}

/// The client's port and the process that answered, of each request.
type Answers = Vec<(u64, u64)>;

/// Asks `count` times, with a connection each.
fn ask_often(namespace: &Namespace, address: IpAddr, count: usize) -> Answers {
    let ask = || {
        let mut stream = connect(address, 0);
        let port = stream.local_addr().expect("it is bound").port();
        let answered = ask(&mut stream, LAST_REQUEST);
        // The server closes first, so that the client's port is free again at once.
        let _ = stream.read(&mut [0; 1]);
        (port.into(), answered)
    };
    namespace.run(|| (0..count).map(|_| ask()).collect()).expect("namespace")
}

/// Checks that each exchange names the process that answered and this one as the client. Those of a port are in order.
#[track_caller]
fn assert_owners(trace: &Trace, answers: &Answers, name: &str) {
    trace.assert_clean();
    let mut by_port: HashMap<u64, Vec<u64>> = HashMap::new();
    for (port, pid) in answers.iter().rev() {
        by_port.entry(*port).or_default().push(*pid);
    }
    let exchanges = trace.exchanges();
    assert_eq!(exchanges.len(), answers.len());
    for exchange in exchanges {
        let answered =
            by_port.get_mut(&exchange.number("client.port")).and_then(Vec::pop).expect("an answer");
        assert_eq!(exchange.number("server.process.pid"), answered, "{exchange:#}");
        assert_eq!(exchange.text("server.process.executable.name"), name, "{exchange:#}");
        assert_eq!(exchange.number("client.process.pid"), u64::from(std::process::id()), "{exchange:#}");
        assert_eq!(exchange.number("server.process.user.id"), 0, "{exchange:#}");
    }
}

/// Traces a server that answers in this way, on a veth and on the loopback interface.
#[track_caller]
fn assert_answers(way: &str, name: &str, count: usize) {
    let pair = pair();
    let server = Server::start(&pair.server.namespace, way);
    assert_traced(&pair, name, count);
    drop(server);
}

/// Traces the server of a pair, on a veth and on the loopback interface.
#[track_caller]
fn assert_traced(pair: &VethPair, name: &str, count: usize) {
    for (interface, from, address) in [
        (pair.server.interface, &pair.client.namespace, IpAddr::V4(pair.server.v4)),
        (pair.server.interface, &pair.client.namespace, IpAddr::V6(pair.server.v6)),
        ("lo", &pair.server.namespace, IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ] {
        let tracer = Tracer::start(&pair.server.namespace, &["trace", "-i", interface, "-o", "json"]);
        wait_for_owners(&tracer);
        let answers = ask_often(from, address, count);
        tracer.wait_for(count, "http.exchange");
        assert_owners(&tracer.stop(), &answers, name);
    }
}

/// Waits until the sockets that were open are known.
#[track_caller]
fn wait_for_owners(tracer: &Tracer) {
    assert!(eventually(|| tracer.errors().contains("tracer: runs as ")), "{}", tracer.errors());
    assert!(
        tracer.errors().contains("owners: by readers, open sockets, connecting clients"),
        "{}",
        tracer.errors()
    );
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_process_forked_after_accepting_is_the_owner() {
    assert_answers("fork", "python3", 300);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_program_run_by_the_process_that_accepts_is_the_owner() {
    assert_answers("run", "sh", 20);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_process_that_a_socket_is_passed_to_is_the_owner() {
    assert_answers("give", "python3", 20);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_process_of_a_thread_is_the_owner_by_its_own_name() {
    assert_answers("thread", "python3", 20);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn of_several_workers_the_one_that_answers_is_the_owner() {
    assert_answers("share", "python3", 40);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_worker_of_nginx_is_the_owner_not_its_master() {
    let (pair, folder) = (pair(), Folder::new());
    let server = Server::nginx(&pair.server.namespace, &folder);
    assert_traced(&pair, "nginx", 40);
    drop(server);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn ports_used_again_have_the_owner_of_each_connection() {
    const CONNECTIONS: usize = 3000;
    let pair = pair();
    let server = Server::start(&pair.server.namespace, "fork");
    // Few ports, so that each is used again within a second.
    pair.client.namespace.change_setting("ipv4/ip_local_port_range", "40000 40199").expect("the setting");
    let tracer = Tracer::start(
        &pair.server.namespace,
        &["trace", "-i", pair.server.interface, "-o", "json", "--events", "exchange"],
    );
    wait_for_owners(&tracer);
    let answers = ask_often(&pair.client.namespace, pair.server.v4.into(), CONNECTIONS);
    tracer.wait_for(CONNECTIONS, "http.exchange");
    assert_owners(&tracer.stop(), &answers, "python3");
    drop(server);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn equal_addresses_in_other_namespaces_confuse_nobody() {
    const PORT: u16 = 40_000;
    // Both pairs have the same addresses.
    let (here, elsewhere): (VethPair, VethPair) = (pair(), pair());
    let servers = [&here, &elsewhere].map(|pair| Server::start(&pair.server.namespace, "share"));
    let tracer = Tracer::start(&here.server.namespace, &["trace", "-i", here.server.interface, "-o", "json"]);
    wait_for_owners(&tracer);
    let open = |pair: &VethPair| {
        let address = pair.server.v4.into();
        pair.client.namespace.run(|| connect(address, PORT)).expect("namespace")
    };
    let (mut other, mut stream) = (open(&elsewhere), open(&here));
    let mut answers = Answers::new();
    for _ in 0..5 {
        ask(&mut other, REQUEST);
        answers.push((PORT.into(), ask(&mut stream, REQUEST)));
        ask(&mut other, REQUEST);
    }
    tracer.wait_for(answers.len(), "http.exchange");
    assert_owners(&tracer.stop(), &answers, "python3");
    drop(servers);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_connection_older_than_the_tracer_has_its_owners() {
    let pair = pair();
    let server = Server::start(&pair.server.namespace, "share");
    let address = pair.server.v4.into();
    let mut stream = pair.client.namespace.run(|| connect(address, 0)).expect("namespace");
    let port = stream.local_addr().expect("it is bound").port().into();
    let expected = ask(&mut stream, REQUEST);
    let tracer = Tracer::start(&pair.server.namespace, &["trace", "-i", pair.server.interface, "-o", "json"]);
    wait_for_owners(&tracer);
    let answers: Answers = (0..3).map(|_| (port, ask(&mut stream, REQUEST))).collect();
    assert!(answers.iter().all(|(_, pid)| *pid == expected));
    tracer.wait_for(answers.len(), "http.exchange");
    let trace = tracer.stop();
    assert_owners(&trace, &answers, "python3");
    drop(server);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn clients_without_an_answer_are_named() {
    let pair = pair();
    let options = [
        "trace",
        "-i",
        pair.server.interface,
        "-o",
        "json",
        "-p",
        "81",
        "--events",
        "closed",
        "--half-open-timeout",
        "2s",
    ];
    let tracer = Tracer::start(&pair.server.namespace, &options);
    wait_for_owners(&tracer);
    // The server does not forward what is for this address.
    let silent = Ipv4Addr::new(198, 51, 100, 1);
    let mut route = Command::new("ip");
    route.args(["route", "add", &silent.to_string(), "via", &pair.server.v4.to_string()]);
    let added = pair.client.namespace.command(route).expect("ip (iproute2) is installed").wait();
    assert!(added.expect("a child can be waited for").success());
    let run = |address: Ipv4Addr| {
        let mut command = Command::new("curl");
        command.args(["-s", "--max-time", "1", &format!("http://{address}:81/")]).stdout(Stdio::null());
        let mut child = pair.client.namespace.command(command).expect("curl is installed");
        let pid = u64::from(child.id());
        child.wait().expect("a child can be waited for");
        pid
    };
    let expected = [run(pair.server.v4), run(silent)];
    tracer.wait_for(2, "connection.closed");
    let trace = tracer.stop();
    let closed = trace.closed();
    let [refused, unanswered]: [&Value; 2] = closed.try_into().expect("two connections");
    for (record, state, pid) in [(refused, "REJ", expected[0]), (unanswered, "S0", expected[1])] {
        assert_eq!(record.text("tcp.conn_state"), state);
        assert_eq!(record.number("client.process.pid"), pid, "{record:#}");
        assert_eq!(record.text("client.process.executable.name"), "curl");
        assert!(!record.has("server.process.pid"), "{record:#}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn without_owners_tracing_works_and_one_line_says_so() {
    let pair = pair();
    let server = Server::start(&pair.server.namespace, "share");
    for (option, hidden, line) in [
        (&["--no-owner"][..], false, None),
        (
            &[][..],
            true,
            Some("tracer: owners: processes are not named: no kernel types in /nonexistent/vmlinux"),
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        if hidden {
            command.env("TRACER_KERNEL_BTF", "/nonexistent/vmlinux");
        }
        let arguments = [&["trace", "-i", pair.server.interface, "-o", "json"], option].concat();
        let tracer = Tracer::spawn_by(command, &pair.server.namespace, &arguments);
        tracer.await_attached();
        let answers = ask_often(&pair.client.namespace, pair.server.v4.into(), 3);
        tracer.wait_for(answers.len(), "http.exchange");
        let trace = tracer.stop();
        trace.assert_clean();
        for exchange in trace.exchanges() {
            assert!(
                exchange
                    .as_object()
                    .is_some_and(|fields| fields.keys().all(|name| !name.contains(".process.")))
            );
        }
        let lines: Vec<&str> = trace.errors.lines().filter(|line| line.contains("owners")).collect();
        assert_eq!(
            lines.first().is_some_and(|found| line.is_some_and(|line| found.starts_with(line))),
            line.is_some(),
            "{lines:?}"
        );
        assert!(lines.len() <= 1, "{lines:?}");
    }
    assert!(server.pid() > 1);
}
