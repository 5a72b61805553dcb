//! Live tracing and replay report the same for the same frames.
//!
//! The frames of a capture are sent at one end of a pair, in order. tracer is attached to the other
//! end, where it receives both directions, as on a mirror port.
//!
//! The project's own captures must agree. Of a corpus (`captures/` and `truth/` in the directory
//! `TRACER_CORPUS`), those with HTTP are sent, and the share that agrees is printed.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::socket::{MsgFlags, sendto},
    unistd::Pid,
};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tracer::{
    lab::netns::{PairEnd, PairOptions, VethPair},
    replay::capture::{Capture, Interrupt, strip},
};
use tracer_common::wire::LinkType;

use crate::harness::{Fields, Tracer};

/// The largest size of an IP packet, so that super-segments of captures with offloads pass.
const MTU: u32 = 65_535;
/// Options: all ports, because the server ports of the corpus are unknown.
const OPTIONS: [&str; 4] = ["-p", "1-65535", "--events", "connection,exchange"];
/// Frames between two pauses, in which the receiver empties its queue.
const BURST: usize = 100;
/// Length of a pause.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest frame that a veth accepts, in bytes.
const MAX_FRAME: usize = MTU as usize + 14;

/// The exchanges of each connection, in order: method, target and status.
type Exchanges = BTreeMap<String, Vec<String>>;

/// Why a capture cannot be sent.
type Unsuitable = &'static str;

fn exchanges<'a>(records: impl IntoIterator<Item = &'a Value>) -> Exchanges {
    let mut connections = Exchanges::new();
    for record in records {
        if record.text("event.name") != "http.exchange" {
            continue;
        }
        let ends = ["client.address", "client.port", "server.address", "server.port"];
        let connection = ends.map(|field| record[field].to_string()).join(" ");
        let fields = ["http.request.method", "url.original", "http.response.status_code"];
        let exchange = fields.map(|field| record[field].to_string()).join(" ");
        connections.entry(connection).or_default().push(exchange);
    }
    connections
}

/// The exchanges in a replay of the capture.
fn replayed(capture: &Path) -> Exchanges {
    let output = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .arg("replay")
        .arg(capture)
        .args(["-o", "json"])
        .args(OPTIONS)
        .output()
        .expect("tracer can be started");
    let text = String::from_utf8(output.stdout).expect("records are UTF-8");
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    exchanges(&records)
}

/// The frames of a capture as Ethernet frames, or why they cannot be sent.
fn frames(path: &Path) -> Result<Vec<Vec<u8>>, Unsuitable> {
    let mut capture = Capture::open(path, &Interrupt::default()).map_err(|_| "corrupt")?;
    let mut frames = Vec::new();
    while let Some(captured) = capture.next_frame().map_err(|_| "corrupt")? {
        if captured.bytes.len() < captured.wire_len {
            return Err("snapped");
        }
        let Some((link, at)) = strip(captured.link, captured.bytes) else { return Err("link layer") };
        let bytes = captured.bytes.get(at..).unwrap_or_default();
        let frame = match (link, bytes.first().map(|byte| byte >> 4)) {
            (LinkType::Ethernet, _) => bytes.to_vec(),
            (LinkType::RawIp, Some(4)) => [&[0; 12][..], &[0x08, 0x00], bytes].concat(),
            (LinkType::RawIp, _) => [&[0; 12][..], &[0x86, 0xdd], bytes].concat(),
            (LinkType::EtherType(kind), _) => [&[0; 12][..], &kind.to_be_bytes(), bytes].concat(),
            (LinkType::Ppp | LinkType::Llc, _) => return Err("link layer"),
        };
        if frame.len() > MAX_FRAME {
            return Err("frames longer than a veth accepts");
        }
        // A frame shorter than its header cannot be sent, and carries nothing.
        if frame.len() > 14 {
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// Sends the frames at one end, all from one CPU, so that they arrive in this order.
fn send(end: &PairEnd, frames: &[Vec<u8>]) {
    let sent = end.namespace.run(|| {
        let mut first = CpuSet::new();
        first.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &first)?;
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        let there = nix::ifaddrs::getifaddrs()?.find_map(|interface| {
            let is_it = interface.interface_name == end.interface;
            interface.address.filter(|_| is_it)?.as_link_addr().copied()
        });
        let there = there.ok_or(nix::errno::Errno::ENODEV)?;
        for burst in frames.chunks(BURST) {
            for frame in burst {
                sendto(socket.as_raw_fd(), frame, &there, MsgFlags::empty())?;
            }
            thread::sleep(PAUSE);
        }
        Ok::<_, std::io::Error>(())
    });
    sent.expect("namespace").expect("frames can be sent");
}

/// The exchanges in a live trace of the frames.
fn traced(frames: &[Vec<u8>]) -> Exchanges {
    let pair = VethPair::new(PairOptions { mtu: Some(MTU), ..PairOptions::default() }).expect("a pair");
    // A replay always decapsulates.
    let tracer = Tracer::at(&pair.server, &[&OPTIONS[..], &["--decapsulate"]].concat());
    send(&pair.client, frames);
    let trace = tracer.stop();
    trace.assert_clean();
    exchanges(&trace.records)
}

fn captures(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Whether the capture contains HTTP, according to its ground truth.
fn has_http(capture: &Path, truth: &Path) -> bool {
    let name = capture.file_name().expect("a file").to_string_lossy();
    let Ok(text) = fs::read_to_string(truth.join(format!("{name}.json"))) else { return false };
    let truth: Value = serde_json::from_str(&text).expect("the truth is JSON");
    let streams = truth["streams"].as_array().into_iter().flatten();
    streams.into_iter().any(|stream| stream["http"].as_array().is_some_and(|http| !http.is_empty()))
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn live_tracing_and_replay_agree_on_the_project_s_captures() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let paths = captures(&directory);
    let captures: Vec<_> =
        paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "pcap")).collect();
    assert!(captures.len() > 5, "{captures:?}");
    for path in captures {
        let frames = frames(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        assert_eq!(traced(&frames), replayed(path), "{}", path.display());
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask corpus --live"]
fn the_share_of_corpus_captures_on_which_live_tracing_and_replay_agree() {
    let Some(corpus) = std::env::var_os("TRACER_CORPUS").map(PathBuf::from) else {
        println!("skipped: TRACER_CORPUS is not set");
        return;
    };
    let mut agree = 0;
    let mut differ = Vec::new();
    let mut unsuitable: BTreeMap<Unsuitable, u32> = BTreeMap::new();
    for path in captures(&corpus.join("captures")) {
        if !has_http(&path, &corpus.join("truth")) {
            continue;
        }
        match frames(&path) {
            Err(why) => *unsuitable.entry(why).or_default() += 1,
            Ok(frames) => {
                let (live, replay) = (traced(&frames), replayed(&path));
                if live == replay {
                    agree += 1;
                } else {
                    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                    println!("differs: {name}\n  live   {live:?}\n  replay {replay:?}");
                    differ.push(name);
                }
            }
        }
    }
    let sent = agree + differ.len();
    println!("not sent: {unsuitable:?}");
    println!("live tracing and replay agree on {agree} of {sent} captures");
    assert!(agree > 0, "no capture agrees");
}
