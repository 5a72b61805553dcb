//! The application protocol of a connection.

use std::net::IpAddr;

use tracer_common::{event::HttpFacts, flow::End};

use crate::{
    http::{ConnectionEnd, Conversation, Gaps, HeadOptions, Idle},
    record::Bodies,
    tcp::Fin,
};

/// What is kept of the application protocol.
#[derive(Debug)]
pub(super) enum App {
    /// No message is in progress, as most of the time.
    Idle(Idle),
    /// HTTP/1.x with a message in progress. Boxed, so that idle connections stay small.
    Http1(Box<Conversation>),
}

/// How messages are reported.
#[derive(Debug)]
pub(super) struct AppOptions<'a> {
    /// The client, if a SYN shows it.
    pub(super) client: Option<End>,
    /// Report exchanges only, not each request and response.
    pub(super) exchanges_only: bool,
    /// How heads are recorded.
    pub(super) heads: &'a HeadOptions,
}

impl Default for App {
    fn default() -> Self {
        Self::Idle(Idle::default())
    }
}

impl From<Box<Conversation>> for App {
    /// Keeps the conversation only while a message is in progress.
    fn from(conversation: Box<Conversation>) -> Self {
        match conversation.idle() {
            Some(idle) => Self::Idle(idle),
            None => Self::Http1(conversation),
        }
    }
}

impl App {
    /// Takes out the conversation, or starts one.
    fn take_http1(&mut self, options: &AppOptions<'_>) -> Box<Conversation> {
        let mut conversation = match std::mem::take(self) {
            Self::Idle(idle) => {
                Box::new(Conversation::new(idle, options.exchanges_only, options.heads.clone()))
            }
            Self::Http1(conversation) => conversation,
        };
        if let Some(client) = options.client {
            conversation.set_client(client);
        }
        conversation
    }

    /// Takes in an HTTP event, with `bytes` of a head. `gaps` knows which bytes were not seen.
    pub(super) fn on_event(
        &mut self,
        options: &AppOptions<'_>,
        facts: &HttpFacts,
        bytes: &[u8],
        gaps: &impl Gaps,
        out: &mut Bodies,
    ) {
        let mut conversation = self.take_http1(options);
        conversation.on_event(facts, bytes, gaps, out);
        *self = conversation.into();
    }

    /// Events of an endpoint were lost.
    pub(super) fn on_lost(&mut self, from: End) {
        match self {
            Self::Idle(idle) => idle.on_lost(),
            Self::Http1(conversation) => conversation.on_lost(from),
        }
    }

    /// An endpoint sent a FIN at `time`.
    pub(super) fn on_fin(
        &mut self,
        options: &AppOptions<'_>,
        from: End,
        fin: Fin,
        time: u64,
        out: &mut Bodies,
    ) {
        let mut conversation = self.take_http1(options);
        conversation.on_fin(from, fin.end, fin.missing, time, out);
        *self = conversation.into();
    }

    /// The connection is over: reports what is in progress.
    pub(super) fn finish(&mut self, end: ConnectionEnd, time: u64, out: &mut Bodies) {
        if let Self::Http1(conversation) = self {
            conversation.finish(end, time, out);
            *self = Self::Idle(conversation.rest());
        }
    }

    /// Bytes of memory that messages in progress take.
    pub(super) fn buffered(&self) -> usize {
        match self {
            Self::Idle(_) => 0,
            Self::Http1(conversation) => conversation.buffered(),
        }
    }

    /// Drops the messages in progress, and reports what is known of their exchanges.
    pub(super) fn drop_buffers(&mut self, time: u64, out: &mut Bodies) {
        *self = match std::mem::take(self) {
            Self::Idle(idle) => Self::Idle(idle),
            Self::Http1(mut conversation) => {
                conversation.drop_buffers(time, out);
                conversation.into()
            }
        };
    }

    /// The kernel lost its state of the connection, and numbers messages from zero again.
    pub(super) fn restart(&mut self, time: u64, out: &mut Bodies) {
        *self = match std::mem::take(self) {
            Self::Idle(mut idle) => {
                idle.restart();
                Self::Idle(idle)
            }
            Self::Http1(mut conversation) => {
                conversation.restart(time, out);
                conversation.into()
            }
        };
    }

    /// Exchanges reported so far.
    pub(super) fn exchanges(&self) -> u32 {
        match self {
            Self::Idle(idle) => idle.exchanges(),
            Self::Http1(conversation) => conversation.exchanges(),
        }
    }

    /// The address of the client, as a proxy reports it.
    pub(super) fn forwarded(&self) -> Option<IpAddr> {
        match self {
            Self::Idle(idle) => idle.forwarded(),
            Self::Http1(conversation) => conversation.forwarded(),
        }
    }

    /// The endpoint that sends the requests, once a SYN or a message showed it.
    pub(super) const fn client(&self) -> Option<End> {
        match self {
            Self::Idle(idle) => idle.client(),
            Self::Http1(conversation) => conversation.client(),
        }
    }
}
