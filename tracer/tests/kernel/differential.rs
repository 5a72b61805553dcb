//! The kernel programs and the host observe the same in the same frames.
//!
//! Both get the frames of `tests/frames/table`: the programs by `BPF_PROG_TEST_RUN`, which needs no
//! interface and sends nothing. After every frame, the events are compared, except what must differ
//! (times, the connection's number); after every conversation, the counters and the connection
//! tables.

#[path = "../frames/table/mod.rs"]
pub(crate) mod table;

mod compare;
mod kernel;
mod paged;
mod ring;

use self::{
    compare::{Pair, Seen},
    kernel::{Kernel, Programs, Switches},
    table::{
        Facts, Row, complete_heads,
        conversations::conversations,
        decoded, random, rows,
        talk::{Conversation, Step},
    },
};
use tracer_common::{counter::Counter, wire::LinkType};

/// Seed of the first random conversation. A failure prints the seed of its conversation.
const SEED: u64 = 0x7472_6163_6572;
/// Default number of random conversations for each way to run the programs.
const RANDOM_CONVERSATIONS: u64 = 1500;
/// The environment variable that changes this number, for emulated machines.
const RANDOM_VARIABLE: &str = "TRACER_RANDOM_CONVERSATIONS";

/// Every way to run the programs on Ethernet frames.
const ETHERNET: [Programs; 3] = [Programs::XDP, Programs::TC_INGRESS, Programs::TC_EGRESS];
/// Every way to run the programs on raw IP packets.
const RAW_IP: [Programs; 2] = [Programs::IP_INGRESS, Programs::IP_EGRESS];

fn ways(link: LinkType) -> &'static [Programs] {
    match link {
        LinkType::Ethernet => &ETHERNET,
        LinkType::RawIp => &RAW_IP,
        // Captures only.
        LinkType::EtherType(_) | LinkType::Ppp | LinkType::Llc => &[],
    }
}

fn kernels() -> [Kernel; 3] {
    [
        Switches {
            every_segment: false,
            select_hosts: false,
            decapsulate: false,
            max_reported_attempts: u32::MAX,
        },
        Switches {
            every_segment: true,
            select_hosts: true,
            decapsulate: false,
            max_reported_attempts: u32::MAX,
        },
        Switches {
            every_segment: false,
            select_hosts: false,
            decapsulate: true,
            max_reported_attempts: u32::MAX,
        },
    ]
    .map(Kernel::load)
}

/// Observes a conversation in every way for its link type.
fn compare_all(kernel: &mut Kernel, link: LinkType, conversation: &Conversation, seen: &mut Seen) {
    for programs in ways(link) {
        let mut pair = Pair::new(kernel, *programs, link);
        let mut events = Vec::new();
        let left_out = seen.left_out();
        for (number, step) in conversation.steps.iter().enumerate() {
            let place = format!("{}, frame {number}, {programs}", conversation.name);
            events.extend(pair.observe(&place, step, seen));
        }
        pair.finish(&format!("{}, {programs}", conversation.name));
        // The kernel has not seen the frames that were left out.
        if let Some(heads) = conversation.heads.filter(|_| seen.left_out() == left_out) {
            assert_eq!(complete_heads(&decoded(&events)), heads, "{}, {programs}: heads", conversation.name);
        }
    }
}

/// Observes one row in every way for its link type.
fn compare_row(kernel: &mut Kernel, row: Row, seen: &mut Seen) {
    let step = Step { frame: row.frame, second: false };
    let kernel_enters = kernel.switches.decapsulate;
    for programs in ways(row.link) {
        let place = format!("{}, {programs}", row.name);
        let mut pair = Pair::new(kernel, *programs, row.link);
        let left_out = seen.left_out();
        let events = pair.observe(&place, &step, seen);
        let counters = pair.finish(&place);
        // A row applies either with or without decapsulation.
        if seen.left_out() > left_out || row.tunnel != kernel_enters {
            continue;
        }
        let index = row.outcome.map_or_else(|reason| reason as usize, |()| Counter::Matched as usize);
        assert_eq!(counters[index], 1, "{place}: {:?}", row.outcome);
        if let Some(facts) = &row.facts {
            assert_eq!(&Facts::of(&decoded(&events)), facts, "{place}");
        }
    }
}

/// The conversation without Ethernet headers; only frames with IP directly after them.
fn raw_ip(conversation: &Conversation) -> Conversation {
    let mut raw_ip = conversation.clone();
    raw_ip.steps.retain(|step| {
        step.frame
            .get(12..14)
            .is_some_and(|ethertype| [[8, 0], [0x86, 0xdd]].contains(&[ethertype[0], ethertype[1]]))
    });
    for step in &mut raw_ip.steps {
        step.frame.drain(..14);
    }
    raw_ip
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_and_the_host_agree_on_every_frame_of_the_table() {
    for kernel in &mut kernels() {
        let mut seen = Seen::default();
        for row in rows() {
            compare_row(kernel, row, &mut seen);
        }
        println!("rows, {kernel}: {seen}");
        kernel.print_instructions();
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_and_the_host_agree_on_every_conversation() {
    for kernel in &mut kernels() {
        let mut seen = Seen::default();
        for conversation in conversations() {
            compare_all(kernel, LinkType::Ethernet, &conversation, &mut seen);
            compare_all(kernel, LinkType::RawIp, &raw_ip(&conversation), &mut seen);
        }
        println!("conversations, {kernel}: {seen}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_and_the_host_agree_on_random_frames() {
    let count = std::env::var(RANDOM_VARIABLE).map_or(RANDOM_CONVERSATIONS, |count| {
        count.parse().unwrap_or_else(|error| panic!("{RANDOM_VARIABLE}={count}: {error}"))
    });
    for kernel in &mut kernels() {
        let mut seen = Seen::default();
        for seed in SEED..SEED + count {
            let conversation = random::conversation(seed);
            compare_all(kernel, LinkType::Ethernet, &conversation, &mut seen);
            compare_all(kernel, LinkType::RawIp, &raw_ip(&conversation), &mut seen);
        }
        println!("random conversations from {SEED}, {kernel}: {seen}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_and_the_host_aggregate_the_same_attempts() {
    // No attempt emits events before it is confirmed.
    let switches =
        Switches { every_segment: false, select_hosts: false, decapsulate: false, max_reported_attempts: 0 };
    let mut kernel = Kernel::load(switches);
    let mut seen = Seen::default();
    for conversation in conversations() {
        compare_all(
            &mut kernel,
            LinkType::Ethernet,
            &Conversation { heads: None, ..conversation },
            &mut seen,
        );
    }
    for seed in SEED..SEED + RANDOM_CONVERSATIONS {
        let conversation = random::conversation(seed);
        compare_all(&mut kernel, LinkType::Ethernet, &conversation, &mut seen);
    }
    println!("aggregated: {seen}");
}
