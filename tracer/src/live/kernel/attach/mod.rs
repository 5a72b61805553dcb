//! Attaches the programs to interfaces, and follows interfaces as they appear and disappear.
//!
//! Ingress and egress use TC, which leaves drivers alone. Ingress uses XDP on request, unless another
//! XDP program is attached. The links are file descriptors, so the kernel detaches the
//! programs when this process ends for any reason. (Before Linux 6.6 TC has no links: the filter of
//! a killed process stays until the interface is deleted or `tc filter del` removes it.)

mod driver;
mod hook;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context as _, Result, bail};

pub use hook::{Attachment, HookDirection, Method};
pub(super) use hook::{CLASSIFIERS, XDP};

use super::{
    Kernel, Paused,
    interfaces::{self, Interface, Link},
    support,
};
use crate::{
    config::{Attach, AttachBy, Interfaces, XdpMode},
    live::promiscuous::Promiscuous,
};

/// The programs and where they are attached.
#[derive(Debug)]
pub struct Attacher {
    kernel: Kernel,
    selected: InterfaceSet,
    options: Options,
    attached: BTreeMap<u32, Attached>,
    /// Indexes of interfaces that cannot be traced, so that each is reported once.
    refused: BTreeSet<u32>,
    /// Whether the process still has the privileges to attach.
    may_attach: bool,
    /// Present if the interfaces are to be promiscuous.
    promiscuous: Option<Promiscuous>,
}

/// How to attach.
#[derive(Clone, Copy, Debug)]
struct Options {
    by: AttachBy,
    xdp_mode: XdpMode,
    tc: Method,
}

#[derive(Debug)]
enum InterfaceSet {
    Any,
    Names(BTreeSet<String>),
}

#[derive(Debug)]
struct Attached {
    name: String,
    hooks: Vec<Attachment>,
}

/// A change of the traced interfaces, to be reported to the user.
#[derive(Debug)]
pub enum Change {
    /// Attached: one line for each hook, and one if the interface is promiscuous.
    Attached(Vec<String>),
    /// The interface cannot be traced: its name and the reason.
    Refused(String, String),
    /// The interface was deleted, or moved to another network namespace.
    Gone(String),
    /// No interface was named, and none has a default route.
    OnlyLo,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attached(hooks) => f.write_str(&hooks.join("\n")),
            Self::Refused(interface, reason) => write!(f, "{interface}: not traced: {reason}"),
            Self::OnlyLo => f.write_str(
                "no interface has a default route, so only lo is traced: name others with -i, or all with -i any",
            ),
            Self::Gone(interface) => write!(f, "{interface} is gone; its connections are kept"),
        }
    }
}

impl Attacher {
    /// Attaches to the interfaces in `config`.
    ///
    /// # Errors
    /// An interface given by name does not exist or cannot be traced, or no interface can.
    pub async fn start(kernel: Kernel, config: &Attach) -> Result<(Self, Vec<Change>)> {
        let tc = if support::before(6, 6) { Method::Clsact } else { Method::Tcx };
        Self::start_by(tc, kernel, config).await
    }

