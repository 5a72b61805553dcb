//! More than userspace can take: what is lost is counted where it is lost, and nothing is made up for it.

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

/// Times that the reader is stopped.
const ROUNDS: usize = 6;
/// Connections of one exchange while it is stopped: each tells about ten events, and the ring has room for 250.
const SHORT: usize = 200;
/// Connections that are open before and after.
const LONG: usize = 10;
/// Exchanges on each of them while it is stopped.
const MEANWHILE: usize = 20;
/// So that a status told for another exchange shows.
const STATUSES: [u16; 7] = [200, 201, 202, 404, 410, 500, 503];

/// Who sends what: by the port of the client each connection that had it, for the system gives ports out again.
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

/// What the kernel programs of a tracer have counted: events told and events lost.
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
    let of =
        |counter: Counter| counters.get(&(counter as u32), 0).expect("the kernel tells").iter().sum::<u64>();
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
fn what_a_reader_that_stands_still_loses_is_counted_and_nothing_is_made_up() {
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
        for _ in 0..MEANWHILE {
            open.iter_mut().for_each(|connection| load.exchange(connection));
        }
        kill(tracer.pid(), Signal::SIGCONT).expect("tracer is stopped");
        open.iter_mut().for_each(|connection| load.exchange(connection));
        open.into_iter().for_each(Load::close);
    }
    // Nothing is under way any more: the counters stand still.
    let (told, lost) = counted(tracer.pid());
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    check_summary(&trace, told, lost);
    for exchange in trace.exchanges() {
        check_exchange(exchange, &load.sent[&exchange.number("client.port")]);
    }
    check_connections(&trace, &load.sent, lost);
}

/// What was lost is counted, and nothing is both.
#[track_caller]
pub(crate) fn check_summary(trace: &Trace, told: u64, lost: u64) {
    assert!(lost > 1000, "only {lost} events were lost: that is no test");
    let summary = trace.summary();
    assert_eq!(summary.number("tracer.events.received"), told, "{summary:#}");
    let by_cause = ["segment", "anomaly", "control", "http"].map(|value| {
        let name = format!("tracer.events.lost.{value}_ring_full");
        if summary.has(&name) { summary.number(&name) } else { 0 }
    });
    assert_eq!(by_cause.iter().sum::<u64>(), lost, "{summary:#}");
    assert!(trace.errors.contains("--ring-bytes"), "nobody was told what to do:\n{}", trace.errors);
}

/// An exchange that is told was sent, with this status; and all of them were complete.
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
    assert!(exchanges.any(fits), "sent were {sent:?}, told was {record:#}");
    assert!(outcome != "complete" || status.is_some(), "{record:#}");
}

fn check_connections(trace: &Trace, sent: &HashMap<u64, Vec<Sent>>, lost: u64) {
    let mut told: HashMap<&str, usize> = HashMap::new();
    for exchange in trace.exchanges() {
        *told.entry(exchange.text("connection.id")).or_default() += 1;
    }
    let mut lost_of_all = 0;
    for record in trace.closed() {
        if record.text("tcp.close.reason") == "evicted" {
            // The port was used again, and the end of the first connection was lost.
            assert!(record.number("events.lost") > 0, "{record:#}");
            continue;
        }
        assert_eq!(record.text("tcp.close.reason"), "fin", "{record:#}");
        assert_eq!(record.text("tcp.conn_state"), "SF", "{record:#}");
        // The totals come with every event, and from the kernel's table: no byte is lost with an event.
        let bytes = [record.number("client.bytes"), record.number("server.bytes")];
        let sent = &sent[&record.number("client.port")];
        let same = sent.iter().find(|sent| sent.bytes == bytes);
        let sent = same.unwrap_or_else(|| panic!("sent was {sent:?}, told is {record:#}"));
        let told = told.get(record.text("connection.id")).copied().unwrap_or_default();
        assert_eq!(record.number("http.exchanges"), told as u64, "{record:#}");
        assert!(told <= sent.exchanges.len(), "{told} of {} exchanges: {record:#}", sent.exchanges.len());
        if told < sent.exchanges.len() {
            assert!(record.number("events.lost") > 0, "{told} of {}: {record:#}", sent.exchanges.len());
        }
        lost_of_all += record.number("events.lost");
    }
    // The others are of connections whose ports were used again before they were looked up.
    assert!(lost_of_all <= lost, "{lost_of_all} of {lost}");
    let connections_lost = trace.summary()["tracer.connections.lost"].as_u64().unwrap_or(0);
    let connections = trace.opened().len() as u64 + connections_lost;
    assert_eq!(connections, (ROUNDS * (SHORT + LONG)) as u64, "{connections_lost} lost");
}
