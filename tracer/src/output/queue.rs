//! The queue of records to be written: whole lines, within a limit.
//!
//! Without threads, clocks and I/O.

use std::collections::VecDeque;

use super::{BUFFER_SIZE, device::OpenFile};

/// Size of the end of a record in a batch.
const END_SIZE: usize = size_of::<u32>();

/// Maximum number of empty batches kept for reuse: as many as there are when the writer waits for a
/// CPU now and then.
const MAX_SPARES: usize = 4;

/// Consecutive records.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Their lines.
    pub(super) bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<u32>,
}

impl Batch {
    fn with_capacity() -> Self {
        Self { bytes: Vec::with_capacity(BUFFER_SIZE), ends: Vec::new() }
    }

    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    /// How many records there are within the first `len` bytes.
    pub(super) fn records_within(&self, len: usize) -> u64 {
        self.ends.partition_point(|&end| end as usize <= len) as u64
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * END_SIZE
    }
}

/// The next work of the writer.
pub(super) enum Item {
    /// Write these lines.
    Lines(Batch),
    /// Write to this file from now on.
    Reopen(OpenFile),
}

/// Counts of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records handed over.
    pub made: u64,
    /// Records written as a whole.
    pub written: u64,
    /// Records dropped: the queue was full.
    pub lost: u64,
}

/// The records that wait to be written.
pub(super) struct Queue {
    /// The batch that records are added to.
    filling: Batch,
    waiting: VecDeque<Item>,
    /// Size of all batches, also of the one being written.
    size: usize,
    limit: usize,
    /// Whether even a batch that is not full is to be written.
    flushed: bool,
    /// Empty batches, kept for their memory.
    spares: Vec<Batch>,
    /// Size and records of the batch being written.
    in_progress: Option<usize>,
    pub(super) counts: Counts,
}

