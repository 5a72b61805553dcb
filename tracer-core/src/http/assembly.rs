//! The fragments of a head, put together.

use std::borrow::Cow;

use tracer_common::{
    event::{HttpFacts, Marks},
    http1::{FRAGMENT, MAX_HEAD},
};

/// Bytes of a head that are kept: what the kernel tells of one, and a fragment more because it counts in fragments.
const MAX_KEPT: usize = MAX_HEAD as usize + FRAGMENT;

/// The head that one direction is sending, if it is told in pieces: most are not.
#[derive(Debug, Default)]
pub(super) struct Assembly(Option<Box<Pieces>>);

/// What there is of a head.
#[derive(Debug, Default)]
struct Pieces {
    /// Its number in its direction, from 1.
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
        const WHOLE: Marks = Marks::HEAD_START.union(Marks::HEAD_END);
        const BROKEN: Marks = Marks::NOT_HTTP.union(Marks::LOST_SYNC);
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
        let starts = facts.marks.contains(Marks::HEAD_START);
        let known = self.0.take_if(|pieces| !starts && pieces.number == facts.head);
        let pieces = self.0.insert(known.unwrap_or_else(|| {
            Box::new(Pieces {
                number: facts.head,
                end: facts.offset,
                first: starts.then_some(facts.header.time),
                holed: !starts,
                ..Pieces::default()
            })
        }));
        pieces.exchange = facts.exchange;
        pieces.holed |= facts.offset != pieces.end || pieces.bytes.len() + bytes.len() > MAX_KEPT;
        if !pieces.holed {
            pieces.bytes.extend_from_slice(bytes);
            pieces.end = facts.offset.saturating_add(bytes.len() as u64);
        }
    }

    /// The head that `facts` says is complete.
    pub(super) fn take(&mut self, facts: &HttpFacts) -> Head<'static> {
        let is_all = |pieces: &Pieces| !pieces.holed && pieces.bytes.len() == facts.head_len as usize;
        let pieces = self.0.take_if(|pieces| pieces.number == facts.head);
        self.clear();
        let whole = pieces.as_deref().map_or(facts.head_len == 0, is_all);
        Head { whole, ..pieces.map_or_else(Head::default, |pieces| pieces.into()) }
    }

    /// The head as far as it got.
    pub(super) fn give_up(&mut self) -> Head<'static> {
        self.0.take().map_or_else(Head::default, |pieces| pieces.into())
    }

    /// Bytes kept.
    pub(super) fn buffered(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| size_of::<Pieces>() + pieces.bytes.capacity())
    }

    /// Gives up the bytes: there is no room.
    pub(super) fn give_up_bytes(&mut self) {
        if let Some(pieces) = &mut self.0 {
            pieces.holed = true;
            pieces.bytes = Vec::new();
        }
    }

    /// Events were lost.
    pub(super) fn on_lost(&mut self) {
        if let Some(pieces) = &mut self.0 {
            pieces.missed = true;
        }
    }

    /// Forgets the head.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// The exchange that the head belongs to, as far as the kernel knows it; 0 where there is none.
    pub(super) fn exchange(&self) -> u32 {
        self.0.as_ref().map_or(0, |pieces| pieces.exchange)
    }

    /// Whether a head has begun and not ended.
    pub(super) const fn in_progress(&self) -> bool {
        self.0.is_some()
    }
}

impl From<Box<Pieces>> for Head<'static> {
    fn from(pieces: Box<Pieces>) -> Self {
        let Pieces { exchange, bytes, first, missed, .. } = *pieces;
        Self { bytes: bytes.into(), first, whole: false, missed, exchange }
    }
}
