//! The programs that learn the owners of sockets. Each is tried, and what is missing only leaves owners out.

use std::{
    fmt,
    io::{self, Read as _},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::{
    Btf,
    programs::{BtfTracePoint, CgroupAttachMode, CgroupSockAddr, Iter, Program},
};
use tracer_common::event::{Event, OwnerEvent};

use super::{Kernel, refusal, support};
use crate::live::owner;

/// The ways to learn owners: the name, and whether it is in force, or why not.
#[derive(Debug, Default)]
pub struct Ways(Vec<(&'static str, Result<()>)>);

/// Who reads from a socket.
const READERS: &str = "readers";
/// Who holds sockets that are open when tracing starts, or whose readers are not known.
const HOLDERS: &str = "open sockets";
/// Who connects a socket.
const CONNECTORS: &str = "connecting clients";

impl Ways {
    /// None is in force, for this reason.
    pub(super) fn none(reason: &anyhow::Error) -> Self {
        Self([READERS, HOLDERS, CONNECTORS].map(|way| (way, Err(anyhow!("{reason:#}")))).into())
    }

    /// Each, and whether it is in force.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Result<()>)> {
        self.0.iter().map(|(way, outcome)| (*way, outcome))
    }

    /// Whether one of them is in force.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.0.iter().any(|(_, outcome)| outcome.is_ok())
    }
}

/// As in `owners: by readers, open sockets; not by connecting clients (no cgroup2 mount)`.
impl fmt::Display for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_force: Vec<&str> =
            self.0.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(way, _)| *way).collect();
        let missing: Vec<(&str, String)> = self
            .0
            .iter()
            .filter_map(|(way, outcome)| Some((*way, format!("{:#}", outcome.as_ref().err()?))))
            .collect();
        if in_force.is_empty() {
            let reason = missing.first().map_or("switched off", |(_, reason)| reason);
            return write!(f, "owners: processes are not named: {reason}");
        }
        write!(f, "owners: by {}", in_force.join(", "))?;
        for (way, reason) in missing {
            write!(f, "; not by {way} ({reason})")?;
        }
        Ok(())
    }
}

impl Kernel {
    /// Loads and attaches the programs that learn owners, as far as the kernel permits.
    pub fn learn_owners(&mut self) -> Ways {
        if let Some(reason) = &self.without_offsets {
            return Ways::none(reason);
        }
        let btf = match Btf::from_sys_fs() {
            Ok(btf) => btf,
            Err(error) => return Ways::none(&anyhow!("no kernel types: {error}")),
        };
        Ways(vec![
            (READERS, self.follow_readers(&btf)),
            (HOLDERS, self.load_holders(&btf)),
            (CONNECTORS, self.follow_connectors()),
        ])
    }

    fn follow_readers(&mut self, btf: &Btf) -> Result<()> {
        let name = "tracer_reads";
        let program: &mut BtfTracePoint = self.program(name)?.try_into().context("not a BTF tracepoint")?;
        program.load("tcp_rcv_space_adjust", btf).map_err(|error| anyhow!(refusal::program(name, &error)))?;
        program.attach().context("cannot attach")?;
        Ok(())
    }

    fn load_holders(&mut self, btf: &Btf) -> Result<()> {
        let name = "tracer_sockets";
        let program: &mut Iter = self.program(name)?.try_into().context("not an iterator")?;
        program.load("task_file", btf).map_err(|error| anyhow!(refusal::program(name, &error)))
    }

    fn follow_connectors(&mut self) -> Result<()> {
        // Without a link, an attachment would exclude all others, and stay if this process is killed.
        ensure!(!support::before(5, 7), "cgroup links need Linux 5.7");
        let root = owner::open_root()?;
        // The one that uses what the others store comes first.
        for name in ["tracer_connecting", "tracer_connects4", "tracer_connects6"] {
            let refused = |error| anyhow!(refusal::program(name, &error));
            let program = self.program(name)?;
            if let Program::SockOps(program) = program {
                program.load().map_err(refused)?;
                program.attach(&root, CgroupAttachMode::Single).context("cannot attach")?;
            } else {
                let program: &mut CgroupSockAddr = program.try_into().context("not a program of a cgroup")?;
                program.load().map_err(refused)?;
                program.attach(&root, CgroupAttachMode::Single).context("cannot attach")?;
            }
        }
        Ok(())
    }

    /// An owner event for each traced socket that a process of this host holds: one pass over all open files, which takes
    /// some milliseconds for ten thousand. Needs no privileges once the program is loaded.
    ///
    /// # Errors
    /// The program is not loaded, or the kernel refuses.
    pub fn holders(&mut self) -> Result<Vec<OwnerEvent>> {
        let program: &mut Iter = self.program("tracer_sockets")?.try_into().context("not an iterator")?;
        let link =
            program.attach().and_then(|id| program.take_link(id)).context("cannot start an iterator")?;
        let mut file = link.into_file().context("cannot start an iterator")?;
        let mut bytes = Vec::new();
        // The kernel may stop early to let others run.
        while let Err(error) = file.read_to_end(&mut bytes) {
            ensure!(error.kind() == io::ErrorKind::WouldBlock, "cannot read the iterator: {error}");
        }
        let events =
            bytes.chunks_exact(size_of::<OwnerEvent>()).filter_map(|bytes| match Event::from_bytes(bytes) {
                Ok(Event::Owner(event)) => Some(event),
                _ => None,
            });
        Ok(events.collect())
    }
}
