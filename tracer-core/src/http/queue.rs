//! The exchanges under way in one connection, oldest first.

use smallvec::SmallVec;

use super::exchange::{Message, Pending, Progress};
use crate::record::Confidence;

/// Exchanges under way at once in a connection: the kernel remembers the methods of as many. Beyond it the oldest is
/// told as it is, as Zeek does beyond its `max_pending_requests`.
pub(super) const MAX_PENDING: usize = 64;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Most of the time there is one.
    pending: SmallVec<[Pending; 1]>,
    /// How far it is numbered.
    pub(super) numbers: Numbers,
}

/// How far exchanges are numbered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The index given last.
    last_index: u32,
    /// The kernel's number of the next request; none before the first one is known.
    next_number: Option<u32>,
    /// Events were lost.
    lossy: bool,
}

impl Numbers {
    /// Events were lost: requests may be missing that nobody was told of.
    pub(super) const fn on_lost(&mut self) {
        self.lossy = true;
    }

    /// The kernel begins to number anew.
    pub(super) const fn restart(&mut self) {
        self.next_number = None;
        self.lossy = false;
    }

    /// How many exchanges there have been.
    pub(super) const fn exchanges(&self) -> u32 {
        self.last_index
    }
}

impl Queue {
    /// Empty, and going on behind `numbers`.
    pub(super) fn after(numbers: Numbers) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// Whether no exchange is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many exchanges are over and were taken out.
    pub(super) fn told(&self) -> u32 {
        self.numbers.last_index - self.pending.len() as u32
    }

    /// The exchange that the kernel gave `number`; `None` if it has been told already.
    ///
    /// Makes it if need be, and those before it: the kernel has seen their requests, even if it could not tell them.
    pub(super) fn by_number(&mut self, number: u32) -> Option<&mut Pending> {
        // If nothing was lost, all before the first were told already: of a connection that was given up, and went on
        // before the kernel had forgotten it.
        let mut next = self.numbers.next_number.unwrap_or(if self.numbers.lossy { 0 } else { number });
        let ahead = number.wrapping_sub(next).cast_signed();
        if ahead < 0 {
            return self.existing(number);
        }
        if ahead.unsigned_abs() as usize >= MAX_PENDING {
            // More are missing than could be under way.
            next = number;
        }
        while next != number {
            self.push_unrequested(Some(next));
            next = next.wrapping_add(1);
        }
        self.numbers.next_number = Some(number.wrapping_add(1));
        Some(self.push(Some(number)))
    }

    /// The exchange that the kernel gave `number`, if it is under way.
    pub(super) fn existing(&mut self, number: u32) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.number == Some(number))
    }

    /// The exchange of a response that no request was seen for: interim ones belong to the final one after them.
    pub(super) fn unsolicited(&mut self) -> &mut Pending {
        match self.pending.len().checked_sub(1) {
            Some(last) if self.pending[last].number.is_none() && !self.pending[last].response.begun => {
                &mut self.pending[last]
            }
            _ => self.push_unrequested(None),
        }
    }

    /// Adds an exchange whose request will not be told.
    fn push_unrequested(&mut self, number: Option<u32>) -> &mut Pending {
        let new = self.push(number);
        new.request.give_up();
        new.weaken(Confidence::Inferred);
        new
    }

    fn push(&mut self, number: Option<u32>) -> &mut Pending {
        let index = self.numbers.last_index.saturating_add(1);
        self.numbers.last_index = index;
        self.pending.push(Pending::new(index, number));
        let last = self.pending.len() - 1;
        &mut self.pending[last]
    }

    /// The exchange with `index`, if it is under way.
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.index == index)
    }

    /// The oldest one without a response.
    pub(super) fn first_unanswered(&mut self) -> Option<&mut Pending> {
        self.pending
            .iter_mut()
            .find(|pending| pending.response.progress == Progress::Open && !pending.response.begun)
    }

    /// What the client, or the server, sent for the exchange `index` has begun: nothing more is to come for earlier ones.
    pub(super) fn give_up_before(&mut self, index: u32, client: bool) {
        for pending in self.pending.iter_mut().take_while(|pending| pending.index < index) {
            pending.side(client).give_up();
        }
    }

    /// All that the client, or the server, sends; true from `change` says that an end is a guess.
    pub(super) fn each(&mut self, client: bool, mut change: impl FnMut(&mut Message) -> bool) {
        for pending in &mut self.pending {
            if change(pending.side(client)) {
                pending.weaken(Confidence::Inferred);
            }
        }
    }

    /// Bytes kept.
    pub(super) fn buffered(&self) -> usize {
        self.pending.iter().map(|pending| size_of::<Pending>() + pending.head.text_len()).sum()
    }

    /// Gives all of them up.
    pub(super) fn give_up_all(&mut self) {
        for pending in &mut self.pending {
            pending.request.give_up();
            pending.response.give_up();
            pending.weaken(Confidence::Inferred);
        }
    }

    /// Takes out the oldest one if it is over, or one too many.
    pub(super) fn pop(&mut self) -> Option<Pending> {
        let is_one_too_many = self.pending.len() > MAX_PENDING;
        let oldest = self.pending.first_mut()?;
        if !oldest.is_over() {
            if !is_one_too_many {
                return None;
            }
            oldest.request.give_up();
            oldest.response.give_up();
            oldest.weaken(Confidence::Inferred);
        }
        Some(self.pending.remove(0))
    }
}
