//! The ring buffer, read without waiting in vain and without being woken for each event.
//!
//! The kernel wakes us when an event comes to whoever has taken all before it. What comes in the next
//! millisecond finds an event before it that is not taken yet, and costs nobody a wake-up.

use std::{io, os::fd::AsFd as _, time::Duration};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};
use tokio::{task::yield_now, time::sleep};

use super::readiness::Readiness;

/// The most events taken at once, so that a flood of them cannot keep signals and timeouts waiting: at a microsecond an
/// event some milliseconds.
const BATCH: usize = 4096;

/// How long events are gathered before they are taken: long enough that a busy host wakes us some hundred times a second
/// instead of ten thousand times, and short, because what has been gathered keeps a CPU from the server for as long as it
/// takes. The runtime's timers do not count less.
const GATHERING: Duration = Duration::from_millis(1);

/// The bytes that may come in a second while nobody takes any: a fast host's 4 million events. A ring that is small beside
/// that is read at once.
const MAX_BYTES_PER_SECOND: u64 = 1 << 30;

/// The ring buffer that the kernel programs write to.
pub struct Ring {
    events: RingBuf<MapData>,
    readiness: Readiness,
    gathering: Duration,
    /// Whether the last [`drain`](Self::drain) left events behind.
    behind: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// The ring in `map`, of so many bytes.
    pub(super) fn new(map: Map, bytes: u32) -> Result<Self> {
        let events = RingBuf::try_from(map).context("the map EVENTS is not as expected")?;
        let readiness = Readiness::of(events.as_fd()).context("cannot wait for events")?;
        Ok(Self { events, readiness, gathering: gathering(bytes), behind: false })
    }

    /// Waits until there are events, and a little longer for more. Takes none: it may be dropped at any time.
    ///
    /// # Errors
    /// The runtime cannot wait any more.
    pub async fn readable(&self) -> io::Result<()> {
        self.readiness.readable().await?;
        if self.behind {
            // Signals and timeouts are noticed by the runtime, which must get its turn for that.
            yield_now().await;
        } else if !self.gathering.is_zero() {
            sleep(self.gathering).await;
        }
        Ok(())
    }

    /// Hands the events that are there to `take`, up to a bound; true when none is left.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let Self { events, readiness, behind, .. } = self;
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
        *behind = !emptied;
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

/// How long events are gathered in a ring of so many bytes: not at all where half of it may be full by then.
fn gathering(bytes: u32) -> Duration {
    let fills = Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / (2 * MAX_BYTES_PER_SECOND));
    if fills < GATHERING { Duration::ZERO } else { GATHERING }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_gathered_only_as_long_as_the_ring_has_room_for_them() {
        assert_eq!(gathering(64 << 10), Duration::ZERO);
        assert_eq!(gathering(2 << 20), Duration::ZERO);
        assert_eq!(gathering(3 << 20), GATHERING);
        assert_eq!(gathering(u32::MAX), GATHERING);
    }
}