    /// Like [`start`](Self::start), with the TC method given, so that tests on a new kernel can
    /// cover the method of older ones.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_by(tc: Method, kernel: Kernel, config: &Attach) -> Result<(Self, Vec<Change>)> {
        let interfaces = interfaces::list().await?;
        let options = Options { by: config.by, xdp_mode: config.xdp_mode, tc };
        let selected = InterfaceSet::resolve(&config.interfaces, &interfaces).await?;
        let mut attacher = Self {
            kernel,
            selected,
            options,
            attached: BTreeMap::new(),
            refused: BTreeSet::new(),
            may_attach: true,
            promiscuous: config.promiscuous.then(Promiscuous::new).transpose()?,
        };
        // All hooks start together: a connection seen in one direction only would be reported as
        // one that nobody answers.
        attacher.kernel.pause(Paused::All)?;
        let mut changes = attacher.attach_new(&interfaces);
        attacher.kernel.pause(Paused::None)?;
        let refusal = changes.iter().find(|change| matches!(change, Change::Refused(..)));
        if let (Interfaces::Named(_), Some(refusal)) = (&config.interfaces, refusal) {
            bail!("{refusal}");
        }
        if attacher.attached.is_empty() && !attacher.waits_for_more() {
            let reasons: Vec<_> = changes.iter().map(ToString::to_string).collect();
            bail!("there is no interface to trace: {}", reasons.join("; "));
        }
        let only_lo = interfaces.iter().all(|i| i.link == Link::Loopback || !attacher.selected.has(&i.name));
        if config.interfaces == Interfaces::DefaultRoute && only_lo {
            changes.push(Change::OnlyLo);
        }
        Ok((attacher, changes))
    }

    /// The programs.
    #[must_use]
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The same, to run one of them.
    pub const fn kernel_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Refuses interfaces that appear from now on, because the privileges to attach are dropped.
    pub const fn stop_attaching(&mut self) {
        self.may_attach = false;
    }

    /// Lists the interfaces again: attaches to new ones and forgets those that are gone.
    ///
    /// # Errors
    /// The interfaces cannot be listed.
    pub async fn follow(&mut self) -> Result<Vec<Change>> {
        let interfaces = interfaces::list().await?;
        let existing: BTreeMap<_, _> =
            interfaces.iter().map(|interface| (interface.index, &interface.name)).collect();
        self.refused.retain(|index| existing.contains_key(index));
        let gone = self.attached.extract_if(.., |index, _| !existing.contains_key(index));
        let mut changes: Vec<_> = gone.map(|(_, attached)| Change::Gone(attached.name)).collect();
        for (index, attached) in &mut self.attached {
            if let Some(name) = existing.get(index) {
                attached.rename(name);
            }
        }
        for interface in interfaces.iter().filter(|interface| self.is_new(interface)).collect::<Vec<_>>() {
            self.kernel.pause(Paused::Interface(interface.index))?;
            changes.extend(self.attach_new(std::slice::from_ref(interface)));
            self.kernel.pause(Paused::None)?;
        }
        Ok(changes)
    }

    /// Whether to attach to an interface.
    fn is_new(&self, interface: &Interface) -> bool {
        let known = self.attached.contains_key(&interface.index) || self.refused.contains(&interface.index);
        !known && self.selected.has(&interface.name)
    }

    fn attach_new(&mut self, interfaces: &[Interface]) -> Vec<Change> {
        let mut changes = Vec::new();
        let new: Vec<_> = interfaces.iter().filter(|interface| self.is_new(interface)).collect();
        if self.may_attach {
            new.iter().for_each(|interface| self.load(interface));
        }
        for interface in new {
            match self.attach(interface) {
                Ok(hooks) => {
                    let mut lines: Vec<_> = hooks.iter().map(Attachment::report).collect();
                    if self.promiscuous.is_some() && interface.link == Link::Ethernet {
                        lines.push(format!("{}: promiscuous until tracer ends", interface.name));
                    }
                    changes.push(Change::Attached(lines));
                    self.attached.insert(interface.index, Attached { name: interface.name.clone(), hooks });
                }
                Err(error) => {
                    self.refused.insert(interface.index);
                    changes.push(Change::Refused(interface.name.clone(), format!("{error:#}")));
                }
            }
        }
        changes
    }

    /// Loads the programs for an interface, so that nothing is verified between two attachments.
    /// What the kernel refuses is reported when it is attached.
    fn load(&mut self, interface: &Interface) {
        if xdp_modes(interface, self.options).is_ok() && interface.xdp.is_none() {
            let _ = self.kernel.xdp(XDP);
        } else {
            let _ = hook::classifier(&mut self.kernel, interface, HookDirection::Ingress);
        }
        if interface.link != Link::Loopback {
            let _ = hook::classifier(&mut self.kernel, interface, HookDirection::Egress);
        }
    }

    fn attach(&mut self, interface: &Interface) -> Result<Vec<Attachment>> {
        if !self.may_attach {
            bail!("it appeared after the privileges to attach were dropped: start with --keep-privileges");
        }
        let ingress = self.ingress(interface)?;
        // Every packet that leaves on `lo` comes in again, so ingress alone sees everything.
        if interface.link == Link::Loopback {
            return Ok(vec![ingress]);
        }
        let egress = hook::tc(&mut self.kernel, interface, HookDirection::Egress, self.options.tc)?;
        if let (Some(promiscuous), Link::Ethernet) = (&self.promiscuous, interface.link) {
            promiscuous.add(interface.index)?;
        }
        Ok(vec![ingress, egress])
    }

    fn ingress(&mut self, interface: &Interface) -> Result<Attachment> {
        let reason = match xdp_modes(interface, self.options) {
            Ok(modes) => match hook::xdp(&mut self.kernel, interface, modes) {
                Ok(attachment) => return Ok(attachment),
                Err(reason) => Some(reason),
            },
            Err(reason) => reason,
        };
        if let (AttachBy::Xdp, Some(reason)) = (self.options.by, &reason) {
            bail!("{reason}; --attach auto uses TC instead");
        }
        let attachment = hook::tc(&mut self.kernel, interface, HookDirection::Ingress, self.options.tc)?;
        Ok(attachment.instead_of_xdp(reason))
    }

    /// Whether interfaces may still be added, so that tracing can wait while there are none.
    #[must_use]
    pub const fn waits_for_more(&self) -> bool {
        matches!(self.selected, InterfaceSet::Any)
    }

    /// Whether no interface is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// The interfaces, as index and name.
    pub fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        self.attached.iter().map(|(index, attached)| (*index, attached.name.as_str()))
    }

    /// Where the programs are attached, as "eth0 ingress xdp native".
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        self.attached.values().flat_map(|attached| &attached.hooks).map(ToString::to_string).collect()
    }

    /// Ends the observation at all hooks at once, and detaches from all interfaces.
    ///
    /// # Errors
    /// The kernel refuses to end it at once.
    pub fn detach(&mut self) -> Result<()> {
        let paused = self.kernel.pause(Paused::All);
        self.attached.clear();
        paused
    }
}

