//! Several files, output files, and ways to end.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    Temporary,
    containers::{File, Frame, Interface, Order, pcap},
    frames, recorded, replay,
    schema::check_line,
    tracer,
};

#[test]
fn several_files_are_replayed_one_after_the_other() {
    let replayed = replay(&["chunked.pcap", "ipv6.pcap", "-o", "json"], b"");
    assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""));
    let names: Vec<_> = replayed
        .output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event.name"].to_string())
        .collect();
    let ends = names.iter().filter(|name| *name == "\"connection.closed\"").count();
    assert_eq!((ends, names.len()), (2, 7), "{names:?}");
    assert_eq!(replayed.summary("tracer.connections.closed"), Some(2));
}

#[test]
fn a_connection_may_continue_in_the_next_file() {
    let frames = frames("page_and_two_cached.pcap");
    let (first, second) = frames.split_at(frames.len() / 2);
    let files = [first, second].map(|half| Temporary::new(&pcap(half, Order::Little, false)));
    let paths = files.each_ref().map(|file| file.0.to_str().expect("a plain path"));
    let replayed = replay(&[paths[0], paths[1], "-o", "json"], b"");
    let closed = replayed.output.lines().find(|line| line.contains("connection.closed")).expect("its end");
    assert!(
        closed.contains(r#""http.exchanges":3"#) && closed.contains(r#""tcp.conn_state":"SF""#),
        "{closed}"
    );
}

/// An Ethernet frame with the ICMP error that `frame`, of IPv4, is too big for 203.0.113.1.
fn too_big(frame: &Frame, mtu: u8) -> Frame {
    const ETHERNET: usize = 14;
    let quoted = &frame.bytes[ETHERNET..ETHERNET + 28];
    let (sender, receiver) = (&quoted[12..16], [203, 0, 113, 1]);
    let header = [0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0];
    let icmp = [3, 4, 0, 0, 0, 0, 5, mtu];
    let bytes = [&frame.bytes[..ETHERNET], &header, &receiver, sender, &icmp, quoted].concat();
    Frame { time: frame.time + 1_000_000, wire_len: bytes.len() as u32, bytes }
}

#[test]
fn an_icmp_error_is_reported_once_with_its_connection_however_often_it_is_seen() {
    let mut file = File::pcapng(Order::Little);
    for name in ["inside", "outside"] {
        file.interface(&Interface { name: Some(name), ..Interface::default() });
    }
    let syn = frames("unanswered.pcap").into_iter().next().expect("a SYN");
    let errors = [0x78, 0x14].map(|mtu| too_big(&syn, mtu));
    file.packet(0, syn.time / 1000, &syn);
    for (number, error) in [(1, &errors[0]), (0, &errors[0]), (1, &errors[0]), (1, &errors[1])] {
        file.packet(number, error.time / 1000, error);
    }
    let input = Temporary::new(&file.bytes);
    let path = input.0.to_str().expect("a plain path");
    let replayed = replay(&[path, "-o", "json", "--events", "icmp,closed"], b"");
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let lines = replayed.output.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let records: Vec<Value> = lines.filter(|record: &Value| record.get("icmp.type").is_some()).collect();
    let of = |field: &str| records.iter().map(|record| record[field].to_string()).collect::<Vec<_>>();
    let error = "\"icmp.error\"";
    assert_eq!(of("event.name"), [error, error, error, "\"connection.closed\""]);
    assert_eq!(of("icmp.mtu"), ["1400", "1400", "1300", "1300"]);
    assert_eq!(of("icmp.source.address")[0], "\"203.0.113.1\"");
    assert_eq!((&records[0]["icmp.quoted.seq"], &records[3]["icmp.errors"]), (&0.into(), &3.into()));
    for line in replayed.output.lines() {
        check_line(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    }
    let explained = replay(&[path, "-o", "explain"], b"");
    assert!(explained.output.contains("destination unreachable, fragmentation"), "{}", explained.output);
}

#[test]
fn a_key_file_gives_the_same_hash_in_every_run_and_a_short_key_is_refused() {
    let key = Temporary::new(b"a key of sixteen bytes or more");
    let path = key.0.to_str().expect("a plain path");
    let hashed_path = |level: &str| {
        let replayed =
            replay(&["chunked.pcap", "-o", "json", "--redact", level, "--redact-key-file", path], b"");
        assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""));
        let exchange = replayed.output.lines().find(|line| line.contains("http.exchange")).expect("one");
        serde_json::from_str::<Value>(exchange).expect("JSON")["url.path"].to_string()
    };
    assert_eq!(hashed_path("query"), "\"/chunked\"");
    let hashed = hashed_path("path");
    assert_eq!((hashed.len(), &hashed, hashed.contains("chunked")), (19, &hashed_path("path"), false));

    let short = Temporary::new(b"too short");
    let path = short.0.to_str().expect("a plain path");
    let replayed = replay(&["chunked.pcap", "--redact", "path", "--redact-key-file", path], b"");
    assert_eq!(replayed.code, Some(1));
    assert!(replayed.errors.contains("the key has 9 bytes"), "{}", replayed.errors);
    assert_eq!(replay(&["chunked.pcap", "--redact-key-file", path], b"").code, Some(2));
}

