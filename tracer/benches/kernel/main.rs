//! Measures the time of the kernel programs per packet, in ns by `BPF_PROG_TEST_RUN`, compared with
//! a program that only passes the packet on.
//!
//! Run as root by `cargo xtask bench kernel`, which makes tables of the JSON that this prints.
#![forbid(unsafe_code)]

mod kernel;
mod packets;
#[path = "../../tests/frames/table/mod.rs"]
#[expect(dead_code, reason = "only the tests use all of it")]
mod table;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::{
    kernel::Kernel,
    packets::{Packet, packets},
};

/// Number of measurements of each value.
const ROUNDS: usize = 7;
/// Number of runs of a packet that takes the same time each time.
const REPEAT: u32 = 100_000;
/// Number of packets, with one run each, where each packet changes the state.
const SINGLE: u32 = 500;
/// Size of the connection tables, the default of tracer.
const MAX_CONNECTIONS: u32 = 65_536;
/// Numbers of connections in the table in addition to the measured one.
const CONNECTIONS: [u32; 3] = [0, 10_000, MAX_CONNECTIONS - 1_000];

/// The programs, each with the no-op program to compare with.
const PROGRAMS: [(&str, &str); 3] = [
    ("tracer_xdp", "tracer_noop_xdp"),
    ("tracer_in_eth", "tracer_noop_tc"),
    ("tracer_out_eth", "tracer_noop_tc"),
];

/// Parts of the work for a packet, each in a separate program.
const PARTS: [(&str, &str); 6] = [
    ("count the packet", "tracer_part_count"),
    ("read the coarse clock", "tracer_part_coarse_clock"),
    ("read the exact clock", "tracer_part_clock"),
    ("look up a connection", "tracer_part_find"),
    ("emit a segment event", "tracer_part_emit"),
    ("copy 512 bytes of payload", "tracer_part_copy"),
];

/// The floor program for packets of the client, which also opens connections.
const FLOOR_OF_CLIENT: (&str, &str) = ("tracer_floor_xdp", "tracer_noop_xdp");
/// The floor program for packets of the server.
const FLOOR_OF_SERVER: (&str, &str) = ("tracer_floor_tc", "tracer_noop_tc");

/// The packets to measure with the floor, and the programs that process them.
const FLOOR: [(&str, (&str, &str)); 6] = [
    ("pure ACK", FLOOR_OF_CLIENT),
    ("1448 bytes of content, once each", FLOOR_OF_SERVER),
    ("request header of 18 bytes, once each", FLOOR_OF_CLIENT),
    ("request header of 512 bytes, once each", FLOOR_OF_CLIENT),
    ("response header of 512 bytes, once each", FLOOR_OF_SERVER),
    ("repeated FIN", FLOOR_OF_CLIENT),
];

fn main() {
    let names = PROGRAMS.iter().chain([&FLOOR_OF_CLIENT, &FLOOR_OF_SERVER]);
    let names = names.flat_map(|(program, noop)| [*program, *noop]);
    let names = names.chain(PARTS.map(|(_, program)| program));
    let mut kernel = Kernel::load(names.collect::<BTreeSet<_>>(), MAX_CONNECTIONS);
    let mut tables: Vec<Value> =
        PROGRAMS.iter().map(|(program, noop)| costs(&mut kernel, program, noop)).collect();
    tables.push(floor(&mut kernel));
    tables.push(parts(&mut kernel));
    tables.push(growth(&mut kernel));
    tables.push(json!({
        "title": "Instructions processed by the verifier",
        "columns": ["program", "instructions"],
        "rows": PROGRAMS.map(|(program, _)| json!([program, kernel.verified_instructions(program)])),
    }));
    println!("{}", json!({ "bench": "kernel", "tables": tables }));
}

