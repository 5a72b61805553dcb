//! XDP frames whose headers are not in the linear part, as some drivers pass them with multi-buffer
//! XDP.

use aya::programs::TestRunOptions;
use bytes::Bytes;

use super::{
    kernel::{Kernel, Switches},
    table::{Facts, build::*, decoded},
};

/// Bytes of `struct xdp_md`.
const CONTEXT: usize = 24;
/// Offset of its field `data_end`.
const DATA_END: usize = 4;

/// Runs the XDP program on a frame whose first `linear` bytes are linear. Returns false if this
/// kernel cannot create one.
fn run(kernel: &Kernel, frame: &[u8], linear: u32) -> bool {
    let mut context = [0; CONTEXT];
    context[DATA_END..DATA_END + 4].copy_from_slice(&linear.to_ne_bytes());
    let options = TestRunOptions { data_in: Some(frame), ctx_in: Some(&context), ..TestRunOptions::new() };
    kernel.test_run("tracer_xdp", options).is_ok()
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_xdp_frame_is_parsed_wherever_its_linear_part_ends() {
    let mut kernel = Kernel::load(Switches {
        every_segment: true,
        select_hosts: false,
        decapsulate: false,
        max_reported_attempts: u32::MAX,
    });
    let tcp = Tcp { flags: SYN, options: vec![1; 8], ..Tcp::sending(b"GET / HTTP/1.1\r\n\r\n") };
    for frame in [tcp.frame(), tcp.frame6()] {
        let mut expected: Option<Facts> = None;
        let mut made = 0;
        for linear in (0..=frame.len() as u32).rev() {
            kernel.clear();
            if !run(&kernel, &frame, linear) {
                continue;
            }
            made += 1;
            let events: Vec<Bytes> = kernel.next_events();
            let facts = Facts::of(&decoded(&events));
            let expected = expected.get_or_insert_with(|| Facts { ..facts.clone() });
            assert_eq!(&facts, expected, "{linear} of {} bytes are linear", frame.len());
        }
        assert!(made > 0, "every kernel creates linear frames");
        if made == 1 {
            println!("skipped: this kernel creates no XDP frames with a shorter linear part");
        }
    }
}
