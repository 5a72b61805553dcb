//! Reused ports, connections that continue after they expired, and which side is the client.

use super::*;

#[test]
fn the_sender_of_requests_is_the_client_if_no_syn_was_seen_and_the_ports_are_ambiguous() {
    let mut wire = Wire::new(TrackerOptions { ports: BTreeSet::from([80, 40_000]), ..options() });
    // The server is seen first, and taken for the client until the request is seen.
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
    assert_eq!(closed.history, "^aDdfA", "the entries change case with the client");
}

#[test]
fn a_connection_that_continues_after_it_expired_is_midstream_and_not_counted_twice() {
    let mut wire = Wire::new(TrackerOptions { idle_timeout: Duration::from_secs(10), ..options() });
    wire.run(">S <SA >A >G <O +20000 +20000");
    assert_eq!(
        wire.words().last().map(String::as_str),
        Some("S1 IdleTimeout ShADd 15 client 27B/3 server 27B/2")
    );
    wire.run(">G <O <FA >FA <A +1000").look_up_all();
    let mut words = wire.words();
    words.retain(|words| words != "request" && words != "response");
    assert_eq!(
        words,
        [
            "PARTIAL/PARTIAL",
            "opened midstream",
            "exchange 1 204 Complete Inferred",
            "PARTIAL/FIN-WAIT-1",
            "LAST-ACK/FIN-WAIT-2",
            "CLOSED/TIME-WAIT",
            "Sf Fin by server DdfFa 28 client 27B/2 server 27B/3",
        ]
    );
}

#[test]
fn a_connection_that_continues_before_the_kernel_has_removed_it_repeats_no_exchange() {
    let mut wire = Wire::new(TrackerOptions { idle_timeout: Duration::from_secs(10), ..options() });
    wire.run(">S <SA >A >G <O >G <O").run_without_removals("+20000 +20000");
    assert_eq!(wire.tracker.totals(), Totals { opened: 1, closed: 1, exchanges: 2, ..Totals::default() });
    wire.words();
    for (script, reported) in
        [(">G <O", "exchange 1 204 Complete Exact"), (">G <O >G", "exchange 2 204 Complete Exact")]
    {
        wire.run(script);
        let mut words = wire.words();
        words.retain(|words| words.starts_with("exchange"));
        assert_eq!(words, [reported]);
    }
}

#[test]
fn a_connection_is_not_removed_with_the_one_before_it() {
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A >G <O <FA >FA <A +1000");
    assert_eq!(wire.tracker.totals().opened, 1);
    wire.reuse_ports().run("+20000");
    assert_eq!(wire.kept(), 1, "its first event may still be in the ring");
}

#[test]
fn reused_ports_start_another_connection() {
    // A SYN on an open connection may be spoofed; only a SYN-ACK proves that the old connection is over.
    let seen = ("SYN-SENT/LISTEN", "S1 EndOfCapture ShADd 15 client 27B/3 server 27B/2");
    let syn_ack_seen = ("SYN-SENT/SYN-RECEIVED", "S1 EndOfCapture ^hADd 14 client 27B/2 server 27B/2");
    for (how, script, state, (first, last)) in [
        ("after a normal close", ">S <SA >A >G <O <FA >FA <A", "Sf Fin by server", seen),
        ("after a reset", ">S <SA >A >G <O >R", "Rsto Reset by client", seen),
        ("after a half-open handshake", ">S <SA", "S1 HalfOpenTimeout", seen),
        ("after silence", ">S <SA >A", "S1 PortsReused", syn_ack_seen),
    ] {
        let mut wire = Wire::new(options());
        wire.run(script).restart().run(">S <SA >A >G <O").finish();
        let records = wire.records();
        let ids: BTreeSet<_> =
            records.iter().map(|r| r.connection.as_ref().expect("a connection").id).collect();
        assert_eq!(ids.len(), 2, "{how}: {records:#?}");
        let communities: BTreeSet<_> =
            records.iter().map(|r| r.connection.as_ref().expect("a connection").community_id()).collect();
        assert_eq!(communities.len(), 1, "{how}");
        let ends: Vec<_> = records.iter().filter(|record| matches!(record.body, Body::Closed(_))).collect();
        assert_eq!(ends.len(), 2, "{how}");
        let mut wire = Wire::new(options());
        wire.run(script).restart().run(">S <SA >A >G <O").finish();
        let words = wire.words();
        let end = words.iter().position(|words| words.starts_with(state));
        let end = end.unwrap_or_else(|| panic!("{how}: no {state} in {words:#?}"));
        assert_eq!(words[end + 1], first, "{how}: the new one starts after the record of the old one");
        assert_eq!(words.last().map(String::as_str), Some(last), "{how}");
    }
}

#[test]
fn a_syn_starts_another_connection_at_once_in_a_capture_only() {
    for (what, captured, ids) in [("live", false, 1), ("captured", true, 2)] {
        let mut wire = Wire::new(options());
        if captured {
            wire.captured();
        }
        wire.run(">S <SA >A").restart().run(">S").finish();
        assert_eq!(wire.tracker.totals().opened, ids, "{what}");
    }
}

#[test]
fn incarnations_with_the_same_time_are_distinguished() {
    let mut wire = Wire::new(options());
    wire.captured().stop_clock().run(">S <SA >A <FA >FA <A").restart().run(">S <SA >A").finish();
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
fn a_syn_seen_after_its_refusal_starts_no_other_connection() {
    let mut wire = Wire::new(TrackerOptions { ports: BTreeSet::from([80, 40_000]), ..options() });
    // Until the SYN is seen, the side with the higher port is taken for the client.
    wire.ports = [80, 40_000];
    wire.run("<RA^0 >S").finish();
    let records = wire.records();
    let last = records.last().and_then(|record| record.connection.as_ref());
    assert_eq!(last.map(|connection| connection.client_port), Some(80));
    assert_eq!(wire.tracker.totals().opened, 1);
}

#[test]
fn the_side_with_the_higher_port_is_the_client_if_nothing_else_tells() {
    for (ports, client) in [([40_000, 80], 40_000), ([80, 40_000], 40_000)] {
        let mut wire = Wire::new(TrackerOptions { ports: BTreeSet::from([80, 40_000]), ..options() });
        wire.ports = ports;
        wire.run(">A100").finish();
        let records = wire.records();
        let last = records.last().and_then(|record| record.connection.as_ref());
        assert_eq!(last.map(|connection| connection.client_port), Some(client), "{ports:?}");
    }
}
