//! tracer is started, signalled and killed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer::{
    lab::netns::{
        Namespace, VethPair,
        link::{self, VethEnd},
    },
    live::kernel::interfaces,
};

use crate::{eventually, inside, pair};

/// A running tracer. Dropping it kills the process.
struct Tracer {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Tracer {
    /// Starts `tracer trace` with `arguments` in the namespace, and waits for `hooks` lines of its
    /// report.
    fn start(namespace: &Namespace, arguments: &[&str], hooks: usize) -> Self {
        let mut tracer = Self::spawn(namespace, Command::new(env!("CARGO_BIN_EXE_tracer")), arguments);
        tracer.await_hooks(hooks);
        tracer
    }

    fn spawn(namespace: &Namespace, mut command: Command, arguments: &[&str]) -> Self {
        command.arg("trace").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = namespace.command(command).expect("started");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, stderr }
    }

    fn await_hooks(&mut self, hooks: usize) {
        for _ in 0..hooks {
            let line = self.line();
            assert!(line.starts_with("tracer: attached: "), "{line}");
        }
        if hooks > 0 {
            let line = self.line();
            assert!(line.starts_with("tracer: owners: by readers, "), "{line}");
            let line = self.line();
            assert!(line.starts_with("tracer: memory: at most "), "{line}");
            let line = self.line();
            assert!(line.starts_with("tracer: runs as "), "{line}");
        }
    }

    /// The next line of standard error.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("readable");
        line
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("signalled");
    }

    /// Waits for the end: exit code, standard output, the rest of standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut stdout = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).expect("text");
        (self.child.wait().expect("ended").code(), stdout, stderr)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection from the client's to the server's end, with a request and a response.
