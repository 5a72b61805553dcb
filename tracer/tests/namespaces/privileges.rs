//! The privileges that tracer keeps after attaching, and that it works with them.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use aya::programs::{SchedClassifier, TcAttachType};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer::lab::netns::{
    Namespace, VethPair,
    link::{self, VethEnd},
};

use crate::{
    eventually,
    harness::Tracer,
    pair,
    tcp_ends::{await_end, connect, exchange, listen},
    web::Folder,
};

/// The uid and gid of nobody, as on most systems.
const NOBODY: u32 = 65_534;
/// CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, as `/proc` shows them.
const TO_ATTACH: u64 = 1 << 39 | 1 << 12 | 1 << 38;
/// CAP_DAC_OVERRIDE.
const TO_WRITE: u64 = 1 << 1;

/// Checks in `/proc` that each thread of a process is confined and has only `capabilities`.
#[track_caller]
fn assert_confined(process: Pid, user: u32, capabilities: u64) {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    for thread in threads {
        let path = thread.expect("a thread").path().join("status");
        let status = fs::read_to_string(path).expect("its status");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.unwrap_or_else(|| panic!("no {name} in\n{status}"))
        };
        assert_eq!(
            line("Uid"),
            [user.to_string(), user.to_string(), user.to_string(), user.to_string()].join("\t")
        );
        assert_eq!(line("Groups").trim(), "", "{status}");
        for name in ["CapEff", "CapPrm"] {
            assert_eq!(line(name), format!("{capabilities:016x}"), "{name}");
        }
        for name in ["CapInh", "CapAmb"] {
            assert_eq!(line(name), "0000000000000000", "{name}");
        }
        assert_eq!((line("NoNewPrivs"), line("Seccomp")), ("1", "2"));
    }
}

/// Waits for the line that reports the sandbox.
#[track_caller]
fn await_confined(tracer: &Tracer, user: &str) {
    let line = format!("tracer: runs as {user}, ");
    assert!(eventually(|| tracer.errors().contains(&line)), "{}", tracer.errors());
}

/// One connection with one exchange, closed by both sides.
fn converse(pair: &VethPair, target: &str) {
    let listener = listen(pair);
    let (mut client, mut server) = connect(pair, &listener);
    exchange(&mut client, &mut server, target, 200);
    drop(server);
    await_end(&mut client);
}

