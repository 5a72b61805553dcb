//! Attaches one program to one hook of one interface.

use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail};
use aya::programs::{
    LinkOrder, ProgramInfo, SchedClassifier, TcAttachType, loaded_programs,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions},
    xdp::{XdpLink, XdpMode},
};
use nix::errno::Errno;
use tracer_common::wire::LinkType;

use super::driver;
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

/// The direction of traffic that a hook sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookDirection {
    /// Packets that the host receives.
    Ingress,
    /// Packets that the host sends.
    Egress,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Native XDP, in the driver.
    XdpNative,
    /// Generic XDP, in the network stack.
    XdpGeneric,
    /// TC by a BPF link (TCX).
    Tcx,
    /// TC by a filter in the clsact qdisc.
    Clsact,
}

/// An attached program. Dropping it detaches the program.
#[derive(Debug)]
pub struct Attachment {
    interface: String,
    direction: HookDirection,
    method: Method,
    /// Names of other owners' programs on the same hook.
    others: Vec<String>,
    /// A note for the user: why it is not XDP, or what XDP does to the driver.
    remark: Option<String>,
    _link: OwnedLink,
}

#[derive(Debug)]
#[expect(dead_code, reason = "dropping a link detaches its program")]
enum OwnedLink {
    Xdp(XdpLink),
    Tc(SchedClassifierLink),
}

impl fmt::Display for HookDirection {
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

/// As in "eth0 ingress xdp native".
impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.interface, self.direction, self.method)
    }
}

impl Attachment {
    /// The attachment in one line, for the user.
    #[must_use]
    pub fn report(&self) -> String {
        let mut line = format!("attached: {self}");
        if let Some(remark) = &self.remark {
            line = format!("{line}; {remark}");
        }
        if !self.others.is_empty() {
            line = format!("{line}; other programs on this hook: {}", self.others.join(", "));
        }
        line
    }

    /// Notes the new name of the interface.
    pub(super) fn rename(&mut self, interface: &str) {
        interface.clone_into(&mut self.interface);
    }

    /// Adds the reason why the attachment is not XDP.
    pub(super) fn instead_of_xdp(self, reason: Option<String>) -> Self {
        Self { remark: reason.map(|reason| format!("not xdp: {reason}")), ..self }
    }
}

/// Attaches the XDP program by the first of `methods` that works.
///
/// Never replaces another owner's program: Linux before 5.9 would do so, hence the check first.
///
/// # Errors
/// No method works: the reason, for the user.
pub(super) fn xdp(
    kernel: &mut Kernel,
    interface: &Interface,
    methods: &[Method],
) -> Result<Attachment, String> {
    if let Some(foreign) = interface.xdp {
        return Err(format!("{} is attached and stays", describe_xdp(foreign)));
    }
    let others = others(interface, HookDirection::Ingress);
    let program = kernel.xdp(XDP).map_err(|error| format!("{error:#}"))?;
    let mut reason = String::new();
    for method in methods {
        let mode = if *method == Method::XdpGeneric { XdpMode::Skb } else { XdpMode::Driver };
        let link = program.attach_to_if_index(interface.index, mode).and_then(|id| program.take_link(id));
        match link {
            Ok(link) => {
                return Ok(Attachment {
                    interface: interface.name.clone(),
                    direction: HookDirection::Ingress,
                    method: *method,
                    others,
                    remark: (*method == Method::XdpNative).then(|| driver::effect(interface)),
                    _link: OwnedLink::Xdp(link),
                });
            }
            Err(error) => reason = refusal::attachment(&error),
        }
    }
    Err(reason)
}

/// Describes another owner's XDP program.
pub(super) fn describe_xdp(xdp: XdpAttachment) -> String {
    let Some(id) = xdp.id else { return format!("{} XDP program", xdp.mode) };
    // Reading other programs' names needs CAP_SYS_ADMIN; without it, the id has to do.
    let info = loaded_programs().filter_map(Result::ok).find(|info| info.id() == id);
    let name = info.map_or_else(|| format!("program {id}"), |info| named(&info));
    format!("the XDP {name}, {},", xdp.mode)
}

