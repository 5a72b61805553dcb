//! Attaches programs that only pass frames on to an interface, where tracer attaches its own, until standard input
//! ends: the floor that `cargo xtask bench overhead` compares with.
#![forbid(unsafe_code)]

use std::io::Read as _;

use anyhow::{Context as _, Result};
use aya::programs::{LinkOrder, TcAttachType, tc::TcAttachOptions, xdp::XdpMode};
use tracer::config::{KernelConfig, MIN_RING_BYTES};
use tracer::kernel::Kernel;

// What the library opens wants to be in a loop, though nothing is read here.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let interface = std::env::args().nth(1).context("an interface is needed")?;
    let (mut kernel, _sources) = Kernel::load(&KernelConfig {
        ports: "80".parse().context("a port")?,
        hosts: Vec::new(),
        every_segment: false,
        decapsulate: false,
        ring_bytes: MIN_RING_BYTES,
        max_connections: 1,
        log: false,
    })?;
    // As long as the kernel lives, so do the links.
    kernel.xdp("tracer_noop_xdp")?.attach(&interface, XdpMode::Driver).context("XDP is refused")?;
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let program = kernel.classifier("tracer_noop_tc")?;
    program.attach_with_options(&interface, TcAttachType::Egress, order).context("TC is refused")?;
    eprintln!("attached");
    std::io::stdin().read_to_end(&mut Vec::new()).context("standard input cannot be read")?;
    Ok(())
}
