//! What a confined process can still do. The test confines a child process, because it cannot be
//! undone.
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;
use nix::unistd::{Uid, setuid};
use socket2::{Domain, Socket, Type};
use tracer::{
    config::{Confine, Interfaces},
    live::confine::Plan,
    output::Needs,
};

/// Environment variable that marks the child process and holds the path of its output file.
const CHILD: &str = "TRACER_TEST_CONFINED_OUTPUT";

/// Confines this process and prints what it may do, one line each.
fn confine_and_try(output: &Path) {
    let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
    let beside = output.with_file_name("beside");
    let outside = output.parent().expect("a directory").with_extension("outside");
    append(output).expect("the output can be opened");
    let needs = Needs { files: vec![output.to_owned()] };
    let plan = Plan::new(&Confine::default(), &Interfaces::DefaultRoute, needs).expect("a plan");
    let confined = plan.enforce().expect("it can be enforced");
    println!("\nconfined: {confined}");
    let print = |what: &str, outcome: io::Result<()>| {
        let word = outcome.map_or_else(|error| format!("{:?}", error.kind()), |()| "yes".to_owned());
        println!("{what}: {word}");
    };
    // Needed for tracing.
    print("write to the output", append(output).and_then(|mut file| file.write_all(b"line\n")));
    print("reopen the output", fs::metadata(&beside).map(drop).or_else(|_| append(&beside).map(drop)));
    print("read /proc", fs::read("/proc/net/netstat").map(drop));
    print("open netlink", Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, None).map(drop));
    let thread = std::thread::Builder::new().spawn(|| fs::read("/etc/passwd").is_ok());
    let thread = thread.map(|thread| thread.join().expect("no panic"));
    print("start a thread", thread.as_ref().map(drop).map_err(|error| error.kind().into()));
    // Not allowed.
    print("a thread reads other files", if matches!(thread, Ok(true)) { Ok(()) } else { Err(denied()) });
    print("read other files", fs::read("/etc/passwd").map(drop));
    print("read the output", fs::read(output).map(drop));
    print("write elsewhere", append(&outside).map(drop));
    print("remove a file", fs::remove_file(&beside));
    print("start a program", Command::new("/bin/true").status().map(drop));
    print("connect", TcpStream::connect(("127.0.0.1", 9)).map(drop));
    print("send", UdpSocket::bind(("127.0.0.1", 0)).map(drop));
    print("talk to others here", UnixDatagram::unbound().map(drop));
    print("become root", setuid(Uid::from_raw(0)).map_err(io::Error::from));
    print("signal the parent", send_signal_0(std::os::unix::process::parent_id()));
}

/// Sends signal 0 to a process.
fn send_signal_0(process: u32) -> io::Result<()> {
    let process = nix::unistd::Pid::from_raw(i32::try_from(process).expect("a process id"));
    nix::sys::signal::kill(process, None).map_err(io::Error::from)
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

#[test]
fn a_confined_process_can_do_its_work_and_nothing_else() {
    if let Some(output) = std::env::var_os(CHILD) {
        return confine_and_try(Path::new(&output));
    }
    let directory = std::env::temp_dir().join(format!("tracer-confined-{}", std::process::id()));
    fs::create_dir(&directory).expect("a directory");
    let child = Command::new(std::env::current_exe().expect("the test has a path"))
        .args(["--exact", "--nocapture"])
        .arg("a_confined_process_can_do_its_work_and_nothing_else")
        .env(CHILD, directory.join("records"))
        .output()
        .expect("the test can start itself");
    let outside = PathBuf::from(format!("{}.outside", directory.display()));
    let written = fs::read_to_string(directory.join("records")).expect("the output");
    fs::remove_dir_all(&directory).expect("the directory can be removed");
    let text = String::from_utf8_lossy(&child.stdout);
    let all = format!("{text}{}", String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{all}");
    assert_eq!(written, "line\n");
    assert!(!outside.exists(), "{all}");
    let result = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("nothing about {what:?}:\n{all}")).to_owned()
    };
    for what in ["write to the output", "reopen the output", "read /proc", "open netlink", "start a thread"] {
        assert_eq!(result(what), "yes", "{what}\n{all}");
    }
    let confined = result("confined");
    assert!(confined.contains("no_new_privs"), "{confined}");
    let supported = tracer::live::confine::trial().into_iter().filter(|(_, outcome)| outcome.is_ok());
    for (name, _) in supported {
        assert!(confined.contains(name), "{name} is supported but not in force: {confined}");
    }
    // On old kernels the line lists what is not in force, and the checks below do not apply.
    if !confined.contains("not in force") {
        for (what, refusal) in [
            ("a thread reads other files", "PermissionDenied"),
            ("read other files", "PermissionDenied"),
            ("read the output", "PermissionDenied"),
            ("write elsewhere", "PermissionDenied"),
            ("remove a file", "Unsupported"),
            ("start a program", "Unsupported"),
            ("connect", "Unsupported"),
            ("send", "Unsupported"),
            ("talk to others here", "Unsupported"),
            ("become root", "Unsupported"),
            ("signal the parent", "Unsupported"),
        ] {
            assert_eq!(result(what), refusal, "{what}\n{all}");
        }
    }
}
