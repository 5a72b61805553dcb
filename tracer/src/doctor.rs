//! `tracer doctor`: checks kernel support and privileges, and shows where tracer would attach and
//! what it would not measure.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result};

use crate::{
    config::{Attach, Confine, Events, Interfaces, KernelConfig},
    live::{
        confine,
        kernel::{
            Kernel, Loaded, attach,
            interfaces::{self, Interface, Link},
            object,
            owners::Ways,
            support,
        },
        privilege::{Capabilities, Capability, TRACING},
    },
    output::Needs,
};

/// What tracer does not measure on any host.
const LIMITS: [&str; 6] = [
    "lo is observed on ingress only: every packet that leaves on lo comes in again",
    "packets that another XDP program drops or redirects before TC are not seen; packets that tc drops on egress are",
    "with segmentation offload, one segment here may be several on the wire, and vice versa",
    "checksums are not verified: on egress they are not filled in yet",
    "only the first fragment of a fragmented packet is read",
    "TLS and HTTP/2 are counted as bytes: only HTTP/1.x messages are parsed",
];

/// What the capabilities of [`TRACING`] are for.
const PURPOSES: [&str; 3] = ["maps and programs", "XDP and TC", "programs that compare packet pointers"];

/// Size of the tables for the trial load: small, because nothing is traced.
const TRIAL_CONNECTIONS: u32 = 64;

/// The findings.
#[derive(Clone, Debug)]
pub struct Report {
    text: String,
    tracing_works: bool,
}

impl Report {
    /// Whether tracing would work.
    #[must_use]
    pub const fn tracing_works(&self) -> bool {
        self.tracing_works
    }

