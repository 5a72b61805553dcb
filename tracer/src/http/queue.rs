//! The exchanges under way in one connection, oldest first.

use std::collections::VecDeque;

use super::exchange::{Message, Pending, Progress};
use crate::record::Confidence;

/// Exchanges under way at once in a connection: the kernel remembers the methods of as many. Beyond it the oldest is
/// told as it is, as Zeek does beyond its `max_pending_requests`.
pub(super) const MAX_PENDING: usize = 64;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Boxed, because a queue has room for several: most of the time there is one.
    pending: VecDeque<Box<Pending>>,
    /// The index given last.
    last_index: u32,
    /// The kernel's number of the next request; none before the first one is known.
    next_number: Option<u32>,
    /// Events were lost.
    lossy: bool,
}

impl Queue {
    /// The exchange that the kernel gave `number`; `None` if it has been told already.
    ///
    /// Makes it if need be, and those before it: the kernel has seen their requests, even if it could not tell them.
    pub(super) fn by_number(&mut self, number: u32) -> Option<&mut Pending> {
        // If nothing was lost, all before the first were told already: of a connection that was given up, and went on
        // before the kernel had forgotten it.
        let mut next = self.next_number.unwrap_or(if self.lossy { 0 } else { number });
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
        self.next_number = Some(number.wrapping_add(1));
        Some(self.push(Some(number)))
    }

    /// Events were lost: requests may be missing that nobody was told of.
    pub(super) const fn on_lost(&mut self) {
        self.lossy = true;
    }

    /// The kernel begins to number anew. None is under way.
    pub(super) const fn start_anew(&mut self) {
        self.next_number = None;
        self.lossy = false;
    }

    /// The exchange that the kernel gave `number`, if it is under way.
    pub(super) fn existing(&mut self, number: u32) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.number == Some(number)).map(Box::as_mut)
    }

    /// The exchange of a response that no request was seen for: interim ones belong to the final one after them.
    pub(super) fn unsolicited(&mut self) -> &mut Pending {
        match self.pending.pop_back_if(|last| last.number.is_none() && !last.response.begun) {
            Some(last) => self.pending.push_back_mut(last),
            None => self.push_unrequested(None),
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
        self.last_index = self.last_index.saturating_add(1);
        self.pending.push_back_mut(Pending::new(self.last_index, number).into())
    }

    /// The exchange with `index`, if it is under way.
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.index == index).map(Box::as_mut)
    }

    /// The oldest one without a response.
    pub(super) fn first_unanswered(&mut self) -> Option<&mut Pending> {
        self.pending
            .iter_mut()
            .find(|pending| pending.response.progress == Progress::Open && !pending.response.begun)
            .map(Box::as_mut)
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
    pub(super) fn pop(&mut self) -> Option<Box<Pending>> {
        if self.pending.len() > MAX_PENDING {
            let mut oldest = self.pending.pop_front()?;
            if !oldest.is_over() {
                oldest.request.give_up();
                oldest.response.give_up();
                oldest.weaken(Confidence::Inferred);
            }
            return Some(oldest);
        }
        self.pending.pop_front_if(|oldest| oldest.is_over())
    }
}
