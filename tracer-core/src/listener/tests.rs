//! Scripted counters, ten times a second, and their verdicts.

use tracer_common::{
    server::{Count, ServerCounters, ServerKey},
    sketch,
};

use super::*;
use crate::record::Verdict;

const TICK: u64 = 100_000_000;
const SERVER: [u32; 4] = [1, 2, 3, 4];

/// What happens at a server in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    /// New attempts, and the number of their addresses: 0 for another one each time.
    attempts: u64,
    clients: u32,
    /// Ticks until an attempt is retransmitted, answered, completed, refused or reset; 0: never.
    repeated: usize,
    answered: usize,
    answered_again: usize,
    completed: usize,
    refused: usize,
    reset: usize,
}

/// Servers, and attempts at them.
struct Script {
    listeners: Listeners,
    servers: Vec<(ServerKey, ServerCounters)>,
    now: u64,
    /// Attempts at each tick, by what happens to them.
    past: Vec<(Rates, u64)>,
    next_client: u32,
    records: Vec<(u64, Body)>,
}

impl Script {
    fn new(ports: u16) -> Self {
        let key = |port| ServerKey { address: SERVER, port, padding: 0 };
        Self {
            listeners: Listeners::new(Duration::from_secs(64)),
            servers: (0..ports).map(|port| (key(80 + port), ServerCounters::ZERO)).collect(),
            now: 1_000_000_000_000,
            past: Vec::new(),
            next_client: 0,
            records: Vec::new(),
        }
    }

    /// Runs some ticks with all these rates at once, at the port with this index.
    fn run(&mut self, port: usize, ticks: usize, rates: &[Rates]) {
        for _ in 0..ticks {
            self.now += TICK;
            for rates in rates {
                self.attempt(port, *rates);
            }
            self.follow(port);
            self.listeners.on_servers(self.now, self.servers.clone());
            while let Some(record) = self.listeners.next_record() {
                self.records.push((self.now, record.body));
            }
        }
    }

    fn attempt(&mut self, port: usize, rates: Rates) {
        let attempts = rates.attempts / 10;
        self.add(port, Count::Attempts, attempts);
        let server = &mut self.servers[port].1;
        let epoch = self.now >> 33;
        if server.epoch != epoch {
            server.epoch = epoch;
            server.sources = [0; sketch::REGISTERS];
        }
        for attempt in 0..attempts as u32 {
            self.next_client += 1;
            let client = if rates.clients == 0 { 1000 + self.next_client } else { attempt % rates.clients };
            sketch::add(&mut self.servers[port].1.sources, &[0, 0, 1, client], [7, 7]);
        }
        self.past.push((rates, self.now));
    }

    /// Counts what becomes of earlier attempts.
    fn follow(&mut self, port: usize) {
        for (rates, at) in self.past.clone() {
            let age = ((self.now - at) / TICK) as usize + 1;
            let attempts = rates.attempts / 10;
            for (after, count) in [
                (rates.repeated, Count::SynRetransmits),
                (rates.answered, Count::Answered),
                (rates.answered_again, Count::SynAckRetransmits),
                (rates.completed, Count::Completed),
                (rates.refused, Count::Refused),
                (rates.reset, Count::Reset),
            ] {
                if after == age {
                    self.add(port, count, attempts);
                }
            }
            if rates.completed == age {
                // A handshake within one tick takes a millisecond.
                let time = (age as u64 - 1) * TICK + 1_000_000;
                self.add(port, Count::HandshakeNs, attempts * time);
            }
        }
        let now = self.now;
        self.past.retain(|(_, at)| now - at < 40 * TICK);
    }

    fn add(&mut self, port: usize, count: Count, more: u64) {
        let server = &mut self.servers[port].1;
        *server = server.with(count, server.get(count) + more);
    }

    fn verdict(&mut self, port: usize) -> Verdict {
        let port = self.servers[port].0.port;
        let all = self.listeners.all(self.now);
        all.iter().find(|one| one.now.port == port).map_or(Verdict::Idle, |one| one.verdict)
    }
}

const FLOOD: Rates = Rates {
    attempts: 20_000,
    clients: 0,
    repeated: 0,
    answered: 1,
    answered_again: 0,
    completed: 0,
    refused: 0,
    reset: 0,
};
const REAL: Rates = Rates { attempts: 15_000, clients: 3, completed: 1, ..FLOOD };

#[test]
fn real_clients_are_no_flood_whatever_becomes_of_their_attempts() {
    let slow = Rates { attempts: 2000, clients: 500, ..FLOOD };
    for (name, rates, verdict) in [
        ("a busy client", REAL, Verdict::Busy),
        ("a few visitors", Rates { attempts: 50, ..REAL }, Verdict::Ok),
        (
            "a server that is down and refuses",
            Rates { refused: 1, completed: 0, answered: 0, ..REAL },
            Verdict::Refusing,
        ),
        ("a server that is down and silent", Rates { repeated: 11, answered: 0, ..slow }, Verdict::Silent),
        (
            "SYN-ACKs that never get through",
            Rates { repeated: 11, answered_again: 11, ..slow },
            Verdict::SynAcksLost,
        ),
        (
            "SYN-ACKs that never get through, answered before",
            Rates { attempts: 10, repeated: 39, answered: 0, answered_again: 39, ..slow },
            Verdict::SynAcksLost,
        ),
        ("slow clients", Rates { completed: 7, ..slow }, Verdict::SlowClients),
        (
            "clients so slow that they retransmit",
            Rates { completed: 25, repeated: 11, ..slow },
            Verdict::SlowClients,
        ),
        ("many clients that start at once", Rates { attempts: 15_000, completed: 3, ..slow }, Verdict::Busy),
    ] {
        let mut script = Script::new(1);
        script.run(0, 100, &[rates]);
        assert_eq!(script.verdict(0), verdict, "{name}");
        // Also when they stop and start again.
        script.run(0, 30, &[]);
        script.run(0, 60, &[rates]);
        assert!(script.records.is_empty(), "{name}: {:?}", script.records);
    }
}

