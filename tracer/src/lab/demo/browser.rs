//! The demo's browser: it fetches a page and two cached pictures over one connection.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::Conversation;
use super::content::{self, LOGO, PHOTO};
use super::wire::{Received, Wire, field, invalid};

/// The longest content accepted, in bytes: 25 times the page of the demo's server.
const MAX_CONTENT: usize = 1024 * 1024;

/// How the browser behaves. The defaults give the conversation drawn in [`super`].
#[derive(Clone, Copy, Debug)]
pub struct BrowserOptions {
    /// Delay between the server's FIN and the browser's own, so that the ACK of the first is a
    /// segment of its own.
    pub close_delay: Duration,
    /// Limit for connecting, and again for everything after that.
    pub timeout: Duration,
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self { close_delay: Duration::from_millis(50), timeout: Duration::from_secs(10) }
    }
}

/// Fetches the page and requests both pictures from `host` over one connection, then waits for the
/// server to close.
pub fn browse(server: SocketAddr, host: &str, options: &BrowserOptions) -> io::Result<Conversation> {
    let stream = TcpStream::connect_timeout(&server, options.timeout)?;
    let mut wire = Wire::new(stream, options.timeout)?;
    fetch(&mut wire, &request("/", host, ""), options)?;
    // The page gets an ACK of its own; the next request carries the ACK of a picture.
    wire.acknowledge_now()?;
    for picture in [LOGO, PHOTO] {
        fetch(&mut wire, &request(picture, host, &cached_copy(picture)), options)?;
    }
    // No request follows that could carry the ACK.
    wire.acknowledge_now()?;
    wire.await_end()?;
    wire.acknowledge_now()?;
    thread::sleep(options.close_delay);
    wire.finish()?;
    Ok(wire.into_conversation())
}

/// Sends a request and receives the complete response.
fn fetch(wire: &mut Wire, request: &str, options: &BrowserOptions) -> io::Result<()> {
    wire.send(request.as_bytes())?;
    let Received::Head(head) = wire.receive_head(options.timeout)? else {
        return Err(invalid("no response"));
    };
    let status = status(&head)?;
    wire.receive_content(content_length(&head, status)?)?;
    wire.note_status(status);
    Ok(())
}

/// A request as a browser sends it. `conditions` are the field lines of a conditional request.
fn request(path: &str, host: &str, conditions: &str) -> String {
    let accept = if path == "/" { "text/html,*/*;q=0.8" } else { "image/*,*/*;q=0.8" };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (compatible; tracer-demo)\r\n\
         Accept: {accept}\r\n{conditions}\r\n"
    )
}

/// The conditional fields for a picture whose current version is in the cache.
fn cached_copy(picture: &str) -> String {
    let etag = content::find(picture).map_or("\"unknown\"", |resource| resource.etag);
    let changed = httpdate::fmt_http_date(content::last_modified());
    format!("If-None-Match: {etag}\r\nIf-Modified-Since: {changed}\r\n")
}

fn status(head: &str) -> io::Result<u16> {
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.and_then(|digits| digits.parse().ok()).ok_or_else(|| invalid("the response is not HTTP/1.1"))
}

/// Bytes of content after the head (RFC 9112 section 6.3, the part that the demo's server uses).
fn content_length(head: &str, status: u16) -> io::Result<usize> {
    if status == 304 {
        return Ok(0);
    }
    let length = field(head, "Content-Length").and_then(|value| value.parse().ok());
    length
        .filter(|&length| length <= MAX_CONTENT)
        .ok_or_else(|| invalid("the response has no usable Content-Length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_requested_conditionally() {
        assert_eq!(
            request(LOGO, "demo.test", &cached_copy(LOGO)),
            "GET /logo.png HTTP/1.1\r\nHost: demo.test\r\nUser-Agent: Mozilla/5.0 (compatible; tracer-demo)\r\n\
             Accept: image/*,*/*;q=0.8\r\nIf-None-Match: \"logo-1\"\r\n\
             If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT\r\n\r\n"
        );
    }

    #[test]
    fn content_length_is_that_of_the_field_and_0_for_a_304() {
        assert_eq!(content_length("HTTP/1.1 200 OK\r\nContent-Length: 12", 200).ok(), Some(12));
        assert_eq!(content_length("HTTP/1.1 304 Not Modified\r\nContent-Length: 12", 304).ok(), Some(0));
        assert!(content_length("HTTP/1.1 200 OK", 200).is_err());
        assert!(content_length("HTTP/1.1 200 OK\r\nContent-Length: 99999999", 200).is_err());
    }

    #[test]
    fn only_http_1_1_responses_are_accepted() {
        assert_eq!(status("HTTP/1.1 304 Not Modified").ok(), Some(304));
        assert!(status("HTTP/1.1 ").is_err());
        assert!(status("SSH-2.0-x").is_err());
    }
}
