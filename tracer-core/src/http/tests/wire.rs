//! A connection whose bytes go through the kernel's scanner, run on the host, into a [`Conversation`].

use std::{cell::RefCell, mem::take, sync::Arc};

use tracer_common::{
    connection::FlowState,
    event::HttpFacts,
    flow::End,
    http1::{HttpEvent, HttpSink, MAX_STEPS, Scan, ScanBuffer, Steps},
    seq::Seq,
    wire::{Segment, TcpFlags},
};

use super::super::{ConnectionEnd, Conversation, HeadOptions, HeaderSelection, Idle};
use crate::record::{Bodies, Body};

/// The first sequence number of both streams: close to the wrap.
const BASE: u32 = 0xffff_fff0;

/// A RST of the server, of which it is not known how much was sent.
pub(super) const RESET: ConnectionEnd = ConnectionEnd::Reset { by: Some(End::High), sent: [None; 2] };

#[derive(Default)]
struct Ring(RefCell<Vec<(HttpFacts, Vec<u8>)>>);

impl HttpSink for Ring {
    fn emit(&self, event: &HttpEvent) -> bool {
        self.0.borrow_mut().push((event.facts, event.bytes[..usize::from(event.facts.len)].to_vec()));
        true
    }
}

/// The connection. The client is the lower endpoint; every call takes 10 ns.
pub(super) struct Wire {
    flow: FlowState,
    buffer: Box<ScanBuffer>,
    ring: Ring,
    conversation: Conversation,
    /// The records since the last call of [`Wire::records`].
    records: Bodies,
    time: u64,
    /// Bytes sent so far, by the server and by the client.
    sent: [u32; 2],
    /// Bytes of a segment.
    size: usize,
    /// Selects the events that are lost.
    lose: Box<dyn FnMut(&HttpFacts) -> bool>,
    lost: [bool; 2],
}

impl Wire {
    /// After its handshake.
    pub(super) fn connected() -> Self {
        let mut wire = Self::midstream();
        wire.segment(End::Low, BASE - 1, TcpFlags::SYN, b"");
        wire.segment(End::High, BASE - 1, TcpFlags::SYN | TcpFlags::ACK, b"");
        wire.segment(End::Low, BASE, TcpFlags::ACK, b"");
        wire
    }

    /// Before anything was seen.
    pub(super) fn midstream() -> Self {
        Self {
            flow: FlowState::NEW,
            buffer: Box::new(ScanBuffer::EMPTY),
            ring: Ring::default(),
            conversation: Conversation::default(),
            records: Bodies::new(),
            time: 1000,
            sent: [0; 2],
            size: usize::MAX,
            lose: Box::new(|_| false),
            lost: [false; 2],
        }
    }

    /// Records these header fields.
    pub(super) fn selecting(mut self, names: &[&str]) -> Self {
        let headers = Some(Arc::new(HeaderSelection::new(names).expect("names")));
        self.conversation =
            Conversation::new(Idle::default(), false, HeadOptions { headers, ..HeadOptions::default() });
        self
    }

