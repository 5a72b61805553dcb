//! Attaches the programs to the interfaces, and follows the interfaces as they come and go.
//!
//! Ingress is XDP where the driver has it for little and nobody else is there, TC elsewhere; egress is TC. The links are file
//! descriptors: they end with this process, however it ends. (Before Linux 6.6 TC has no links: a filter of a killed
//! process stays until the interface goes or `tc filter del` removes it.)

mod hook;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context as _, Result, bail};

pub use hook::{Attachment, Method, Side};
pub(super) use hook::{CLASSIFIERS, XDP};

use super::{
    Kernel,
    interfaces::{self, Interface, Link},
    support,
};
use crate::config::{Attach, AttachBy, Interfaces, XdpMode};

/// The programs where they are attached.
#[derive(Debug)]
pub struct Attacher {
    kernel: Kernel,
    wanted: Wanted,
    options: Options,
    attached: BTreeMap<u32, Attached>,
    /// Interfaces that cannot be traced, by number: to be told once.
    refused: BTreeSet<u32>,
    /// Whether the privileges to attach are still there.
    may_attach: bool,
}

/// How to attach.
#[derive(Clone, Copy, Debug)]
struct Options {
    by: AttachBy,
    xdp_mode: XdpMode,
    tc: Method,
}

#[derive(Debug)]
enum Wanted {
    Any,
    Names(BTreeSet<String>),
}

#[derive(Debug)]
struct Attached {
    name: String,
    hooks: Vec<Attachment>,
}

/// What became of an interface, to be told to the user.
#[derive(Debug)]
pub enum Change {
    /// Attached: one line for each hook.
    Attached(Vec<String>),
    /// Cannot be traced, and why.
    Refused(String, String),
    /// It was deleted, or moved to another network namespace.
    Gone(String),
    /// None was named, and there is no default route to go by.
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
            Self::Gone(interface) => write!(f, "{interface} is gone; what it showed so far stays"),
        }
    }
}

impl Attacher {
    /// Attaches to the interfaces asked for.
    ///
    /// # Errors
    /// An interface asked for by name does not exist or cannot be traced, or none can.
    pub async fn start(kernel: Kernel, config: &Attach) -> Result<(Self, Vec<Change>)> {
        let tc = if support::before(6, 6) { Method::Clsact } else { Method::Tcx };
        Self::start_by(tc, kernel, config).await
    }

    /// The same, with the kind of TC given: how tests see on a new kernel what older ones do.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_by(tc: Method, kernel: Kernel, config: &Attach) -> Result<(Self, Vec<Change>)> {
        let interfaces = interfaces::list().await?;
        let options = Options { by: config.by, xdp_mode: config.xdp_mode, tc };
        let wanted = Wanted::resolve(&config.interfaces, &interfaces).await?;
        let mut attacher = Self {
            kernel,
            wanted,
            options,
            attached: BTreeMap::new(),
            refused: BTreeSet::new(),
            may_attach: true,
        };
        let mut changes = attacher.attach_new(&interfaces);
        let refusal = changes.iter().find(|change| matches!(change, Change::Refused(..)));
        if let (Interfaces::Named(_), Some(refusal)) = (&config.interfaces, refusal) {
            bail!("{refusal}");
        }
        if attacher.attached.is_empty() && !attacher.waits_for_more() {
            let reasons: Vec<_> = changes.iter().map(ToString::to_string).collect();
            bail!("there is no interface to trace: {}", reasons.join("; "));
        }
        let only_lo = interfaces.iter().all(|i| i.link == Link::Loopback || !attacher.wanted.has(&i.name));
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

    /// The privileges to attach are going to be given up: interfaces that come later are refused.
    pub const fn stop_attaching(&mut self) {
        self.may_attach = false;
    }

    /// Looks at the interfaces again: attaches to those that came, lets go of those that went.
    ///
    /// # Errors
    /// The interfaces cannot be listed.
    pub async fn follow(&mut self) -> Result<Vec<Change>> {
        let interfaces = interfaces::list().await?;
        let there: BTreeMap<_, _> =
            interfaces.iter().map(|interface| (interface.index, &interface.name)).collect();
        self.refused.retain(|index| there.contains_key(index));
        let gone = self.attached.extract_if(.., |index, _| !there.contains_key(index));
        let mut changes: Vec<_> = gone.map(|(_, attached)| Change::Gone(attached.name)).collect();
        for (index, attached) in &mut self.attached {
            if let Some(name) = there.get(index) {
                attached.rename(name);
            }
        }
        changes.extend(self.attach_new(&interfaces));
        Ok(changes)
    }

