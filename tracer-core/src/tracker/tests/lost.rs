//! Lost events, and lost entries of the kernel's table.

use super::*;

#[test]
fn lost_events_are_counted_and_the_states_catch_up() {
    check(&[
        (
            "of the handshake",
            ">S !<SA !>A >A100 <FA >FA <A",
            &[
                "SYN-SENT/LISTEN",
                "ESTABLISHED/FIN-WAIT-1",
                "opened",
                "LAST-ACK/FIN-WAIT-2",
                "CLOSED/TIME-WAIT",
            ],
            "Sf Fin by server ShADfFa 31 client 100B/4 server 0B/3, 2 lost",
        ),
        (
            "of the ACK of the handshake, followed by unreported segments only",
            ">S <SA !>A >A100 <A100 +70000",
            &["SYN-SENT/LISTEN", "SYN-SENT/SYN-RECEIVED", "ESTABLISHED/ESTABLISHED", "opened"],
            "S1 EndOfCapture ShADd 15 client 100B/3 server 100B/2, 1 lost",
        ),
        (
            "of the first FIN",
            ">S <SA >A !<FA >A >FA <A",
            &open_then(&["CLOSE-WAIT/FIN-WAIT-2", "LAST-ACK/FIN-WAIT-2", "CLOSED/TIME-WAIT"]),
            "Sf Fin by server ShAfFa 23 client 0B/4 server 0B/3, 1 lost",
        ),
        (
            "of the acknowledgment of the first FIN",
            ">S <SA >A <FA !>A >FA <A",
            &open_then(&["ESTABLISHED/FIN-WAIT-1", "LAST-ACK/FIN-WAIT-2", "CLOSED/TIME-WAIT"]),
            "Sf Fin by server ShAfFa 23 client 0B/4 server 0B/3, 1 lost",
        ),
        (
            "of the second FIN",
            ">S <SA >A <FA >A !>FA <A",
            &open_then(&["ESTABLISHED/FIN-WAIT-1", "CLOSE-WAIT/FIN-WAIT-2", "CLOSED/TIME-WAIT"]),
            "Sf Fin by server ShAfaF 23 client 0B/4 server 0B/3, 1 lost",
        ),
        (
            "of everything at the end, so that it is unknown which side closed first",
            ">S <SA >A >G <O !<FA !>FA !<A",
            &open_then(&["exchange 1 204 Complete Exact", "TIME-WAIT/TIME-WAIT"]),
            "Sf Fin ShADdafF 31 client 27B/4 server 27B/4, 3 lost",
        ),
        (
            "of a reset at the end",
            ">S <SA >A >G !>R",
            &open_then(&["CLOSED/CLOSED", "exchange 1 - NoResponse Exact"]),
            "Rsto Reset by client ShADR 47 client 27B/4 server 0B/1, 1 lost",
        ),
        (
            "of the first exchange",
            ">S <SA >A !>G !<O >G <O",
            &open_then(&["exchange 1 - NotObserved Inferred", "exchange 2 204 Complete Exact"]),
            "S1 EndOfCapture ShADd 15 client 54B/4 server 54B/3, 2 lost",
        ),
        (
            "of a response",
            ">S <SA >A >G !<O >G <O",
            &open_then(&["exchange 1 - NotObserved Exact", "exchange 2 204 Complete Exact"]),
            "S1 EndOfCapture ShADd 15 client 54B/4 server 54B/3, 1 lost",
        ),
    ]);
}

#[test]
fn the_kernel_may_lose_its_entry_of_a_connection() {
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A >A100 <A200").words();
    wire.clear_maps().run(">A50 <A70 <FA >FA <A").finish();
    // The unreported segments are lost with the entry: 100 and 200 bytes.
    let end = "Sf Fin by server ShADdfFa 31 client 50B/4 server 70B/4";
    assert_eq!(wire.words().last().map(String::as_str), Some(end));
    assert_eq!(wire.tracker.totals().opened, 1);
}

#[test]
fn a_connection_whose_entry_was_lost_is_followed_until_it_is_idle() {
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A >G <O >G").words();
    // Which request a response answers is unknown now. A response first would be of another connection,
    // because the kernel evicts none whose handshake is complete.
    wire.clear_maps().run(">A <O >G <O >A +400000 +400000");
    let mut words = wire.words();
    words.retain(|words| words != "request" && words != "response");
    assert_eq!(
        words,
        [
            "exchange 2 - NotObserved Inferred",
            "exchange 3 204 Complete Inferred",
            "exchange 4 204 Complete Inferred",
            // The unreported segments are lost with the entry.
            "S1 IdleTimeout ShAdD 15 client 27B/5 server 54B/3",
        ]
    );
    let totals = Totals { opened: 1, closed: 1, exchanges: 4, ..Totals::default() };
    assert_eq!(wire.tracker.totals(), totals);
}

#[test]
fn a_connection_whose_events_were_all_lost_is_recovered_from_the_kernels_table() {
    for (script, reported) in [
        (
            "!>S !<SA !>A !>G !<O !<FA !>FA !<A",
            ["opened", "Sf Fin ShADdafF 31 client 27B/4 server 27B/4, 8 lost"],
        ),
        ("!>S !<SA !>A >A100 <A", ["opened", "S1 EndOfCapture ShADa 15 client 100B/3 server 0B/2, 3 lost"]),
        (">S <SA !>A !<FA !>FA !<A", ["opened", "Sf Fin ShAafF 23 client 0B/3 server 0B/3, 4 lost"]),
    ] {
        let mut wire = Wire::new(TrackerOptions {
            events: Events::of(&[EventName::Request, EventName::Response]),
            ..options()
        });
        wire.run(script);
        assert_eq!(wire.words(), [""; 0], "{script}");
        wire.look_up_all().look_up_all().run("+1000").look_up_all().finish();
        assert_eq!(wire.words(), reported, "once: {script}");
        assert_eq!((wire.kept(), wire.connections_lost()), (0, 0), "{script}");
    }
}

#[test]
fn a_connection_whose_ports_are_reused_before_it_was_reported_is_counted() {
    let mut wire = Wire::new(TrackerOptions { events: Events::default(), ..options() });
    wire.run("!>S !<SA !>A !>G !<O !<FA !>FA !<A").restart();
    wire.run(">S <SA >A <FA >FA <A +1000").finish();
    assert_eq!(wire.words().len(), 2, "opened and closed");
    assert_eq!((wire.connections_lost(), wire.counted(Count::Completed)), (1, 2));
    // The one before it was reported, and is closed when this one is looked up.
    let mut wire = Wire::new(TrackerOptions { events: Events::default(), ..options() });
    wire.run(">S <SA >A <FA >FA <A").restart();
    wire.run("!>S !<SA !>A").look_up_all();
    assert_eq!(wire.words().len(), 3, "opened, closed, opened");
    assert_eq!((wire.connections_lost(), wire.counted(Count::Completed)), (0, 2));
}
