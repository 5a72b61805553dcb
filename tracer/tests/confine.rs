//! What a confined process can still do. It takes a process of its own: there is no way back.
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

/// Tells the test below that it is the child, and where its output file is.
const CHILD: &str = "TRACER_TEST_CONFINED_OUTPUT";

/// Confines this process and tells what it may do, one line each.
fn confine_and_try(output: &Path) {
    let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
    let beside = output.with_file_name("beside");
    let outside = output.parent().expect("a folder").with_extension("outside");
    append(output).expect("the output can be opened");
    let needs = Needs { files: vec![output.to_owned()] };
    let plan = Plan::new(&Confine::default(), &Interfaces::DefaultRoute, needs).expect("a plan");
    let confined = plan.enforce().expect("it can be enforced");
    println!("\nconfined: {confined}");
    let tell = |what: &str, outcome: io::Result<()>| {
        let word = outcome.map_or_else(|error| format!("{:?}", error.kind()), |()| "yes".to_owned());
        println!("{what}: {word}");
    };
    // What tracing goes on with.
    tell("write to the output", append(output).and_then(|mut file| file.write_all(b"line\n")));
    tell("make it anew", fs::metadata(&beside).map(drop).or_else(|_| append(&beside).map(drop)));
    tell("read /proc", fs::read("/proc/net/netstat").map(drop));
    tell("ask netlink", Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, None).map(drop));
    let thread = std::thread::Builder::new().spawn(|| fs::read("/etc/passwd").is_ok());
    let thread = thread.map(|thread| thread.join().expect("no panic"));
    tell("start a thread", thread.as_ref().map(drop).map_err(|error| error.kind().into()));
    // What it has lost.
    tell("a thread reads other files", if matches!(thread, Ok(true)) { Ok(()) } else { Err(denied()) });
    tell("read other files", fs::read("/etc/passwd").map(drop));
    tell("read the output", fs::read(output).map(drop));
    tell("write elsewhere", append(&outside).map(drop));
    tell("remove a file", fs::remove_file(&beside));
    tell("start a program", Command::new("/bin/true").status().map(drop));
    tell("connect", TcpStream::connect(("127.0.0.1", 9)).map(drop));
    tell("send", UdpSocket::bind(("127.0.0.1", 0)).map(drop));
    tell("talk to others here", UnixDatagram::unbound().map(drop));
    tell("become root", setuid(Uid::from_raw(0)).map_err(io::Error::from));
    tell("signal the parent", ask(std::os::unix::process::parent_id()));
}

/// Whether a process can be asked to take signal 0.
fn ask(process: u32) -> io::Result<()> {
    let process = nix::unistd::Pid::from_raw(i32::try_from(process).expect("process numbers are small"));
    nix::sys::signal::kill(process, None).map_err(io::Error::from)
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

#[test]
fn a_confined_process_goes_on_with_its_work_and_can_do_nothing_else() {
    if let Some(output) = std::env::var_os(CHILD) {
        return confine_and_try(Path::new(&output));
    }
    let folder = std::env::temp_dir().join(format!("tracer-confined-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder");
    let child = Command::new(std::env::current_exe().expect("the test has a path"))
        .args(["--exact", "--nocapture"])
        .arg("a_confined_process_goes_on_with_its_work_and_can_do_nothing_else")
        .env(CHILD, folder.join("records"))
        .output()
        .expect("the test can start itself");
    let outside = PathBuf::from(format!("{}.outside", folder.display()));
    let written = fs::read_to_string(folder.join("records")).expect("the output");
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    let text = String::from_utf8_lossy(&child.stdout);
    let all = format!("{text}{}", String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{all}");
    assert_eq!(written, "line\n");
    assert!(!outside.exists(), "{all}");
    let answer = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("nothing about {what:?}:\n{all}")).to_owned()
    };
    for what in ["write to the output", "make it anew", "read /proc", "ask netlink", "start a thread"] {
        assert_eq!(answer(what), "yes", "{what}\n{all}");
    }
    let confined = answer("confined");
    assert!(confined.contains("no_new_privs"), "{confined}");
    let there = tracer::live::confine::trial().into_iter().filter(|(_, outcome)| outcome.is_ok());
    for (name, _) in there {
        assert!(confined.contains(name), "{name} is there and not in force: {confined}");
    }
    // Old kernels go without: then the line says so, and there is nothing to try.
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
            assert_eq!(answer(what), refusal, "{what}\n{all}");
        }
    }
}
