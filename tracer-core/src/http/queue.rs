//! The exchanges in progress in one connection, oldest first.

use smallvec::SmallVec;

use super::exchange::{Message, Pending, Progress};
use crate::record::{Confidence, Side};

/// The most exchanges in progress in a connection: the kernel keeps the methods of as many. Beyond them the
/// oldest is reported as it is, as Zeek does beyond its `max_pending_requests`.
pub(super) const MAX_PENDING: usize = 64;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct ExchangeQueue {
    /// Usually there is one.
    pending: SmallVec<[Pending; 1]>,
    /// The numbers of the exchanges so far.
    pub(super) numbers: Numbers,
}

/// The numbers of the exchanges so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The last index.
    last_index: u32,
    /// The kernel's number of the next request; `None` before the first one.
    next_number: Option<u32>,
    /// Events were lost.
    lossy: bool,
}

impl Numbers {
    /// Events were lost: requests may be missing.
    pub(super) const fn on_lost(&mut self) {
        self.lossy = true;
    }

    /// The kernel numbers messages from zero again.
    pub(super) const fn restart(&mut self) {
        self.next_number = None;
        self.lossy = false;
    }

    /// The number of exchanges so far.
    pub(super) const fn exchanges(&self) -> u32 {
        self.last_index
    }
}

impl ExchangeQueue {
    /// An empty queue that continues after `numbers`.
    pub(super) fn after(numbers: Numbers) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// Whether no exchange is in progress.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The number of exchanges removed so far.
    pub(super) fn reported(&self) -> u32 {
        self.numbers.last_index - self.pending.len() as u32
    }

    /// The exchange with the kernel's `number`; `None` if it has been reported already.
    ///
    /// Creates it if it is new, and those before it: the kernel has seen their requests, even if their events
    /// were lost.
    pub(super) fn by_number(&mut self, number: u32) -> Option<&mut Pending> {
        // If no event was lost, those before the first were reported already: the connection expired, and
        // continued before the kernel removed its entry.
        let mut next = self.numbers.next_number.unwrap_or(if self.numbers.lossy { 0 } else { number });
        let ahead = number.wrapping_sub(next).cast_signed();
        if ahead < 0 {
            return self.existing(number);
        }
        if ahead.unsigned_abs() as usize >= MAX_PENDING {
            // More are missing than can be in progress.
            next = number;
        }
        while next != number {
            self.push_without_request(Some(next));
            next = next.wrapping_add(1);
        }
        self.numbers.next_number = Some(number.wrapping_add(1));
        Some(self.push(Some(number)))
    }

    /// The exchange with the kernel's `number`, if it is in progress.
    pub(super) fn existing(&mut self, number: u32) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.number == Some(number))
    }

    /// The exchange of a response without a request. Interim responses belong to the final one after them.
    pub(super) fn unsolicited(&mut self) -> &mut Pending {
        match self.pending.len().checked_sub(1) {
            Some(last) if self.pending[last].number.is_none() && !self.pending[last].response.started => {
                &mut self.pending[last]
            }
            _ => self.push_without_request(None),
        }
    }

    /// Adds an exchange whose request was not seen.
    fn push_without_request(&mut self, number: Option<u32>) -> &mut Pending {
        let new = self.push(number);
        new.request.mark_unknown();
        new.lower_confidence(Confidence::Inferred);
        new
    }

    fn push(&mut self, number: Option<u32>) -> &mut Pending {
        let index = self.numbers.last_index.saturating_add(1);
        self.numbers.last_index = index;
        self.pending.push(Pending::new(index, number));
        let last = self.pending.len() - 1;
        &mut self.pending[last]
    }

    /// The exchange with `index`, if it is in progress.
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.index == index)
    }

    /// The oldest exchange without a response.
    pub(super) fn first_unanswered(&mut self) -> Option<&mut Pending> {
        self.pending
            .iter_mut()
            .find(|pending| pending.response.progress == Progress::Open && !pending.response.started)
    }

    /// Whether an exchange before `index` waits for its response when a request acknowledges up to `acked`.
    pub(super) fn waits_before(&self, index: u32, acked: u64) -> bool {
        self.pending.iter().take_while(|pending| pending.index < index).any(|pending| pending.waits(acked))
    }

    /// Bytes of a server that are no response end at stream offset `start`.
    pub(super) fn end_invalid(&mut self, start: u64) {
        self.pending.iter_mut().for_each(|pending| pending.response.end_invalid(start));
    }

    /// Requests that were not seen before their responses are not to be expected any more.
    pub(super) fn give_up_requests(&mut self) {
        for pending in self.pending.iter_mut().filter(|pending| pending.response.started) {
            if !pending.request.started {
                pending.request.mark_unknown();
            }
        }
    }

    /// A side has started its message of the exchange `index`: those of earlier exchanges will not end.
    pub(super) fn mark_unknown_before(&mut self, index: u32, sender: Side) {
        for pending in self.pending.iter_mut().take_while(|pending| pending.index < index) {
            pending.message(sender).mark_unknown();
        }
    }

    /// Changes all messages of a side. `change` returns true if the end of a message is
    /// a guess.
    pub(super) fn for_each(&mut self, sender: Side, mut change: impl FnMut(&mut Message) -> bool) {
        for pending in &mut self.pending {
            if change(pending.message(sender)) {
                pending.lower_confidence(Confidence::Inferred);
            }
        }
    }

    /// Bytes kept.
    pub(super) fn buffered(&self) -> usize {
        self.pending.iter().map(Pending::size).sum()
    }

    /// A side sent a FIN.
    pub(super) fn on_fin(&mut self, sender: Side, time: u64) {
        self.pending.iter_mut().for_each(|pending| pending.on_fin(sender, time));
    }

    /// A side sent a RST.
    pub(super) fn on_reset(&mut self, sender: Side, time: u64) {
        self.pending.iter_mut().for_each(|pending| pending.end(sender, time));
    }

    /// The ends of all messages will not be seen.
    pub(super) fn mark_all_unknown(&mut self) {
        for pending in &mut self.pending {
            pending.request.mark_unknown();
            pending.response.mark_unknown();
            pending.lower_confidence(Confidence::Inferred);
        }
    }

    /// Removes the oldest exchange if it is finished, or if there are too many. The last one is dropped if it is none.
    pub(super) fn pop(&mut self) -> Option<Pending> {
        let is_full = self.pending.len() > MAX_PENDING;
        let oldest = self.pending.first_mut()?;
        if !oldest.is_finished() {
            if !is_full {
                return None;
            }
            oldest.request.mark_unknown();
            oldest.response.mark_unknown();
            oldest.lower_confidence(Confidence::Inferred);
        }
        let oldest = self.pending.remove(0);
        if oldest.is_other_protocol() && oldest.index == self.numbers.last_index {
            self.numbers.last_index -= 1;
            return None;
        }
        Some(oldest)
    }
}
