//! What a packet costs in the kernel, in ns by `BPF_PROG_TEST_RUN`, next to a program that only passes it on.
//!
//! Run as root: `cargo xtask bench kernel`, which makes tables of the JSON that this prints.
#![forbid(unsafe_code)]

mod kernel;
mod packets;
#[path = "../../tests/frames/table/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod table;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::{
    kernel::Kernel,
    packets::{Packet, packets},
};

/// How often everything is measured.
const ROUNDS: usize = 7;
/// Runs of a packet that costs the same each time.
const REPEAT: u32 = 100_000;
/// Packets, one run each, where each changes something.
const SINGLE: u32 = 500;
/// Connections that the tables are made for; the program's default.
const MAX_CONNECTIONS: u32 = 65_536;
/// Connections in the table besides the one that is measured.
const CONNECTIONS: [u32; 3] = [0, 10_000, MAX_CONNECTIONS - 1_000];

/// The programs, and what passes only, to compare with.
const PROGRAMS: [(&str, &str); 3] = [
    ("tracer_xdp", "tracer_noop_xdp"),
    ("tracer_in_eth", "tracer_noop_tc"),
    ("tracer_out_eth", "tracer_noop_tc"),
];

/// What the kernel does for a packet that asks for it, each in a program of its own.
const PARTS: [(&str, &str); 6] = [
    ("the packet counted", "tracer_part_count"),
    ("the coarse clock", "tracer_part_coarse_clock"),
    ("the exact clock", "tracer_part_clock"),
    ("a connection looked up", "tracer_part_find"),
    ("a segment event into the ring", "tracer_part_emit"),
    ("512 bytes of payload copied", "tracer_part_copy"),
];

/// The program of the floor for what a client sends; it is the one that opens connections.
const FLOOR_OF_CLIENT: (&str, &str) = ("tracer_floor_xdp", "tracer_noop_xdp");
/// The program of the floor for what a server sends.
const FLOOR_OF_SERVER: (&str, &str) = ("tracer_floor_tc", "tracer_noop_tc");

/// Packets that the programs of the floor take in, and by which of them.
const FLOOR: [(&str, (&str, &str)); 6] = [
    ("pure ACK", FLOOR_OF_CLIENT),
    ("1448 bytes of content, once each", FLOOR_OF_SERVER),
    ("request head of 18 bytes, once each", FLOOR_OF_CLIENT),
    ("request head of 512 bytes, once each", FLOOR_OF_CLIENT),
    ("response head of 512 bytes, once each", FLOOR_OF_SERVER),
    ("FIN again", FLOOR_OF_CLIENT),
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
        "title": "Instructions that the verifier looked at",
        "columns": ["program", "instructions"],
        "rows": PROGRAMS.map(|(program, _)| json!([program, kernel.verified_instructions(program)])),
    }));
    println!("{}", json!({ "bench": "kernel", "tables": tables }));
}

/// What each kind of packet costs.
fn costs(kernel: &mut Kernel, program: &str, noop: &str) -> Value {
    let packets = packets();
    let mut times: Vec<Vec<[u64; 2]>> = vec![Vec::new(); packets.len()];
    for _ in 0..ROUNDS {
        for (packet, times) in packets.iter().zip(&mut times) {
            times.push([noop, program].map(|program| measure(kernel, program, program, packet)));
        }
    }
    let rows = packets.iter().zip(&times).map(|(packet, times)| row(packet.says, times));
    json!({
        "title": format!("{program}: ns a packet"),
        "columns": ["packet", "median", "min", "max", "only passed on", "times that"],
        "rows": rows.collect::<Vec<_>>(),
    })
}

/// What the least costs that a program of this design must do for a packet: see `tracer-ebpf/src/floor.rs`.
fn floor(kernel: &mut Kernel) -> Value {
    let packets = packets();
    let rows = FLOOR.map(|(says, (program, noop))| {
        let packet = packets.iter().find(|packet| packet.says == says).expect("the packet");
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push([noop, program].map(|program| measure(kernel, FLOOR_OF_CLIENT.0, program, packet)));
        }
        row(says, &times)
    });
    kernel.clear();
    json!({
        "title": "The floor: ns a packet",
        "columns": ["packet", "median", "min", "max", "only passed on", "times that"],
        "rows": rows,
    })
}

/// What the kernel's own work costs, whatever is done with it.
fn parts(kernel: &mut Kernel) -> Value {
    let frame = [0; 1024];
    kernel.clear();
    kernel.know_blank();
    let rows = PARTS.map(|(says, program)| {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(["tracer_noop_xdp", program].map(|program| kernel.run(program, &frame, REPEAT)));
            kernel.drain();
        }
        row(says, &times)
    });
    kernel.clear();
    json!({
        "title": "What the kernel takes for a part of the work, alone in an XDP program: ns",
        "columns": ["part", "median", "min", "max", "only passed on", "times that"],
        "rows": rows,
    })
}

/// How the cost of a segment of a traced connection grows with the number of connections.
fn growth(kernel: &mut Kernel) -> Value {
    let packets = packets();
    let packet = packets.iter().find(|packet| packet.says == "pure ACK").expect("the packet");
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
        "columns": ["table", "median", "min", "max", "only passed on", "times that"],
        "rows": rows,
    })
}

/// A row of a table: of pairs of the program that only passes, and the one measured.
fn row(says: &str, times: &[[u64; 2]]) -> Value {
    let column = |index: usize| {
        let mut column: Vec<u64> = times.iter().map(|pair| pair[index]).collect();
        column.sort_unstable();
        column
    };
    let (floor, measured) = (column(0), column(1));
    let median = |column: &[u64]| column[column.len() / 2];
    let ratio = median(&measured) as f64 / median(&floor) as f64;
    json!([
        says,
        median(&measured),
        measured[0],
        measured[measured.len() - 1],
        median(&floor),
        (ratio * 100.0).round() / 100.0
    ])
}

/// The time of a packet, in tables that know nothing but what `opener` was shown before.
fn measure(kernel: &mut Kernel, opener: &str, program: &str, packet: &Packet) -> u64 {
    kernel.clear();
    prepare(kernel, opener, packet);
    run(kernel, program, packet)
}

/// Shows a program what must come before a packet.
fn prepare(kernel: &Kernel, program: &str, packet: &Packet) {
    for frame in &packet.before {
        kernel.run(program, frame, 1);
    }
}

/// The time of a packet.
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
