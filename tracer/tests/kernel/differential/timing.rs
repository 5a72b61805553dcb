//! What a packet costs: printed, not judged.

use aya::programs::TestRunOptions;

use super::{
    kernel::{Kernel, Switches},
    table::frames_to_time,
};

/// Runs of each packet.
const REPEAT: u32 = 100_000;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn what_a_packet_costs_is_printed() {
    let mut kernel = Kernel::load(Switches { every_segment: false, select_hosts: false });
    for name in ["tracer_xdp", "tracer_in_eth", "tracer_out_eth"] {
        for (says, before, frame) in frames_to_time() {
            kernel.clear();
            for frame in before {
                time(&kernel, name, &frame, 1);
            }
            println!("{name}: {says}: {} ns", time(&kernel, name, &frame, REPEAT));
        }
    }
}

fn time(kernel: &Kernel, name: &str, frame: &[u8], repeat: u32) -> u128 {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let result = kernel.test_run(name, options).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    result.duration.as_nanos()
}
