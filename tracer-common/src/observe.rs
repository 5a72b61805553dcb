//! The whole path of a frame: parse, find its connection, take it in, tell what matters.
//!
//! The kernel programs and userspace run this same function; they differ in their [`Vantage`] (where the frame was
//! seen, how to tell) and their [`Tables`] (where connections are kept).

use crate::{
    counter::Counter,
    event::{EventHeader, Hook, Kind, SegmentEvent},
    flow::{FlowKey, FlowState, Half, are_confirmed, cause, half, owner},
    frame::FrameBytes,
    http::Room,
    target,
    value::Value,
    wire::{LinkType, Segment, Skip, TcpFlags, glance},
};

/// The place a frame is observed from.
pub trait Vantage {
    /// Index of the interface; not 0.
    fn interface(&self) -> u32;
    /// The hook.
    fn hook(&self) -> Hook;
    /// The time of the frame, in ns.
    fn now(&self) -> u64;
    /// The same clock, as exactly as is cheap enough for every segment.
    fn coarse_now(&self) -> u64;
    /// Whether `port` is traced.
    fn traces(&self, port: u16) -> bool;
    /// Whether a connection with either of these addresses is wanted.
    fn selects(&self, source: &[u32; 4], destination: &[u32; 4]) -> bool;
    /// Whether tunnels are entered.
    fn decapsulates(&self) -> bool;
    /// Whether every segment is to be told.
    fn every_segment(&self) -> bool;
    /// Counts what is not an outcome of its own.
    fn count(&self, counter: Counter);
    /// Counts a segment of a handshake at its server, and says whether it is not to be told one by one. Runs
    /// [`target::note`].
    fn note_handshake(&self, causes: u32, segment: &Segment, sender: &mut Half, receiver: &Half) -> bool;
    /// Counts an attempt that the segment confirms at its server. Runs [`target::confirmed`].
    fn note_confirmed(&self, segment: &Segment, flow: &FlowState, from_low: bool);
    /// Tells a segment worth `value`: `fill` writes the event, but for what the segment is carried in, which is known here. False when it
    /// could not be told.
    fn tell_segment(&self, value: Value, fill: impl FnOnce(&mut SegmentEvent)) -> bool;
    /// What owns a direction of a connection that is seen from here.
    #[inline(always)]
    fn token(&self) -> u32 {
        owner(self.interface(), self.hook() as u8 == Hook::TcEgress as u8)
    }
    /// Whether a SYN for a live connection starts another one. Where traffic is live, anybody can forge a SYN, and its
    /// server would challenge it (RFC 9293, 3.10.7.4): the connection is given up only when the server accepts it. In a
    /// capture there is nobody to deceive, and the answer may not have been captured.
    #[inline(always)]
    fn follows_syn(&self) -> bool {
        self.hook() as u8 == Hook::Capture as u8
    }
}

/// A frame, with the two parts of the work that the kernel programs do in functions of their own: the verifier then
/// checks them once, and not for every path that leads to them.
pub trait Frame: FrameBytes {
    /// Runs [`parse_segment`](crate::wire::parse_segment).
    ///
    /// # Errors
    /// Why the frame is passed over.
    fn parse(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip>;

    /// Runs [`glance`](crate::wire::glance()).
    ///
    /// # Errors
    /// Why the frame is passed over.
    fn glance(&self, link: LinkType, traces: impl Fn(u16) -> bool) -> Result<(), Skip> {
        glance(self, link, traces)
    }

    /// Runs [`Scan`](crate::http::Scan) over the payload that `room` describes, sent by `half` to `peer`.
    fn scan(&self, half: &mut Half, peer: &Half, room: &mut Room);

    /// Whether the TCP checksum shows that bits were changed on the way. The kernel programs run where the network card or
    /// the host verifies it, and do not.
    #[inline(always)]
    fn is_damaged(&self, _segment: &Segment) -> bool {
        false
    }
}

/// The tables that connections are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Connections with a handshake or data.
    Confirmed,
    /// Attempts: half-open handshakes, and segments of connections never seen before. A table of their own, so that a
    /// flood cannot push connections out.
    Unconfirmed,
}

/// The connection tables.
pub trait Tables {
    /// The connection, from `first` or else from the other table.
    fn find(&mut self, key: &FlowKey, first: Table) -> Option<(Table, &mut FlowState)>;
    /// A blank connection in [`Table::Unconfirmed`], replacing what is there; `None` when there is no room.
    fn create(&mut self, key: &FlowKey) -> Option<&mut FlowState>;
    /// Moves a connection from [`Table::Unconfirmed`] to [`Table::Confirmed`]; false when there is no room.
    fn confirm(&mut self, key: &FlowKey) -> bool;
    /// Removes a connection from [`Table::Confirmed`].
    fn forget(&mut self, key: &FlowKey);
}

