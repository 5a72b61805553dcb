//! Ports used again, connections that go on after they were given up, and who is the client.

use super::*;

#[test]
fn who_asks_is_the_client_when_no_syn_and_no_port_says_so() {
    let mut wire = Wire::new(Limits { ports: BTreeSet::from([80, 40_000]), ..limits() });
    // The server is seen first, and taken for the client until the request comes.
    wire.run("<A >G <O <FA >A").finish();
    let records = wire.records();
    let client_ports: Vec<_> =
        records.iter().map(|record| record.connection.as_ref().map(|c| c.client_port)).collect();
    assert_eq!(client_ports.last(), Some(&Some(40_000)), "{records:#?}");
    let states: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let Body::State(change) = &record.body else { return None };
            Some(format!("{}/{}", change.client.as_str(), change.server.as_str()))
        })
        .collect();
    assert_eq!(states, ["PARTIAL/PARTIAL", "PARTIAL/FIN-WAIT-1", "CLOSE-WAIT/FIN-WAIT-2"]);
    let Some(Body::Closed(closed)) = records.last().map(|record| &record.body) else {
        panic!("{records:#?}")
    };
    assert_eq!((closed.client.bytes, closed.server.bytes), (27, 27));
    assert_eq!(closed.history, "^aDdfA", "the letters are turned with the sides");
}

#[test]
fn what_was_given_up_and_goes_on_is_picked_up_anew_and_not_counted_twice() {
    let mut wire = Wire::new(Limits { idle_timeout: Duration::from_secs(10), ..limits() });
    wire.run(">S <SA >A >G <O +20000 +20000");
    assert_eq!(
        wire.words().last().map(String::as_str),
        Some("S1 IdleTimeout ShADd 15 client 27B/3 server 27B/2")
    );
    wire.run(">G <O <FA >FA <A +1000").question_all();
    let mut words = wire.words();
    words.retain(|words| words != "request" && words != "response");
    assert_eq!(
        words,
        [
            "PARTIAL/PARTIAL",
            "opened midstream",
            "exchange 1 204 Complete Resynced",
            "PARTIAL/FIN-WAIT-1",
            "LAST-ACK/FIN-WAIT-2",
            "CLOSED/TIME-WAIT",
            "Sf Fin by server DdfFa 28 client 27B/2 server 27B/3",
        ]
    );
}

#[test]
fn what_goes_on_before_the_kernel_has_forgotten_it_brings_no_exchange_up_again() {
    let mut wire = Wire::new(Limits { idle_timeout: Duration::from_secs(10), ..limits() });
    wire.run(">S <SA >A >G <O >G <O").run_without_forgetting("+20000 +20000");
    assert_eq!(wire.tracker.totals(), Totals { opened: 1, closed: 1, exchanges: 2, ..Totals::default() });
    wire.words();
    for (script, told) in
        [(">G <O", "exchange 1 204 Complete Exact"), (">G <O >G", "exchange 2 204 Complete Exact")]
    {
        wire.run(script);
        let mut words = wire.words();
        words.retain(|words| words.starts_with("exchange"));
        assert_eq!(words, [told]);
    }
}

#[test]
fn a_connection_is_not_forgotten_for_the_one_before_it() {
    let mut wire = Wire::new(limits());
    wire.run(">S <SA >A >G <O <FA >FA <A +1000");
    assert_eq!(wire.tracker.totals().closed, 1);
    wire.use_ports_again().run("+20000");
    assert_eq!(wire.kept(), 1, "its first event may still wait in the ring");
}

