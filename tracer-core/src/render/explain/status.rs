//! Status codes in a few words (RFC 9110, 15).

/// What a status code says, in a few words.
pub(super) const fn meaning(status: u16) -> &'static str {
    match status {
        100 => "send the content",
        101 => "the protocol changes now",
        200 => "OK",
        201 => "created",
        204 => "done, without content",
        206 => "the requested part",
        301 | 308 => "moved permanently",
        304 => "use your cached copy",
        400 => "the request is malformed",
        401 => "authentication is needed",
        403 => "not allowed",
        404 => "not found",
        405 => "this method is not allowed",
        408 => "the request took too long",
        429 => "too many requests",
        502 => "an upstream server failed",
        503 => "unavailable for now",
        504 => "an upstream server did not answer in time",
        _ => class_meaning(status / 100),
    }
}

/// What the first digit of a status code says (RFC 9110, 15).
const fn class_meaning(first_digit: u16) -> &'static str {
    match first_digit {
        1 => "the final answer follows",
        2 => "done",
        3 => "look at another place",
        4 => "the request is at fault",
        5 => "the server failed",
        _ => "no known meaning",
    }
}