/// Observes one frame. `room` is only called when there is something to scan.
///
/// # Errors
/// Why the frame was passed over.
#[inline(always)]
pub fn observe<'r, F, V, T>(
    frame: &F,
    link: LinkType,
    vantage: &V,
    tables: &mut T,
    room: impl FnOnce() -> Option<&'r mut Room>,
) -> Result<(), Skip>
where
    F: Frame + ?Sized,
    V: Vantage,
    T: Tables,
{
    // Behind what is no TCP there may be a tunnel.
    if !vantage.decapsulates() {
        frame.glance(link, |port| vantage.traces(port))?;
    }
    let mut segment = Segment::default();
    frame.parse(link, &mut segment)?;
    if !vantage.traces(segment.destination_port) && !vantage.traces(segment.source_port) {
        return Err(Skip::OtherPort);
    }
    if !vantage.selects(&segment.source, &segment.destination) {
        return Err(Skip::OtherHost);
    }
    if segment.first_fragment {
        vantage.count(Counter::FirstFragment);
    }
    let mut key = FlowKey::default();
    let from_low = key.set(&segment);

    let first = if segment.flags.has(TcpFlags::SYN) { Table::Unconfirmed } else { Table::Confirmed };
    let mut found = tables.find(&key, first);
    let mut previous = 0;
    if let Some((table, flow)) = &mut found {
        if !is_new_incarnation(flow, &segment, from_low, vantage.follows_syn()) {
            let is_attempt = *table == Table::Unconfirmed && !flow.is_confirmed();
            advance(frame, vantage, flow, &key, &segment, from_low, room)?;
            if *table == Table::Unconfirmed && flow.is_confirmed() {
                // Not again where it has to stay, because there is no room for it.
                if is_attempt {
                    vantage.note_confirmed(&segment, flow, from_low);
                }
                return confirm(tables, &key);
            }
            return Ok(());
        }
        // A SYN for a closed connection: the ports are used again (RFC 9293, 3.6.1).
        previous = flow.id;
        if *table == Table::Confirmed {
            if !flow.is_told() {
                vantage.count(Counter::ConnectionsLost);
            }
            tables.forget(&key);
        }
    }
    let flow = tables.create(&key).ok_or(Skip::TableFull)?;
    // Another name than the last one, also where times are equal or go back.
    flow.id = vantage.now().max(previous.wrapping_add(1));
    advance(frame, vantage, flow, &key, &segment, from_low, room)?;
    if flow.is_confirmed() { confirm(tables, &key) } else { Ok(()) }
}

#[inline(always)]
fn confirm<T: Tables>(tables: &mut T, key: &FlowKey) -> Result<(), Skip> {
    if tables.confirm(key) { Ok(()) } else { Err(Skip::TableFull) }
}

/// A SYN, or the answer to one, that does not belong to the connection as known.
#[inline(always)]
fn is_new_incarnation(flow: &mut FlowState, segment: &Segment, from_low: bool, follows_syn: bool) -> bool {
    if !segment.flags.has(TcpFlags::SYN) || segment.flags.has(TcpFlags::RST) {
        return false;
    }
    let closed = flow.is_closed();
    let confirmed = flow.is_confirmed();
    let (sender, receiver) = flow.split(from_low);
    let known = sender.counters.flags & half::SYN != 0;
    let started = sender.counters.flags & half::STARTED != 0;
    // Where it was not seen itself, what the other side has acknowledged of it.
    let acked = !started && receiver.counters.flags & half::ACKED != 0;
    let same = started && sender.counters.base == segment.payload_seq()
        || acked && receiver.counters.ack == segment.payload_seq();
    if segment.flags.has(TcpFlags::ACK) {
        // The server has accepted another SYN than the one that was followed: the old connection is dead.
        return known && !same && segment.ack != receiver.counters.base;
    }
    // Before the end of the handshake, the newest SYN is the one that counts.
    !same && (closed || started && (follows_syn || !confirmed))
}

