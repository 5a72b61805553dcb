//! Removes connections from the tables that userspace has finished with: one call for a list of them, instead of two system
//! calls for each. Between lookup and removal another CPU may see the ports used again, but that takes nanoseconds here
//! instead of microseconds.
//!
//! Never attached. Userspace runs it by `BPF_PROG_TEST_RUN`, with the list in place of a frame.

use core::ops::ControlFlow;

use aya_ebpf::{macros::xdp, programs::XdpContext};
use tracer_common::{
    flow::{MAX_REMOVALS, Removal},
    http1::Steps,
};

use crate::{frame::XdpFrame, stages::repeat, tables::remove};

/// Returns how many of the recovered ones are no longer there.
#[xdp]
fn tracer_remove(ctx: XdpContext) -> u32 {
    let mut removals = Removals { list: XdpFrame::new(ctx.ctx), at: 0, missing: 0 };
    // A full list takes all steps, so the result means nothing.
    let _ = repeat(MAX_REMOVALS as u32, &mut removals);
    removals.missing
}

/// A list, and the progress in it.
struct Removals {
    list: XdpFrame,
    /// Offset of the next one.
    at: usize,
    missing: u32,
}

impl Steps for Removals {
    #[inline(always)]
    fn step(&mut self) -> ControlFlow<()> {
        let mut removal = Removal::ZERO;
        if !self.list.removal(self.at, &mut removal) {
            return ControlFlow::Break(());
        }
        self.at += size_of::<Removal>();
        if !remove(&removal) {
            self.missing += removal.recovered;
        }
        ControlFlow::Continue(())
    }
}
