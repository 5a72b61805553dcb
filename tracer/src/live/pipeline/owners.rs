//! The owners of sockets: where they come from, and when they are looked for.

use std::time::Duration;

use tokio::time::Instant;
use tracer_common::event::Event;

use super::Pipeline;
use crate::{
    config::KernelConfig,
    live::{
        kernel::{Kernel, owners::Ways},
        owner,
    },
    logging::note,
};

/// The shortest time between two passes over all open files; it doubles with each, up to the longest. A pass takes up to a tenth
/// of a second, and where it did not find an owner, the next one hardly will.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The state of the search for owners.
pub(super) struct Owners {
    ways: Option<Ways>,
    /// When the next pass over all open files may start.
    next: Instant,
    interval: Duration,
}

impl Owners {
    /// Loads and attaches what is needed, as far as the kernel permits.
    pub(super) fn start(kernel: &mut Kernel, config: &KernelConfig) -> Self {
        let ways = config.owners.then(|| kernel.learn_owners());
        Self { ways, next: Instant::now(), interval: SHORTEST }
    }
}

impl Pipeline {
    /// Names processes from now on, those of the sockets that are open already included.
    pub(super) fn name_owners(&mut self, config: &KernelConfig) {
        let Some(ways) = self.owners.ways.as_ref() else { return };
        if !self.quiet || !ways.has_any() {
            note(&ways.to_string());
        }
        if ways.has_any() {
            let seen = owner::Seen::new(config.process_details);
            // 0 is no namespace's: without a cookie, no owner is believed on the loopback interface.
            self.analysis.tracker.set_processes(Box::new(seen), owner::cookie().unwrap_or_default());
            self.look_at_holders();
        }
    }

    /// Looks for the owners of sockets that nobody has read from.
    pub(super) fn look_for_owners(&mut self) {
        let now = Instant::now();
        if now < self.owners.next || !self.analysis.tracker.lacks_owner(crate::clock::now()) {
            return;
        }
        self.owners.next = now + self.owners.interval;
        self.owners.interval = (self.owners.interval * 2).min(LONGEST);
        self.look_at_holders();
    }

    fn look_at_holders(&mut self) {
        match self.attacher.kernel_mut().holders() {
            Ok(events) => {
                for event in events {
                    self.analysis.tracker.on_event(&Event::Owner(event));
                }
            }
            Err(error) => log::debug!("open sockets cannot be listed: {error:#}"),
        }
    }
}
