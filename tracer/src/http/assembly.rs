//! The fragments of a head, put together.

use std::borrow::Cow;

use tracer_common::{
    event::{HttpFacts, mark},
    http::{FRAGMENT, MAX_HEAD},
};

/// Bytes of a head that are kept: what the kernel tells of one, and a fragment more because it counts in fragments.
const MAX_KEPT: usize = MAX_HEAD as usize + FRAGMENT;

/// The head that one direction is sending.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Its number in its direction; 0: none.
    number: u32,
    /// The exchange, as far as the kernel knows it.
    exchange: u32,
    bytes: Vec<u8>,
    /// Stream offset behind `bytes`.
    end: u64,
    /// When its first byte was seen.
    first: Option<u64>,
    /// A fragment is missing: what comes after it is of no use.
    holed: bool,
    /// Events were lost since it began: its end may be among them.
    missed: bool,
}

/// A head, as much of it as was told.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    /// Its bytes from the start on.
    pub(super) bytes: Cow<'a, [u8]>,
    /// When its first byte was seen.
    pub(super) first: Option<u64>,
    /// All of it is there.
    pub(super) whole: bool,
    /// Events were lost since it began.
    pub(super) missed: bool,
    /// The exchange that it belongs to: for requests always right once the request line is complete.
    pub(super) exchange: u32,
}

impl<'a> Head<'a> {
    /// The head that one event tells all of, as most are; the others have to be put together.
    pub(super) fn at_once(facts: &HttpFacts, bytes: &'a [u8]) -> Option<Self> {
        const WHOLE: u16 = mark::HEAD_START | mark::HEAD_END;
        const BROKEN: u16 = mark::NOT_HTTP | mark::LOST_SYNC;
        let is_whole = facts.marks & (WHOLE | BROKEN) == WHOLE && bytes.len() == facts.head_len as usize;
        (is_whole && !bytes.is_empty()).then(|| Self {
            bytes: bytes.into(),
            first: Some(facts.header.time),
            whole: true,
            missed: false,
            exchange: facts.exchange,
        })
    }
}

impl Assembly {
    /// Takes in the bytes of an event.
    pub(super) fn push(&mut self, facts: &HttpFacts, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let starts = facts.marks & mark::HEAD_START != 0;
        if starts || facts.head != self.number {
            *self = Self {
                number: facts.head,
                end: facts.offset,
                first: starts.then_some(facts.header.time),
                holed: !starts,
                ..Self::default()
            };
        }
        self.exchange = facts.exchange;
        self.holed |= facts.offset != self.end || self.bytes.len() + bytes.len() > MAX_KEPT;
        if !self.holed {
            self.bytes.extend_from_slice(bytes);
            self.end = facts.offset.saturating_add(bytes.len() as u64);
        }
    }

    /// The head that `facts` says is complete.
    pub(super) fn take(&mut self, facts: &HttpFacts) -> Head<'static> {
        if facts.head != self.number {
            self.clear();
        }
        let whole = !self.holed && self.bytes.len() == facts.head_len as usize;
        Head { whole, ..self.give_up() }
    }

    /// The head as far as it got.
    pub(super) fn give_up(&mut self) -> Head<'static> {
        let Self { exchange, bytes, first, missed, .. } = std::mem::take(self);
        Head { bytes: bytes.into(), first, whole: false, missed, exchange }
    }

    /// Bytes kept.
    pub(super) const fn buffered(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives up the bytes: there is no room.
    pub(super) fn give_up_bytes(&mut self) {
        self.holed |= self.in_progress();
        self.bytes = Vec::new();
    }

    /// Events were lost.
    pub(super) const fn on_lost(&mut self) {
        self.missed = true;
    }

    /// Forgets the head.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The exchange that the head belongs to, as far as the kernel knows it.
    pub(super) const fn exchange(&self) -> u32 {
        self.exchange
    }

    /// Whether a head has begun and not ended.
    pub(super) const fn in_progress(&self) -> bool {
        self.number != 0
    }
}