    /// Writes the report to standard output.
    ///
    /// # Errors
    /// It cannot be written. A closed pipe is not an error.
    pub fn print(&self) -> Result<()> {
        match io::stdout().write_all(self.text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write the report")
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn head(&mut self, title: &str) {
        let separator = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{separator}{title}");
    }

    fn line(&mut self, mark: Mark, what: &str) {
        if matches!(mark, Mark::Missing) {
            self.tracing_works = false;
        }
        let mark = match mark {
            Mark::Good => "ok  ",
            Mark::Missing => "NO  ",
            Mark::Without => "no  ",
            Mark::Unknown => "?   ",
            Mark::Plain => "    ",
        };
        let _ = writeln!(self.text, "  {mark}{what}");
    }
}

/// The mark at the start of a line of the report.
#[derive(Clone, Copy, Debug)]
enum Mark {
    Good,
    /// Tracing does not work without it.
    Missing,
    /// Tracing works without it.
    Without,
    Unknown,
    Plain,
}

/// Checks everything that tracing needs.
///
/// # Errors
/// The capabilities or the interfaces cannot be read.
pub async fn examine(config: &Attach) -> Result<Report> {
    let mut report = Report { text: String::new(), tracing_works: true };
    let capabilities = Capabilities::current()?;
    let is_privileged = capabilities.missing(&TRACING).is_empty();
    let tried = (is_privileged && object::size() > 0).then(try_programs);
    let compiled =
        tried.as_ref().and_then(|tried| tried.as_ref().ok()).and_then(|(loaded, _)| loaded.first());
    kernel(&mut report, compiled.map(|loaded| loaded.compiled));
    privileges(&mut report, &capabilities, config);
    after_attaching(&mut report, config);
    programs(&mut report, tried);
    where_to_attach(&mut report, config).await?;
    report.head("Not measured");
    for limit in LIMITS {
        report.line(Mark::Plain, limit);
    }
    let verdict =
        if report.tracing_works { "tracing works here" } else { "tracing does not work here: see NO above" };
    report.head(verdict);
    Ok(report)
}

/// `compiled`: whether a loaded program was compiled, if one was loaded.
fn kernel(report: &mut Report, compiled: Option<bool>) {
    report.head("Kernel");
    report.line(Mark::Plain, &support::release());
    match support::warning() {
        Ok(None) => {}
        Ok(Some(warning)) => report.line(Mark::Unknown, &warning),
        Err(error) => report.line(Mark::Missing, &format!("{error:#}")),
    }
    for feature in support::features() {
        let compiled = compiled.filter(|_| feature.name == support::JIT);
        let mark = match (feature.available.or(compiled), feature.required) {
            (Some(true), _) => Mark::Good,
            (Some(false), true) => Mark::Missing,
            (Some(false), false) => Mark::Without,
            (None, _) => Mark::Unknown,
        };
        report.line(mark, &format!("{}: {}", feature.name, feature.purpose));
    }
}

fn privileges(report: &mut Report, capabilities: &Capabilities, config: &Attach) {
    report.head("Privileges");
    for (capability, purpose) in TRACING.into_iter().zip(PURPOSES) {
        let mark = if capabilities.has(capability) { Mark::Good } else { Mark::Missing };
        report.line(mark, &format!("{capability}: {purpose}"));
    }
    if config.promiscuous {
        let mark = if capabilities.has(Capability::CAP_NET_RAW) { Mark::Good } else { Mark::Missing };
        report.line(mark, "CAP_NET_RAW: --promiscuous");
    }
    let is_sys_admin = capabilities.has(Capability::CAP_SYS_ADMIN);
    let mark = if is_sys_admin { Mark::Good } else { Mark::Without };
    report.line(mark, "CAP_SYS_ADMIN: names other attached programs; not needed");
    report.line(Mark::Plain, &format!("locked memory: {}", support::locked_memory()));
}

/// Reports the privileges that `tracer trace` drops, and the sandbox that this host supports.
fn after_attaching(report: &mut Report, config: &Attach) {
    report.head("After attaching");
    match confine::Plan::new(&Confine::default(), &config.interfaces, Needs::default()) {
        Ok(plan) => report.line(Mark::Good, &format!("runs {plan}; choose another user with --user")),
        Err(error) => report.line(Mark::Missing, &format!("{error:#}")),
    }
    for (name, outcome) in confine::trial() {
        match outcome {
            Ok(detail) => report.line(Mark::Good, &format!("{name}{detail}")),
            Err(reason) => report.line(Mark::Without, &format!("{name}: {reason:#}")),
        }
    }
}

/// `tried`: what loading them showed, if they could be tried.
fn programs(report: &mut Report, tried: Option<Result<(Vec<Loaded>, Ways)>>) {
    report.head("Kernel programs");
    if let Err(error) = object::embedded() {
        return report.line(Mark::Missing, &format!("{error:#}"));
    }
    report.line(Mark::Good, &format!("embedded, {} KiB", object::size() / 1024));
    let Some(tried) = tried else {
        return report
            .line(Mark::Unknown, "not tried, because privileges are missing: type `sudo tracer doctor`");
    };
    match tried {
        Ok((loaded, ways)) => {
            for Loaded { name, instructions, .. } in loaded {
                report.line(Mark::Good, &format!("{name}: loads, {instructions} instructions verified"));
            }
            for (way, outcome) in ways.iter() {
                match outcome {
                    Ok(()) => report.line(Mark::Good, &format!("processes of {way} are named")),
                    Err(reason) => {
                        report.line(Mark::Without, &format!("processes of {way} are not named: {reason:#}"));
                    }
                }
            }
        }
        Err(error) => report.line(Mark::Missing, &format!("{error:#}")),
    }
}

fn try_programs() -> Result<(Vec<Loaded>, Ways)> {
    let (mut kernel, _sources) = Kernel::load(&KernelConfig {
        ports: "80".parse()?,
        hosts: Vec::new(),
        events: Events::default(),
        decapsulate: false,
        ring_bytes: crate::config::MIN_RING_BYTES,
        max_connections: TRIAL_CONNECTIONS,
        owners: true,
        process_details: false,
        log: false,
    })?;
    Ok((kernel.load_all()?, kernel.learn_owners()))
}

async fn where_to_attach(report: &mut Report, config: &Attach) -> Result<()> {
    report.head("Interfaces");
    let interfaces = interfaces::list().await?;
    let routed = interfaces::with_default_route().await?;
    let chosen = |interface: &Interface| match &config.interfaces {
        Interfaces::Any => true,
        Interfaces::Named(names) => names.contains(&interface.name),
        Interfaces::DefaultRoute => interface.link == Link::Loopback || routed.contains(&interface.index),
    };
    for interface in &interfaces {
        let chosen = chosen(interface);
        let mark = match (chosen, interface.link.frames()) {
            (true, Some(_)) => Mark::Good,
            (true, None) => Mark::Without,
            (false, _) => Mark::Plain,
        };
        let plan = if chosen { attach::plan(interface, config) } else { "only with -i".to_owned() };
        report.line(mark, &format!("{}: {plan}", described(interface)));
    }
    let unknown: Vec<_> = match &config.interfaces {
        Interfaces::Named(names) => {
            names.iter().filter(|name| !interfaces.iter().any(|interface| interface.name == **name)).collect()
        }
        Interfaces::Any | Interfaces::DefaultRoute => Vec::new(),
    };
    for name in &unknown {
        report.line(Mark::Missing, &format!("{name}: there is no such interface"));
    }
    if unknown.is_empty()
        && !interfaces.iter().any(|interface| chosen(interface) && interface.link.frames().is_some())
    {
        report.line(Mark::Missing, "no interface to trace: name one with -i");
    }
    Ok(())
}

fn described(interface: &Interface) -> String {
    let driver = interface.driver.as_ref().map_or_else(String::new, |driver| format!(", {driver}"));
    let down = if interface.up { "" } else { ", down" };
    format!("{} ({}{driver}{down})", interface.name, interface.link)
}