#[test]
fn a_flood_is_reported_within_two_seconds_and_its_end_within_ten() {
    let botnet = Rates { clients: 40, ..FLOOD };
    for (name, flood, around, spoofed) in [
        ("alone", FLOOD, vec![], true),
        ("among real clients", Rates { attempts: 2000, ..FLOOD }, vec![REAL], true),
        ("among distant real clients", FLOOD, vec![Rates { attempts: 10_000, completed: 2, ..REAL }], true),
        ("of a few hosts", botnet, vec![], false),
        ("without SYN-ACKs", Rates { answered: 0, ..FLOOD }, vec![], true),
        ("among slow clients", FLOOD, vec![Rates { attempts: 200, completed: 8, ..REAL }], true),
    ] {
        let mut script = Script::new(1);
        script.run(0, 100, &around);
        assert!(script.records.is_empty(), "{name}: {:?}", script.records);
        let began = script.now;
        let both = [vec![flood], around.clone()].concat();
        script.run(0, 200, &both);
        let [(at, Body::FloodStarted(started))] = &script.records[..] else {
            panic!("{name}: {:?}", script.records)
        };
        assert!(at - began <= 2_000_000_000, "{name}: after {} ms", (at - began) / 1_000_000);
        assert_eq!(started.spoofed, spoofed, "{name}: {started:?}");
        assert_eq!(script.verdict(0), Verdict::SynFlood, "{name}");
        let stopped = script.now;
        script.run(0, 200, &around);
        let [_, (at, Body::FloodEnded(ended))] = &script.records[..] else {
            panic!("{name}: {:?}", script.records)
        };
        assert!(at - stopped <= 10_000_000_000, "{name}: after {} ms", (at - stopped) / 1_000_000);
        // From the alarm on: at least 18 s of 20.
        let least = flood.attempts * 18;
        assert!(ended.attempts >= least, "{name}: {ended:?}");
        assert!(ended.half_open_peak > 0, "{name}: {ended:?}");
    }
}

#[test]
fn a_flood_that_pauses_is_one_flood() {
    let mut script = Script::new(1);
    for _ in 0..5 {
        script.run(0, 20, &[FLOOD]);
        script.run(0, 20, &[]);
    }
    assert_eq!(script.records.len(), 1, "{:?}", script.records);
}

#[test]
fn ports_tried_by_few_clients_are_scanned_and_the_one_in_use_is_not() {
    let mut script = Script::new(20);
    let scan = Rates { attempts: 10, clients: 1, ..Rates::default() };
    for port in 0..19 {
        script.past.clear();
        script.run(port, 1, &[Rates { refused: usize::from(port > 2), ..scan }]);
    }
    script.past.clear();
    script.run(19, 20, &[Rates { attempts: 100, ..REAL }]);
    assert_eq!(script.verdict(5), Verdict::PortScan);
    assert_eq!(script.verdict(19), Verdict::Ok);
    assert!(script.records.is_empty(), "{:?}", script.records);
}

#[test]
fn many_services_of_one_host_are_no_scan() {
    let mut script = Script::new(20);
    for port in 0..20 {
        script.past.clear();
        script.run(
            port,
            1,
            &[Rates { attempts: 10, clients: 1, answered: 1, completed: 1, ..Rates::default() }],
        );
    }
    script.run(0, 10, &[]);
    assert_eq!(script.verdict(5), Verdict::Ok);
}

#[test]
fn attempts_are_half_open_whether_or_not_they_are_answered() {
    for (name, after, half_open) in [
        ("not answered", Rates::default(), 30),
        ("answered", Rates { answered: 1, ..Rates::default() }, 30),
        ("refused", Rates { refused: 1, ..Rates::default() }, 0),
        ("completed", Rates { answered: 1, completed: 2, ..Rates::default() }, 0),
    ] {
        let mut script = Script::new(1);
        script.run(0, 3, &[Rates { attempts: 100, ..after }]);
        let completion = |script: &mut Script| script.listeners.all(script.now)[0].now.completion_permille;
        assert!(completion(&mut script).is_some(), "{name}");
        script.run(0, 20, &[]);
        let Listener { now, .. } = script.listeners.all(script.now)[0];
        assert_eq!((now.half_open, now.completion_permille), (half_open, None), "{name}");
    }
}

#[test]
fn counters_that_were_reset_are_added_to_the_earlier_ones() {
    let mut script = Script::new(1);
    script.run(0, 30, &[REAL]);
    script.servers[0].1 = ServerCounters::ZERO;
    script.run(0, 30, &[REAL]);
    let all = script.listeners.all(script.now);
    assert_eq!(all[0].attempts, 60 * 1500);
    assert!(script.records.is_empty(), "{:?}", script.records);
}

#[test]
fn a_server_that_the_observer_evicted_is_removed() {
    let mut script = Script::new(3);
    script.run(0, 1, &[REAL]);
    script.servers.truncate(1);
    script.run(0, 1, &[]);
    assert_eq!(script.listeners.monitors.len(), 1);
}
