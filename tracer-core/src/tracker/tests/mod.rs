//! Whole connections through the kernel's flow logic and the tracker, and their records.

mod capacity;
mod clock;
mod flood;
mod lost;
mod nat;
mod owners;
mod port_reuse;
mod wire;

use std::{collections::BTreeSet, time::Duration};

use tracer_common::server::Count;

use self::wire::Wire;
use super::{Totals, TrackerOptions};
use crate::record::{Body, EventName, Events};

const OPEN: &[&str] = &["SYN-SENT/LISTEN", "SYN-SENT/SYN-RECEIVED", "ESTABLISHED/ESTABLISHED", "opened"];

fn options() -> TrackerOptions {
    TrackerOptions {
        half_open_timeout: Duration::from_secs(64),
        idle_timeout: Duration::from_secs(300),
        ..TrackerOptions::default()
    }
}

/// The records of a script, without requests and responses, and the last one.
fn report(script: &str) -> (Vec<String>, String) {
    let mut wire = Wire::new(options());
    wire.run(script).run("+1000").finish();
    let mut words = wire.words();
    words.retain(|words| words != "request" && words != "response");
    let end = words.pop().expect("a closed record");
    (words, end)
}

/// Compares the states after the handshake, and the end, of each row.
fn check(rows: &[(&str, &str, &[&str], &str)]) {
    let mut wrong = Vec::new();
    for (what, script, states, end) in rows {
        let (reported, reported_end) = report(script);
        if reported != *states || reported_end != *end {
            wrong.push(format!(
                "{what}\nreported {reported:?}\nexpected {states:?}\nreported {reported_end}\nexpected {end}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The states of an open connection, and then these.
fn open_then(more: &[&'static str]) -> Vec<&'static str> {
    [OPEN, more].concat()
}

#[test]
fn a_connection_closes_normally_from_either_side() {
    check(&[
        (
            "the server closes first",
            ">S <SA >A >G <O >A <FA >A >FA <A",
            &open_then(&[
                "exchange 1 204 Complete Exact",
                "ESTABLISHED/FIN-WAIT-1",
                "CLOSE-WAIT/FIN-WAIT-2",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
            ]),
            "Sf Fin by server ShADdfFa 31 client 27B/6 server 27B/4",
        ),
        (
            "the client closes first, and the server responds with a FIN at once",
            ">S <SA >A >G <O >FA <FA >A",
            &open_then(&[
                "exchange 1 204 Complete Exact",
                "FIN-WAIT-1/ESTABLISHED",
                "FIN-WAIT-2/LAST-ACK",
                "TIME-WAIT/CLOSED",
            ]),
            "Sf Fin by client ShADdFf 31 client 27B/5 server 27B/3",
        ),
        (
            "simultaneous close",
            ">S <SA >A >FA^0 <FA^0 >A <A",
            &open_then(&[
                "FIN-WAIT-1/ESTABLISHED",
                "FIN-WAIT-1/FIN-WAIT-1",
                "CLOSING/FIN-WAIT-2",
                "TIME-WAIT/TIME-WAIT",
            ]),
            "Sf Fin by client ShAFfa 23 client 0B/4 server 0B/3",
        ),
        (
            "the client closes its half, and the server responds afterwards",
            ">S <SA >A >G >FA <A <O >A <FA >A",
            &open_then(&[
                "FIN-WAIT-1/ESTABLISHED",
                "FIN-WAIT-2/CLOSE-WAIT",
                "exchange 1 204 Complete Exact",
                "FIN-WAIT-2/LAST-ACK",
                "TIME-WAIT/CLOSED",
            ]),
            "Sf Fin by client ShADFadf 31 client 27B/6 server 27B/4",
        ),
        (
            "the last acknowledgment is missing",
            ">S <SA >A <FA >A >FA <FA@0^0",
            &open_then(&["ESTABLISHED/FIN-WAIT-1", "CLOSE-WAIT/FIN-WAIT-2", "LAST-ACK/FIN-WAIT-2"]),
            "Sf Fin by server ShAfF 23 client 0B/4 server 0B/3, server retransmits 1",
        ),
    ]);
}

#[test]
fn each_kind_of_handshake_is_reported() {
    check(&[
        (
            "SYN and SYN-ACK are retransmitted",
            ">S +1000 >S@0 <SA +1000 <SA@0 >A <FA >A >FA <A",
            &[
                "SYN-SENT/LISTEN",
                "SYN-SENT/SYN-RECEIVED",
                "ESTABLISHED/ESTABLISHED",
                "opened, SYN 1x again, SYN-ACK 1x again",
                "ESTABLISHED/FIN-WAIT-1",
                "CLOSE-WAIT/FIN-WAIT-2",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
            ],
            "Sf Fin by server ShAfFa 23 client 0B/5 server 0B/4, client retransmits 1, server retransmits 1",
        ),
        (
            "the request completes the handshake",
            ">S <SA >G <O",
            &[
                "SYN-SENT/LISTEN",
                "SYN-SENT/SYN-RECEIVED",
                "ESTABLISHED/ESTABLISHED",
                "opened",
                "exchange 1 204 Complete Exact",
            ],
            "S1 EndOfCapture ShDd 11 client 27B/2 server 27B/2",
        ),
        (
            "simultaneous open",
            ">S <S >SA@0 <SA@0 >A",
            &[
                "SYN-SENT/LISTEN",
                "SYN-SENT/SYN-SENT",
                "SYN-RECEIVED/SYN-SENT",
                "ESTABLISHED/ESTABLISHED",
                "opened",
            ],
            "S1 EndOfCapture SsA 7 client 0B/3 server 0B/2",
        ),
        (
            "refused",
            ">S <RA",
            &["SYN-SENT/LISTEN", "CLOSED/CLOSED"],
            "Rej Refused by server Sr 37 client 0B/1 server 0B/1",
        ),
        (
            "aborted before the SYN-ACK",
            ">S >R",
            &["SYN-SENT/LISTEN", "CLOSED/CLOSED"],
            "Rstos0 Reset by client SR 33 client 0B/2 server 0B/0",
        ),
        (
            "aborted after the SYN-ACK",
            ">S <SA >R",
            &["SYN-SENT/LISTEN", "SYN-SENT/SYN-RECEIVED", "CLOSED/CLOSED"],
            "Rsto Reset by client ShR 35 client 0B/2 server 0B/1",
        ),
        (
            "unanswered",
            ">S +1000 >S@0 +2000 >S@0 +70000",
            &["SYN-SENT/LISTEN"],
            "S0 Unanswered S 1 client 0B/3 server 0B/0, client retransmits 2",
        ),
        (
            "never completed",
            ">S <SA +1000 <SA@0 +2000 <SA@0 +70000",
            &["SYN-SENT/LISTEN", "SYN-SENT/SYN-RECEIVED"],
            "S1 HalfOpenTimeout Sh 3 client 0B/1 server 0B/3, server retransmits 2",
        ),
        (
            "not completed when the observation ends",
            ">S <SA",
            &["SYN-SENT/LISTEN", "SYN-SENT/SYN-RECEIVED"],
            "S1 EndOfCapture Sh 3 client 0B/1 server 0B/1",
        ),
        (
            "the SYN arrives after the whole connection",
            "->S <SA >A <FA >FA <A >S@0",
            &[
                "SYN-SENT/SYN-RECEIVED",
                "ESTABLISHED/ESTABLISHED",
                "opened",
                "ESTABLISHED/FIN-WAIT-1",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
            ],
            "Sf Fin by server ^hAfFaS 22 client 0B/3 server 0B/3",
        ),
        (
            "only the SYN-ACK is seen",
            "->S <SA +70000",
            &["SYN-SENT/SYN-RECEIVED"],
            "Oth HalfOpenTimeout ^h 0 client 0B/0 server 0B/1",
        ),
    ]);
}

#[test]
fn a_reset_ends_a_connection_if_it_is_in_the_window() {
    check(&[
        (
            "by the client, during the response",
            ">S <SA >A >G <A100 >R",
            &open_then(&["CLOSED/CLOSED", "exchange 1 - InvalidResponse Exact"]),
            "Rsto Reset by client ShADdR 47 client 27B/4 server 100B/2",
        ),
        (
            "by the server, before its response",
            ">S <SA >A >G <RA",
            &open_then(&["CLOSED/CLOSED", "exchange 1 - NoResponse Exact"]),
            "Rstr Reset by server ShADr 47 client 27B/3 server 0B/2",
        ),
        (
            "not one out of the window, as a spoofed one would be",
            ">S <SA >A >R@-100000000 >G <O <FA >FA <A",
            &open_then(&[
                "exchange 1 204 Complete Exact",
                "ESTABLISHED/FIN-WAIT-1",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
            ]),
            "Sf Fin by server ShARDdfFa 63 client 27B/5 server 27B/4",
        ),
        (
            "stray RSTs, however long between them",
            "<R +9000 <R +9000 <RA",
            &[],
            "Oth Reset by server ^r 36 client 0B/0 server 0B/3",
        ),
        (
            "a stray RST, and then a connection",
            ">R +900 >S <SA >A",
            OPEN,
            "S1 EndOfCapture RShA 38 client 0B/3 server 0B/1",
        ),
        (
            "after the client's FIN",
            ">S <SA >A >FA <RA",
            &open_then(&["FIN-WAIT-1/ESTABLISHED", "CLOSED/CLOSED"]),
            "Rstr Reset by server ShAFr 55 client 0B/3 server 0B/2",
        ),
    ]);
}

#[test]
fn gaps_reordering_and_retransmissions_are_counted() {
    check(&[
        (
            "retransmitted after a time",
            ">S <SA >A <A100 +300 <A100@0 >A",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/3 server 100B/3, server retransmits 1",
        ),
        (
            "out of order",
            ">S <SA >A <A100@100 <A100@0 >A",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/3 server 200B/3, server out_of_order 1",
        ),
        (
            "missing, and retransmitted later",
            ">S <SA >A <A100@100 +300 <A100@0 >A",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/3 server 200B/3, server retransmits 1",
        ),
        (
            "never seen before other data, but acknowledged",
            ">S <SA >A -<A100 <A100 >A",
            OPEN,
            "S1 EndOfCapture ShAdg 15 client 0B/3 server 100B/2, server gap_bytes 100",
        ),
        (
            "never seen before the FIN, so that a response may have been missed",
            ">S <SA >A >G -<O <FA >FA <A",
            &open_then(&[
                "ESTABLISHED/FIN-WAIT-1",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
                "exchange 1 - NotObserved Exact",
            ]),
            "Sf Fin by server ShADfFga 31 client 27B/4 server 0B/3, server gap_bytes 27",
        ),
        (
            "never seen at the end, but acknowledged",
            ">S <SA >A <A100 -<A50 >A",
            OPEN,
            "S1 EndOfCapture ShAdg 15 client 0B/3 server 100B/2, server gap_bytes 50",
        ),
        (
            "duplicate acknowledgments while data is missing",
            ">S <SA >A <A100 >A <A100 <A100 >A^100 >A^100 >A^100",
            OPEN,
            "S1 EndOfCapture ShAd 15 client 0B/6 server 300B/4, client duplicate_acks 3",
        ),
        (
            "requested by duplicate acknowledgments, and retransmitted at once",
            ">S <SA >A <A100 <A100 >A^0 >A^0 >A^0 <A100@0",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/5 server 200B/4, client duplicate_acks 3, server retransmits 1, server fast_retransmits 1",
        ),
        (
            "requested, but retransmitted after a timeout",
            ">S <SA >A <A100 <A100 >A^0 >A^0 >A^0 +20 <A100@0",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/5 server 200B/4, client duplicate_acks 3, server retransmits 1",
        ),
        (
            "requested once",
            ">S <SA >A <A100 <A100 >A^0 <A100@0",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/3 server 200B/4, client duplicate_acks 1, server retransmits 1",
        ),
        (
            "other data requested than retransmitted",
            ">S <SA >A <A100 <A100 <A100 >A^100 >A^100 >A^100 <A100@0",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/5 server 300B/5, client duplicate_acks 2, server retransmits 1, server spurious_retransmits 1",
        ),
        (
            "acknowledged, and still retransmitted",
            ">S <SA >A <A100 >A <A100@0 >A",
            OPEN,
            "S1 EndOfCapture ShAdt 15 client 0B/4 server 100B/3, server retransmits 1, server spurious_retransmits 1",
        ),
        (
            "a FIN with payload retransmitted counts once, not twice",
            ">S <SA >A <FA100 +300 <FA100@0",
            &open_then(&["ESTABLISHED/FIN-WAIT-1"]),
            "S3 EndOfCapture ShAft 31 client 0B/2 server 100B/3, server retransmits 1",
        ),
        (
            "keep-alives with a byte and without one",
            ">S <SA >A >A100 <A100 >A >A@99 <A >A1@99 <A",
            OPEN,
            "S1 EndOfCapture ShADdaT 15 client 100B/6 server 100B/4, client keep_alives 2",
        ),
        (
            "a FIN and a reset are no keep-alives",
            ">S <SA >A100 <A >FA@99 >R@99",
            &open_then(&["FIN-WAIT-1/ESTABLISHED", "CLOSED/CLOSED"]),
            "Rsto Reset by client ShDaFR 63 client 100B/4 server 0B/2",
        ),
        (
            "zero-window probes, and data from the same byte on",
            ">S <SA >A <A100 >A=0 <A1 >A^100=0 <A1@100 >A^100=0 >A^100=1000 <A100@100 >A",
            OPEN,
            "S1 EndOfCapture ShAdWt 15 client 0B/7 server 200B/5, client duplicate_acks 2, client zero_windows 3, server window_probes 2",
        ),
        (
            "a zero window, and a window update",
            ">S <SA >A <A100 >A=0 <A1@99 >A=0 >A=1000",
            OPEN,
            "S1 EndOfCapture ShAdWt 15 client 0B/5 server 100B/3, client zero_windows 2, server keep_alives 1",
        ),
    ]);
}

#[test]
fn bad_checksums_are_counted_in_a_capture() {
    let script = ">S <SA >A #<A100 <A100 #>A";
    let live = "S1 EndOfCapture ShAd 15 client 0B/3 server 200B/3";
    let counted = format!("{live}, client checksum_errors 1, server checksum_errors 1");
    assert_eq!(Wire::new(options()).run(script).finish().words().pop().as_deref(), Some(live));
    let mut wire = Wire::new(options());
    assert_eq!(wire.captured().run(script).finish().words().pop(), Some(counted));
}

#[test]
fn sequence_numbers_wrap() {
    // More than the 4 GiB of the sequence space, in segments as large as a capture may have.
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A");
    for _ in 0..5000 {
        wire.run("<A1000000 >A");
    }
    wire.run("<FA >FA <A").finish();
    let words = wire.words();
    assert_eq!(
        words.last().map(String::as_str),
        Some("Sf Fin by server ShAdfFa 31 client 0B/5003 server 5000000000B/5003")
    );
}

#[test]
fn a_connection_can_be_first_seen_midstream() {
    check(&[
        (
            "the traced port shows the server; closed",
            ">A100 <A100 <FA >FA <A",
            &[
                "PARTIAL/PARTIAL",
                "opened midstream",
                "PARTIAL/FIN-WAIT-1",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
            ],
            "Sf Fin by server DdfFa 28 client 100B/2 server 100B/3",
        ),
        (
            "reset",
            "<A100 >R",
            &["PARTIAL/PARTIAL", "opened midstream", "CLOSED/CLOSED"],
            "Rstos0 Reset by client ^dR 40 client 0B/1 server 100B/1",
        ),
        (
            "the SYN-ACK is the first segment",
            "->S <SA >A >G <O",
            &["SYN-SENT/SYN-RECEIVED", "ESTABLISHED/ESTABLISHED", "opened", "exchange 1 204 Complete Exact"],
            "S1 EndOfCapture ^hADd 14 client 27B/2 server 27B/2",
        ),
    ]);
}

#[test]
fn an_idle_connection_expires_unless_the_kernel_has_seen_segments() {
    let mut wire = Wire::new(TrackerOptions { idle_timeout: Duration::from_secs(10), ..options() });
    wire.run(">S <SA >A >G <O");
    wire.words();
    // These segments are not reported, but lookups find them.
    wire.run("+6000 >A100 +6000 <A100 +6000 +3000");
    assert_eq!(wire.words(), [""; 0], "it is not idle");
    assert_eq!(wire.tracker.totals().open, 1);
    // One lookup finds the last bytes, the next one nothing new.
    wire.run("+20000 +20000");
    assert_eq!(wire.words(), ["S1 IdleTimeout ShADd 15 client 127B/4 server 127B/3"]);
    assert_eq!(wire.tracker.totals(), Totals { opened: 1, closed: 1, exchanges: 1, ..Totals::default() });
    assert_eq!(wire.kept(), 0, "it is removed from the kernel's table");
}

#[test]
fn unreported_segments_count_for_the_duration() {
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A >A100 +5000 <A100 +9000 +400000");
    let closed = wire
        .records()
        .into_iter()
        .find_map(|record| if let Body::Closed(closed) = record.body { Some(closed) } else { None });
    assert_eq!(closed.map(|closed| closed.duration_ns / 1_000_000), Some(5005));
}

#[test]
fn a_stray_segment_after_the_record_starts_no_connection() {
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A <FA >FA <A +1000").words();
    assert_eq!(wire.tracker.totals().closed, 1);
    wire.run("<FA >A >R +1000");
    assert_eq!(wire.words(), [""; 0]);
    assert_eq!(wire.tracker.totals().opened, 1);
}
