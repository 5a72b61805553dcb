//! Hostile input, from frames to the output of every format: properties that hold for any bytes on
//! the wire.

use std::sync::Arc;

use serde_json::Value;
use tracer::output::Format;
use tracer_common::{
    event::{Event, Hook},
    wire::LinkType,
};
use tracer_core::{
    host::{HostObserver, Selection},
    http::{HeadOptions, HeaderSelection, Redact, Redaction},
    record::{Body, EventName, Events, Record},
    render::{Actors, Render, Style},
    tracker::{Tracker, TrackerOptions},
};

use crate::{
    schema,
    table::{
        build::*,
        conversations::conversations,
        random, rows,
        talk::{Conversation, Talk},
    },
};

/// Header fields without credentials.
const HEADERS: [&str; 6] = ["host", "referer", "location", "user-agent", "content-length", "link"];
/// Number of random conversations that every format renders.
const RANDOM: u64 = 400;
/// A millisecond, in ns.
const MS: u64 = 1_000_000;

/// Turns frames into records of every kind, in every format.
struct Recorder {
    observer: HostObserver,
    tracker: Tracker,
    outputs: Vec<(Vec<u8>, Box<dyn Render>)>,
    records: usize,
    now: u64,
}

impl Recorder {
    fn new(redact: Redact, headers: &[&str]) -> Self {
        let heads = HeadOptions {
            redaction: Some(Arc::new(Redaction::new(redact, b"a key of the tests"))),
            headers: Some(Arc::new(HeaderSelection::new(headers).expect("names"))),
        };
        let outputs =
            Format::ALL.map(|format| (Vec::new(), format.renderer(Actors::default(), Style::default())));
        Self {
            observer: HostObserver::new(Selection {
                events: Events::of(&[EventName::Segment]),
                decapsulate: true,
                reassemble: true,
                verify: true,
                ..Selection::default()
            }),
            tracker: Tracker::new(TrackerOptions {
                events: TrackerOptions::default().events.with(EventName::Segment),
                heads,
                ..TrackerOptions::default()
            }),
            outputs: outputs.into(),
            records: 0,
            now: 0,
        }
    }