#[test]
fn ports_are_used_again() {
    // A SYN on an open connection can be forged; only its answer shows that the old connection is dead.
    let seen = ("SYN-SENT/LISTEN", "S1 EndOfCapture ShADd 15 client 27B/3 server 27B/2");
    let answer_seen = ("SYN-SENT/SYN-RECEIVED", "S1 EndOfCapture ^hADd 14 client 27B/2 server 27B/2");
    for (how, script, state, (first, last)) in [
        ("after an orderly close", ">S <SA >A >G <O <FA >FA <A", "Sf Fin by server", seen),
        ("after a reset", ">S <SA >A >G <O >R", "Rsto Reset by client", seen),
        ("after a handshake that was not confirmed", ">S <SA", "S1 HalfOpenTimeout", seen),
        ("after silence", ">S <SA >A", "S1 Evicted", answer_seen),
    ] {
        let mut wire = Wire::new(limits());
        wire.run(script).afresh().run(">S <SA >A >G <O").finish();
        let records = wire.records();
        let ids: BTreeSet<_> =
            records.iter().map(|r| r.connection.as_ref().expect("a connection").id).collect();
        assert_eq!(ids.len(), 2, "{how}: {records:#?}");
        let communities: BTreeSet<_> =
            records.iter().map(|r| r.connection.as_ref().expect("a connection").community_id()).collect();
        assert_eq!(communities.len(), 1, "{how}");
        let ends: Vec<_> = records.iter().filter(|record| matches!(record.body, Body::Closed(_))).collect();
        assert_eq!(ends.len(), 2, "{how}");
        let mut wire = Wire::new(limits());
        wire.run(script).afresh().run(">S <SA >A >G <O").finish();
        let words = wire.words();
        let end = words.iter().position(|words| words.starts_with(state));
        let end = end.unwrap_or_else(|| panic!("{how}: no {state} in {words:#?}"));
        assert_eq!(words[end + 1], first, "{how}: the new one starts when the old one is told");
        assert_eq!(words.last().map(String::as_str), Some(last), "{how}");
    }
}

#[test]
fn a_syn_starts_another_connection_at_once_in_a_capture_only() {
    for (what, captured, ids) in [("live", false, 1), ("captured", true, 2)] {
        let mut wire = Wire::new(limits());
        if captured {
            wire.captured();
        }
        wire.run(">S <SA >A").afresh().run(">S").finish();
        assert_eq!(wire.tracker.totals().closed, ids, "{what}");
    }
}

#[test]
fn incarnations_at_the_same_time_are_told_apart() {
    let mut wire = Wire::new(limits());
    wire.captured().stand_still().run(">S <SA >A <FA >FA <A").afresh().run(">S <SA >A").finish();
    let ends: Vec<_> = wire.words().into_iter().filter(|words| words.contains("client 0B")).collect();
    assert_eq!(
        ends,
        [
            "Sf Fin by server ShAfFa 23 client 0B/3 server 0B/3",
            "S1 EndOfCapture ShA 7 client 0B/2 server 0B/1"
        ]
    );
}

#[test]
fn a_syn_that_was_refused_before_it_was_seen_is_no_other_connection() {
    let mut wire = Wire::new(Limits { ports: BTreeSet::from([80, 40_000]), ..limits() });
    // Until the SYN says so, the side with the higher port is taken for the client.
    wire.ports = [80, 40_000];
    wire.run("<RA^0 >S").finish();
    let records = wire.records();
    let last = records.last().and_then(|record| record.connection.as_ref());
    assert_eq!(last.map(|connection| connection.client_port), Some(80));
    assert_eq!(wire.tracker.totals().closed, 1);
}

#[test]
fn the_side_with_the_higher_port_is_the_client_when_nothing_else_says_so() {
    for (ports, client) in [([40_000, 80], 40_000), ([80, 40_000], 40_000)] {
        let mut wire = Wire::new(Limits { ports: BTreeSet::from([80, 40_000]), ..limits() });
        wire.ports = ports;
        wire.run(">A100").finish();
        let records = wire.records();
        let last = records.last().and_then(|record| record.connection.as_ref());
        assert_eq!(last.map(|connection| connection.client_port), Some(client), "{ports:?}");
    }
}