    /// Sends in segments of `size` bytes from here on.
    pub(super) fn in_segments_of(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Loses the events that `lose` selects.
    pub(super) fn losing(&mut self, lose: impl FnMut(&HttpFacts) -> bool + 'static) -> &mut Self {
        self.lose = Box::new(lose);
        self
    }

    pub(super) fn client(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(End::Low, bytes.as_ref())
    }

    pub(super) fn server(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(End::High, bytes.as_ref())
    }

    /// Sends bytes that are not observed.
    pub(super) fn unseen(&mut self, from: End, bytes: u32) -> &mut Self {
        self.sent[from.index()] += bytes;
        self
    }

    fn send(&mut self, from: End, bytes: &[u8]) -> &mut Self {
        self.time += 10;
        for piece in bytes.chunks(self.size) {
            let sent = self.sent[from.index()];
            self.sent[from.index()] += piece.len() as u32;
            self.segment(from, BASE.wrapping_add(sent), TcpFlags::ACK, piece);
        }
        self
    }

    pub(super) fn client_fin(&mut self) -> &mut Self {
        self.fin(End::Low, 0)
    }

    pub(super) fn server_fin(&mut self) -> &mut Self {
        self.fin(End::High, 0)
    }

    pub(super) fn fin(&mut self, from: End, gap_bytes: u64) -> &mut Self {
        self.time += 10;
        self.report_lost(from);
        let end = u64::from(self.sent[from.index()]);
        self.conversation.on_fin(from, end, gap_bytes, self.time, &mut self.records);
        self
    }

    pub(super) fn finish(&mut self, why: ConnectionEnd) -> &mut Self {
        self.time += 10;
        self.report_lost(End::Low);
        self.report_lost(End::High);
        self.conversation.finish(why, self.time, &mut self.records);
        self
    }

    /// A side sends a RST.
    pub(super) fn reset(&mut self, by: End) -> &mut Self {
        let sent = self.sent.map(|sent| Some(sent.into()));
        self.finish(ConnectionEnd::Reset { by: Some(by), sent })
    }

    /// Both sides close.
    pub(super) fn close(&mut self) -> &mut Self {
        self.server_fin().client_fin().finish(ConnectionEnd::Closed)
    }

    /// Drops the buffers, as if memory were full.
    pub(super) fn drop_buffers(&mut self) {
        self.conversation.drop_buffers(0, &mut self.records);
    }

    pub(super) fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The records since the last call.
    pub(super) fn records(&mut self) -> Bodies {
        take(&mut self.records)
    }

    /// The exchanges among the records since the last call, each in a line.
    pub(super) fn exchanges(&mut self) -> Vec<String> {
        self.records()
            .into_iter()
            .filter_map(|(_, body)| {
                let Body::Exchange(exchange) = body else { return None };
                Some(words(&serde_json::to_value(exchange).unwrap()))
            })
            .collect()
    }

    fn report_lost(&mut self, from: End) {
        if take(&mut self.lost[from.index()]) {
            self.conversation.on_lost(from);
        }
    }

    /// Does what `observe` does with a segment.
    fn segment(&mut self, from: End, seq: u32, flags: TcpFlags, bytes: &[u8]) {
        // The receiver acknowledges all bytes, whether they were observed or not.
        let ack = Seq(BASE.wrapping_add(self.sent[from.other().index()]));
        let payload_len = bytes.len() as u32;
        let segment = Segment {
            seq: Seq(seq),
            ack,
            flags,
            payload_len,
            window: 100,
            source_port: from as u16 + 1,
            ..Segment::default()
        };
        let reasons = self.flow.on_segment(&segment, from, || 1);
        if !self.flow.has_payload(&segment, from, reasons) {
            return;
        }
        self.flow.set_payload(&segment, from, reasons, &mut self.buffer.payload);
        let facts = &mut self.buffer.event.facts;
        facts.header.sender = from as u8;
        facts.header.time = self.time;
        let (half, peer) = from.split(&mut self.flow.http);
        let mut scan: Scan<'_, [u8], Ring> = Scan::new(bytes, &self.ring, half, peer, &mut self.buffer);
        assert!((0..MAX_STEPS).any(|_| scan.step().is_break()));
        for (facts, bytes) in self.ring.0.take() {
            if (self.lose)(&facts) {
                self.lost[from.index()] = true;
                continue;
            }
            self.report_lost(from);
            self.conversation.on_event(&facts, &bytes, &(), &mut self.records);
        }
    }
}

/// Index, method, target, statuses, framing, sizes of both contents, outcome and confidence; "-" for what is
/// absent.
fn words(exchange: &serde_json::Value) -> String {
    let word = |name: &str| match exchange.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "-".into(),
    };
    let interim = match exchange.get("http.response.interim_status_codes") {
        Some(statuses) => format!("{statuses} "),
        None => String::new(),
    };
    format!(
        "{} {} {} {interim}{} {} {}/{} {} {}",
        word("http.exchange.index"),
        word("http.request.method"),
        word("url.original"),
        word("http.response.status_code"),
        word("http.response.framing"),
        word("http.request.body.size"),
        word("http.response.body.size"),
        word("http.outcome"),
        word("http.confidence"),
    )
}
