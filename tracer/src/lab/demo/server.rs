//! The demo's web server: strict HTTP/1.1, one connection at a time. It closes first.

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

/// Interval in milliseconds at which a waiting server checks whether to stop.
const STOP_CHECK_MS: u16 = 20;

/// How the server behaves. The defaults give the conversation drawn in [`super`].
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Responses on one connection. The last one says `Connection: close`.
    pub max_requests: usize,
    /// Delay before the first response, after the request's ACK. Later responses are sent at once,
    /// so that they carry the ACK.
    pub think: Duration,
    /// Delay between the last response and the FIN: above the shortest delayed ACK of Linux (40
    /// ms), so that the browser's ACK of the last response comes first.
    pub linger: Duration,
    /// Closes the connection after this time without a request.
    pub idle: Duration,
    /// Limit for a whole connection, and for [`serve_one`] to wait for one.
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

/// Serves one connection after the other until `stop` is set. Returns the error of the first
/// connection that fails.
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

/// Waits up to `options.timeout` for one connection, and serves it to its end.
pub fn serve_one(listener: &TcpListener, options: &ServerOptions) -> io::Result<Conversation> {
    let deadline = Instant::now() + options.timeout;
    match accept(listener, || Instant::now() > deadline)? {
        Some(stream) => serve_connection(stream, options),
        None => Err(ErrorKind::TimedOut.into()),
    }
}

/// Serves a connection: sends the responses, closes its own direction, and waits for the browser to
/// close the other.
pub fn serve_connection(stream: TcpStream, options: &ServerOptions) -> io::Result<Conversation> {
    let mut wire = Wire::new(stream, options.timeout)?;
    let mut keep_open = true;
    while keep_open {
        let Received::Head(head) = wire.receive_head(options.idle)? else { break };
        let request = Request::parse(&head);
        keep_open = request.keeps_open && wire.responses() + 1 < options.max_requests;
        if wire.responses() == 0 {
            wire.acknowledge_now()?;
            thread::sleep(options.think);
        }
        let response = response(&request, SystemTime::now(), keep_open);
        wire.send(&response.bytes)?;
        wire.note_status(response.status);
    }
    thread::sleep(options.linger);
    wire.finish()?;
    wire.await_end()?;
    Ok(wire.into_conversation())
}

/// The next connection, or none once `is_over` returns true.
fn accept(listener: &TcpListener, is_over: impl Fn() -> bool) -> io::Result<Option<TcpStream>> {
    // A connection may be reset between poll and accept, which would then block until the next one.
    listener.set_nonblocking(true)?;
    while !is_over() {
        // The result does not matter, nor does a signal: the accept below finds out.
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

/// A parsed request head.
struct Request<'a> {
    /// Start line and fields.
    head: &'a str,
    /// Request target, empty if there is none.
    target: &'a str,
    /// The error status and reason phrase, if the request is refused.
    refusal: Option<(u16, &'static str)>,
    /// Whether the method is HEAD: the response has the fields of a GET, but no content.
    fields_only: bool,
    /// Whether the browser may send another request.
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
        // After a refusal the connection closes: content may follow, so the start of the next
        // request is unknown.
        let closes = field(head, "Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Self { head, target, refusal, fields_only, keeps_open: refusal.is_none() && !closes }
    }
}

/// A response as it goes on the wire.
struct Response {
    /// Status code.
    status: u16,
    /// Head and content.
    bytes: Vec<u8>,
}

fn response(request: &Request<'_>, now: SystemTime, keep_open: bool) -> Response {
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
    // One write for head and content, so that they share segments as from real servers.
    let content = if request.fields_only { &[] } else { content };
    Response { status, bytes: [head.as_bytes(), content].concat() }
}

/// The validator fields, which a browser sends back in conditional requests.
fn validators(resource: &Resource) -> String {
    let changed = httpdate::fmt_http_date(content::last_modified());
    format!("Last-Modified: {changed}\r\nETag: {}\r\n", resource.etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(head: &str) -> (u16, String) {
        let response = response(&Request::parse(head), SystemTime::UNIX_EPOCH, true);
        (response.status, String::from_utf8_lossy(&response.bytes).into_owned())
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
    fn a_304_has_validators_and_no_content() {
        let (_, response) = text("GET /logo.png HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"logo-1\"");
        assert_eq!(
            response,
            "HTTP/1.1 304 Not Modified\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: tracer-demo\r\n\
             Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nETag: \"logo-1\"\r\n\r\n"
        );
    }

    #[test]
    fn a_head_request_gets_the_length_without_the_content() {
        let (_, response) = text("HEAD / HTTP/1.1\r\nHost: a");
        assert!(
            response.contains("Content-Length: 40960\r\n") && response.ends_with("\r\n\r\n"),
            "{response}"
        );
    }

    #[test]
    fn a_refusal_closes_the_connection() {
        assert!(!Request::parse("POST / HTTP/1.1\r\nHost: a").keeps_open);
        assert!(!Request::parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close").keeps_open);
        assert!(Request::parse("GET / HTTP/1.1\r\nHost: a").keeps_open);
    }
}