impl Attached {
    fn rename(&mut self, name: &str) {
        if self.name != name {
            name.clone_into(&mut self.name);
            self.hooks.iter_mut().for_each(|hook| hook.rename(name));
        }
    }
}

impl InterfaceSet {
    async fn resolve(requested: &Interfaces, existing: &[Interface]) -> Result<Self> {
        Ok(match requested {
            Interfaces::Any => Self::Any,
            Interfaces::Named(names) => {
                let unknown =
                    names.iter().find(|name| !existing.iter().any(|interface| interface.name == **name));
                if let Some(name) = unknown {
                    let known: Vec<_> = existing.iter().map(|interface| interface.name.as_str()).collect();
                    bail!("there is no interface {name}; there are {} (or \"any\")", known.join(", "));
                }
                Self::Names(names.clone())
            }
            Interfaces::DefaultRoute => {
                let routed = interfaces::with_default_route().await.context("which interfaces to trace")?;
                let is_default = |i: &&Interface| i.link == Link::Loopback || routed.contains(&i.index);
                Self::Names(
                    existing.iter().filter(is_default).map(|interface| interface.name.clone()).collect(),
                )
            }
        })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Names(names) => names.contains(name),
        }
    }
}

/// The XDP methods to try, in this order.
///
/// # Errors
/// None is tried: the reason, unless the user ruled XDP out.
fn xdp_modes(interface: &Interface, options: Options) -> Result<&'static [Method], Option<String>> {
    match (interface.link, options.by, options.xdp_mode) {
        (_, AttachBy::Tc, _) => Err(None),
        (Link::Loopback, ..) => Err(Some("it has no driver".to_owned())),
        (Link::RawIp | Link::Other(_), ..) => Err(Some("its frames have no Ethernet header".to_owned())),
        (_, AttachBy::Auto | AttachBy::Xdp, XdpMode::Generic) => Ok(&[Method::XdpGeneric]),
        (_, AttachBy::Auto, XdpMode::Auto) => Err(Some(driver::effect(interface))),
        (_, _, XdpMode::Native) => Ok(&[Method::XdpNative]),
        (_, AttachBy::Xdp, XdpMode::Auto) => Ok(&[Method::XdpNative, Method::XdpGeneric]),
    }
}

