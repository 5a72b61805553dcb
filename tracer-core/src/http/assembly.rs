//! Assembles a head from its fragments.

use std::borrow::Cow;

use tracer_common::{
    event::{HttpFacts, Marks},
    http1::{FRAGMENT, MAX_HEAD},
};

use super::{lines::is_whitespace, order::Place};

/// The most bytes kept of a head: what the kernel emits of one, and a fragment more because it counts in
/// fragments.
const MAX_BYTES: usize = MAX_HEAD as usize + FRAGMENT;

/// The head in progress in one direction, if it comes in several events, as few do.
#[derive(Debug, Default)]
pub(super) struct Assembly(Option<Box<PartialHead>>);

/// A head in progress.
#[derive(Debug, Default)]
struct PartialHead {
    /// Its number in its direction, from 1.
    number: u32,
    /// The exchange, as far as the kernel knows it.
    exchange: u32,
    bytes: Vec<u8>,
    place: Place,
    /// Stream offset after `bytes`.
    end: u64,
    /// When its first byte was seen.
    first: Option<u64>,
    /// A fragment is missing: those after it are not kept.
    has_gap: bool,
    /// Events were lost since it started: its end may be among them.
    missed: bool,
}

/// A head, as much of it as was received.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    /// Where it starts.
    pub(super) place: Place,
    /// Its bytes from the start.
    pub(super) bytes: Cow<'a, [u8]>,
    /// When its first byte was seen.
    pub(super) first: Option<u64>,
    /// It is complete.
    pub(super) whole: bool,
    /// Events were lost since it started.
    pub(super) missed: bool,
    /// The exchange that it belongs to: always correct for requests with a complete request line.
    pub(super) exchange: u32,
}

impl<'a> Head<'a> {
    /// The head of an event that contains all of it, as most do.
    pub(super) fn from_event(facts: &HttpFacts, bytes: &'a [u8]) -> Option<Self> {
        const WHOLE: Marks = Marks::HEAD_START.union(Marks::HEAD_END);
        const BROKEN: Marks = Marks::NOT_HTTP.union(Marks::LOST_SYNC);
        let is_whole = facts.marks & (WHOLE | BROKEN) == WHOLE && bytes.len() == facts.head_len as usize;
        (is_whole && !bytes.is_empty()).then(|| Self {
            place: Place { start: facts.offset, acked: facts.acked },
            bytes: bytes.into(),
            first: Some(facts.header.time),
            whole: true,
            missed: false,
            exchange: facts.exchange,
        })
    }
}

impl Assembly {
    /// Adds the bytes of an event.
    pub(super) fn push(&mut self, facts: &HttpFacts, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let starts = facts.marks.contains(Marks::HEAD_START);
        let known = self.0.take_if(|partial| !starts && partial.number == facts.head);
        let partial = self.0.insert(known.unwrap_or_else(|| {
            Box::new(PartialHead {
                number: facts.head,
                place: Place { start: facts.offset, acked: facts.acked },
                end: facts.offset,
                first: starts.then_some(facts.header.time),
                has_gap: !starts,
                ..PartialHead::default()
            })
        }));
        partial.exchange = facts.exchange;
        partial.has_gap |= facts.offset != partial.end || partial.bytes.len() + bytes.len() > MAX_BYTES;
        if !partial.has_gap {
            partial.bytes.extend_from_slice(bytes);
            partial.end = facts.offset.saturating_add(bytes.len() as u64);
        }
    }

    /// Takes the head, which is complete according to `facts`.
    pub(super) fn take(&mut self, facts: &HttpFacts) -> Head<'static> {
        let is_all =
            |partial: &PartialHead| !partial.has_gap && partial.bytes.len() == facts.head_len as usize;
        let partial = self.0.take_if(|partial| partial.number == facts.head);
        self.clear();
        let whole = partial.as_deref().map_or(facts.head_len == 0, is_all);
        let missing = || Head { place: place_of(facts), ..Head::default() };
        Head { whole, ..partial.map_or_else(missing, |partial| partial.into()) }
    }

    /// Takes the incomplete head.
    pub(super) fn take_partial(&mut self) -> Head<'static> {
        self.0.take().map_or_else(Head::default, |partial| partial.into())
    }

    /// Bytes kept.
    pub(super) fn buffered(&self) -> usize {
        self.0.as_ref().map_or(0, |partial| size_of::<PartialHead>() + partial.bytes.capacity())
    }

    /// Drops the bytes, to free memory.
    pub(super) fn drop_bytes(&mut self) {
        if let Some(partial) = &mut self.0 {
            partial.has_gap = true;
            partial.bytes = Vec::new();
        }
    }

    /// Events were lost.
    pub(super) fn on_lost(&mut self) {
        if let Some(partial) = &mut self.0 {
            partial.missed = true;
        }
    }

    /// Drops the head.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// The exchange that the head belongs to, as far as the kernel knows it; 0 if there is no head.
    pub(super) fn exchange(&self) -> u32 {
        self.0.as_ref().map_or(0, |partial| partial.exchange)
    }

    /// Where the head in progress starts.
    pub(super) fn place(&self) -> Option<Place> {
        self.0.as_ref().map(|partial| partial.place)
    }

    /// The exchange before the head, if that is the start of a method so far, but of no registered one: those are in upper case, with
    /// hyphens (RFC 9110, 16.1.1).
    pub(super) fn exchange_before_junk(&self) -> Option<u32> {
        let partial = self.0.as_ref()?;
        let is_method = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-';
        let bytes = partial.bytes.as_slice();
        let is_junk = !bytes.iter().all(is_method) && !bytes.iter().any(is_whitespace);
        (is_junk && !partial.has_gap).then_some(partial.exchange)
    }

    /// Whether a head is in progress.
    pub(super) const fn in_progress(&self) -> bool {
        self.0.is_some()
    }
}

impl From<Box<PartialHead>> for Head<'static> {
    fn from(partial: Box<PartialHead>) -> Self {
        let PartialHead { place, exchange, bytes, first, missed, .. } = *partial;
        Self { place, bytes: bytes.into(), first, whole: false, missed, exchange }
    }
}

/// Where the head starts that ends with an event, whose first bytes may not have been received.
fn place_of(facts: &HttpFacts) -> Place {
    let end = facts.offset.saturating_add(u64::from(facts.len));
    Place { start: end.saturating_sub(u64::from(facts.head_len)), acked: facts.acked }
}
