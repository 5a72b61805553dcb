//! One program on one hook of one interface.

use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail};
use aya::programs::{
    LinkOrder, ProgramInfo, SchedClassifier, TcAttachType, loaded_programs,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions},
    xdp::{XdpLink, XdpMode},
};
use nix::errno::Errno;
use tracer_common::wire::LinkType;

use crate::live::kernel::{
    Kernel,
    interfaces::{Interface, XdpAttachment},
    refusal,
};

/// The XDP program.
pub(in crate::live::kernel) const XDP: &str = "tracer_xdp";
/// The TC programs.
pub(in crate::live::kernel) const CLASSIFIERS: [&str; 4] =
    ["tracer_in_eth", "tracer_out_eth", "tracer_in_ip", "tracer_out_ip"];

/// A side of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the host receives.
    Ingress,
    /// What the host sends.
    Egress,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the network stack.
    XdpGeneric,
    /// TC by link.
    Tcx,
    /// TC by a filter on the clsact qdisc.
    Clsact,
}

/// A program that is attached; it is detached when this is dropped.
#[derive(Debug)]
pub struct Attachment {
    interface: String,
    side: Side,
    method: Method,
    /// Programs of others on the same hook.
    others: Vec<String>,
    /// What else there is to know: why it is not XDP, or what XDP does to a driver.
    remark: Option<String>,
    _link: OwnedLink,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for what happens when they are dropped")]
enum OwnedLink {
    Xdp(XdpLink),
    Tc(SchedClassifierLink),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XdpNative => "xdp native",
            Self::XdpGeneric => "xdp generic",
            Self::Tcx => "tc tcx",
            Self::Clsact => "tc clsact",
        })
    }
}

/// As in the summary: "eth0 ingress xdp native".
impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.interface, self.side, self.method)
    }
}

impl Attachment {
    /// One line for the user.
    #[must_use]
    pub fn report(&self) -> String {
        let mut line = format!("attached: {self}");
        if let Some(remark) = &self.remark {
            line = format!("{line}; {remark}");
        }
        if !self.others.is_empty() {
            line = format!("{line}; also there: {}", self.others.join(", "));
        }
        line
    }

    /// The interface has another name now.
    pub(super) fn rename(&mut self, interface: &str) {
        interface.clone_into(&mut self.interface);
    }

    /// The same, with the reason why it is not XDP.
    pub(super) fn instead_of_xdp(self, reason: Option<String>) -> Self {
        Self { remark: reason.map(|reason| format!("not xdp: {reason}")), ..self }
    }
}

/// Attaches the XDP program in the first of `methods` that works, or tells why none does.
///
/// A program of somebody else is never replaced: before Linux 5.9 the kernel would do so, hence the look beforehand.
pub(super) fn xdp(
    kernel: &mut Kernel,
    interface: &Interface,
    methods: &[Method],
) -> Result<Attachment, String> {
    if let Some(foreign) = interface.xdp {
        return Err(format!("{} is attached and stays", foreign_xdp(foreign)));
    }
    let others = others(interface, Side::Ingress);
    let program = kernel.xdp(XDP).map_err(|error| format!("{error:#}"))?;
    let mut reason = String::new();
    for method in methods {
        let mode = if *method == Method::XdpGeneric { XdpMode::Skb } else { XdpMode::Driver };
        let link = program.attach_to_if_index(interface.index, mode).and_then(|id| program.take_link(id));
        match link {
            Ok(link) => {
                return Ok(Attachment {
                    interface: interface.name.clone(),
                    side: Side::Ingress,
                    method: *method,
                    others,
                    remark: driver_remark(interface, *method),
                    _link: OwnedLink::Xdp(link),
                });
            }
            Err(error) => reason = refusal::attachment(&error),
        }
    }
    Err(reason)
}

/// What native XDP may do to real hardware; virtual interfaces have a kind and take it without a break.
fn driver_remark(interface: &Interface, method: Method) -> Option<String> {
    let hardware = interface.kind.is_none() && method == Method::XdpNative;
    hardware.then(|| {
        "some drivers restart the link for it, or switch off LRO: --attach tc does neither".to_owned()
    })
}

