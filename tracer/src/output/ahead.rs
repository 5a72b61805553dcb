//! A sink in a thread of its own: records are written while those after them are made.
//!
//! ```text
//! write ─► a batch ─► the thread: sink ─► lines
//!   ▲                    │
//!   └── the batch, done ─┘
//! ```
//!
//! As many batches go round as may wait: whoever makes records faster than they are written waits for the thread. What comes
//! back of them is their memory, and the error that ended the thread.

use std::{
    io, mem,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use tracer_core::{record::Record, render::Sink};

/// Records that are handed over at once.
const BATCH: usize = 128;

/// Batches that the thread has at most.
const BATCHES: usize = 4;

/// Records to write, and whether the sink is to be flushed behind them.
struct Batch {
    records: Vec<Record>,
    flush: bool,
}

/// A batch that is done: its memory, if all of it is written.
type Done = io::Result<Vec<Record>>;

/// Hands records to a sink in a thread of its own. An error of that sink comes back from a later call, at the latest from
/// [`Sink::flush`], which waits until all is written; nothing is written after it.
pub struct Ahead {
    filling: Vec<Record>,
    to_thread: Sender<Batch>,
    from_thread: Receiver<Done>,
    /// Batches that the thread has.
    under_way: usize,
}

impl Ahead {
    /// A sink that `make` makes, in its thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(make: impl FnOnce() -> Box<dyn Sink> + Send + 'static) -> io::Result<Self> {
        let (to_thread, batches) = mpsc::channel();
        let (done, from_thread) = mpsc::channel();
        thread::Builder::new()
            .name("sink".into())
            .spawn(move || write_all(make().as_mut(), &batches, &done))?;
        Ok(Self { filling: Vec::with_capacity(BATCH), to_thread, from_thread, under_way: 0 })
    }

    /// Hands over what there is.
    fn hand_over(&mut self, flush: bool) -> io::Result<()> {
        let empty = if self.under_way < BATCHES { Vec::with_capacity(BATCH) } else { self.take_back()? };
        let records = mem::replace(&mut self.filling, empty);
        if self.to_thread.send(Batch { records, flush }).is_err() {
            // It has ended, and has perhaps said why.
            loop {
                self.take_back()?;
            }
        }
        self.under_way += 1;
        Ok(())
    }

    /// Waits for a batch that is done.
    fn take_back(&mut self) -> Done {
        let done = self.from_thread.recv().map_err(|_| ended())?;
        self.under_way -= 1;
        done
    }
}

impl Sink for Ahead {
    fn write(&mut self, record: Record) -> io::Result<()> {
        self.filling.push(record);
        if self.filling.len() < BATCH { Ok(()) } else { self.hand_over(false) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over(true)?;
        while self.under_way > 0 {
            self.take_back()?;
        }
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // The last chance for records that nobody flushed; there is nobody left to tell.
        let _ = self.flush();
    }
}

/// Writes batches until there are no more, or one cannot be written.
fn write_all(sink: &mut dyn Sink, batches: &Receiver<Batch>, done: &Sender<Done>) {
    for Batch { mut records, flush } in batches {
        let mut outcome = records.drain(..).try_for_each(|record| sink.write(record));
        if flush && outcome.is_ok() {
            outcome = sink.flush();
        }
        let failed = outcome.is_err();
        if done.send(outcome.map(|()| records)).is_err() || failed {
            return;
        }
    }
}

/// The error of the sink was told before, or it has panicked.
fn ended() -> io::Error {
    io::Error::other("the thread that writes records has ended")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use tracer_core::record::{Body, Timestamp};

    /// Takes so many records, notes their times, and then has no more room.
    struct Small {
        room: usize,
        written: Written,
    }

    /// The times of the records written; how often was flushed.
    type Written = Arc<Mutex<(Vec<u64>, usize)>>;

    impl Sink for Small {
        fn write(&mut self, record: Record) -> io::Result<()> {
            let mut written = self.written.lock().expect("nobody panics");
            if written.0.len() == self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            written.0.push(record.timestamp.0);
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.written.lock().expect("nobody panics").1 += 1;
            Ok(())
        }
    }

    fn ahead(room: usize) -> (Ahead, Written) {
        let written = Written::default();
        let small = Small { room, written: Arc::clone(&written) };
        (Ahead::start(move || Box::new(small)).expect("a thread"), written)
    }

    fn record(number: u64) -> Record {
        Record { timestamp: Timestamp(number), connection: None, body: Body::Summary(Box::default()) }
    }

    /// More than all batches together hold.
    const MANY: u64 = 10 * (BATCH * BATCHES) as u64 + 1;

    #[test]
    fn a_flush_waits_until_every_record_is_written_in_its_order() {
        let (mut sink, written) = ahead(usize::MAX);
        for number in 0..MANY {
            sink.write(record(number)).expect("there is room");
            let behind = number + 1 - written.lock().expect("nobody panics").0.len() as u64;
            assert!(behind <= ((BATCHES + 1) * BATCH) as u64, "{behind} records wait");
        }
        sink.flush().expect("there is room");
        let written = written.lock().expect("nobody panics");
        assert_eq!(*written, ((0..MANY).collect(), 1));
    }

    #[test]
    fn what_nobody_flushed_is_written_at_the_end() {
        let (mut sink, written) = ahead(usize::MAX);
        sink.write(record(7)).expect("there is room");
        drop(sink);
        assert_eq!(*written.lock().expect("nobody panics"), (vec![7], 1));
    }

    #[test]
    fn an_error_comes_back_and_nothing_is_written_after_it() {
        let (mut sink, written) = ahead(BATCH + 5);
        let outcome = (0..MANY).try_for_each(|number| sink.write(record(number)));
        assert_eq!(outcome.expect_err("there is no room").kind(), io::ErrorKind::StorageFull);
        sink.flush().expect_err("it has ended");
        drop(sink);
        assert_eq!(*written.lock().expect("nobody panics"), ((0..BATCH as u64 + 5).collect(), 0));
    }

    #[test]
    fn an_error_of_a_few_records_comes_back_from_the_flush() {
        let (mut sink, _) = ahead(1);
        sink.write(record(0)).expect("it is taken");
        sink.write(record(1)).expect("it is taken");
        assert_eq!(sink.flush().expect_err("there is no room").kind(), io::ErrorKind::StorageFull);
    }
}