#[test]
fn the_other_files_are_replayed_when_one_is_missing() {
    let replayed = replay(&["chunked.pcap", "nowhere.pcap", "ipv6.pcap", "-o", "json"], b"");
    assert_eq!(replayed.code, Some(1));
    assert_eq!(replayed.errors.lines().count(), 1, "{}", replayed.errors);
    assert!(replayed.errors.starts_with("tracer: nowhere.pcap cannot be read: "), "{}", replayed.errors);
    assert_eq!(replayed.summary("tracer.connections.closed"), Some(2));
}

#[test]
fn a_closed_pipe_ends_replay_quietly() {
    // More output than fits into a pipe.
    let many = vec!["page_and_two_cached.pcap"; 400];
    let mut command = tracer(&[&many[..], &["-o", "json", "--events", "segment"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tracer starts");
    let mut output = BufReader::new(child.stdout.take().expect("the output is piped"));
    output.read_line(&mut String::new()).expect("a first line");
    drop(output);
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("UTF-8");
    assert_eq!((child.wait().expect("tracer ends").code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_one_error() {
    for arguments in [&["page_and_two_cached.pcap", "-w", "/dev/full"][..], &["page_and_two_cached.pcap"]] {
        let mut command = tracer(arguments);
        let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = command.stdout(full).stderr(Stdio::piped()).output().expect("tracer ends");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), errors.lines().count()), (Some(1), 1), "{arguments:?}: {errors}");
        assert!(errors.contains("No space left"), "{errors}");
        assert!(errors.starts_with("tracer: records cannot be written: "), "{errors}");
    }
}

#[test]
fn records_go_to_the_given_file() {
    let file = Temporary::new(b"");
    let path = file.0.to_str().expect("a plain path");
    let replayed = replay(&["chunked.pcap", "-o", "json", "-w", path], b"");
    assert_eq!((replayed.code, replayed.output.as_str(), replayed.errors.as_str()), (Some(0), "", ""));
    let written = fs::read_to_string(path).expect("the file");
    assert_eq!(written.lines().count(), 4);
    for line in written.lines() {
        check_line(line).expect("a record");
    }
    let replayed = replay(&["chunked.pcap", "-w", "/nonexistent/file"], b"");
    assert_eq!((replayed.code, replayed.output.as_str()), (Some(1), ""));
    assert!(replayed.errors.contains("/nonexistent/file"), "{}", replayed.errors);
}

#[test]
fn count_limits_the_number_of_records() {
    let all = replay(&["pipelined.pcap", "-o", "json"], b"").output;
    for count in 1..=4 {
        let replayed = replay(&["pipelined.pcap", "-o", "json", "--count", &count.to_string()], b"");
        assert_eq!(replayed.code, Some(0), "{}", replayed.errors);
        // The summary does not count.
        assert_eq!(replayed.output.lines().count(), count + 1, "of {}", all.lines().count());
    }
}

#[test]
fn the_duration_is_measured_in_capture_time() {
    // The SYN is retransmitted after about 1 s, and again later.
    let all = frames("unanswered.pcap").len() as u64;
    for (duration, segments) in [("10ms", 1), ("1500ms", 2), ("1h", all)] {
        let replayed = replay(&["unanswered.pcap", "-o", "json", "--duration", duration], b"");
        assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""));
        assert_eq!(replayed.summary("tracer.segments"), Some(segments), "{duration}");
    }
}

#[test]
fn an_interrupt_ends_reading_from_an_open_pipe() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut command = tracer(&["-", "-o", "json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("tracer starts");
        let mut stdin = child.stdin.take().expect("the input is piped");
        stdin.write_all(&recorded("not_found_on_a_reused_connection.pcap")).expect("tracer reads");
        let mut lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines();
        // While the pipe is open.
        for name in ["connection.opened", "http.exchange", "http.exchange"] {
            let line = lines.next().expect("a line").expect("UTF-8");
            assert!(line.contains(name), "{line}");
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("process numbers are small"));
        kill(pid, signal).expect("tracer is running");
        let rest: Vec<_> = lines.map(|line| line.expect("UTF-8")).collect();
        assert_eq!(rest.len(), 2, "{rest:?}");
        assert!(rest[0].contains("connection.closed") && rest[1].contains("tracer.summary"), "{rest:?}");
        let status = child.wait().expect("tracer ends");
        drop(stdin);
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[test]
fn the_records_of_a_pipe_are_written_while_it_is_open() {
    let mut command = tracer(&["-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("tracer starts");
    let mut stdin = child.stdin.take().expect("the input is piped");
    let capture = recorded("not_found_on_a_reused_connection.pcap");
    stdin.write_all(&capture[..capture.len() - 1]).expect("tracer reads");
    let mut lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines();
    for words in ["opened", "200  GET ", "404  GET "] {
        let line = lines.next().expect("a line").expect("UTF-8");
        assert!(line.contains(words), "{line}");
    }
    stdin.write_all(&capture[capture.len() - 1..]).expect("tracer reads");
    drop(stdin);
    assert!(lines.next().expect("a line").expect("UTF-8").contains("fin  by"));
    assert_eq!(child.wait().expect("tracer ends").code(), Some(0));
}

#[test]
fn times_and_colours_are_as_asked_for() {
    let text = |options: &[&str], zone: &str| {
        let mut command = tracer(&[&["not_found_on_a_reused_connection.pcap"], options].concat());
        let output = command.env("TZ", zone).stdin(Stdio::null()).output().expect("tracer ends");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().nth(2).expect("the second exchange").to_owned()
    };
    let utc = text(&[], "CET-1");
    let (time, line) = utc.split_once("  ").expect("a time");
    assert!(line.contains("  404  GET ") && !line.contains('\x1b'), "{utc}");
    let hour: u32 = time[..2].parse().expect("the hour");
    let local = format!("{:02}{}  {line}", (hour + 1) % 24, &time[2..]);
    assert_eq!(text(&["--time", "local"], "CET-1"), local);
    assert_eq!(text(&["--time", "utc", "-n"], "CET-1"), utc);
    let relative = text(&["--time", "relative"], "CET-1");
    let since: f64 = relative.split_whitespace().next().and_then(|time| time.parse().ok()).expect("seconds");
    assert!((0.0..10.0).contains(&since) && relative.ends_with(line), "{relative}");
    let colored = text(&["--color", "always"], "UTC");
    assert!(colored.contains("  \x1b[33m404\x1b[0m  GET "), "{colored:?}");
}
