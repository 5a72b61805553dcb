//! More events than userspace can process: losses are counted where they occur, and no records are
//! invented.

use std::collections::HashMap;
use std::fs;
use std::net::{TcpListener, TcpStream};

use aya::maps::{Map, MapData, PerCpuArray};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tracer::lab::netns::VethPair;
use tracer_common::counter::Counter;

use crate::{
    harness::{Fields, Trace, Tracer},
    pair,
    tcp_ends::{await_end, connect, exchange, listen},
};

/// How often the reader is stopped.
const ROUNDS: usize = 6;
/// Connections of one exchange while it is stopped: each emits about ten events, and the ring
/// buffer has room for 250.
const SHORT: usize = 200;
/// Connections that are open before and after.
const LONG: usize = 10;
/// Exchanges on each of them while it is stopped.
const WHILE_STOPPED: usize = 20;
/// Different statuses, so that one reported for another exchange is noticed.
const STATUSES: [u16; 7] = [200, 201, 202, 404, 410, 500, 503];

/// The traffic: the connections of each client port, because the system reuses ports.
struct Load<'a> {
    pair: &'a VethPair,
    listener: TcpListener,
    sent: HashMap<u64, Vec<Sent>>,
    count: usize,
}

/// The exchanges of a connection.
#[derive(Debug, Default)]
struct Sent {
    /// Target and status.
    exchanges: Vec<(String, u64)>,
    /// Of the client and the server.
    bytes: [u64; 2],
}

impl Load<'_> {
    fn connect(&mut self) -> (TcpStream, TcpStream) {
        let ends = connect(self.pair, &self.listener);
        self.sent.entry(port(&ends.0)).or_default().push(Sent::default());
        ends
    }

    fn exchange(&mut self, (client, server): &mut (TcpStream, TcpStream)) {
        let status = STATUSES[self.count % STATUSES.len()];
        let target = format!("/{}", self.count);
        self.count += 1;
        let bytes = exchange(client, server, &target, status);
        let connections = self.sent.get_mut(&port(client)).expect("it was connected");
        let sent = connections.last_mut().expect("it was connected");
        sent.exchanges.push((target, status.into()));
        for (sum, bytes) in sent.bytes.iter_mut().zip(bytes) {
            *sum += bytes;
        }
    }

    fn close((mut client, server): (TcpStream, TcpStream)) {
        drop(server);
        await_end(&mut client);
    }
}

fn port(socket: &TcpStream) -> u64 {
    socket.local_addr().expect("a socket has an address").port().into()
}

/// The kernel programs' counters of emitted and lost events of a tracer.
pub(crate) fn counted(tracer: Pid) -> (u64, u64) {
    let files = fs::read_dir(format!("/proc/{tracer}/fdinfo")).expect("tracer is running");
    let counters = files.flatten().find_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        let id = text.lines().find_map(|line| line.strip_prefix("map_id:"))?.trim().parse().ok()?;
        let map = MapData::from_id(id).ok()?;
        (map.info().ok()?.name_as_str() == Some("COUNTERS")).then_some(map)
    });
    let counters = Map::PerCpuArray(counters.expect("tracer has its counters"));
    let counters = PerCpuArray::<_, u64>::try_from(counters).expect("they are numbers");
    let of = |counter: Counter| {
        counters.get(&(counter as u32), 0).expect("the counter can be read").iter().sum::<u64>()
    };
    (
        Counter::EMITTED.map(of).iter().sum(),
        [
            Counter::SegmentEventsLost,
            Counter::AnomalyEventsLost,
            Counter::ControlEventsLost,
            Counter::HttpEventsLost,
        ]
        .map(of)
        .iter()
        .sum(),
    )
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn events_lost_while_the_reader_is_stopped_are_counted_and_no_records_are_invented() {
    let pair = pair();
    let mut load = Load { pair: &pair, listener: listen(&pair), sent: HashMap::new(), count: 0 };
    let tracer = Tracer::at(&pair.server, &["--ring-bytes", "64K"]);
    for _ in 0..ROUNDS {
        let mut open: Vec<_> = (0..LONG).map(|_| load.connect()).collect();
        open.iter_mut().for_each(|connection| load.exchange(connection));
        kill(tracer.pid(), Signal::SIGSTOP).expect("tracer is running");
        for _ in 0..SHORT {
            let mut connection = load.connect();
            load.exchange(&mut connection);
            Load::close(connection);
        }
        for _ in 0..WHILE_STOPPED {
            open.iter_mut().for_each(|connection| load.exchange(connection));
        }
        kill(tracer.pid(), Signal::SIGCONT).expect("tracer is stopped");
        open.iter_mut().for_each(|connection| load.exchange(connection));
        open.into_iter().for_each(Load::close);
    }
    // No traffic any more, so the counters no longer change.
    let (reported, lost) = counted(tracer.pid());
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    check_summary(&trace, reported, lost);
    for exchange in trace.exchanges() {
        check_exchange(exchange, &load.sent[&exchange.number("client.port")]);
    }
    check_connections(&trace, &load.sent, lost);
}

