//! The demo's web server: strict HTTP/1.1 on a blocking socket, one connection after the other, and it closes first.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Conversation;
use super::content::{self, Resource};
use super::wire::{Received, Wire, field};

/// How often it is asked whether to go on waiting while nobody connects, in milliseconds.
const STOP_CHECK_MS: u16 = 20;

/// How the server behaves; the defaults give the conversation drawn in [`super`].
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Answers on one connection; the last one says `Connection: close`.
    pub max_requests: usize,
    /// Time to think before the first answer, after the request was acknowledged. Later requests are answered at
    /// once, so that the answer carries the acknowledgment.
    pub think: Duration,
    /// Time between the last answer and the FIN: above the shortest delay that Linux gives an acknowledgment (40 ms),
    /// so that the browser's acknowledgment of the last answer comes before it.
    pub linger: Duration,
    /// The connection is closed when no request came for so long.
    pub idle: Duration,
    /// One connection lasts no longer, whatever the browser does, and [`serve_one`] waits no longer for it.
    pub timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_requests: 3,
            think: Duration::from_millis(20),
            linger: Duration::from_millis(100),
            idle: Duration::from_millis(500),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Serves one connection after the other until `stop` is set. The first connection that fails ends it with its error.
pub fn serve(
    listener: &TcpListener,
    options: &ServerOptions,
    stop: &AtomicBool,
) -> io::Result<Vec<Conversation>> {
    let mut conversations = Vec::new();
    while let Some(stream) = accept(listener, || stop.load(Ordering::Relaxed))? {
        conversations.push(serve_connection(stream, options)?);
    }
    Ok(conversations)
}

/// Waits for one connection, no longer than `options.timeout`, and serves it to its end.
pub fn serve_one(listener: &TcpListener, options: &ServerOptions) -> io::Result<Conversation> {
    let deadline = Instant::now() + options.timeout;
    match accept(listener, || Instant::now() > deadline)? {
        Some(stream) => serve_connection(stream, options),
        None => Err(ErrorKind::TimedOut.into()),
    }
}

/// Serves a connection: answers, closes its own direction, waits for the other to be closed.
pub fn serve_connection(stream: TcpStream, options: &ServerOptions) -> io::Result<Conversation> {
    let mut wire = Wire::new(stream, options.timeout)?;
    let mut keep_open = true;
    while keep_open {
        let Received::Head(head) = wire.receive_head(options.idle)? else { break };
        let request = Request::parse(&head);
        keep_open = request.keeps_open && wire.answers() + 1 < options.max_requests;
        if wire.answers() == 0 {
            wire.acknowledge_now()?;
            thread::sleep(options.think);
        }
        let answer = answer(&request, SystemTime::now(), keep_open);
        wire.send(&answer.bytes)?;
        wire.note_status(answer.status);
    }
    thread::sleep(options.linger);
    wire.finish()?;
    wire.await_end()?;
    Ok(wire.into_conversation())
}

/// The next connection, or none if the caller `gave_up` waiting for it.
fn accept(listener: &TcpListener, gave_up: impl Fn() -> bool) -> io::Result<Option<TcpStream>> {
    // A connection may be gone between the poll and the accept, which would then wait for the next one.
    listener.set_nonblocking(true)?;
    while !gave_up() {
        // Whatever it says, also when a signal interrupts it: the accept below finds out.
        poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::from(STOP_CHECK_MS)).ok();
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(Some(stream));
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::ConnectionAborted].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What the server makes of a request head.
struct Request<'a> {
    /// Start line and fields.
    head: &'a str,
    /// Request target, empty if there is none.
    target: &'a str,
    /// The refusal, if the head breaks the rules this server knows.
    refusal: Option<(u16, &'static str)>,
    /// HEAD: the fields of a GET without its content.
    fields_only: bool,
    /// Whether the browser may send another one.
    keeps_open: bool,
}