fn named(info: &ProgramInfo) -> String {
    format!("program {} ({})", info.id(), String::from_utf8_lossy(info.name()).escape_debug())
}

/// The TC program for an interface, loaded if it is not yet.
///
/// # Errors
/// The frames of the interface cannot be read, or the kernel refuses the program: the reason, for
/// the user.
pub(super) fn classifier<'a>(
    kernel: &'a mut Kernel,
    interface: &Interface,
    direction: HookDirection,
) -> Result<&'a mut SchedClassifier> {
    let frames = interface.link.frames().with_context(|| {
        format!("{} carries neither Ethernet frames nor raw IP packets ({})", interface.name, interface.link)
    })?;
    kernel.classifier(match (direction, frames) {
        (HookDirection::Ingress, LinkType::Ethernet) => "tracer_in_eth",
        (HookDirection::Egress, LinkType::Ethernet) => "tracer_out_eth",
        (HookDirection::Ingress, LinkType::RawIp) => "tracer_in_ip",
        (HookDirection::Egress, LinkType::RawIp) => "tracer_out_ip",
        (_, LinkType::EtherType(_) | LinkType::Ppp | LinkType::Llc) => {
            bail!("frames of {} are not traced", interface.name)
        }
    })
}

/// Attaches a TC program.
///
/// # Errors
/// The kernel refuses the program: the reason, for the user.
pub(super) fn tc(
    kernel: &mut Kernel,
    interface: &Interface,
    direction: HookDirection,
    method: Method,
) -> Result<Attachment> {
    let others = others(interface, direction);
    let program = classifier(kernel, interface, direction)?;
    let link = match method {
        Method::Clsact => clsact_link(program, interface, direction),
        Method::Tcx | Method::XdpNative | Method::XdpGeneric => tcx_link(program, interface, direction),
    };
    let link = link.with_context(|| format!("{method} {direction} on {} is refused", interface.name))?;
    Ok(Attachment {
        interface: interface.name.clone(),
        direction,
        method,
        others,
        remark: None,
        _link: OwnedLink::Tc(link),
    })
}

fn attach_type(direction: HookDirection) -> TcAttachType {
    match direction {
        HookDirection::Ingress => TcAttachType::Ingress,
        HookDirection::Egress => TcAttachType::Egress,
    }
}

/// Attaches before all other programs, so that packets are seen before these change or drop them.
fn tcx_link(
    program: &mut SchedClassifier,
    interface: &Interface,
    direction: HookDirection,
) -> Result<SchedClassifierLink> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    take_tc(program, interface, direction, order)
}

fn clsact_link(
    program: &mut SchedClassifier,
    interface: &Interface,
    direction: HookDirection,
) -> Result<SchedClassifierLink> {
    // The qdisc stays on exit: other filters may be in it by then, and an empty one has no effect.
    if let Err(error) = tc::qdisc_add_clsact(&interface.name)
        && refusal::source_errno(&error) != Some(Errno::EEXIST)
    {
        return Err(anyhow!(refusal::chain(&error)));
    }
    take_tc(program, interface, direction, TcAttachOptions::Netlink(NlOptions::default()))
}

fn take_tc(
    program: &mut SchedClassifier,
    interface: &Interface,
    direction: HookDirection,
    options: TcAttachOptions,
) -> Result<SchedClassifierLink> {
    program
        .attach_with_options(&interface.name, attach_type(direction), options)
        .and_then(|id| program.take_link(id))
        .map_err(|error| anyhow!(refusal::attachment(&error)))
}

/// Names the programs that are already on the TC hook.
fn others(interface: &Interface, direction: HookDirection) -> Vec<String> {
    match SchedClassifier::query_tcx(&interface.name, attach_type(direction)) {
        Ok((_, programs)) => programs.iter().map(named).collect(),
        // There are some, but naming them needs CAP_SYS_ADMIN.
        Err(error) if refusal::errno(&error) == Some(Errno::EPERM) => {
            vec!["programs that only CAP_SYS_ADMIN can name".to_owned()]
        }
        // Kernels without TCX.
        Err(_) => Vec::new(),
    }
}
