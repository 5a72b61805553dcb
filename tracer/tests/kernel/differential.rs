//! The kernel programs and the host see the same in the same frames.
//!
//! Both get the frames of `tests/frames/table`: the programs by `BPF_PROG_TEST_RUN`, which needs no interface and sends
//! nothing. After every frame the events are compared, but for what must differ (times, the name of the connection),
//! after every conversation the counters and the connection tables.

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

/// Where the random conversations start; printed with every failure as the number of the conversation.
const SEED: u64 = 0x7472_6163_6572;
/// How many there are for each way to run the programs, unless [`RANDOM_VARIABLE`] says otherwise.
const RANDOM_CONVERSATIONS: u64 = 1500;
/// The environment variable that makes them fewer, for machines that are emulated.
const RANDOM_VARIABLE: &str = "TRACER_RANDOM_CONVERSATIONS";

/// Every way to run the programs on Ethernet frames.
const ETHERNET: [Programs; 3] = [Programs::XDP, Programs::TC_INGRESS, Programs::TC_EGRESS];
/// On bare IP packets.
const RAW_IP: [Programs; 2] = [Programs::IP_INGRESS, Programs::IP_EGRESS];

fn ways(link: LinkType) -> &'static [Programs] {
    match link {
        LinkType::Ethernet => &ETHERNET,
        LinkType::RawIp => &RAW_IP,
        // Of captures only.
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

/// Observes a conversation in every way of its link layer.
fn compare_all(kernel: &mut Kernel, link: LinkType, conversation: &Conversation, seen: &mut Seen) {
    for programs in ways(link) {
        let mut pair = Pair::new(kernel, *programs, link);
        let mut events = Vec::new();
        let left_out = seen.left_out();
        for (number, step) in conversation.steps.iter().enumerate() {
            let place = format!("{}, frame {number}, {programs}", conversation.says);
            events.extend(pair.observe(&place, step, seen));
        }
        pair.finish(&format!("{}, {programs}", conversation.says));
        // What the kernel did not see it cannot tell.
        if let Some(heads) = conversation.heads.filter(|_| seen.left_out() == left_out) {
            assert_eq!(complete_heads(&decoded(&events)), heads, "{}, {programs}: heads", conversation.says);
        }
    }
}

/// Observes one row in every way of its link layer.
fn compare_row(kernel: &mut Kernel, row: Row, seen: &mut Seen) {
    let step = Step { frame: row.frame, second: false };
    let kernel_enters = kernel.switches.decapsulate;
    for programs in ways(row.link) {
        let place = format!("{}, {programs}", row.says);
        let mut pair = Pair::new(kernel, *programs, row.link);
        let left_out = seen.left_out();
        let events = pair.observe(&place, &step, seen);
        let counters = pair.finish(&place);
        // What it is with and without its tunnels, only one of the two says.
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

/// The conversation without its Ethernet headers, if there is nothing else before IP.
fn bare(conversation: &Conversation) -> Conversation {
    let mut bare = conversation.clone();
    bare.steps.retain(|step| {
        step.frame
            .get(12..14)
            .is_some_and(|ethertype| [[8, 0], [0x86, 0xdd]].contains(&[ethertype[0], ethertype[1]]))
    });
    for step in &mut bare.steps {
        step.frame.drain(..14);
    }
    bare
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_sees_in_every_frame_what_the_host_sees() {
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
fn the_kernel_sees_in_every_conversation_what_the_host_sees() {
    for kernel in &mut kernels() {
        let mut seen = Seen::default();
        for conversation in conversations() {
            compare_all(kernel, LinkType::Ethernet, &conversation, &mut seen);
            compare_all(kernel, LinkType::RawIp, &bare(&conversation), &mut seen);
        }
        println!("conversations, {kernel}: {seen}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_sees_in_random_frames_what_the_host_sees() {
    let count = std::env::var(RANDOM_VARIABLE).map_or(RANDOM_CONVERSATIONS, |count| {
        count.parse().unwrap_or_else(|error| panic!("{RANDOM_VARIABLE}={count}: {error}"))
    });
    for kernel in &mut kernels() {
        let mut seen = Seen::default();
        for seed in SEED..SEED + count {
            let conversation = random::conversation(seed);
            compare_all(kernel, LinkType::Ethernet, &conversation, &mut seen);
            compare_all(kernel, LinkType::RawIp, &bare(&conversation), &mut seen);
        }
        println!("random conversations from {SEED}, {kernel}: {seen}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_summarises_attempts_that_the_host_summarises() {
    // Of no attempt anything is told before it is confirmed.
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
    println!("summarised: {seen}");
}