    fn frame(&mut self, frame: &[u8], link: LinkType) {
        self.now += MS;
        let _ = self.observer.observe(frame, frame.len(), link, 1, Hook::Capture, self.now);
        while let Some(bytes) = self.observer.next_event() {
            self.tracker.on_event(&Event::from_bytes(&bytes).expect("events can be decoded"));
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(record) = self.tracker.next_record() {
            self.write(&record);
        }
    }

    fn write(&mut self, record: &Record) {
        self.records += 1;
        for (written, renderer) in &mut self.outputs {
            renderer.render(record, written).expect("every record has its lines");
        }
    }

    /// The output as text, JSON and explanation, after a check that it is harmless.
    fn finish(mut self, name: &str) -> [String; 3] {
        self.observer.finish();
        while let Some(bytes) = self.observer.next_event() {
            self.tracker.on_event(&Event::from_bytes(&bytes).expect("events can be decoded"));
        }
        self.tracker.finish(self.now);
        self.drain();
        let [text, json, explained] = [0, 1, 2].map(|index| {
            let bytes = self.outputs[index].0.clone();
            let text = String::from_utf8(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            let bad = text.chars().find(|character| *character != '\n' && !is_harmless(*character));
            assert_eq!(bad, None, "{name}: {text}");
            text
        });
        assert_eq!(text.lines().count(), self.records, "{name}: one line a record");
        assert_eq!(json.lines().count(), self.records, "{name}: one line a record");
        for line in json.lines() {
            schema::check_line(line).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        [text, json, explained]
    }
}

/// Whether a character is neither a control character nor one that hides or reverses text (samples
/// of Unicode's categories Cc, Cf, Zl and Zp).
fn is_harmless(character: char) -> bool {
    const HIDING: [char; 9] = [
        '\u{61c}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
    ];
    !character.is_control() && !HIDING.contains(&character)
}

/// The output for a conversation in each format.
fn output(conversation: &Conversation, redact: Redact) -> [String; 3] {
    output_with(conversation, redact, &[])
}

/// The same with these header fields.
fn output_with(conversation: &Conversation, redact: Redact, headers: &[&str]) -> [String; 3] {
    let mut recorder = Recorder::new(redact, headers);
    for step in &conversation.steps {
        recorder.frame(&step.frame, LinkType::Ethernet);
    }
    recorder.finish(&conversation.name)
}

/// The records with this `event.name`.
fn named<'a>(json: &'a str, name: &'a str) -> impl Iterator<Item = Value> + 'a {
    let records = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records.filter(move |record| record["event.name"] == name)
}

#[test]
fn any_frames_give_single_lines_that_match_the_schema_and_are_harmless_to_terminals() {
    let mut recorder = Recorder::new(Redact::None, &[]);
    for row in rows() {
        recorder.frame(&row.frame, row.link);
    }
    recorder.finish("the rows of the table");
    for conversation in conversations().into_iter().chain((0..RANDOM).map(random::conversation)) {
        for redact in [Redact::None, Redact::Path] {
            output_with(&conversation, redact, &HEADERS);
        }
    }
}

#[test]
fn resets_and_fins_out_of_the_window_do_not_close_the_connection() {
    let mut checked = 0;
    for conversation in
        conversations().iter().filter(|conversation| conversation.name.ends_with("from the window"))
    {
        let [_, json, _] = output(conversation, Redact::None);
        let closed: Vec<_> = named(&json, "connection.closed").collect();
        assert_eq!(closed.len(), 1, "{}", conversation.name);
        assert_eq!(closed[0]["tcp.close.reason"], "fin", "{}", conversation.name);
        let outcomes: Vec<_> =
            named(&json, "http.exchange").map(|record| record["http.outcome"].clone()).collect();
        assert_eq!(outcomes, ["complete", "complete"], "{}", conversation.name);
        checked += 1;
    }
    assert_eq!(checked, 12);
}

#[test]
fn of_contradicting_retransmissions_the_first_bytes_are_reported() {
    let all = conversations();
    let lie = all.iter().find(|conversation| conversation.name == "retransmissions with other content");
    let [_, json, _] = output(lie.expect("it is in the table"), Redact::None);
    let targets: Vec<_> =
        named(&json, "http.exchange").map(|record| record["url.original"].clone()).collect();
    assert_eq!(targets, ["/index.html"]);
    assert!(!json.contains("spoofed"), "{json}");
}

#[test]
fn a_million_pipelined_requests_are_reported_and_not_kept() {
    const IN_A_SEGMENT: usize = 80;
    let mut recorder = Recorder::new(Redact::None, &[]);
    recorder.outputs.clear();
    let mut talk = Talk::connected(CLIENT_PORT, [1, 1]);
    let requests = b"GET / HTTP/1.1\r\n\r\n".repeat(IN_A_SEGMENT);
    let (mut exchanges, mut waiting) = (0_usize, 0);
    for sent in 1..=1_000_000 / IN_A_SEGMENT {
        talk.client(ACK | PSH, &requests);
        for step in std::mem::take(&mut talk.steps) {
            recorder.now += MS;
            let (frame, now) = (&step.frame, recorder.now);
            let _ = recorder.observer.observe(frame, frame.len(), LinkType::Ethernet, 1, Hook::Capture, now);
        }
        while let Some(bytes) = recorder.observer.next_event() {
            recorder.tracker.on_event(&Event::from_bytes(&bytes).expect("events can be decoded"));
            while let Some(record) = recorder.tracker.next_record() {
                exchanges += usize::from(matches!(record.body, Body::Exchange(_)));
            }
        }
        waiting = waiting.max(sent * IN_A_SEGMENT - exchanges);
    }
    assert!(waiting <= 64 + IN_A_SEGMENT, "{waiting} exchanges kept");
    recorder.tracker.finish(recorder.now);
    while let Some(record) = recorder.tracker.next_record() {
        exchanges += usize::from(matches!(record.body, Body::Exchange(_)));
    }
    assert_eq!(exchanges, 1_000_000);
}

/// A secret that no output may contain, in two parts to find leaks of either end.
const SECRET: [&str; 2] = ["s3cr3t", "t0k3n"];

/// What client and server send, with the secret in places that must not reach a record.
const LEAKS: [(&str, &str); 26] = [
    ("GET / HTTP/1.1\r\nCookie: s3cr3t=t0k3n\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nAuthorization: Basic s3cr3tt0k3n\r\nHost: a\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nProxy-Authorization: Bearer s3cr3t.t0k3n\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nX-Api-Key: s3cr3t\r\nReferer: http://a/?t0k3n\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nCookie: a=b;\r\n s3cr3t\r\n\tt0k3n\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nCookie : s3cr3t\r\ncookie\r\n:t0k3n\r\n s3cr3t\r\n\r\n", ""),
    ("GET / HTTP/1.1\nCookie:s3cr3t\nno colon s3cr3t t0k3n\n\n", ""),
    ("GET / HTTP/1.1\r\nCookie: s3cr3t\x00\x1b[t0k3n\r\n\r\n", ""),
    ("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\ns3cr3t=t0k3nGET / HTTP/1.1\r\n\r\n", ""),
    (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc;s3cr3t=t0k3n\r\ns3cr3t=t0k3n\r\n0\r\nCookie: s3cr3t\r\n\r\n",
        "",
    ),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\ns3cr3t=t0k3n\r\n\r\n", ""),
    ("GET http://s3cr3t:t0k3n@example.org/ HTTP/1.1\r\nHost: s3cr3t@example.org\r\n\r\n", ""),
    ("CONNECT s3cr3t:t0k3n@example.org:443 HTTP/1.1\r\nHost: s3cr3t:t0k3n@example.org:443\r\n\r\n", ""),
    ("GET http://s3cr3t:t0k/3n@example.org/ HTTP/1.1\r\nHost: s3cr3t:t0\r\n k3n@a\r\n\r\n", ""),
    ("GET http://s3cr3t:t0k3n@example.org/\r\n", ""),
    ("GET http://s3cr3t:pass t0k3n@example.org/", ""),
    ("GET //s3cr3t:t0k3n@example.org/ HTTP/1.0\r\n\r\n", ""),
    ("GET /?next=http://s3cr3t:t0k3n@example.org/ HTTP/1.0\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nHost: a\r\nCookie: s3cr3t=t0k3n", ""),
    ("Cookie: s3cr3t=t0k3n\r\n\r\n", ""),
    ("Authorization: Basic s3cr3t HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    (
        "GET / HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: s3cr3t=t0k3n\r\nContent-Length: 6\r\n\r\ns3cr3t",
    ),
    ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 s3cr3t t0k3n\r\nLocation: http://s3cr3t:t0k3n@a/\r\n\r\n"),
    (
        "GET / HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;t0k3n\r\ns3cr3t\r\n0\r\nSet-Cookie: t0k3n\r\n\r\n",
    ),
    ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: s3cr3t\r\n\r\nSet-Cookie: s3cr3t=t0k3n\r\n\r\n"),
    ("GET / HTTP/1.1\r\n\r\n", "s3cr3t t0k3n\r\n\r\n"),
];

/// A conversation of the messages in segments of `size` bytes, closed with the flags `end`.
fn exchange(client: &str, server: &str, size: usize, end: u8) -> Conversation {
    let mut talk = Talk::connected(CLIENT_PORT, [1_000, 5_000]);
    for piece in client.as_bytes().chunks(size) {
        talk.client(ACK | PSH, piece);
    }
    for piece in server.as_bytes().chunks(size) {
        talk.server(ACK | PSH, piece);
    }
    talk.client(end, b"");
    talk.done(None, format!("{client:?} {server:?} in segments of {size}"))
}

#[test]
fn cookies_credentials_and_user_information_reach_no_output() {
    // The most verbose log level.
    log::set_max_level(log::LevelFilter::Trace);
    for (client, server) in LEAKS {
        for (size, end) in [(1_400, FIN | ACK), (1_400, RST | ACK), (7, FIN | ACK), (1, RST | ACK)] {
            for redact in [Redact::None, Redact::Query] {
                let conversation = exchange(client, server, size, end);
                for output in output(&conversation, redact) {
                    let leaked = SECRET.iter().find(|secret| output.contains(**secret));
                    assert_eq!(leaked, None, "{}:\n{output}", conversation.name);
                }
            }
        }
    }
}

#[test]
fn recorded_header_fields_have_no_part_of_others() {
    let fields = ["host", "referer", "location", "user-agent", "content-type", "content-length"];
    for (client, server) in LEAKS {
        for (size, end) in [(1_400, FIN | ACK), (7, RST | ACK)] {
            let conversation = exchange(client, server, size, end);
            for output in output_with(&conversation, Redact::Query, &fields) {
                let leaked = SECRET.iter().find(|secret| output.contains(**secret));
                assert_eq!(leaked, None, "{}:\n{output}", conversation.name);
            }
        }
    }
    // The same field is recorded if it is selected.
    let conversation = exchange(LEAKS[0].0, LEAKS[0].1, 7, FIN | ACK);
    let outputs = output_with(&conversation, Redact::Query, &["cookie"]);
    assert!(outputs.iter().all(|output| output.contains("s3cr3t=t0k3n")), "{outputs:?}");
}

#[test]
fn a_head_truncated_anywhere_leaks_no_secret() {
    let head =
        "GET http://s3cr3t:t0k3n@example.org/ HTTP/1.1\r\nHost: s3cr3t:t0k3n@a\r\nCookie: s3cr3t\r\n\r\n";
    for cut in 1..head.len() {
        let conversation = exchange(&head[..cut], "HTTP/1.1 200 OK\r\n\r\n", 1_400, RST | ACK);
        for output in output_with(&conversation, Redact::None, &HEADERS) {
            let leaked = SECRET.iter().find(|secret| output.contains(**secret));
            assert_eq!(leaked, None, "{}:\n{output}", conversation.name);
        }
    }
}

#[test]
fn a_redacted_value_is_in_no_output_and_has_the_same_hash_in_each() {
    let head = "GET /s3cr3t/a.png?q=t0k3n HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let conversation = exchange(head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1_400, FIN | ACK);
    for (redact, hidden) in
        [(Redact::None, &[][..]), (Redact::Query, &SECRET[1..]), (Redact::Path, &SECRET[..])]
    {
        let outputs = output(&conversation, redact);
        let target = named(&outputs[1], "http.exchange").next().expect("an exchange")["url.original"].clone();
        let target = target.as_str().expect("text").to_owned();
        for output in &outputs {
            assert!(output.contains(&target), "{redact:?}: {target} in {output}");
            for secret in SECRET {
                assert_eq!(output.contains(secret), !hidden.contains(&secret), "{redact:?}: {output}");
            }
        }
    }
}
