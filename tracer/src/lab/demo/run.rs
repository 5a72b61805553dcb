//! Runs the demo, from creating the namespaces to printing the explanation.
//!
//! ```text
//!   namespace of the browser            namespace of the server
//!   browse(), spoofed SYN ─ veth pair ── serve_one()
//!                                        XDP and TC programs ─► pipeline ─► sink
//! ```
//!
//! Only this process holds the namespaces, so the kernel removes them whenever it ends.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, SocketAddrV4, TcpListener},
    sync::mpsc::{Receiver, Sender, channel},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::oneshot;
use tracer_core::{
    http::Redact,
    record::{Body, Events, Record, Summary},
    render::Actors,
    selection::Criteria,
};

use super::{
    browser::{BrowserOptions, browse},
    half_open::{self, SpoofedSyn},
    server::{ServerOptions, serve_one},
};
use crate::{
    config::{
        Attach, BUFFER_BYTES, Config, Confine, Interfaces, KernelConfig, Limits, OUTPUT_BYTES, Ports, Records,
    },
    lab::netns::{PairOptions, VethPair},
    live::{
        pipeline::{self, Pipeline},
        privilege,
    },
    output::{Format, Lines, OutputConfig, Outputs, Policy, Sink, State},
};

/// The port of the demo's server.
const PORT: u16 = 80;
/// How often the server's kernel retransmits a SYN-ACK: once, after a second. The handshake expires
/// two seconds later.
const SYN_ACK_RETRIES: u8 = 1;
/// The handshake expires in tracer as in the kernel: two seconds after the last SYN-ACK.
const HALF_OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit for each part of the demo, which normally takes one to three seconds.
const PART_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of the ring buffer: the demo emits a few hundred events.
const RING_BYTES: u32 = 1024 * 1024;
/// Size of the connection tables: the demo has two connections.
const CONNECTIONS: u32 = 1024;

/// Runs a conversation and a half-open handshake in private network namespaces, traces both and
/// writes the records to `output`.
///
/// # Errors
/// The namespaces, the traffic or the tracing fail.
pub fn run(output: &OutputConfig) -> Result<()> {
    let format = output.format;
    privilege::require("tracing", &privilege::TRACING)?;
    let pair = VethPair::new(PairOptions::default())?;
    half_open::prepare(&pair, Some(SYN_ACK_RETRIES))?;
    let config = config(&pair, output)?;
    let (closed_sender, closed) = channel();
    let (ready_sender, ready) = channel();
    let (stop, stopped) = oneshot::channel();
    let observer =
        pair.server.namespace.spawn(move || observe(&config, closed_sender, &ready_sender, stopped));

    let shown = match ready.recv() {
        Ok(()) => show(&pair, format, &closed),
        // The observer has failed; its error is returned below.
        Err(_) => Ok(()),
    };
    // The observer may have ended already, on Ctrl-C.
    let _ = stop.send(());
    observer.join().map_err(|_| anyhow!("the observing thread has panicked"))???;
    shown
}

fn config(pair: &VethPair, output: &OutputConfig) -> Result<Config> {
    let events = output.format.events("connection,exchange".parse::<Events>()?, None);
    Ok(Config {
        attach: Attach {
            interfaces: Interfaces::from_names(vec![pair.server.interface.to_owned()]),
            ..Attach::default()
        },
        kernel: KernelConfig {
            ports: PORT.to_string().parse::<Ports>()?,
            hosts: Vec::new(),
            events,
            decapsulate: false,
            ring_bytes: RING_BYTES,
            max_connections: CONNECTIONS,
            // Server and client are this process.
            owners: false,
            process_details: false,
            log: false,
        },
        limits: Limits {
            max_connections: CONNECTIONS,
            half_open_timeout: HALF_OPEN_TIMEOUT,
            idle_timeout: PART_TIMEOUT,
            buffer_bytes: BUFFER_BYTES,
            output_bytes: OUTPUT_BYTES,
        },
        records: Records {
            events,
            criteria: Criteria::default(),
            outputs: vec![output.clone()],
            headers: None,
            redact: Redact::None,
            redact_key: None,
        },
        duration: None,
        count: None,
        quiet: false,
        confine: Confine::default(),
    })
}