/// Describes what would be attached to an interface.
#[must_use]
pub fn plan(interface: &Interface, config: &Attach) -> String {
    let tc = if support::before(6, 6) { "clsact" } else { "TCX" };
    if let Link::Other(_) = interface.link {
        return "nothing: neither Ethernet nor raw IP".to_owned();
    }
    let options = Options { by: config.by, xdp_mode: config.xdp_mode, tc: Method::Tcx };
    let ingress = match (xdp_modes(interface, options), interface.xdp, config.by) {
        (Ok(_), Some(xdp), _) => format!("{tc}, because {} is attached", hook::describe_xdp(xdp)),
        (Ok([Method::XdpGeneric]), None, _) => "XDP generic".to_owned(),
        (Ok(_), None, AttachBy::Xdp) => "XDP".to_owned(),
        (Ok(_), None, _) => format!("XDP native if the driver supports it, else {tc}"),
        (Err(_), ..) => tc.to_owned(),
    };
    let egress = if interface.link == Link::Loopback { "not needed" } else { tc };
    let effect = match interface.link {
        Link::Ethernet => format!("; {}", driver::effect_with_source(interface)),
        Link::Loopback | Link::RawIp | Link::Other(_) => String::new(),
    };
    format!("ingress {ingress}; egress {egress}{effect}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(link: Link) -> Interface {
        Interface { index: 2, name: "x".to_owned(), link, up: true, driver: None, xdp: None }
    }

    fn modes(interface: &Interface, by: AttachBy, xdp_mode: XdpMode) -> Result<Vec<Method>, bool> {
        let options = Options { by, xdp_mode, tc: Method::Tcx };
        xdp_modes(interface, options).map(<[_]>::to_vec).map_err(|reason| reason.is_some())
    }

    #[test]
    fn xdp_is_tried_only_on_request() {
        use Method::{XdpGeneric, XdpNative};
        for (by, mode, tried) in [
            (AttachBy::Auto, XdpMode::Auto, Err(true)),
            (AttachBy::Auto, XdpMode::Native, Ok(vec![XdpNative])),
            (AttachBy::Auto, XdpMode::Generic, Ok(vec![XdpGeneric])),
            (AttachBy::Xdp, XdpMode::Auto, Ok(vec![XdpNative, XdpGeneric])),
            (AttachBy::Xdp, XdpMode::Native, Ok(vec![XdpNative])),
            (AttachBy::Xdp, XdpMode::Generic, Ok(vec![XdpGeneric])),
        ] {
            assert_eq!(modes(&interface(Link::Ethernet), by, mode), tried, "{by:?} {mode:?}");
        }
    }

    #[test]
    fn the_reason_for_tc_says_what_native_xdp_does_to_the_driver() {
        let options = Options { by: AttachBy::Auto, xdp_mode: XdpMode::Auto, tc: Method::Tcx };
        for (driver, reason) in [
            (
                Some("mlx5_core"),
                "for native XDP, mlx5_core rebuilds its queues, and switches LRO and hardware GRO off",
            ),
            (Some("veth"), "for native XDP, veth copies every frame, and its peer sends no large ones"),
            (Some("bridge"), "what native XDP does to bridge is not known"),
            (None, "what native XDP does to its driver is not known"),
        ] {
            let interface = Interface { driver: driver.map(str::to_owned), ..interface(Link::Ethernet) };
            assert_eq!(xdp_modes(&interface, options), Err(Some(reason.to_owned())), "{driver:?}");
        }
    }

    #[test]
    fn xdp_is_not_tried_where_it_is_ruled_out_or_cannot_work() {
        assert_eq!(modes(&interface(Link::Ethernet), AttachBy::Tc, XdpMode::Auto), Err(false));
        assert_eq!(modes(&interface(Link::Loopback), AttachBy::Auto, XdpMode::Auto), Err(true));
        assert_eq!(modes(&interface(Link::RawIp), AttachBy::Xdp, XdpMode::Native), Err(true));
    }
}