impl<'a> Request<'a> {
    fn parse(head: &'a str) -> Self {
        let parts: Vec<_> = head.lines().next().unwrap_or_default().split(' ').collect();
        let (target, refusal, fields_only) = match parts[..] {
            [_, target, "HTTP/1.1"] if field(head, "Host").is_none() => {
                (target, Some((400, "Bad Request")), false)
            }
            ["GET", target, "HTTP/1.1"] => (target, None, false),
            ["HEAD", target, "HTTP/1.1"] => (target, None, true),
            [_, target, "HTTP/1.1"] => (target, Some((405, "Method Not Allowed")), false),
            [_, target, version] if version.starts_with("HTTP/") => {
                (target, Some((505, "HTTP Version Not Supported")), false)
            }
            _ => ("", Some((400, "Bad Request")), false),
        };
        // After a refusal nobody knows where the next request would begin: there may be content in between.
        let closes = field(head, "Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Self { head, target, refusal, fields_only, keeps_open: refusal.is_none() && !closes }
    }
}

/// A response as it goes on the wire.
struct Answer {
    /// Status code.
    status: u16,
    /// Head and content.
    bytes: Vec<u8>,
}

fn answer(request: &Request<'_>, now: SystemTime, keep_open: bool) -> Answer {
    let resource = content::find(request.target);
    let (status, reason) = match (request.refusal, resource) {
        (Some(refusal), _) => refusal,
        (None, Some(resource)) if resource.is_fresh_for(request.head) => (304, "Not Modified"),
        (None, Some(_)) => (200, "OK"),
        (None, None) => (404, "Not Found"),
    };
    let mut head = format!(
        "HTTP/1.1 {status} {reason}\r\nDate: {}\r\nServer: tracer-demo\r\n",
        httpdate::fmt_http_date(now)
    );
    let mut content: &[u8] = &[];
    match resource {
        Some(resource) if matches!(status, 200 | 304) => {
            head.push_str(&validators(resource));
            if status == 200 {
                head.push_str(&format!("Content-Type: {}\r\n", resource.media_type));
                content = &resource.content;
            }
        }
        _ => head.push_str(if status == 405 { "Allow: GET, HEAD\r\n" } else { "" }),
    }
    if status != 304 {
        head.push_str(&format!("Content-Length: {}\r\n", content.len()));
    }
    head.push_str(if keep_open { "\r\n" } else { "Connection: close\r\n\r\n" });
    // Head and content in one write, so that they share segments as from any real server.
    let content = if request.fields_only { &[] } else { content };
    Answer { status, bytes: [head.as_bytes(), content].concat() }
}

/// The fields by which a browser can ask again whether its copy will do.
fn validators(resource: &Resource) -> String {
    let changed = httpdate::fmt_http_date(content::last_modified());
    format!("Last-Modified: {changed}\r\nETag: {}\r\n", resource.etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(head: &str) -> (u16, String) {
        let answer = answer(&Request::parse(head), SystemTime::UNIX_EPOCH, true);
        (answer.status, String::from_utf8_lossy(&answer.bytes).into_owned())
    }

    #[test]
    fn each_request_gets_its_status() {
        let rows = [
            ("GET / HTTP/1.1\r\nHost: a", 200),
            ("GET /logo.png HTTP/1.1\r\nHost: a", 200),
            ("GET /logo.png HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"logo-1\"", 304),
            ("HEAD /photo.jpg HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"photo-1\"", 304),
            ("GET /nowhere HTTP/1.1\r\nHost: a", 404),
            ("POST / HTTP/1.1\r\nHost: a", 405),
            ("GET / HTTP/1.0\r\nHost: a", 505),
            ("GET / HTTP/1.1", 400),
            ("GET  / HTTP/1.1\r\nHost: a", 400),
            ("", 400),
        ];
        for (head, status) in rows {
            assert_eq!(text(head).0, status, "for {head:?}");
        }
    }

    #[test]
    fn a_304_has_the_validators_and_no_content() {
        let (_, answer) = text("GET /logo.png HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"logo-1\"");
        assert_eq!(
            answer,
            "HTTP/1.1 304 Not Modified\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: tracer-demo\r\n\
             Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nETag: \"logo-1\"\r\n\r\n"
        );
    }

    #[test]
    fn a_head_request_gets_the_length_without_the_content() {
        let (_, answer) = text("HEAD / HTTP/1.1\r\nHost: a");
        assert!(answer.contains("Content-Length: 40960\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn a_refusal_closes_the_connection() {
        assert!(!Request::parse("POST / HTTP/1.1\r\nHost: a").keeps_open);
        assert!(!Request::parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close").keeps_open);
        assert!(Request::parse("GET / HTTP/1.1\r\nHost: a").keeps_open);
    }
}