/// Takes a segment into its connection and tells what matters.
#[inline(always)]
fn advance<'r, F, V>(
    frame: &F,
    vantage: &V,
    flow: &mut FlowState,
    key: &FlowKey,
    segment: &Segment,
    from_low: bool,
    room: impl FnOnce() -> Option<&'r mut Room>,
) -> Result<(), Skip>
where
    F: Frame + ?Sized,
    V: Vantage,
{
    own(flow, segment, from_low, vantage.token())?;
    flow.split(from_low).0.last_ns = vantage.coarse_now();
    let id = flow.id;
    let mut causes = flow.on_segment(segment, from_low, || vantage.now());
    if frame.is_damaged(segment) {
        causes |= cause::BAD_CHECKSUM;
    }
    let (sender, receiver) = flow.split(from_low);
    if causes & target::CAUSES != 0 && vantage.note_handshake(causes, segment, sender, receiver) {
        vantage.count(Counter::Summarised);
        return Ok(());
    }

    let gap = sender.gap;
    let start = sender.offset_of(segment.payload_seq());
    let end = start + u64::from(segment.payload_len);
    // What was sent before the pick-up has no offset, and must not be taken for the start of the stream.
    let readable =
        causes & (cause::KEEP_ALIVE | cause::RST) == 0 && !sender.is_before_start(segment.payload_seq());
    if segment.payload_len > 0 && readable && sender.http.wants(end) {
        let room = room().ok_or(Skip::TableFull)?;
        fill_header(&mut room.event.facts.header, vantage, key, id, from_low);
        room.event.facts.header.kind = Kind::Http as u8;
        room.start = start;
        room.end = end;
        room.payload_offset = segment.payload_offset;
        room.fresh = u32::from(causes & cause::OLD_DATA == 0);
        frame.scan(sender, receiver, room);
    }

    if causes == 0 {
        if !vantage.every_segment() {
            return Ok(());
        }
        causes = cause::EVERY;
    }
    let lost = flow.split(from_low).0.counters.lost;
    let told = vantage.tell_segment(Value::of(causes), |event| {
        fill_header(&mut event.header, vantage, key, id, from_low);
        event.header.kind = Kind::Segment as u8;
        event.causes = causes;
        event.seq = segment.seq;
        event.ack = segment.ack;
        event.payload_len = segment.payload_len;
        event.window = segment.window;
        event.flags = segment.flags.0;
        event.gap = gap;
        event.options_len = 0;
        event.halves[0] = flow.halves[0].counters;
        event.halves[1] = flow.halves[1].counters;
        event.header.lost = lost;
        fill_options(event, frame, segment);
    });
    let (sender, receiver) = flow.split(from_low);
    if !told {
        sender.counters.lost += 1;
    } else if causes & cause::AFTER_CLOSE == 0 && are_confirmed(sender, receiver) {
        sender.counters.flags |= half::TOLD;
    }
    Ok(())
}

/// The first interface that shows a direction owns it; elsewhere only segments that are news count, and take it over.
#[inline(always)]
fn own(flow: &mut FlowState, segment: &Segment, from_low: bool, token: u32) -> Result<(), Skip> {
    let (sender, _) = flow.split(from_low);
    if sender.owner != token {
        if sender.owner != 0 && !is_news(sender, segment) {
            return Err(Skip::Duplicate);
        }
        sender.owner = token;
    }
    Ok(())
}

/// Whether a segment shows anything its direction has not shown before.
#[inline(always)]
fn is_news(sender: &Half, segment: &Segment) -> bool {
    let flags = sender.counters.flags;
    let fresh = |bit: u8, seen: u32| segment.flags.has(bit) && flags & seen == 0;
    let stream = segment.payload_len > 0 && !segment.flags.has(TcpFlags::RST);
    fresh(TcpFlags::SYN, half::SYN)
        || fresh(TcpFlags::FIN, half::FIN)
        || fresh(TcpFlags::RST, half::RST)
        || stream && segment.payload_seq().add(segment.payload_len).is_after(sender.next)
        || segment.flags.has(TcpFlags::ACK) && segment.ack.is_after(sender.counters.ack)
}

#[inline(always)]
fn fill_header<V: Vantage>(header: &mut EventHeader, vantage: &V, key: &FlowKey, id: u64, from_low: bool) {
    header.hook = vantage.hook() as u8;
    header.from_low = u8::from(from_low);
    header.padding = 0;
    header.interface = vantage.interface();
    header.time = vantage.now();
    header.flow = id;
    header.key = *key;
}

/// Options of a SYN: they are agreed on there and nowhere else (RFC 9293, 3.2).
#[inline(always)]
fn fill_options<F: FrameBytes + ?Sized>(event: &mut SegmentEvent, frame: &F, segment: &Segment) {
    event.options = [0; crate::wire::MAX_OPTIONS];
    if !segment.flags.has(TcpFlags::SYN) {
        return;
    }
    let mut len = 0;
    let (words, _) = event.options.as_chunks_mut::<4>();
    for (i, word) in words.iter_mut().enumerate() {
        if i * 4 >= segment.options_len as usize {
            break;
        }
        match frame.read::<4>(segment.options_offset as usize + i * 4) {
            Some(bytes) => *word = bytes,
            None => break,
        }
        len += 4;
    }
    // Fewer than there are where the frame was cut.
    event.options_len = len;
}
