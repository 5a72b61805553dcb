//! What the scanner expects next. Plain numbers: the value lives in a BPF map.

/// The first byte of a message.
pub const START: u8 = 0;
/// The method, or "HTTP" of a status line.
pub const FIRST_TOKEN: u8 = 1;
/// The first byte of the target of a GET, which may be a request of HTTP/0.9.
pub const TARGET_START: u8 = 2;
/// The rest of a request line.
pub const REQUEST_LINE: u8 = 3;
/// The version in a status line.
pub const STATUS_VERSION: u8 = 4;
/// The status code.
pub const STATUS_CODE: u8 = 5;
/// The rest of a line that does not matter.
pub const SKIP_LINE: u8 = 6;
/// The first byte of a field line.
pub const LINE_START: u8 = 7;
/// The first byte of a line that may continue the value of Content-Length (obs-fold, RFC 9112, 5.2).
pub const LENGTH_FOLD: u8 = 8;
/// The first byte of a line that may continue the value of Transfer-Encoding (obs-fold, RFC 9112, 5.2).
pub const ENCODING_FOLD: u8 = 9;
/// The line feed of the empty line.
pub const LINE_START_CR: u8 = 10;
/// A field name that starts with C or T.
pub const NAME: u8 = 11;
/// Whitespace between a field name and its colon.
pub const NAME_END: u8 = 12;
/// The value of Content-Length.
pub const LENGTH: u8 = 13;
/// The value of Transfer-Encoding.
pub const ENCODING: u8 = 14;
/// The rest of a PROXY protocol header of version 1, which is a line.
pub const PROXY_LINE: u8 = 15;
/// The rest of a PROXY protocol header of version 2, of known length.
pub const PROXY_BINARY: u8 = 16;
/// The last state in which bytes belong to a head.
pub const LAST_OF_HEAD: u8 = PROXY_BINARY;
/// Content of known length: nothing to read until its end.
pub const CONTENT: u8 = 17;
/// A chunk size.
pub const CHUNK_SIZE: u8 = 18;
/// A chunk extension.
pub const CHUNK_EXTENSION: u8 = 19;
/// The data of a chunk: nothing to read until its end.
pub const CHUNK_DATA: u8 = 20;
/// The line end after the data of a chunk.
pub const CHUNK_END: u8 = 21;
/// The first byte of a trailer field line.
pub const TRAILER_START: u8 = 22;
/// The name of a trailer field.
pub const TRAILER_NAME: u8 = 23;
/// The rest of a trailer field line.
pub const TRAILER_LINE: u8 = 24;
/// The line feed of the empty line after the trailers.
pub const TRAILER_CR: u8 = 25;
/// Content until the connection closes.
pub const UNTIL_CLOSE: u8 = 26;
/// A tunnel: CONNECT or Upgrade has ended HTTP.
pub const TUNNEL: u8 = 27;
/// Out of sync, or in a message whose end is unknown: searching for a segment that starts with a start line.
pub const LOST: u8 = 28;
/// Another protocol that HTTP may follow, such as SOCKS: searching for a segment that starts with a start line.
pub const PREAMBLE: u8 = 29;
/// Not HTTP.
pub const NOT_HTTP: u8 = 30;
/// A request whose end only its response shows, because its length cannot be read, or because it is a CONNECT.
pub const AWAIT_ANSWER: u8 = 31;