fn converse(pair: &VethPair) {
    let server = pair.server.v4;
    let listener =
        pair.server.namespace.run(|| TcpListener::bind((server, 80))).expect("entered").expect("bound");
    let client = pair.client.namespace.spawn(move || {
        let mut stream = TcpStream::connect((server, 80)).expect("connected");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("written");
        stream.shutdown(Shutdown::Write).expect("shut down");
        stream.read_to_end(&mut Vec::new()).expect("read");
    });
    let (mut stream, _) = listener.accept().expect("accepted");
    stream.read_to_end(&mut Vec::new()).expect("read");
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("written");
    drop(stream);
    client.join().expect("no panic").expect("entered");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_interrupt_ends_tracer_with_a_summary_and_exit_code_0() {
    let pair = pair();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let tracer = Tracer::start(
            &pair.server.namespace,
            &["-i", "veth-server", "--xdp-mode", "native", "-o", "json"],
            2,
        );
        converse(&pair);
        tracer.signal(signal);
        let (code, stdout, stderr) = tracer.end();
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let last: serde_json::Value =
            serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON");
        assert!(stdout.contains("tracer.summary"), "{stdout}");
        assert!(last.to_string().contains("\"veth-server ingress xdp native\""), "{last}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_killed_tracer_leaves_no_programs() {
    let pair = pair();
    let tracer = Tracer::start(&pair.server.namespace, &["-i", "veth-server", "--xdp-mode", "native"], 2);
    let xdp = || {
        inside(&pair.server.namespace, async || {
            let interfaces = interfaces::list().await.expect("interfaces");
            interfaces.iter().find_map(|interface| interface.xdp)
        })
    };
    let id = xdp().expect("attached").id.expect("one program");
    let loaded = || aya::programs::loaded_programs().filter_map(Result::ok).any(|program| program.id() == id);
    assert!(loaded());
    tracer.signal(Signal::SIGKILL);
    assert_eq!(tracer.end().0, None);
    assert!(eventually(|| xdp().is_none()), "XDP is still attached");
    assert!(eventually(|| !loaded()), "the program is still loaded");
    // The next tracer finds empty hooks.
    let mut next = Tracer::start(&pair.server.namespace, &["-i", "veth-server", "--attach", "tc"], 0);
    let report = [next.line(), next.line()];
    assert!(report.iter().all(|line| !line.contains("other programs on this hook")), "{report:?}");
    next.signal(Signal::SIGINT);
    assert_eq!(next.end().0, Some(0));
}

/// Creates the interface `late` in `namespace`, with its other end in `elsewhere`.
fn create_late(namespace: &Namespace, elsewhere: &Namespace) {
    let late = VethEnd { name: "late", mac: [0x02, 0, 0, 0x77, 1, 1], mtu: None };
    let far = VethEnd { name: "far", mac: [0x02, 0, 0, 0x77, 1, 2], mtu: None };
    let file = elsewhere.run(|| File::open("/proc/thread-self/ns/net")).expect("entered").expect("opened");
    namespace.run(|| link::create_veth(late, far, file.as_fd())).expect("entered").expect("created");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_new_interface_is_followed_and_a_deleted_one_is_reported() {
    let pair = pair();
    let mut tracer = Tracer::start(&pair.server.namespace, &["-i", "any"], 3);
    let elsewhere = Namespace::new().expect("a namespace");
    create_late(&pair.server.namespace, &elsewhere);
    assert!(tracer.line().starts_with("tracer: attached: late ingress"));
    assert!(tracer.line().starts_with("tracer: attached: late egress"));
    pair.server.namespace.run(|| link::delete("late")).expect("entered").expect("deleted");
    assert_eq!(tracer.line(), "tracer: late is gone; its connections are kept\n");
    tracer.signal(Signal::SIGINT);
    assert_eq!(tracer.end().0, Some(0));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn tracer_ends_when_its_last_interface_is_deleted() {
    let pair = pair();
    let tracer = Tracer::start(&pair.server.namespace, &["-i", "veth-server"], 2);
    pair.server.namespace.run(|| link::delete("veth-server")).expect("entered").expect("deleted");
    let (code, _, stderr) = tracer.end();
    assert_eq!(code, Some(0));
    assert!(stderr.contains("veth-server is gone") && stderr.contains("no interface is left"), "{stderr}");
}

/// A command that runs `tracer` with a kernel version of 2.6.
///
/// # Errors
/// This host cannot do that: the reason.
fn on_an_old_kernel() -> Result<Command, &'static str> {
    let version = std::fs::read_to_string("/proc/version").expect("every kernel has one");
    // On these, aya reads the version from the distribution's files.
    if version.contains("Debian") || version.contains("Ubuntu") {
        return Err("the version of a distribution's kernel cannot be overridden");
    }
    let mut command = Command::new("setarch");
    if command.arg("--version").output().is_err() {
        return Err("setarch is not installed");
    }
    let mut command = Command::new("setarch");
    command.args(["--uname-2.6", env!("CARGO_BIN_EXE_tracer")]);
    Ok(command)
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_kernel_with_an_old_version_gives_a_warning_and_is_traced() {
    let command = match on_an_old_kernel() {
        Ok(command) => command,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let pair = pair();
    let mut tracer = Tracer::spawn(&pair.server.namespace, command, &["-i", "veth-server", "-o", "json"]);
    let warning = tracer.line();
    assert!(warning.starts_with("tracer: Linux 2.6.") && warning.contains("older than 5.18"), "{warning}");
    tracer.await_hooks(2);
    converse(&pair);
    tracer.signal(Signal::SIGINT);
    let (code, stdout, stderr) = tracer.end();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("\"http.response.status_code\":204"), "{stdout}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_closed_pipe_ends_tracer_quietly() {
    let pair = pair();
    let arguments = ["-i", "veth-server", "-o", "json", "--events", "connection,exchange,segment"];
    let mut tracer = Tracer::start(&pair.server.namespace, &arguments, 2);
    drop(tracer.child.stdout.take());
    converse(&pair);
    let mut stderr = String::new();
    tracer.stderr.read_to_string(&mut stderr).expect("text");
    assert_eq!((tracer.child.wait().expect("ended").code(), stderr.as_str()), (Some(0), ""));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn tracer_ends_after_the_given_duration_and_after_the_given_count() {
    let pair = pair();
    let short = ["-i", "veth-server", "--duration", "200ms"];
    assert_eq!(Tracer::start(&pair.server.namespace, &short, 2).end().0, Some(0));
    let few = ["-i", "veth-server", "-o", "json", "--events", "segment", "--count", "2"];
    let tracer = Tracer::start(&pair.server.namespace, &few, 2);
    converse(&pair);
    let (code, stdout, _) = tracer.end();
    let summaries = stdout.lines().filter(|line| line.contains("tracer.summary")).count();
    assert_eq!((code, stdout.lines().count(), summaries), (Some(0), 3, 1), "{stdout}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_hangup_reopens_the_output_file() {
    let pair = pair();
    let path = std::env::temp_dir().join(format!("tracer-hangup-{}.json", std::process::id()));
    let moved = path.with_extension("1");
    let arguments = ["-i", "veth-server", "-o", "json", "--events", "segment", "-w"];
    let arguments: Vec<_> = arguments.into_iter().chain(path.to_str()).collect();
    let tracer = Tracer::start(&pair.server.namespace, &arguments, 2);
    converse(&pair);
    let has_lines =
        |path: &std::path::Path| std::fs::read_to_string(path).is_ok_and(|text| text.lines().count() > 5);
    assert!(eventually(|| has_lines(&path)), "records appear while it runs");
    std::fs::rename(&path, &moved).expect("renamed");
    tracer.signal(Signal::SIGHUP);
    assert!(eventually(|| path.exists()), "the file exists again");
    converse(&pair);
    assert!(eventually(|| has_lines(&path)), "records appear in the new file");
    tracer.signal(Signal::SIGINT);
    assert_eq!(tracer.end().0, Some(0));
    for file in [path, moved] {
        std::fs::remove_file(file).expect("removed");
    }
}
