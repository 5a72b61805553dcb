//! Minimal observers, to which `cargo xtask bench overhead` compares tracer. They run until
//! standard input is closed.
//!
//! With an interface as the only argument: XDP and TC programs that only pass packets on. With an
//! interface and a file: the floor, the minimum that an observer of this design must do. It looks
//! up connections in a kernel table, passes message headers and closes through the ring buffer, and
//! writes as many lines as tracer to the file. It parses no message, tracks no connection and
//! renders nothing: its lines are constant.
#![forbid(unsafe_code)]

use std::{
    fs::File,
    io::{BufWriter, Read as _, Write as _},
    mem::offset_of,
    thread,
};

use anyhow::{Context as _, Result};
use aya::programs::{LinkOrder, TcAttachType, tc::TcAttachOptions, xdp::XdpMode};
use tokio::sync::oneshot;
use tracer::{
    config::{KernelConfig, MIN_RING_BYTES},
    live::kernel::{Kernel, Sources},
};
use tracer_common::{
    event::{EventHeader, Hook, HttpFacts, Kind, SegmentEvent},
    wire::TcpFlags,
};
use tracer_core::record::Events;

/// Size of the ring buffer in bytes, the default of `tracer trace`.
const RING_BYTES: u32 = 16 << 20;
/// Size of the connection table, the default of `tracer trace`.
const MAX_CONNECTIONS: u32 = 65_536;

/// Size of the write buffer in bytes, as in tracer.
const BUFFER: usize = 64 * 1024;

// Mean line lengths of `tracer trace -o json` under the workloads of this benchmark, with line
// ends.
/// Bytes of a line for an exchange (with small responses; 771 with large ones).
const EXCHANGE: usize = 758;
/// Bytes of a line for an opened connection.
const OPENED: usize = 457;
/// Bytes of a line for a closed connection.
const CLOSED: usize = 1063;

// The ring buffer of the library needs a running event loop even if nothing is read from it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let interface = arguments.next().context("missing argument: an interface")?;
    match arguments.next() {
        Some(path) => observe(&interface, &path).await,
        None => pass(&interface),
    }
}

/// Attaches programs that only pass packets on.
fn pass(interface: &str) -> Result<()> {
    let (mut kernel, _sources) = load(MIN_RING_BYTES, 1)?;
    // The programs stay attached until `kernel` is dropped.
    kernel.xdp("tracer_noop_xdp")?.attach(interface, XdpMode::Driver).context("cannot attach XDP")?;
    attach(&mut kernel, interface, "tracer_noop_tc", TcAttachType::Egress)?;
    eprintln!("attached");
    wait()
}

/// Runs the floor, and reports its counters at the end.
async fn observe(interface: &str, path: &str) -> Result<()> {
    let mut lines = Lines::new(path)?;
    let (mut kernel, mut sources) = load(RING_BYTES, MAX_CONNECTIONS)?;
    // Not XDP, because tracer uses TC on the veth pair of the benchmark.
    attach(&mut kernel, interface, "tracer_floor_in", TcAttachType::Ingress)?;
    attach(&mut kernel, interface, "tracer_floor_tc", TcAttachType::Egress)?;
    eprintln!("attached");
    let (end, mut ended) = oneshot::channel();
    thread::spawn(move || end.send(wait()));
    loop {
        tokio::select! {
            biased;
            outcome = &mut ended => break outcome.context("the thread that reads standard input has panicked")??,
            readable = sources.ring.readable() => readable.context("cannot wait for events")?,
        }
        let mut outcome = Ok(());
        sources.ring.drain(|event| {
            if outcome.is_ok() {
                outcome = lines.take(event);
            }
        });
        outcome?;
    }
    // No new events arrive from here on.
    drop(kernel);
    let mut outcome = Ok(());
    sources.ring.drain_all(|event| {
        if outcome.is_ok() {
            outcome = lines.take(event);
        }
    });
    outcome?;
    lines.finish(sources.counters.lost()?.iter().sum())
}

fn load(ring_bytes: u32, max_connections: u32) -> Result<(Kernel, Sources)> {
    Kernel::load(&KernelConfig {
        ports: "80".parse().context("a port")?,
        hosts: Vec::new(),
        events: Events::default(),
        decapsulate: false,
        ring_bytes,
        max_connections,
        owners: false,
        process_details: false,
        log: false,
    })
}

/// Attaches a TC program.
fn attach(kernel: &mut Kernel, interface: &str, program: &str, side: TcAttachType) -> Result<()> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let program = kernel.classifier(program)?;
    program.attach_with_options(interface, side, order).context("cannot attach TC")?;
    Ok(())
}

/// Waits until standard input is closed.
fn wait() -> Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new()).context("standard input cannot be read")?;
    Ok(())
}

/// The output file, the line for each record type, and counters.
struct Lines {
    file: BufWriter<File>,
    exchange: Vec<u8>,
    opened: Vec<u8>,
    closed: Vec<u8>,
    events: u64,
    written: u64,
}

impl Lines {
    fn new(path: &str) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{path} cannot be written"))?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            exchange: line(r#""event.name":"http.exchange","http.request.method":"GET""#, EXCHANGE),
            opened: line(r#""event.name":"connection.opened""#, OPENED),
            closed: line(r#""event.name":"connection.closed""#, CLOSED),
            events: 0,
            written: 0,
        })
    }

    /// Writes the line for an event that causes one: a response, a completed handshake or the
    /// server's FIN. A few bytes identify these; the event is not decoded.
    fn take(&mut self, event: &[u8]) -> Result<()> {
        self.events += 1;
        let has = |at: usize, byte: u8| event.get(at) == Some(&byte);
        let line = if has(offset_of!(EventHeader, kind), Kind::Http as u8) {
            has(size_of::<HttpFacts>(), b'H').then_some(&self.exchange)
        } else if event
            .get(offset_of!(SegmentEvent, flags))
            .is_some_and(|flags| flags & TcpFlags::FIN.bits() == 0)
        {
            Some(&self.opened)
        } else {
            has(offset_of!(EventHeader, hook), Hook::TcEgress as u8).then_some(&self.closed)
        };
        if let Some(line) = line {
            self.file.write_all(line).context("a line cannot be written")?;
            self.written += 1;
        }
        Ok(())
    }

    /// Writes the last line, which contains the number of lost events like that of tracer.
    fn finish(mut self, lost: u64) -> Result<()> {
        writeln!(self.file, r#"{{"event.name":"tracer.summary","tracer.events.lost.all":{lost}}}"#)
            .and_then(|()| self.file.flush())
            .context("the last line cannot be written")?;
        eprintln!("{} events read, {} lines written, {lost} events lost", self.events, self.written);
        Ok(())
    }
}

/// A line of `len` bytes: a JSON object that starts with these members, and a line end.
fn line(members: &str, len: usize) -> Vec<u8> {
    const END: &str = "\"}\n";
    let mut line = format!("{{{members},\"padding\":\"");
    let padding = len.saturating_sub(line.len() + END.len());
    line.extend(std::iter::repeat_n('x', padding));
    line.push_str(END);
    line.into_bytes()
}
