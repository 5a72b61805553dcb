//! Stub, replaced at merge.
#![expect(missing_docs, reason = "stub, replaced at merge")]

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::record::Record;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
    Explain,
}

pub trait Sink {
    fn write(&mut self, record: &Record) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}

struct Json(Box<dyn Write>);

impl Sink for Json {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let name = record.body.name().as_str();
        let body = serde_json::to_string(&record.body)?;
        writeln!(self.0, "{{\"timestamp\":{},\"event.name\":\"{name}\",\"body\":{body}}}", record.timestamp.0)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[must_use]
pub fn new(_format: Format, writer: Box<dyn Write>) -> Box<dyn Sink> {
    Box::new(Json(writer))
}

pub mod output {
    use super::*;

    #[derive(Clone)]
    pub struct Output(Arc<Mutex<Box<dyn Write + Send>>>, Option<PathBuf>);

    impl Output {
        #[must_use]
        pub fn stdout() -> Self {
            Self(Arc::new(Mutex::new(Box::new(io::stdout()))), None)
        }

        pub fn file(path: &Path) -> io::Result<Self> {
            Ok(Self(Arc::new(Mutex::new(Box::new(open(path)?))), Some(path.to_owned())))
        }

        pub fn reopen(&self) -> io::Result<()> {
            if let (Some(path), Ok(mut target)) = (&self.1, self.0.lock()) {
                *target = Box::new(open(path)?);
            }
            Ok(())
        }
    }

    fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_or(Ok(0), |mut target| target.write(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.lock().map_or(Ok(()), |mut target| target.flush())
        }
    }
}