/// Traces in this thread's namespace until `stopped` or interrupted.
fn observe(
    config: &Config,
    closed: Sender<()>,
    ready: &Sender<()>,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    let open = |output| {
        anyhow::Ok(CloseNotifier {
            inner: Lines::open(output, Policy::Block, Actors::BROWSER)?,
            closed: closed.clone(),
        })
    };
    let mut outputs: Vec<Box<dyn Sink>> = Vec::new();
    for output in &config.records.outputs {
        outputs.push(Box::new(open(output)?));
    }
    let mut outputs = Outputs::new(outputs, None);
    outputs.start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let interrupted = pipeline::interrupted()?;
        let pipeline = Pipeline::start(config, outputs).await?;
        ready.send(()).context("the demo has ended early")?;
        let shutdown = async {
            tokio::select! {
                () = interrupted => {}
                _ = stopped => {}
            }
        };
        pipeline.run(shutdown).await.map(drop)
    })
}

/// A sink that sends a message for each connection record that it has written.
struct CloseNotifier {
    inner: Lines,
    closed: Sender<()>,
}

impl Sink for CloseNotifier {
    fn start(&mut self) -> io::Result<()> {
        self.inner.start()
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let closes = matches!(record.body, Body::Closed(_));
        self.inner.write(record)?;
        if closes {
            self.inner.drain()?;
            // At the end, the receiver is gone.
            let _ = self.closed.send(());
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    fn drain(&mut self) -> io::Result<()> {
        self.inner.drain()
    }

    fn finish(&mut self, summary: &Summary, time: u64) -> io::Result<Option<String>> {
        self.inner.finish(summary, time)
    }

    fn can_reopen(&self) -> bool {
        self.inner.can_reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.inner.reopen()
    }

    fn shows_whole_connections(&self) -> bool {
        true
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

/// Generates the traffic in two parts. The second starts after the records of the first are
/// written.
fn show(pair: &VethPair, format: Format, closed: &Receiver<()>) -> Result<()> {
    let server = SocketAddr::new(pair.server.v4.into(), PORT);
    print_heading(format, "A browser fetches a page and two pictures that it has in its cache\n")?;
    let listener = pair.server.namespace.run(|| TcpListener::bind(server))?.context("cannot listen")?;
    let serving = {
        let listener = listener.try_clone().context("cannot listen")?;
        pair.server.namespace.spawn(move || serve_one(&listener, &ServerOptions::default()))
    };
    let browsed = pair.client.namespace.run(|| browse(server, "demo.example", &BrowserOptions::default()))?;
    browsed.context("the browser has failed")?;
    serving.join().map_err(|_| anyhow!("the server has panicked"))?.and_then(|served| Ok(served?))?;
    wait_for_end(closed)?;

    print_heading(
        format,
        "\nA client, perhaps with a spoofed address, requests a connection and never completes the handshake",
    )?;
    let destination = SocketAddrV4::new(pair.server.v4, PORT);
    pair.client.namespace.run(|| half_open::send([SpoofedSyn::numbered(0, destination)]))??;
    wait_for_end(closed)?;
    // The kernel must agree with the records: its half-open connection has expired too.
    let deadline = Instant::now() + PART_TIMEOUT;
    while pair.server.namespace.run(|| half_open::syn_received(PORT))?? > 0 {
        if Instant::now() > deadline {
            bail!("the server's kernel is still in SYN-RECEIVED");
        }
        sleep(Duration::from_millis(20));
    }
    drop(listener);
    Ok(())
}

/// Waits until a closed connection was written, or the observer has ended, on Ctrl-C.
fn wait_for_end(closed: &Receiver<()>) -> Result<()> {
    match closed.recv_timeout(PART_TIMEOUT) {
        Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Ok(()),
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
            bail!("the end of the connection was not observed")
        }
    }
}

/// Prints a heading between the parts of the explanation.
fn print_heading(format: Format, text: &str) -> Result<()> {
    if format != Format::Explain {
        return Ok(());
    }
    match writeln!(io::stdout(), "{text}") {
        // The observer ends quietly on a closed pipe, too.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}
