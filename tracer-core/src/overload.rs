//! Overload: one alarm when loss begins and one when it is over, however many losses are in between.
//!
//! Sans-IO: losses and the time are arguments.

use crate::record::{Degraded, DegradedReason, DegradedState, ShedClass};

/// An overload is over after this long without loss, in ns, so that bursts in close succession are one.
const QUIET: u64 = 2_000_000_000;

/// The loss of one class so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The class.
    pub shed: ShedClass,
    /// Lost since the start.
    pub total: u64,
    /// Why something is lost now, if it is.
    pub reason: DegradedReason,
    /// Whether the buffer has space again.
    pub has_room: bool,
}

/// The overloads of all classes.
#[derive(Debug, Default)]
pub struct Overload {
    episodes: [Episode; ShedClass::ALL.len()],
}

/// The loss of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Episode {
    /// Lost until the last check.
    total: u64,
    /// The overload in progress.
    entered: Option<Entered>,
}

#[derive(Clone, Copy, Debug)]
struct Entered {
    reason: DegradedReason,
    /// Lost before it began.
    before: u64,
    since: u64,
    last: u64,
}

impl Overload {
    /// Takes in the loss until `now`, in ns of any clock; returns whether an overload begins or ends.
    pub fn on_loss(&mut self, loss: Loss, now: u64) -> Option<Degraded> {
        let episode = self.episodes.get_mut(loss.shed as usize)?;
        let before = std::mem::replace(&mut episode.total, loss.total);
        let is_more = loss.total > before;
        match &mut episode.entered {
            None if is_more => {
                episode.entered = Some(Entered { reason: loss.reason, before, since: now, last: now });
                Some(Degraded {
                    state: DegradedState::Entered,
                    shed: loss.shed,
                    reason: loss.reason,
                    lost: loss.total - before,
                    duration_ns: None,
                })
            }
            Some(entered) if is_more => {
                entered.last = now;
                None
            }
            Some(entered) if loss.has_room && now.saturating_sub(entered.last) >= QUIET => {
                episode.leave(loss.shed)
            }
            None | Some(_) => None,
        }
    }

    /// The observation ends, and with it every overload in progress.
    pub fn finish(&mut self) -> impl Iterator<Item = Degraded> {
        ShedClass::ALL.into_iter().zip(&mut self.episodes).filter_map(|(shed, episode)| episode.leave(shed))
    }
}

impl Episode {
    fn leave(&mut self, shed: ShedClass) -> Option<Degraded> {
        let entered = self.entered.take()?;
        Some(Degraded {
            state: DegradedState::Left,
            shed,
            reason: entered.reason,
            lost: self.total - entered.before,
            duration_ns: Some(entered.last - entered.since),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn loss(total: u64) -> Loss {
        Loss { shed: ShedClass::Anomalies, total, reason: DegradedReason::ReaderBehind, has_room: true }
    }

    fn entered(lost: u64) -> Option<Degraded> {
        let (state, shed, reason) =
            (DegradedState::Entered, ShedClass::Anomalies, DegradedReason::ReaderBehind);
        Some(Degraded { state, shed, reason, lost, duration_ns: None })
    }

    fn left(lost: u64, duration_ns: u64) -> Option<Degraded> {
        let (state, shed, reason) = (DegradedState::Left, ShedClass::Anomalies, DegradedReason::ReaderBehind);
        Some(Degraded { state, shed, reason, lost, duration_ns: Some(duration_ns) })
    }

    #[test]
    fn losses_in_close_succession_are_one_overload() {
        let mut overload = Overload::default();
        assert_eq!(overload.on_loss(loss(0), 0), None);
        assert_eq!(overload.on_loss(loss(5), SECOND), entered(5));
        assert_eq!(overload.on_loss(loss(7), 2 * SECOND), None);
        assert_eq!(overload.on_loss(loss(7), 3 * SECOND), None);
        assert_eq!(overload.on_loss(loss(8), 4 * SECOND - 1), None);
        assert_eq!(overload.on_loss(loss(8), 6 * SECOND - 2), None);
        assert_eq!(overload.on_loss(loss(8), 6 * SECOND - 1), left(8, 3 * SECOND - 1));
        assert_eq!(overload.on_loss(loss(8), 9 * SECOND), None);
        assert_eq!(overload.on_loss(loss(9), 10 * SECOND), entered(1));
    }

    #[test]
    fn an_overload_is_not_over_before_there_is_space() {
        let mut overload = Overload::default();
        let full = |total| Loss { has_room: false, ..loss(total) };
        assert_eq!(overload.on_loss(full(1), 0), entered(1));
        assert_eq!(overload.on_loss(full(1), 100 * SECOND), None);
        assert_eq!(overload.on_loss(loss(1), 101 * SECOND), left(1, 0));
    }

    #[test]
    fn each_class_is_independent_and_the_end_ends_all() {
        let mut overload = Overload::default();
        assert!(overload.on_loss(loss(3), 0).is_some());
        let records =
            Loss { shed: ShedClass::Records, total: 4, reason: DegradedReason::OutputFull, has_room: false };
        assert!(overload.on_loss(records, 0).is_some());
        let over: Vec<_> = overload.finish().map(|change| (change.shed, change.lost)).collect();
        assert_eq!(over, [(ShedClass::Anomalies, 3), (ShedClass::Records, 4)]);
        assert_eq!(overload.finish().count(), 0);
    }
}
