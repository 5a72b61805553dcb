//! The ring buffer, read without waiting in vain: the kernel wakes us when the first event comes.

use std::{io, os::fd::AsFd as _};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};

use super::readiness::Readiness;

/// The most events taken at once, so that a flood of them cannot keep signals and timeouts waiting: at a microsecond an
/// event some milliseconds.
const BATCH: usize = 4096;

/// The ring buffer that the kernel programs write to.
pub struct Ring {
    events: RingBuf<MapData>,
    readiness: Readiness,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    pub(super) fn new(map: Map) -> Result<Self> {
        let events = RingBuf::try_from(map).context("the map EVENTS is not as expected")?;
        let readiness = Readiness::of(events.as_fd()).context("cannot wait for events")?;
        Ok(Self { events, readiness })
    }

    /// Waits until there are events. Takes none: it may be dropped at any time.
    ///
    /// # Errors
    /// The runtime cannot wait any more.
    pub async fn readable(&self) -> io::Result<()> {
        self.readiness.readable().await
    }

    /// Hands the events that are there to `take`, up to a bound; true when none is left.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let Self { events, readiness } = self;
        let mut emptied = false;
        readiness.read_until_empty(|| {
            for _ in 0..BATCH {
                let Some(event) = events.next() else {
                    emptied = true;
                    break;
                };
                take(&event);
            }
            emptied
        });
        emptied
    }

    /// Hands over all events that are there, whether the kernel has told of them or not: for the end, when no new ones
    /// come.
    pub fn drain_all(&mut self, mut take: impl FnMut(&[u8])) {
        while let Some(event) = self.events.next() {
            take(&event);
        }
    }
}