/// A foreign XDP program, in words.
pub(super) fn foreign_xdp(xdp: XdpAttachment) -> String {
    let Some(id) = xdp.id else { return format!("{} XDP program", xdp.mode) };
    // Only CAP_SYS_ADMIN may look at the programs of others; without it, the number must do.
    let info = loaded_programs().filter_map(Result::ok).find(|info| info.id() == id);
    let name = info.map_or_else(|| format!("program {id}"), |info| named(&info));
    format!("the XDP {name}, {},", xdp.mode)
}

fn named(info: &ProgramInfo) -> String {
    format!("program {} ({})", info.id(), String::from_utf8_lossy(info.name()).escape_debug())
}

/// Attaches a TC program.
///
/// # Errors
/// The kernel does not take it: in words.
pub(super) fn tc(
    kernel: &mut Kernel,
    interface: &Interface,
    side: Side,
    method: Method,
) -> Result<Attachment> {
    let frames = interface.link.frames().with_context(|| {
        format!("{} carries neither Ethernet frames nor bare IP packets ({})", interface.name, interface.link)
    })?;
    let name = match (side, frames) {
        (Side::Ingress, LinkType::Ethernet) => "tracer_in_eth",
        (Side::Egress, LinkType::Ethernet) => "tracer_out_eth",
        (Side::Ingress, LinkType::RawIp) => "tracer_in_ip",
        (Side::Egress, LinkType::RawIp) => "tracer_out_ip",
        (_, LinkType::EtherType(_) | LinkType::Ppp | LinkType::Llc) => {
            bail!("frames of {} are not traced", interface.name)
        }
    };
    let others = others(interface, side);
    let program = kernel.classifier(name)?;
    let link = match method {
        Method::Clsact => clsact_link(program, interface, side),
        Method::Tcx | Method::XdpNative | Method::XdpGeneric => tcx_link(program, interface, side),
    };
    let link = link.with_context(|| format!("{method} {side} on {} is refused", interface.name))?;
    Ok(Attachment {
        interface: interface.name.clone(),
        side,
        method,
        others,
        remark: None,
        _link: OwnedLink::Tc(link),
    })
}

fn attach_type(side: Side) -> TcAttachType {
    match side {
        Side::Ingress => TcAttachType::Ingress,
        Side::Egress => TcAttachType::Egress,
    }
}

/// First in line: what others change or drop has still been seen.
fn tcx_link(program: &mut SchedClassifier, interface: &Interface, side: Side) -> Result<SchedClassifierLink> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    take_tc(program, interface, side, order)
}

fn clsact_link(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: Side,
) -> Result<SchedClassifierLink> {
    // The qdisc stays when we go: somebody else may have filters in it by then, and empty it does nothing.
    if let Err(error) = tc::qdisc_add_clsact(&interface.name)
        && refusal::source_errno(&error) != Some(Errno::EEXIST)
    {
        return Err(anyhow!(refusal::chain(&error)));
    }
    take_tc(program, interface, side, TcAttachOptions::Netlink(NlOptions::default()))
}

fn take_tc(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: Side,
    options: TcAttachOptions,
) -> Result<SchedClassifierLink> {
    program
        .attach_with_options(&interface.name, attach_type(side), options)
        .and_then(|id| program.take_link(id))
        .map_err(|error| anyhow!(refusal::attachment(&error)))
}

/// The programs that others have on the TC hook.
fn others(interface: &Interface, side: Side) -> Vec<String> {
    match SchedClassifier::query_tcx(&interface.name, attach_type(side)) {
        Ok((_, programs)) => programs.iter().map(named).collect(),
        // There are some, and the kernel shows them to nobody without CAP_SYS_ADMIN.
        Err(error) if refusal::errno(&error) == Some(Errno::EPERM) => {
            vec!["programs that only CAP_SYS_ADMIN can name".to_owned()]
        }
        // Kernels without TCX.
        Err(_) => Vec::new(),
    }
}