/// Whether TC programs are on the server's interface.
pub(crate) fn has_tc(pair: &VethPair) -> bool {
    let interface = pair.server.interface;
    let there = pair.server.namespace.run(|| {
        [TcAttachType::Ingress, TcAttachType::Egress]
            .map(|side| SchedClassifier::query_tcx(interface, side).expect("the hook can be queried").1.len())
    });
    there.expect("the namespace can be entered") != [0, 0]
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn root_becomes_nobody_without_capabilities_and_keeps_tracing() {
    let pair = pair();
    let tracer = Tracer::at(&pair.server, &["--attach", "tc"]);
    await_confined(&tracer, "nobody");
    assert_confined(tracer.pid(), NOBODY, 0);
    let bounding = fs::read_to_string(format!("/proc/{}/status", tracer.pid())).expect("its status");
    assert!(bounding.contains("CapBnd:\t0000000000000000\n"), "{bounding}");
    assert!(has_tc(&pair));
    converse(&pair, "/");
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    assert_eq!(trace.exchanges().len(), 1);
    assert!(!has_tc(&pair), "tracer detaches without privileges");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_killed_tracer_without_privileges_leaves_no_programs() {
    let pair = pair();
    let tracer = Tracer::at(&pair.server, &["--attach", "tc"]);
    await_confined(&tracer, "nobody");
    assert!(has_tc(&pair));
    kill(tracer.pid(), Signal::SIGKILL).expect("tracer is running");
    assert!(eventually(|| !has_tc(&pair)), "the programs are still attached");
}

/// Traces into a file in `folder`, which is rotated in between.
fn rotate(folder: &Folder, capabilities: u64, expected: &str) {
    let pair = pair();
    let (file, old) = (folder.file("records"), folder.file("records.1"));
    let tracer = Tracer::at(&pair.server, &["-w", file.to_str().expect("text")]);
    await_confined(&tracer, "nobody");
    assert!(tracer.errors().contains(expected), "{}", tracer.errors());
    assert_confined(tracer.pid(), NOBODY, capabilities);
    let has = |file: &Path, word: &str| fs::read_to_string(file).is_ok_and(|text| text.contains(word));
    converse(&pair, "/before");
    assert!(eventually(|| has(&file, "connection.closed")), "nothing is written");
    fs::rename(&file, &old).expect("the file can be renamed");
    kill(tracer.pid(), Signal::SIGHUP).expect("tracer is running");
    assert!(eventually(|| file.exists()), "no new file: {}", tracer.errors());
    converse(&pair, "/after");
    assert!(eventually(|| has(&file, "connection.closed")), "nothing is written to the new file");
    let trace = tracer.stop();
    trace.assert_clean();
    assert!(has(&old, "/before") && !has(&old, "/after") && has(&file, "/after") && !has(&file, "/before"));
    assert_eq!(fs::metadata(&file).expect("the new file").uid(), NOBODY);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_log_is_rotated_where_only_root_may_write() {
    rotate(&Folder::new(), TO_WRITE, "with CAP_DAC_OVERRIDE (to reopen the output file)");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_log_is_rotated_without_capabilities_where_the_user_may_write() {
    let folder = Folder::new();
    // The file that root opens at the start belongs to root.
    chown(folder.file(""), Some(NOBODY), Some(NOBODY)).expect("root may");
    rotate(&folder, 0, "runs as nobody, without capabilities");
}

/// Recreates the server's interface, with its other end in the returned namespace.
fn recreate(pair: &VethPair) -> Namespace {
    let name = pair.server.interface;
    let near = VethEnd { name, mac: [0x02, 0, 0, 0x78, 1, 1], mtu: None };
    let far = VethEnd { name: "far", mac: [0x02, 0, 0, 0x78, 1, 2], mtu: None };
    let elsewhere = Namespace::new().expect("a namespace");
    let file = elsewhere.run(|| File::open("/proc/thread-self/ns/net")).expect("entered").expect("opened");
    let made = pair.server.namespace.run(|| {
        link::delete(name).expect("deleted");
        link::create_veth(near, far, file.as_fd()).expect("created");
    });
    made.expect("the namespace can be entered");
    elsewhere
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_recreated_interface_is_attached_only_if_privileges_are_kept() {
    for (more, kept, expected) in [
        (
            &[][..],
            0,
            "not traced: it appeared after the privileges to attach were dropped: start with --keep-privileges",
        ),
        (&["--keep-privileges"], TO_ATTACH, "attached: veth-server egress"),
    ] {
        let pair = pair();
        let arguments = [&["-i", "lo"][..], more].concat();
        let tracer = Tracer::at(&pair.server, &arguments);
        await_confined(&tracer, "nobody");
        assert_confined(tracer.pid(), NOBODY, kept);
        let times = |errors: &str| errors.matches(expected).count();
        let before = times(&tracer.errors());
        let _elsewhere = recreate(&pair);
        assert!(eventually(|| times(&tracer.errors()) > before), "{more:?}: {}", tracer.errors());
        assert_eq!(tracer.stop().code, Some(0));
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn privileges_are_kept_for_all_interfaces() {
    let pair = pair();
    let tracer = Tracer::start(&pair.server.namespace, &["trace", "-i", "any", "-o", "json"]);
    await_confined(&tracer, "nobody");
    assert_confined(tracer.pid(), NOBODY, TO_ATTACH);
    assert!(tracer.errors().contains("(for new interfaces)"), "{}", tracer.errors());
    assert_eq!(tracer.stop().code, Some(0));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn root_stays_root_on_request_but_loses_its_capabilities() {
    let pair = pair();
    let tracer = Tracer::at(&pair.server, &["--user", "root"]);
    await_confined(&tracer, "root");
    let status = fs::read_to_string(format!("/proc/{}/status", tracer.pid())).expect("its status");
    for line in ["Uid:\t0\t0\t0\t0\n", "CapEff:\t0000000000000000\n", "Seccomp:\t2\n"] {
        assert!(status.contains(line), "no {line:?} in\n{status}");
    }
    converse(&pair, "/");
    tracer.wait_for(1, "connection.closed");
    tracer.stop().assert_clean();
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_user_with_the_three_capabilities_traces_and_drops_them() {
    // A place that nobody can access, wherever the program was built.
    let folder = Folder::new();
    let program = folder.file("tracer");
    fs::copy(env!("CARGO_BIN_EXE_tracer"), &program).expect("the program can be copied");
    fs::set_permissions(folder.file(""), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let pair = pair();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.args(["--inh-caps", "-all,+bpf,+net_admin,+perfmon"]);
    command.args(["--ambient-caps", "-all,+bpf,+net_admin,+perfmon", "--"]).arg(&program);
    command.args(["trace", "-i", pair.server.interface, "-o", "json", "--count", "2"]).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = pair.server.namespace.command(command).expect("setpriv (util-linux) is installed");
    let process = Pid::from_raw(i32::try_from(child.id()).expect("process numbers are small"));
    let is_confined = || {
        fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|text| text.contains("Seccomp:\t2"))
    };
    assert!(eventually(is_confined), "tracer does not confine itself");
    assert_confined(process, NOBODY, 0);
    converse(&pair, "/");
    let output = child.wait_with_output().expect("it ends by itself");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("tracer: runs as nobody, without capabilities; "), "{errors}");
    let records = String::from_utf8_lossy(&output.stdout);
    assert!(records.contains("http.exchange") && records.contains("connection.closed"), "{records}");
}
