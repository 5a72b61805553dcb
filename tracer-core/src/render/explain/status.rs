//! Status codes in a few words (RFC 9110, 15).

/// What a status code says, in a few words.
pub(super) const fn meaning(status: u16) -> &'static str {
    match status {
        100 => "go on with the content",
        101 => "from here on in another protocol",
        200 => "here it is",
        201 => "it was created",
        204 => "done, and nothing to send",
        206 => "here is the part you requested",
        301 | 308 => "it has moved for good",
        304 => "use your cached copy",
        400 => "the request makes no sense",
        401 => "say who you are first",
        403 => "that is not allowed",
        404 => "there is no such thing",
        405 => "not with this method",
        408 => "the request took too long",
        429 => "too many requests",
        502 => "a server behind this one failed",
        503 => "not available for now",
        504 => "a server behind this one did not answer in time",
        _ => class_meaning(status / 100),
    }
}

/// What the first digit of a status code says (RFC 9110, 15).
const fn class_meaning(first_digit: u16) -> &'static str {
    match first_digit {
        1 => "the final answer is still to come",
        2 => "done",
        3 => "look elsewhere",
        4 => "the request is at fault",
        5 => "the server failed",
        _ => "no known meaning",
    }
}
