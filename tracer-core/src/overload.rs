//! When losses begin and when they are over: one alarm for each, however many there are in between.
//!
//! Pure: losses and the time are arguments.

use crate::record::{Degraded, DegradedReason, DegradedState, ShedClass};

/// How long nothing must be lost before it is over, in ns: bursts that follow each other closely are one.
const QUIET: u64 = 2_000_000_000;

/// What was lost of one kind so far, and why if anything is lost now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Of what.
    pub shed: ShedClass,
    /// How many since the start.
    pub total: u64,
    /// Why.
    pub reason: DegradedReason,
    /// Whether there is room again.
    pub has_room: bool,
}

/// What is being lost.
#[derive(Debug, Default)]
pub struct Overload {
    courses: [Course; ShedClass::ALL.len()],
}

/// One kind of loss in the course of time.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// What had been lost when it was looked at last.
    total: u64,
    /// Since when it goes on.
    entered: Option<Entered>,
}

#[derive(Clone, Copy, Debug)]
struct Entered {
    reason: DegradedReason,
    /// What had been lost before.
    before: u64,
    since: u64,
    last: u64,
}

impl Overload {
    /// Takes in what was lost until `now`, in ns of any clock, and says what changes by that.
    pub fn on_loss(&mut self, loss: Loss, now: u64) -> Option<Degraded> {
        let course = self.courses.get_mut(loss.shed as usize)?;
        let before = std::mem::replace(&mut course.total, loss.total);
        let is_more = loss.total > before;
        match &mut course.entered {
            None if is_more => {
                course.entered = Some(Entered { reason: loss.reason, before, since: now, last: now });
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
                course.leave(loss.shed)
            }
            None | Some(_) => None,
        }
    }

    /// The observation ends: what goes on is over.
    pub fn finish(&mut self) -> impl Iterator<Item = Degraded> {
        ShedClass::ALL.into_iter().zip(&mut self.courses).filter_map(|(shed, course)| course.leave(shed))
    }
}

impl Course {
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
    fn losses_that_follow_each_other_are_one_alarm_and_its_end() {
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
    fn it_is_not_over_before_there_is_room() {
        let mut overload = Overload::default();
        let full = |total| Loss { has_room: false, ..loss(total) };
        assert_eq!(overload.on_loss(full(1), 0), entered(1));
        assert_eq!(overload.on_loss(full(1), 100 * SECOND), None);
        assert_eq!(overload.on_loss(loss(1), 101 * SECOND), left(1, 0));
    }

    #[test]
    fn each_kind_is_for_itself_and_the_end_ends_all() {
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
