//! Reads the ring buffer in batches, without a wake-up for each event.
//!
//! The kernel wakes the reader only for an event that arrives when the ring is empty. The reader
//! then waits a millisecond before it reads, so that the events of that time cost no wake-up.

use std::{io, os::fd::AsFd as _, time::Duration};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};
use tokio::{task::yield_now, time::sleep};

use super::readiness::Readiness;

/// The most events read at once, so that a flood of events delays signals and timeouts by a few
/// milliseconds at most (about 1 µs an event).
const BATCH: usize = 4096;

/// How long to wait for more events after a wake-up. Long enough that a busy host wakes the reader
/// some hundred times a second instead of ten thousand times; short, because a batch takes a CPU
/// from the server while it is read. The runtime's timers have no finer resolution.
const BATCHING_DELAY: Duration = Duration::from_millis(1);

/// The most bytes of events that a host produces in a second: 4 million events. A ring that could
/// be half full after [`BATCHING_DELAY`] at this rate is read at once.
const MAX_BYTES_PER_SECOND: u64 = 1 << 30;

/// The ring buffer that the kernel programs write to.
pub struct Ring {
    events: RingBuf<MapData>,
    readiness: Readiness,
    batching_delay: Duration,
    /// Whether the last [`drain`](Self::drain) stopped at its bound and left events in the ring.
    has_more: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// The ring in `map`, of `bytes` bytes.
    pub(super) fn new(map: Map, bytes: u32) -> Result<Self> {
        let events = RingBuf::try_from(map).context("the map EVENTS is not as expected")?;
        let readiness = Readiness::of(events.as_fd()).context("cannot wait for events")?;
        Ok(Self { events, readiness, batching_delay: batching_delay(bytes), has_more: false })
    }

    /// Waits until there are events, and a little longer for more. Consumes none. Cancel safe.
    ///
    /// # Errors
    /// The runtime cannot wait for the file descriptor.
    pub async fn readable(&self) -> io::Result<()> {
        self.readiness.readable().await?;
        if self.has_more {
            // Let the runtime notice signals and timeouts.
            yield_now().await;
        } else if !self.batching_delay.is_zero() {
            sleep(self.batching_delay).await;
        }
        Ok(())
    }

    /// Passes the events in the ring to `take`, up to a bound. Returns whether none is left.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let Self { events, readiness, has_more, .. } = self;
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
        *has_more = !emptied;
        emptied
    }

    /// Passes all events in the ring to `take`, also those without a wake-up. For shutdown, when no
    /// new ones are written.
    pub fn drain_all(&mut self, mut take: impl FnMut(&[u8])) {
        while let Some(event) = self.events.next() {
            take(&event);
        }
    }
}

/// How long to wait for more events with a ring of `bytes` bytes: not at all if half of it could be
/// full by then.
fn batching_delay(bytes: u32) -> Duration {
    let fills_in = Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / (2 * MAX_BYTES_PER_SECOND));
    if fills_in < BATCHING_DELAY { Duration::ZERO } else { BATCHING_DELAY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_batched_only_if_the_ring_has_room_for_them() {
        assert_eq!(batching_delay(64 << 10), Duration::ZERO);
        assert_eq!(batching_delay(2 << 20), Duration::ZERO);
        assert_eq!(batching_delay(3 << 20), BATCHING_DELAY);
        assert_eq!(batching_delay(u32::MAX), BATCHING_DELAY);
    }
}
