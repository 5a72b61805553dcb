//! Takes out of the tables what userspace is done with: one call for a whole list of connections, where the elements of a map would take
//! two for each. Between the look and the removal another CPU may still see the ports used again, but that is nanoseconds here, and
//! microseconds there.
//!
//! Never attached. Userspace runs it by `BPF_PROG_TEST_RUN`, with the list in place of a frame.

use core::ops::ControlFlow;

use aya_ebpf::{macros::xdp, programs::XdpContext};
use tracer_common::{
    flow::{MAX_REMOVALS, Removal},
    http::Steps,
};

use crate::{frame::XdpFrame, stages::repeat, tables::remove};

/// Returns how many of those that were looked up are not there any more.
#[xdp]
fn tracer_remove(ctx: XdpContext) -> u32 {
    let mut removals = Removals { list: XdpFrame::new(ctx.ctx), at: 0, missing: 0 };
    // A full list takes all steps: that there are none left is no failure.
    let _ = repeat(MAX_REMOVALS as u32, &mut removals);
    removals.missing
}

/// A list, and how much of it is done.
struct Removals {
    list: XdpFrame,
    /// Where the next one starts.
    at: usize,
    missing: u32,
}

impl Steps for Removals {
    #[inline(always)]
    fn step(&mut self) -> ControlFlow<()> {
        let mut removal = Removal::BLANK;
        if !self.list.removal(self.at, &mut removal) {
            return ControlFlow::Break(());
        }
        self.at += size_of::<Removal>();
        if !remove(&removal) {
            self.missing += removal.looked_up;
        }
        ControlFlow::Continue(())
    }
}