/// Measures a program with each kind of packet.
fn costs(kernel: &mut Kernel, program: &str, noop: &str) -> Value {
    let packets = packets();
    let mut times: Vec<Vec<[u64; 2]>> = vec![Vec::new(); packets.len()];
    for _ in 0..ROUNDS {
        for (packet, times) in packets.iter().zip(&mut times) {
            times.push([noop, program].map(|program| measure(kernel, program, program, packet)));
        }
    }
    let rows = packets.iter().zip(&times).map(|(packet, times)| row(packet.name, times));
    json!({
        "title": format!("{program}: ns per packet"),
        "columns": ["packet", "median", "min", "max", "no-op", "ratio"],
        "rows": rows.collect::<Vec<_>>(),
    })
}

/// Measures the minimum work per packet for a program of this design: see
/// `tracer-ebpf/src/floor.rs`.
fn floor(kernel: &mut Kernel) -> Value {
    let packets = packets();
    let rows = FLOOR.map(|(name, (program, noop))| {
        let packet = packets.iter().find(|packet| packet.name == name).expect("the packet");
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push([noop, program].map(|program| measure(kernel, FLOOR_OF_CLIENT.0, program, packet)));
        }
        row(name, &times)
    });
    kernel.clear();
    json!({
        "title": "The floor: ns per packet",
        "columns": ["packet", "median", "min", "max", "no-op", "ratio"],
        "rows": rows,
    })
}

/// Measures each part of the work alone.
fn parts(kernel: &mut Kernel) -> Value {
    let frame = [0; 1024];
    kernel.clear();
    kernel.add_zero_key();
    let rows = PARTS.map(|(name, program)| {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(["tracer_noop_xdp", program].map(|program| kernel.run(program, &frame, REPEAT)));
            kernel.drain();
        }
        row(name, &times)
    });
    kernel.clear();
    json!({
        "title": "Parts of the work, each alone in an XDP program: ns",
        "columns": ["part", "median", "min", "max", "no-op", "ratio"],
        "rows": rows,
    })
}

/// Measures a segment of a traced connection by the number of connections.
fn growth(kernel: &mut Kernel) -> Value {
    let packets = packets();
    let packet = packets.iter().find(|packet| packet.name == "pure ACK").expect("the packet");
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            kernel.clear();
            kernel.fill(connections);
            times.push(["tracer_noop_xdp", "tracer_xdp"].map(|program| {
                prepare(kernel, program, packet);
                run(kernel, program, packet)
            }));
        }
        rows.push(row(&format!("{} connections", connections + 1), &times));
    }
    kernel.clear();
    json!({
        "title": "tracer_xdp: ns for a pure ACK, by connections in the table",
        "columns": ["table", "median", "min", "max", "no-op", "ratio"],
        "rows": rows,
    })
}

/// A table row from pairs of times: the no-op program and the measured program.
fn row(name: &str, times: &[[u64; 2]]) -> Value {
    let column = |index: usize| {
        let mut column: Vec<u64> = times.iter().map(|pair| pair[index]).collect();
        column.sort_unstable();
        column
    };
    let (floor, measured) = (column(0), column(1));
    let median = |column: &[u64]| column[column.len() / 2];
    let ratio = median(&measured) as f64 / median(&floor) as f64;
    json!([
        name,
        median(&measured),
        measured[0],
        measured[measured.len() - 1],
        median(&floor),
        (ratio * 100.0).round() / 100.0
    ])
}

/// Measures a packet with empty tables, after `opener` has processed the packets before it.
fn measure(kernel: &mut Kernel, opener: &str, program: &str, packet: &Packet) -> u64 {
    kernel.clear();
    prepare(kernel, opener, packet);
    run(kernel, program, packet)
}

/// Runs a program on the packets before the measured packet.
fn prepare(kernel: &Kernel, program: &str, packet: &Packet) {
    for frame in &packet.before {
        kernel.run(program, frame, 1);
    }
}

/// Measures a packet; returns ns.
fn run(kernel: &mut Kernel, program: &str, packet: &Packet) -> u64 {
    let time = match &packet.measured[..] {
        [frame] => kernel.run(program, frame, REPEAT),
        frames => {
            let mut times: Vec<u64> =
                frames.iter().take(SINGLE as usize).map(|frame| kernel.run(program, frame, 1)).collect();
            times.sort_unstable();
            times[times.len() / 2]
        }
    };
    kernel.drain();
    time
}