/// Checks that the summary has the emitted and the lost events.
#[track_caller]
pub(crate) fn check_summary(trace: &Trace, reported: u64, lost: u64) {
    assert!(lost > 1000, "only {lost} events were lost: too few for this test");
    let summary = trace.summary();
    assert_eq!(summary.number("tracer.events.received"), reported, "{summary:#}");
    let by_reason = ["segment", "anomaly", "control", "http"].map(|value| {
        let name = format!("tracer.events.lost.{value}_ring_full");
        if summary.has(&name) { summary.number(&name) } else { 0 }
    });
    assert_eq!(by_reason.iter().sum::<u64>(), lost, "{summary:#}");
    assert!(trace.errors.contains("--ring-bytes"), "no advice on standard error:\n{}", trace.errors);
}

/// Checks that a reported exchange was sent, with its status.
fn check_exchange(record: &Value, sent: &[Sent]) {
    let outcome = record.text("http.outcome");
    assert!(matches!(outcome, "complete" | "not_observed"), "{record:#}");
    let status = record.has("http.response.status_code").then(|| record.number("http.response.status_code"));
    let target = record.has("url.original").then(|| record.text("url.original"));
    let fits = |(sent_target, sent_status): &(String, u64)| {
        target.is_none_or(|target| target == sent_target)
            && status.is_none_or(|status| status == *sent_status)
    };
    let mut exchanges = sent.iter().flat_map(|sent| &sent.exchanges);
    assert!(exchanges.any(fits), "sent {sent:?}, reported {record:#}");
    assert!(outcome != "complete" || status.is_some(), "{record:#}");
}

fn check_connections(trace: &Trace, sent: &HashMap<u64, Vec<Sent>>, lost: u64) {
    let mut reported: HashMap<&str, usize> = HashMap::new();
    for exchange in trace.exchanges() {
        *reported.entry(exchange.text("connection.id")).or_default() += 1;
    }
    let mut lost_of_all = 0;
    for record in trace.closed() {
        if record.text("tcp.close.reason") == "evicted" {
            // The port was reused, and the end of the first connection was lost.
            assert!(record.count("events.lost") > 0, "{record:#}");
            continue;
        }
        assert_eq!(record.text("tcp.close.reason"), "fin", "{record:#}");
        assert_eq!(record.text("tcp.conn_state"), "SF", "{record:#}");
        // Every event has the totals, and so has the kernel's table: a lost event loses no bytes.
        let bytes = [record.number("client.bytes"), record.number("server.bytes")];
        let sent = &sent[&record.number("client.port")];
        let same = sent.iter().find(|sent| sent.bytes == bytes);
        let sent = same.unwrap_or_else(|| panic!("sent {sent:?}, reported {record:#}"));
        let reported = reported.get(record.text("connection.id")).copied().unwrap_or_default();
        assert_eq!(record.number("http.exchanges"), reported as u64, "{record:#}");
        assert!(
            reported <= sent.exchanges.len(),
            "{reported} of {} exchanges: {record:#}",
            sent.exchanges.len()
        );
        if reported < sent.exchanges.len() {
            assert!(record.count("events.lost") > 0, "{reported} of {}: {record:#}", sent.exchanges.len());
        }
        lost_of_all += record.count("events.lost");
    }
    // The others belong to connections whose ports were reused before the lookup.
    assert!(lost_of_all <= lost, "{lost_of_all} of {lost}");
    let connections_lost = trace.summary().count("tracer.connections.lost");
    let connections = trace.opened().len() as u64 + connections_lost;
    assert_eq!(connections, (ROUNDS * (SHORT + LONG)) as u64, "{connections_lost} lost");
}