impl Queue {
    /// Nothing waits; at most `limit` bytes will.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            filling: Batch::with_capacity(),
            waiting: VecDeque::new(),
            size: 0,
            limit,
            flushed: false,
            spares: Vec::new(),
            in_progress: None,
            counts: Counts::default(),
        }
    }

    /// Whether a record of `len` bytes is within the limit; nothing is too long for an empty queue.
    pub(super) fn fits(&self, len: usize) -> bool {
        self.size == 0 || self.size + len + END_SIZE <= self.limit
    }

    /// Takes one record, or counts it as lost; with `force`, it is taken beyond the limit.
    pub(super) fn push(&mut self, record: &[u8], force: bool) {
        self.counts.made += 1;
        let size = record.len() + END_SIZE;
        if self.size + size > self.limit && !force {
            self.counts.lost += 1;
            return;
        }
        if self.filling.bytes.len() + record.len() > BUFFER_SIZE {
            self.close_batch();
        }
        self.size += size;
        self.filling.push(record);
    }

    /// Whether the writer has work.
    pub(super) fn is_ready(&self) -> bool {
        !self.waiting.is_empty() || self.flushed && !self.filling.bytes.is_empty()
    }

    /// Whether everything is written.
    pub(super) fn is_done(&self) -> bool {
        self.in_progress.is_none() && self.waiting.is_empty() && self.filling.bytes.is_empty()
    }

    /// Whether the queue is at most half full.
    pub(super) fn has_space(&self) -> bool {
        self.size <= self.limit / 2
    }

    /// Asks for everything so far to be written.
    pub(super) fn flush(&mut self) {
        self.flushed |= !self.filling.bytes.is_empty();
    }

    /// The next work.
    pub(super) fn take(&mut self) -> Option<Item> {
        if !self.is_ready() {
            return None;
        }
        if self.waiting.is_empty() {
            self.close_batch();
        }
        if self.waiting.len() <= 1 {
            self.flushed &= !self.filling.bytes.is_empty();
        }
        let item = self.waiting.pop_front();
        if let Some(Item::Lines(batch)) = &item {
            self.in_progress = Some(batch.size());
        }
        item
    }

    /// The batch being written is written, or dropped.
    pub(super) fn finish(&mut self, mut batch: Batch) {
        self.size -= self.in_progress.take().unwrap_or_default();
        // A long line or a slow device must not occupy memory for good.
        if batch.bytes.capacity() <= 2 * BUFFER_SIZE && self.spares.len() < MAX_SPARES {
            batch.bytes.clear();
            batch.ends.clear();
            self.spares.push(batch);
        }
    }

    /// From here on lines go to `file`.
    pub(super) fn reopen(&mut self, file: OpenFile) {
        self.close_batch();
        if let Some(Item::Reopen(last)) = self.waiting.back_mut() {
            *last = file;
        } else {
            self.waiting.push_back(Item::Reopen(file));
        }
    }

    /// The next file, although lines still wait for the one before it: that one takes none.
    pub(super) fn take_reopened(&mut self) -> Option<OpenFile> {
        let place = self.waiting.iter().position(|item| matches!(item, Item::Reopen(_)))?;
        match self.waiting.remove(place)? {
            Item::Reopen(file) => Some(file),
            Item::Lines(_) => None,
        }
    }

    /// Drops and counts everything but the batch being written.
    pub(super) fn discard(&mut self) {
        self.close_batch();
        for item in self.waiting.drain(..) {
            if let Item::Lines(batch) = item {
                self.size -= batch.size();
                self.counts.lost += batch.ends.len() as u64;
            }
        }
    }

    fn close_batch(&mut self) {
        if !self.filling.bytes.is_empty() {
            let next = self.spares.pop().unwrap_or_else(Batch::with_capacity);
            self.waiting.push_back(Item::Lines(std::mem::replace(&mut self.filling, next)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be written of all that waits.
    fn written(queue: &mut Queue) -> Vec<u8> {
        let mut bytes = Vec::new();
        queue.flush();
        while let Some(Item::Lines(batch)) = queue.take() {
            bytes.extend_from_slice(&batch.bytes);
            queue.counts.written += batch.records_within(batch.bytes.len());
            queue.finish(batch);
        }
        bytes
    }

    #[test]
    fn records_are_written_whole_and_in_order() {
        let mut queue = Queue::new(1 << 20);
        let mut expected = Vec::new();
        for number in 0..20_000 {
            let line = format!("line {number}\n");
            queue.push(line.as_bytes(), false);
            expected.extend_from_slice(line.as_bytes());
        }
        assert_eq!(written(&mut queue), expected);
        assert_eq!(queue.counts, Counts { made: 20_000, written: 20_000, lost: 0 });
        assert!(queue.is_done() && queue.size == 0);
    }

    #[test]
    fn records_beyond_the_limit_are_counted_as_lost_until_there_is_space_again() {
        let mut queue = Queue::new(10 * (100 + END_SIZE));
        let line = [b'x'; 100];
        (0..25).for_each(|_| queue.push(&line, false));
        assert_eq!(queue.counts, Counts { made: 25, written: 0, lost: 15 });
        assert!(!queue.has_space());
        assert_eq!(written(&mut queue).len(), 10 * 100);
        assert!(queue.has_space());
        queue.push(&line, false);
        assert_eq!(written(&mut queue).len(), 100);
        assert_eq!(queue.counts, Counts { made: 26, written: 11, lost: 15 });
    }

    #[test]
    fn a_flush_of_an_empty_queue_does_not_affect_later_records() {
        let mut queue = Queue::new(1 << 20);
        queue.flush();
        queue.push(b"later\n", false);
        assert!(!queue.is_ready() && queue.take().is_none());
        assert_eq!(written(&mut queue), b"later\n");
    }

    #[test]
    fn a_batch_being_written_counts_towards_the_limit() {
        let mut queue = Queue::new(300);
        queue.push(&[b'x'; 200], false);
        queue.flush();
        let Some(Item::Lines(batch)) = queue.take() else { panic!("there is a batch") };
        queue.push(&[b'y'; 200], false);
        assert_eq!(queue.counts.lost, 1);
        assert!(!queue.is_done());
        queue.finish(batch);
        queue.push(&[b'y'; 200], false);
        assert_eq!(queue.counts.lost, 1);
    }

    #[test]
    fn an_alarm_goes_beyond_the_limit() {
        let mut queue = Queue::new(10);
        queue.push(b"too long for it\n", false);
        queue.push(b"alarm\n", true);
        assert_eq!(written(&mut queue), b"alarm\n");
        assert_eq!(queue.counts, Counts { made: 2, written: 1, lost: 1 });
    }

    #[test]
    fn dropped_records_are_counted_except_those_being_written() {
        let mut queue = Queue::new(1 << 20);
        queue.push(b"one\n", false);
        queue.flush();
        let Some(Item::Lines(batch)) = queue.take() else { panic!("there is a batch") };
        queue.push(b"two\n", false);
        queue.push(b"three\n", false);
        queue.discard();
        assert_eq!(queue.counts.lost, 2);
        assert!(queue.take().is_none());
        queue.finish(batch);
        assert!(queue.is_done() && queue.size == 0);
    }

    #[test]
    fn nothing_is_written_before_a_flush_or_a_full_batch() {
        let mut queue = Queue::new(1 << 20);
        queue.push(b"line\n", false);
        assert!(queue.take().is_none());
        (0..2).for_each(|_| queue.push(&[b'x'; BUFFER_SIZE - 10], false));
        assert!(matches!(queue.take(), Some(Item::Lines(batch)) if batch.bytes.len() == BUFFER_SIZE - 5));
        assert!(queue.take().is_none());
    }

    #[test]
    fn the_whole_records_of_a_partly_written_batch_count() {
        let mut batch = Batch::default();
        batch.push(b"one\n");
        batch.push(b"two\nand more\n");
        assert_eq!([3, 4, 16, 17].map(|len| batch.records_within(len)), [0, 1, 1, 2]);
    }
}
