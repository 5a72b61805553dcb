//! The least that can be attached where tracer attaches its programs, until standard input ends: what `cargo xtask bench overhead`
//! compares with.
//!
//! With an interface alone: XDP and TC programs that only pass frames on. With an interface and a file: the floor of any observer of this design,
//! which finds connections in a table in the kernel, passes heads and ends of connections through the ring, and writes as many lines as
//! tracer does into the file. It reads no message, follows no connection and renders nothing: its lines are always the same.
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

/// Bytes of the ring, and connections that the table has room for: the defaults of `tracer trace`.
const RING_BYTES: u32 = 16 << 20;
const MAX_CONNECTIONS: u32 = 65_536;

/// Bytes written at once: what tracer gathers.
const BUFFER: usize = 64 * 1024;

// Means of what `tracer trace -o json` wrote for the loads of this benchmark, line ends included.
/// Bytes of a line for an exchange (of the small answers; 771 of the large ones).
const EXCHANGE: usize = 758;
/// Bytes of a line for an opened connection.
const OPENED: usize = 457;
/// Bytes of a line for a closed connection.
const CLOSED: usize = 1063;

// What the library opens wants to be in a loop, also where nothing is read.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let interface = arguments.next().context("an interface is needed")?;
    match arguments.next() {
        Some(path) => observe(&interface, &path).await,
        None => pass(&interface),
    }
}

/// Passes frames on.
fn pass(interface: &str) -> Result<()> {
    let (mut kernel, _sources) = load(MIN_RING_BYTES, 1)?;
    // As long as the kernel lives, so do the links.
    kernel.xdp("tracer_noop_xdp")?.attach(interface, XdpMode::Driver).context("XDP is refused")?;
    attach(&mut kernel, interface, "tracer_noop_tc", TcAttachType::Egress)?;
    eprintln!("attached");
    wait()
}

/// Does what no observer can do without, and tells at the end how much that was.
async fn observe(interface: &str, path: &str) -> Result<()> {
    let mut lines = Lines::new(path)?;
    let (mut kernel, mut sources) = load(RING_BYTES, MAX_CONNECTIONS)?;
    // Not at XDP, as tracer on the virtual cable of the benchmark.
    attach(&mut kernel, interface, "tracer_floor_in", TcAttachType::Ingress)?;
    attach(&mut kernel, interface, "tracer_floor_tc", TcAttachType::Egress)?;
    eprintln!("attached");
    let (end, mut ended) = oneshot::channel();
    thread::spawn(move || end.send(wait()));
    loop {
        tokio::select! {
            biased;
            outcome = &mut ended => break outcome.context("nobody waits for the end")??,
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
    // Nothing new comes from here on.
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
        every_segment: false,
        decapsulate: false,
        ring_bytes,
        max_connections,
        log: false,
    })
}

/// Attaches a TC program.
fn attach(kernel: &mut Kernel, interface: &str, program: &str, side: TcAttachType) -> Result<()> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let program = kernel.classifier(program)?;
    program.attach_with_options(interface, side, order).context("TC is refused")?;
    Ok(())
}

/// Waits until standard input ends.
fn wait() -> Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new()).context("standard input cannot be read")?;
    Ok(())
}

/// The lines of all kinds, and how many of them were written.
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

    /// Writes the line that an event stands for, if any: a response, the end of a handshake, the server's FIN. It is told by a few bytes,
    /// and not decoded.
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

    /// Ends as tracer does: with a line that tells what was lost.
    fn finish(mut self, lost: u64) -> Result<()> {
        writeln!(self.file, r#"{{"event.name":"tracer.summary","tracer.events.lost.all":{lost}}}"#)
            .and_then(|()| self.file.flush())
            .context("the last line cannot be written")?;
        eprintln!("{} events read, {} lines written, {lost} events lost", self.events, self.written);
        Ok(())
    }
}

/// A JSON object of `len` bytes that begins with these members, and a line end.
fn line(members: &str, len: usize) -> Vec<u8> {
    const END: &str = "\"}\n";
    let mut line = format!("{{{members},\"padding\":\"");
    let padding = len.saturating_sub(line.len() + END.len());
    line.extend(std::iter::repeat_n('x', padding));
    line.push_str(END);
    line.into_bytes()
}
