//! Faults of interfaces during a transfer: it completes, and is reported.

use std::thread;
use std::time::Duration;

use tracer::lab::netns::{PairOptions, VethPair};

use crate::{
    faults::{PACED, Transfer, administer, check_exchanges, lost_segments},
    harness::{Fields, Trace, Tracer},
    pair,
    tcp_ends::{await_end, connect, exchange, listen},
    web::{BIG, Nginx, SMALL, curl},
};

/// How long an interface is down.
const DOWN: Duration = Duration::from_millis(300);

/// Traces a transfer with `fault` in the middle, and a request afterwards. Returns the trace and
/// the lost segments of server and client.
#[track_caller]
fn trace_through(pair: &VethPair, fault: impl FnOnce()) -> (Trace, [u64; 2]) {
    let _nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &[]);
    let before = lost_segments(pair);
    let mut transfer = Transfer::start(pair);
    fault();
    assert!(transfer.is_running(), "the transfer was over too soon");
    transfer.finish();
    curl(&pair.client, &["http://10.77.0.1/small"]);
    tracer.wait_for(2, "connection.closed");
    let lost = lost_segments(pair);
    let trace = tracer.stop();
    trace.assert_clean();
    check_exchanges(&trace, PACED, 1, BIG);
    check_exchanges(&trace, "/small", 1, SMALL);
    (trace, [lost[0] - before[0], lost[1] - before[1]])
}

/// Runs an administration command at the server's end, which must succeed.
#[track_caller]
fn at_server(pair: &VethPair, words: &str) {
    administer(&pair.server.namespace, words).unwrap_or_else(|errors| panic!("{words}: {errors}"));
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_interface_is_still_traced_after_it_was_down() {
    let pair = pair();
    let (trace, lost) = trace_through(&pair, || {
        at_server(&pair, "ip link set dev veth-server down");
        thread::sleep(3 * DOWN);
        at_server(&pair, "ip link set dev veth-server up");
    });
    eprintln!("down for {:?}: {lost:?} lost", 3 * DOWN);
    assert!(!trace.errors.contains("gone"), "{}", trace.errors);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_renamed_interface_is_still_traced_under_its_new_name() {
    let pair = pair();
    let (trace, lost) = trace_through(&pair, || {
        at_server(&pair, "ip link set dev veth-server name renamed");
        // The name is read at the next tick.
        thread::sleep(DOWN);
    });
    assert_eq!(lost, [0, 0], "nothing was lost");
    let small = trace.exchanges().into_iter().find(|record| record.text("url.path") == "/small");
    assert_eq!(small.expect("reported").text("network.interface.name"), "renamed");
    let hooks = trace.summary()["tracer.attachments"].to_string();
    assert!(hooks.contains("renamed ingress") && !hooks.contains("veth-server"), "{hooks}");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_changed_mtu_does_not_disturb_a_transfer() {
    let pair = pair();
    let (trace, lost) = trace_through(&pair, || {
        // The last is larger than a page: the programs support multi-buffer frames, so the driver
        // allows it.
        for mtu in [1300, 1500, 9000] {
            at_server(&pair, &format!("ip link set dev veth-server mtu {mtu}"));
            let words = format!("ip link set dev veth-client mtu {mtu}");
            administer(&pair.client.namespace, &words).unwrap_or_else(|errors| panic!("{words}: {errors}"));
            thread::sleep(DOWN);
        }
    });
    assert_eq!(lost, [0, 0], "nothing was lost");
    assert!(trace.errors.contains("veth-server ingress xdp native"), "{}", trace.errors);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_mtu_of_several_pages_is_traced_by_native_xdp() {
    let pair = VethPair::new(PairOptions { mtu: Some(9000), ..PairOptions::default() }).expect("a pair");
    let (trace, lost) = trace_through(&pair, || {
        for mtu in [1500, 9000] {
            at_server(&pair, &format!("ip link set dev veth-server mtu {mtu}"));
            thread::sleep(DOWN);
        }
    });
    assert_eq!(lost, [0, 0], "nothing was lost");
    assert!(trace.errors.contains("veth-server ingress xdp native"), "{}", trace.errors);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn switching_offloads_does_not_disturb_a_transfer() {
    let pair = pair();
    let (_, lost) = trace_through(&pair, || {
        for offload in ["gro", "gso", "tso", "tx", "rx"] {
            for state in ["off", "on"] {
                for end in [&pair.server, &pair.client] {
                    let words = format!("ethtool -K {} {offload} {state}", end.interface);
                    // While XDP is attached to one end, the driver refuses TSO at the other.
                    if let Err(errors) = administer(&end.namespace, &words) {
                        assert!(errors.contains("Could not change any device features"), "{words}: {errors}");
                    }
                }
                thread::sleep(DOWN / 5);
            }
        }
    });
    assert_eq!(lost, [0, 0], "nothing was lost");
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_deleted_namespace_ends_the_tracer_at_its_peer_with_everything_reported() {
    let pair = pair();
    let listener = listen(&pair);
    let tracer = Tracer::at(&pair.server, &[]);
    let (mut client, mut server) = connect(&pair, &listener);
    exchange(&mut client, &mut server, "/before", 200);
    tracer.wait_for(1, "http.exchange");
    drop(server);
    await_end(&mut client);
    drop(client);
    tracer.wait_for(1, "connection.closed");
    // The client's end is deleted with its namespace, and the server's end with it.
    let VethPair { server, client } = pair;
    drop(client);
    let trace = tracer.wait();
    trace.assert_clean();
    assert!(trace.errors.contains("veth-server is gone"), "{}", trace.errors);
    assert!(trace.errors.contains("no interface is left"), "{}", trace.errors);
    check_exchanges(&trace, "/before", 1, 5);
    drop(server);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_transfer_over_a_deleted_interface_is_reported_as_far_as_observed() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &[]);
    curl(&pair.client, &["http://10.77.0.1/small"]);
    tracer.wait_for(1, "connection.closed");
    let _transfer = Transfer::start(&pair);
    at_server(&pair, "ip link delete dev veth-server");
    let trace = tracer.wait();
    trace.assert_clean();
    check_exchanges(&trace, "/small", 1, SMALL);
    let cut_off = trace.exchanges().into_iter().find(|record| record.text("url.path") == PACED);
    let cut_off = cut_off.expect("it was requested");
    assert_eq!(cut_off.number("http.response.status_code"), 200, "{cut_off:#}");
    assert_ne!(cut_off.text("http.outcome"), "complete", "{cut_off:#}");
}
