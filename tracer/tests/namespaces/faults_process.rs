//! tracer is killed, stopped, short of memory, or started twice. The traffic must not be disturbed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::{
    eventually,
    faults::{PACED, Transfer, check_exchanges, is_attached, load, lost_segments},
    harness::{Fields, Tracer},
    operation_loss::{check_summary, counted},
    pair,
    schema::check_line,
    web::{BIG, Folder, Nginx, SMALL, curl},
};

/// Default length of a stop; `TRACER_STOP_SECONDS=30` makes it longer.
const STOP_SECONDS: u64 = 5;
/// Requests after a stop, each on its own connection.
const AFTER: usize = 50;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_tracer_killed_under_load_leaves_whole_lines_and_no_programs_and_the_next_one_works() {
    let (pair, folder) = (pair(), Folder::new());
    let _nginx = Nginx::start(&pair.server.namespace);
    let file = folder.file("records");
    let path = file.to_str().expect("text");
    let before = lost_segments(&pair);
    let transfer = Transfer::start(&pair);
    let tracer = Tracer::at(&pair.server, &["-w", path]);
    let mut wrk = load(&pair, 3);
    let written = || fs::read_to_string(&file).unwrap_or_default();
    assert!(eventually(|| written().lines().count() > 2000), "nothing is written");
    kill(tracer.pid(), Signal::SIGKILL).expect("tracer is running");
    assert!(eventually(|| !is_attached(&pair)), "the programs are still attached");
    // The kill may have truncated the last write, and with it the last line, but no other.
    let records = written();
    let whole = records.rfind('\n').expect("lines");
    let (records, lines) = (&records[..whole], records.lines().count());
    // Every line must be whole. Check only some against the schema, because that is slow.
    for line in records.lines() {
        let record = serde_json::from_str::<Value>(line);
        assert!(record.is_ok_and(|record| record.has("event.name")), "torn: {line}");
    }
    records.lines().rev().take(100).for_each(|line| check_line(line).expect("a whole record"));

    let next = Tracer::at(&pair.server, &["-w", path]);
    assert!(!next.errors().contains("other programs on this hook"), "{}", next.errors());
    wrk.wait().expect("wrk ends");
    transfer.finish();
    curl(&pair.client, &["http://10.77.0.1/small?next"]);
    assert!(eventually(|| written().contains("/small?next")), "the next tracer writes nothing");
    assert_eq!(next.stop().code, Some(0));
    assert!(written().lines().count() > lines);
    assert_eq!(lost_segments(&pair), before, "nothing was lost");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_tracer_stopped_under_load_continues_and_counts_what_it_lost() {
    let seconds = std::env::var("TRACER_STOP_SECONDS").map_or(STOP_SECONDS, |text| text.parse().expect("s"));
    let (pair, folder) = (pair(), Folder::new());
    let _nginx = Nginx::start(&pair.server.namespace);
    let file = folder.file("records");
    let before = lost_segments(&pair);
    let tracer = Tracer::at(&pair.server, &["--ring-bytes", "1M", "-w", file.to_str().expect("text")]);
    let mut wrk = load(&pair, seconds + 1);
    assert!(eventually(|| file.metadata().is_ok_and(|file| file.len() > 100_000)), "nothing is written");
    kill(tracer.pid(), Signal::SIGSTOP).expect("tracer is running");
    let transfer = Transfer::start(&pair);
    thread::sleep(Duration::from_secs(seconds));
    transfer.finish();
    kill(tracer.pid(), Signal::SIGCONT).expect("tracer is stopped");
    wrk.wait().expect("wrk ends");

    // The ring buffer is empty again: nothing is lost from here on.
    await_written(&tracer, &file);
    let lost_before = counted(tracer.pid()).1;
    let targets: Vec<_> = (0..AFTER).map(|number| format!("http://10.77.0.1/small?after{number}")).collect();
    for target in &targets {
        curl(&pair.client, &[target]);
    }
    let written = || fs::read_to_string(&file).unwrap_or_default();
    assert!(eventually(|| written().contains(&format!("/small?after{}\"", AFTER - 1))), "not reported");
    let (emitted, lost) = counted(tracer.pid());
    let trace = tracer.stop();
    eprintln!(
        "stopped for {seconds} s: {emitted} events emitted, {lost} lost, {} exchanges",
        trace.exchanges().len()
    );
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    assert_eq!(lost, lost_before, "no event is lost afterwards");
    check_summary(&trace, emitted, lost);
    for exchange in trace.exchanges() {
        if exchange.has("http.response.status_code") && exchange.text("http.outcome") == "complete" {
            let size =
                if exchange.has("url.path") && exchange.text("url.path") == PACED { BIG } else { SMALL };
            assert_eq!(exchange.number("http.response.status_code"), 200, "{exchange:#}");
            assert_eq!(exchange.number("http.response.body.size"), size as u64, "{exchange:#}");
        }
    }
    for number in 0..AFTER {
        let target = format!("/small?after{number}");
        let exchanges: Vec<_> = trace
            .exchanges()
            .into_iter()
            .filter(|record| record.has("url.original") && record.text("url.original") == target)
            .collect();
        let [exchange] = exchanges[..] else { panic!("{target}: {exchanges:#?}") };
        assert_eq!(exchange.text("http.outcome"), "complete", "{exchange:#}");
        assert_eq!(exchange.text("http.confidence"), "exact", "{exchange:#}");
    }
    assert_eq!(lost_segments(&pair), before, "nothing was lost");
}

/// Waits until tracer has written records for all events.
#[track_caller]
fn await_written(tracer: &Tracer, file: &Path) {
    let written = || (counted(tracer.pid()).0, file.metadata().map_or(0, |file| file.len()));
    let is_quiet = || {
        let before = written();
        thread::sleep(Duration::from_millis(300));
        written() == before
    };
    assert!(eventually(is_quiet), "tracer keeps writing");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn two_tracers_on_one_interface_agree_and_the_second_leaves_xdp_to_the_first() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let before = lost_segments(&pair);
    let first = Tracer::at(&pair.server, &[]);
    let second = Tracer::at(&pair.server, &[]);
    assert!(second.errors().contains("(tracer_xdp), native, is attached and stays"), "{}", second.errors());
    let transfer = Transfer::start(&pair);
    for _ in 0..2 {
        curl(&pair.client, &["http://10.77.0.1/small"]);
    }
    transfer.finish();
    let tracers = [first, second];
    tracers.iter().for_each(|tracer| tracer.wait_for(3, "connection.closed"));
    for trace in tracers.map(Tracer::stop) {
        trace.assert_clean();
        check_exchanges(&trace, PACED, 1, BIG);
        check_exchanges(&trace, "/small", 2, SMALL);
    }
    assert!(!is_attached(&pair), "both are gone");
    assert_eq!(lost_segments(&pair), before, "nothing was lost");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_smallest_ring_without_any_locked_memory_traces_a_transfer() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let before = lost_segments(&pair);
    // Allow no locked memory, and drop the capabilities that lift the limit for root.
    let mut command = Command::new("prlimit");
    command.args(["--memlock=0:0", "setpriv", "--bounding-set", "-ipc_lock,-sys_resource"]);
    command.args(["--inh-caps", "-ipc_lock,-sys_resource", env!("CARGO_BIN_EXE_tracer")]);
    let arguments = ["trace", "-i", pair.server.interface, "-o", "json", "--ring-bytes", "64K"];
    let tracer = Tracer::spawn_by(command, &pair.server.namespace, &arguments);
    tracer.await_attached();
    let transfer = Transfer::start(&pair);
    for _ in 0..20 {
        curl(&pair.client, &["http://10.77.0.1/small"]);
    }
    transfer.finish();
    tracer.wait_for(21, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    check_exchanges(&trace, PACED, 1, BIG);
    check_exchanges(&trace, "/small", 20, SMALL);
    assert_eq!(lost_segments(&pair), before, "nothing was lost");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn logs_rotated_under_load_have_every_exchange_once() {
    let (pair, folder) = (pair(), Folder::new());
    let nginx = Nginx::start(&pair.server.namespace);
    let file = folder.file("records");
    let before = lost_segments(&pair);
    let tracer = Tracer::at(&pair.server, &["-w", file.to_str().expect("text")]);
    let mut wrk = load(&pair, 1);
    let mut logs: Vec<_> = (0..4).map(|number| folder.file(&format!("records.{number}"))).collect();
    for log in &logs {
        let is_written = || file.metadata().is_ok_and(|file| file.len() > 50_000);
        assert!(eventually(is_written), "nothing is written before {}: {}", log.display(), tracer.errors());
        fs::rename(&file, log).expect("the file can be renamed");
        kill(tracer.pid(), Signal::SIGHUP).expect("tracer is running");
    }
    wrk.wait().expect("wrk ends");
    let answered = nginx.stop().iter().filter(|served| served.status == 200).count();
    await_written(&tracer, &file);
    tracer.stop().assert_clean();
    logs.push(file);
    let mut exchanges = BTreeSet::new();
    for log in &logs {
        let text = fs::read_to_string(log).expect("a log");
        assert!(text.ends_with('\n'), "torn: {}", log.display());
        for line in text.lines().filter(|line| line.contains(r#""event.name":"http.exchange""#)) {
            let record: Value = serde_json::from_str(line).expect("a whole record");
            let exchange = (record.number("client.port"), record.number("http.exchange.index"));
            // An exchange that was cut off when wrk ended has no status.
            assert!(!record.has("http.response.status_code") || exchanges.insert(exchange), "twice: {line}");
        }
    }
    eprintln!("{answered} responses, {} exchanges, in {} logs", exchanges.len(), logs.len());
    assert_eq!(exchanges.len(), answered);
    assert_eq!(lost_segments(&pair), before, "nothing was lost");
}
