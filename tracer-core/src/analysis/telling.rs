//! The way of a record out of the tracker: is it asked for, is there one more to write, does anybody read it.

use std::io;

use crate::{
    record::{EventName, Events, Record},
    render::Sink,
    tracker::Tracker,
};

/// Why no record can be written any more.
#[derive(Debug)]
pub enum Stop {
    /// As many as asked for are written.
    Enough,
    /// Nobody reads any more.
    ClosedPipe,
    /// The sink cannot write, or the runtime cannot wait.
    Failed(io::Error),
    /// Where the events come from does not answer.
    Source(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Source(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ClosedPipe } else { Self::Failed(error) }
    }
}

/// Passes on the records that are asked for.
pub struct Telling {
    sink: Box<dyn Sink>,
    events: Events,
    /// Records still to write, if they are counted.
    remaining: Option<u64>,
}

impl Telling {
    /// To `sink` records of these names, `count` of them or all.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>, events: Events, count: Option<u64>) -> Self {
        Self { sink, events, remaining: count }
    }

    /// Whether records of this name are asked for.
    pub fn wants(&self, name: EventName) -> bool {
        self.events.has(name)
    }

    /// Writes what the tracker has to tell.
    pub fn tell(&mut self, tracker: &mut Tracker) -> Result<(), Stop> {
        while let Some(record) = tracker.next_record() {
            self.tell_one(record)?;
        }
        Ok(())
    }

    /// Writes a record if it is asked for.
    pub fn tell_one(&mut self, record: Record) -> Result<(), Stop> {
        if self.wants(record.body.name()) { self.write(record) } else { Ok(()) }
    }

    /// Writes a record and counts it.
    pub fn write(&mut self, record: Record) -> Result<(), Stop> {
        self.write_uncounted(record)?;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(1);
            if *remaining == 0 {
                self.flush()?;
                return Err(Stop::Enough);
            }
        }
        Ok(())
    }

    /// Writes a record, however many were asked for.
    pub fn write_uncounted(&mut self, record: Record) -> Result<(), Stop> {
        Ok(self.sink.write(record)?)
    }

    /// Passes on what the sink holds back.
    pub fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.sink.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::record::{Body, Timestamp};

    /// Takes a number of records and then says that nobody reads any more.
    struct Pipe {
        room: usize,
        written: Rc<RefCell<usize>>,
    }

    impl Sink for Pipe {
        fn write(&mut self, _record: Record) -> io::Result<()> {
            let mut written = self.written.borrow_mut();
            if *written == self.room {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            *written += 1;
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn telling(room: usize, count: Option<u64>) -> (Telling, Rc<RefCell<usize>>) {
        let written = Rc::new(RefCell::new(0));
        let pipe = Pipe { room, written: Rc::clone(&written) };
        (Telling::new(Box::new(pipe), Events::default(), count), written)
    }

    fn record() -> Record {
        Record { timestamp: Timestamp(0), connection: None, body: Body::Summary(Box::default()) }
    }

    #[test]
    fn the_last_record_asked_for_ends_it_and_the_summary_does_not_count() {
        let (mut telling, written) = telling(10, Some(2));
        assert!(telling.write(record()).is_ok());
        assert!(telling.write_uncounted(record()).is_ok());
        assert!(matches!(telling.write(record()), Err(Stop::Enough)));
        assert_eq!(*written.borrow(), 3);
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_failure() {
        let (mut telling, _) = telling(1, None);
        assert!(telling.write(record()).is_ok());
        assert!(matches!(telling.write(record()), Err(Stop::ClosedPipe)));
        assert!(matches!(Stop::from(io::Error::from(io::ErrorKind::StorageFull)), Stop::Failed(_)));
    }
}
