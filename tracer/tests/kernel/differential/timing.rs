//! What a packet costs: printed, not judged.

use aya::programs::TestRunOptions;

use super::{
    kernel::{Kernel, Switches},
    table::{
        build::{ACK, SYN, Tcp},
        talk::Talk,
    },
};

/// Runs of a packet that costs the same each time.
const REPEAT: u32 = 100_000;
/// Packets, one run each, where each changes something: less than a second for all of them.
const SINGLE: u32 = 2_000;

/// The programs, and what passes only, to compare with.
const PROGRAMS: [(&str, &str); 3] = [
    ("tracer_xdp", "tracer_noop_xdp"),
    ("tracer_in_eth", "tracer_noop_tc"),
    ("tracer_out_eth", "tracer_noop_tc"),
];

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn what_a_packet_costs_is_printed() {
    let mut kernel = Kernel::load(Switches { every_segment: false, select_hosts: false, decapsulate: false });
    for (program, noop) in PROGRAMS {
        println!("{program}, ns for each packet:");
        println!("  {:4} only passed on, many times", run(&kernel, noop, &Tcp::default(), REPEAT));
        println!("  {:4} only passed on, once each", each(&kernel, noop, |_| Tcp::default()));
        many(&mut kernel, program);
        singles(&mut kernel, program);
    }
}

/// Packets that change nothing, so that one can be run again and again.
fn many(kernel: &mut Kernel, program: &str) {
    let talk = connected(kernel, program);
    let rows = [
        ("another port", Tcp { to: 443, ..Tcp::default() }),
        ("a pure ACK on a traced connection", talk.segment(0, ACK, b"")),
    ];
    for (says, tcp) in rows {
        println!("  {:4} {says}, many times", run(kernel, program, &tcp, REPEAT));
    }
}

/// Packets that change something each.
fn singles(kernel: &mut Kernel, program: &str) {
    let mut talk = connected(kernel, program);
    let mut next = |side: usize, payload: &[u8]| {
        let tcp = talk.segment(side, ACK, payload);
        talk.next[side] = talk.next[side].wrapping_add(payload.len() as u32);
        tcp
    };
    let request = head(b"GET / HTTP/1.1\r\n");
    println!("  {:4} a request head of 512 bytes", each(kernel, program, |_| next(0, &request)));
    kernel.next_events();
    let response = head(b"HTTP/1.1 304 Not Modified\r\n");
    println!("  {:4} a response head of 512 bytes", each(kernel, program, |_| next(1, &response)));
    kernel.next_events();
    run(kernel, program, &next(1, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), 1);
    println!("  {:4} 1448 bytes of content", each(kernel, program, |_| next(1, &[b'x'; 1448])));
    kernel.next_events();
    let syn = |number: u32| Tcp { from: 10_000 + number as u16, flags: SYN, ack: 0, ..Tcp::default() };
    println!("  {:4} a SYN of a new connection", each(kernel, program, syn));
    kernel.next_events();
}

/// A message head of 512 bytes.
fn head(start: &[u8]) -> Vec<u8> {
    let mut head = [start, b"X-Padding: "].concat();
    head.resize(508, b'x');
    head.extend(b"\r\n\r\n");
    head
}

/// After a handshake.
fn connected(kernel: &mut Kernel, program: &str) -> Talk {
    kernel.clear();
    let talk = Talk::connected(40_000, [1_000, 5_000]);
    for step in talk.clone().done(None, "").steps {
        run_frame(kernel, program, &step.frame, 1);
    }
    talk
}

fn run(kernel: &Kernel, program: &str, tcp: &Tcp, repeat: u32) -> u128 {
    run_frame(kernel, program, &tcp.frame(), repeat)
}

fn run_frame(kernel: &Kernel, program: &str, frame: &[u8], repeat: u32) -> u128 {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let result = kernel.test_run(program, options).unwrap_or_else(|error| panic!("{program}: {error:?}"));
    result.duration.as_nanos()
}

/// The median of single runs.
fn each(kernel: &Kernel, program: &str, mut tcp: impl FnMut(u32) -> Tcp) -> u128 {
    let mut times: Vec<u128> = (0..SINGLE).map(|number| run(kernel, program, &tcp(number), 1)).collect();
    times.sort_unstable();
    times[times.len() / 2]
}
