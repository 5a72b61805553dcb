//! What has been explained of each connection, so that the next sentence fits.

use std::collections::{BTreeMap, HashMap};

use crate::record::{ConnectionId, Purpose, SegmentSeen, Side, TcpState, Timestamp};

/// Connections remembered at once. Nobody reads more stories than that side by side; it bounds the
/// memory to about 1 MiB, also in a SYN flood.
pub(super) const MAX_STORIES: usize = 4096;

/// The connections that are remembered.
#[derive(Default)]
pub(super) struct Stories {
    /// By `connection.id`.
    by_id: HashMap<ConnectionId, Story>,
    /// Their identifiers by number: the first is the oldest.
    by_number: BTreeMap<u64, ConnectionId>,
    /// Numbers given so far.
    numbers: u64,
}

/// What [`Stories::open`] did.
pub(super) struct Opening {
    /// The number of the connection.
    pub(super) number: u64,
    /// Whether it was not known.
    pub(super) is_new: bool,
    /// The number of the connection that was forgotten for it.
    pub(super) forgotten: Option<u64>,
}

impl Stories {
    /// Finds the connection, or takes it in.
    pub(super) fn open(&mut self, id: ConnectionId) -> Opening {
        if let Some(story) = self.by_id.get(&id) {
            return Opening { number: story.number, is_new: false, forgotten: None };
        }
        let mut forgotten = None;
        if self.by_id.len() >= MAX_STORIES
            && let Some((number, oldest)) = self.by_number.pop_first()
        {
            self.by_id.remove(&oldest);
            forgotten = Some(number);
        }
        self.numbers += 1;
        let number = self.numbers;
        self.by_id.insert(id, Story { number, ..Story::default() });
        self.by_number.insert(number, id);
        Opening { number, is_new: true, forgotten }
    }

    /// A connection that was opened.
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Story> {
        self.by_id.get_mut(&id)
    }

    /// Forgets a connection.
    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(story) = self.by_id.remove(&id) {
            self.by_number.remove(&story.number);
        }
    }
}

/// What has been explained of one connection.
#[derive(Default)]
pub(super) struct Story {
    /// The number it is called by.
    pub(super) number: u64,
    /// Whether segments were shown, so that other records need not repeat it.
    pub(super) has_segments: bool,
    /// The states shown last: client and server.
    states: Option<(TcpState, TcpState)>,
    /// When the first SYN-ACK was sent.
    pub(super) syn_ack_at: Option<Timestamp>,
    /// Whether the processes of client and server were named.
    owners: [bool; 2],
    /// Pages requested so far.
    pub(super) pages: u32,
    /// Pictures requested so far.
    pub(super) pictures: u32,
    /// What the client has sent.
    client: Sent,
    /// What the server has sent.
    server: Sent,
}

/// What one side has sent so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Sent {
    /// When its last segment was seen, since the start.
    pub(super) at_ns: Option<u64>,
    /// Whether its SYN was refused.
    pub(super) is_refused: bool,
    /// Its last payload, and the sequence number behind it.
    pub(super) last: Option<(Content, i64)>,
    /// Whether it has sent its FIN.
    pub(super) is_closing: bool,
    /// Whether its FIN was confirmed.
    pub(super) is_confirmed: bool,
}

/// What a payload was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A whole request, or the end of one.
    Request,
    /// A whole response, or the end of one.
    Response,
    /// Anything else.
    Data,
}

impl Story {
    /// What `side` has sent so far.
    pub(super) const fn sent(&self, side: Side) -> &Sent {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn sent_mut(&mut self, side: Side) -> &mut Sent {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Whether the pair of states is another one than before.
    pub(super) fn is_new_state(&mut self, states: (TcpState, TcpState)) -> bool {
        self.states.replace(states) != Some(states)
    }

    /// Whether the process of `side` has not been named so far.
    pub(super) fn is_new_owner(&mut self, side: Side) -> bool {
        !std::mem::replace(&mut self.owners[usize::from(side == Side::Server)], true)
    }

    /// Remembers a segment that was explained.
    pub(super) fn on_segment(&mut self, segment: &SegmentSeen, at: Timestamp) {
        self.has_segments = true;
        self.sent_mut(segment.sender).at_ns = Some(segment.since_start_ns);
        if segment.purposes.contains(&Purpose::AcceptsConnection) {
            self.syn_ack_at = self.syn_ack_at.or(Some(at));
        }
        self.sent_mut(segment.sender.other()).is_refused |= segment.purposes.contains(&Purpose::Refuses);
        self.sent_mut(segment.sender).is_closing |= segment.purposes.contains(&Purpose::ReadyToClose);
        self.sent_mut(segment.sender.other()).is_confirmed |=
            segment.purposes.contains(&Purpose::ConfirmsClose);
        if segment.len > 0 {
            let end = segment.seq + i64::from(segment.len);
            self.sent_mut(segment.sender).last = Some((content(&segment.purposes), end));
        }
    }
}

/// What a payload with these purposes is.
fn content(purposes: &[Purpose]) -> Content {
    let any = |wanted: fn(&Purpose) -> bool| purposes.iter().any(wanted);
    if any(|purpose| matches!(purpose, Purpose::ResponseComplete(_))) {
        Content::Response
    } else if any(|purpose| matches!(purpose, Purpose::Request(..) | Purpose::RequestComplete)) {
        Content::Request
    } else {
        Content::Data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_connection_is_forgotten_when_there_are_too_many() {
        let mut stories = Stories::default();
        let id = |number| ConnectionId { run: 7, number };
        let most = MAX_STORIES as u64;
        for number in 0..most {
            assert!(stories.open(id(number)).forgotten.is_none());
        }
        assert!(!stories.open(id(0)).is_new);
        stories.close(id(0));
        assert_eq!(stories.open(id(most)).forgotten, None);
        assert_eq!(stories.open(id(most + 1)).forgotten, Some(2));
        assert!(stories.open(id(1)).is_new);
        assert_eq!((stories.by_id.len(), stories.by_number.len()), (MAX_STORIES, MAX_STORIES));
    }
}