    fn attach_new(&mut self, interfaces: &[Interface]) -> Vec<Change> {
        let mut changes = Vec::new();
        for interface in interfaces {
            let known =
                self.attached.contains_key(&interface.index) || self.refused.contains(&interface.index);
            if known || !self.wanted.has(&interface.name) {
                continue;
            }
            match self.attach(interface) {
                Ok(hooks) => {
                    changes.push(Change::Attached(hooks.iter().map(Attachment::report).collect()));
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

    fn attach(&mut self, interface: &Interface) -> Result<Vec<Attachment>> {
        if !self.may_attach {
            bail!("it came after the privileges to attach were given up: start with --keep-privileges");
        }
        let ingress = self.ingress(interface)?;
        // What `lo` sends comes in again: one side of it shows everything.
        if interface.link == Link::Loopback {
            return Ok(vec![ingress]);
        }
        let egress = hook::tc(&mut self.kernel, interface, Side::Egress, self.options.tc)?;
        Ok(vec![ingress, egress])
    }

    fn ingress(&mut self, interface: &Interface) -> Result<Attachment> {
        let reason = match xdp_modes(interface, self.options) {
            Ok(modes) => match hook::xdp(&mut self.kernel, interface, modes) {
                Ok(attachment) => return Ok(attachment),
                Err(reason) => Some(reason),
            },
            Err(reason) => reason.map(str::to_owned),
        };
        if let (AttachBy::Xdp, Some(reason)) = (self.options.by, &reason) {
            bail!("{reason}; --attach auto uses TC instead");
        }
        let attachment = hook::tc(&mut self.kernel, interface, Side::Ingress, self.options.tc)?;
        Ok(attachment.instead_of_xdp(reason))
    }

    /// Whether there is something to wait for without any interface.
    #[must_use]
    pub const fn waits_for_more(&self) -> bool {
        matches!(self.wanted, Wanted::Any)
    }

    /// Whether no interface is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// The interfaces, as number and name.
    pub fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        self.attached.iter().map(|(index, attached)| (*index, attached.name.as_str()))
    }

    /// Where the programs are, as "eth0 ingress xdp native".
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        self.attached.values().flat_map(|attached| &attached.hooks).map(ToString::to_string).collect()
    }

    /// Lets go of all interfaces.
    pub fn detach(&mut self) {
        self.attached.clear();
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

impl Wanted {
    async fn resolve(asked: &Interfaces, there: &[Interface]) -> Result<Self> {
        Ok(match asked {
            Interfaces::Any => Self::Any,
            Interfaces::Named(names) => {
                let unknown =
                    names.iter().find(|name| !there.iter().any(|interface| interface.name == **name));
                if let Some(name) = unknown {
                    let known: Vec<_> = there.iter().map(|interface| interface.name.as_str()).collect();
                    bail!("there is no interface {name}; there are {} (or \"any\")", known.join(", "));
                }
                Self::Names(names.clone())
            }
            Interfaces::DefaultRoute => {
                let routed = interfaces::with_default_route().await.context("which interfaces to trace")?;
                let is_default = |i: &&Interface| i.link == Link::Loopback || routed.contains(&i.index);
                Self::Names(there.iter().filter(is_default).map(|interface| interface.name.clone()).collect())
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

/// Why XDP has to be asked for on a veth (drivers/net/veth.c: `veth_xdp_set`, `veth_convert_skb_to_xdp_buff`): what is sent to a
/// container takes five times as long with it.
const DEAR_ON_VETH: &str = "a veth copies every frame for it and takes no large ones any more";

/// The kinds of XDP to try, in this order; or that there are none, with the reason if it was not asked for.
fn xdp_modes(interface: &Interface, options: Options) -> Result<&'static [Method], Option<&'static str>> {
    match (interface.link, options.by, options.xdp_mode) {
        (_, AttachBy::Tc, _) => Err(None),
        (Link::Loopback, ..) => Err(Some("it has no driver")),
        (Link::RawIp | Link::Other(_), ..) => Err(Some("its frames have no Ethernet header")),
        (_, AttachBy::Auto | AttachBy::Xdp, XdpMode::Generic) => Ok(&[Method::XdpGeneric]),
        (_, AttachBy::Auto, XdpMode::Auto) if interface.is_veth() => Err(Some(DEAR_ON_VETH)),
        (_, AttachBy::Auto, XdpMode::Auto) | (_, _, XdpMode::Native) => Ok(&[Method::XdpNative]),
        (_, AttachBy::Xdp, XdpMode::Auto) => Ok(&[Method::XdpNative, Method::XdpGeneric]),
    }
}

/// What would be tried on an interface, in words.
#[must_use]
pub fn intention(interface: &Interface, config: &Attach) -> String {
    let tc = if support::before(6, 6) { "clsact" } else { "TCX" };
    if let Link::Other(_) = interface.link {
        return "nothing: neither Ethernet nor bare IP".to_owned();
    }
    let options = Options { by: config.by, xdp_mode: config.xdp_mode, tc: Method::Tcx };
    let ingress = match (xdp_modes(interface, options), interface.xdp, config.by) {
        (Ok(_), Some(xdp), _) => format!("{tc}, because {} is there", hook::foreign_xdp(xdp)),
        (Ok([Method::XdpGeneric]), None, _) => "XDP generic".to_owned(),
        (Ok(_), None, AttachBy::Xdp) => "XDP".to_owned(),
        (Ok(_), None, _) => format!("XDP native if the driver has it, else {tc}"),
        (Err(_), ..) => tc.to_owned(),
    };
    let egress = if interface.link == Link::Loopback { "not needed" } else { tc };
    format!("ingress {ingress}; egress {egress}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(link: Link) -> Interface {
        Interface { index: 2, name: "x".to_owned(), link, up: true, kind: None, xdp: None }
    }

    fn modes(interface: &Interface, by: AttachBy, xdp_mode: XdpMode) -> Result<Vec<Method>, bool> {
        let options = Options { by, xdp_mode, tc: Method::Tcx };
        xdp_modes(interface, options).map(<[_]>::to_vec).map_err(|reason| reason.is_some())
    }

    #[test]
    fn generic_xdp_only_when_it_is_asked_for() {
        use Method::{XdpGeneric, XdpNative};
        for (by, mode, tried) in [
            (AttachBy::Auto, XdpMode::Auto, vec![XdpNative]),
            (AttachBy::Auto, XdpMode::Native, vec![XdpNative]),
            (AttachBy::Auto, XdpMode::Generic, vec![XdpGeneric]),
            (AttachBy::Xdp, XdpMode::Auto, vec![XdpNative, XdpGeneric]),
            (AttachBy::Xdp, XdpMode::Native, vec![XdpNative]),
            (AttachBy::Xdp, XdpMode::Generic, vec![XdpGeneric]),
        ] {
            assert_eq!(modes(&interface(Link::Ethernet), by, mode), Ok(tried), "{by:?} {mode:?}");
        }
    }

    #[test]
    fn xdp_on_a_veth_only_when_it_is_asked_for() {
        use Method::{XdpGeneric, XdpNative};
        let veth = Interface { kind: Some("veth".to_owned()), ..interface(Link::Ethernet) };
        for (by, mode, tried) in [
            (AttachBy::Auto, XdpMode::Auto, Err(true)),
            (AttachBy::Auto, XdpMode::Native, Ok(vec![XdpNative])),
            (AttachBy::Xdp, XdpMode::Auto, Ok(vec![XdpNative, XdpGeneric])),
        ] {
            assert_eq!(modes(&veth, by, mode), tried, "{by:?} {mode:?}");
        }
    }

    #[test]
    fn no_xdp_where_it_was_ruled_out_or_cannot_work() {
        assert_eq!(modes(&interface(Link::Ethernet), AttachBy::Tc, XdpMode::Auto), Err(false));
        assert_eq!(modes(&interface(Link::Loopback), AttachBy::Auto, XdpMode::Auto), Err(true));
        assert_eq!(modes(&interface(Link::RawIp), AttachBy::Xdp, XdpMode::Native), Err(true));
    }
}
