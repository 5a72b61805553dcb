//! `--header`: recorded fields in every format, and what they never contain.

use crate::{
    Replayed,
    containers::{Frame, Order, pcap},
    packet::{ACK, FIN, SYN, packet},
    replay,
    schema::check_line,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/8.5 \"x\"\r\n\
    Referer: http://s3cr3t:s3cr3t@example.org/b?c=d\r\nX-Forwarded-For: 192.0.2.1\r\n\
    x-forwarded-for: 192.0.2.2\r\n\t192.0.2.3\r\nX-Request-ID: \x1b[2J\r\n\
    Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    X!#$%&'*+-.^_`|~: every character of a name\r\n\
    Cookie: session=s3cr3t\r\nAuthorization: Bearer s3cr3t\r\nProxy-Authorization: s3cr3t\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 301 Moved\r\nLocation: //s3cr3t@example.org/a/\r\nContent-Type: text/plain\r\n\
    Set-Cookie: s3cr3t\r\nContent-Length: 14\r\n\r\nRetry-After: 1";
/// Every record, so that all of them are looked at.
const EVENTS: &str = "connection,exchange,request,response,state,segment,stats";

/// A capture of one exchange.
fn capture() -> Vec<u8> {
    let mut next = [1000, 5000];
    let mut frames = Vec::new();
    let steps = [
        (false, SYN, ""),
        (true, SYN | ACK, ""),
        (false, ACK, ""),
        (false, ACK, REQUEST),
        (true, ACK, RESPONSE),
        (false, FIN | ACK, ""),
        (true, FIN | ACK, ""),
        (false, ACK, ""),
    ];
    for (number, (server, flags, payload)) in (0..).zip(steps) {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        bytes.extend(packet(&mut next, server, flags, payload.as_bytes()));
        let time = 1_735_689_600_000_000_000 + number * 1_000_000;
        frames.push(Frame { time, wire_len: bytes.len() as u32, bytes });
    }
    pcap(&frames, Order::Little, true)
}

#[track_caller]
fn written(arguments: &[&str]) -> String {
    let Replayed { code, output, errors } = replay(&[&["-"], arguments].concat(), &capture());
    assert_eq!(code, Some(0), "{errors}");
    output
}

/// The JSON line of the record with this name.
#[track_caller]
fn line<'a>(output: &'a str, name: &str) -> &'a str {
    let name = format!("\"event.name\":\"{name}\"");
    output.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("no {name} in {output}"))
}

#[test]
fn json_has_the_selected_fields_of_each_head_and_of_the_exchange() {
    let output = written(&[
        "-o",
        "json",
        "--events",
        EVENTS,
        "--header",
        "common",
        "--header",
        "HOST,x!#$%&'*+-.^_`|~",
    ]);
    output.lines().for_each(|line| check_line(line).unwrap_or_else(|error| panic!("{error}")));
    let request = [
        r#""http.request.header.user-agent":["curl/8.5 \"x\""]"#,
        r#""http.request.header.referer":["http://REDACTED@example.org/b?c=d"]"#,
        r#""http.request.header.x-forwarded-for":["192.0.2.1","192.0.2.2 192.0.2.3"]"#,
        r#""http.request.header.x-request-id":["\\x1b[2J"]"#,
        r#""http.request.header.host":["example.org"]"#,
        r#""http.request.header.x!#$%&'*+-.^_`|~":["every character of a name"]"#,
        r#""trace.id":"4bf92f3577b34da6a3ce929d0e0e4736","span.id":"00f067aa0ba902b7""#,
    ];
    let response = [
        r#""http.response.header.location":["//REDACTED@example.org/a/"]"#,
        r#""http.response.header.content-type":["text/plain"]"#,
    ];
    let has = |name: &str, field: &&str| line(&output, name).contains(*field);
    assert!(
        request.iter().all(|field| has("http.request", field) && has("http.exchange", field)),
        "{output}"
    );
    assert!(
        response.iter().all(|field| has("http.response", field) && has("http.exchange", field)),
        "{output}"
    );
    assert!(!output.contains("retry-after"), "a field of content: {output}");
    assert!(!line(&output, "http.response").contains("http.request.header"), "{output}");
}

#[test]
fn text_appends_the_selected_fields() {
    let output = written(&["--events", "exchange", "--header", "common"]);
    let expected = " > user-agent=\"curl/8.5 \\x22x\\x22\" referer=\"http://REDACTED@example.org/b?c=d\" \
        x-forwarded-for=\"192.0.2.1\", \"192.0.2.2 192.0.2.3\" x-request-id=\"\\x1b[2J\" \
        < content-type=\"text/plain\" location=\"//REDACTED@example.org/a/\"\n";
    assert!(output.ends_with(expected), "{output}");
}

#[test]
fn explain_has_the_selected_fields_in_the_step_of_their_head_and_the_trace_of_the_exchange() {
    let output = written(&["-o", "explain", "--header", "user-agent,content-type"]);
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "requests a resource (GET /a). Fields of the request: user-agent=\"curl/8.5 \\x22x\\x22\". #1",
        "The answer is complete. Fields of the answer: content-type=\"text/plain\". #1",
        &format!("Trace {TRACE}, span 00f067aa0ba902b7."),
    ] {
        assert!(words.contains(expected), "{expected} in {output}");
    }
}

#[test]
fn no_field_is_recorded_by_default() {
    for format in ["text", "json", "explain"] {
        let output = written(&["-o", format, "--events", EVENTS]);
        assert!(!output.contains("curl") && !output.contains("text/plain"), "{output}");
        assert_eq!(output.contains(TRACE), format != "text", "{output}");
    }
}

#[test]
fn credentials_are_in_no_output_without_header_unsafe() {
    let secret = "authorization,proxy-authorization,cookie,set-cookie";
    for format in ["text", "json", "explain"] {
        let options =
            ["-o", format, "--events", EVENTS, "--header", "common,host,traceparent,content-length"];
        let output = written(&options);
        assert!(!output.contains("s3cr3t"), "{output}");
        let output = written(&[&options[..], &["--header-unsafe", secret]].concat());
        assert!(output.contains("session=s3cr3t") && output.contains("Bearer s3cr3t"), "{output}");
        assert!(!output.contains("s3cr3t@"), "{output}");
    }
}

#[test]
fn redaction_applies_to_urls_in_fields() {
    let output = written(&["-o", "json", "--header", "referer,location", "--redact", "path"]);
    let exchange = line(&output, "http.exchange");
    assert!(exchange.contains(r#"referer":["http://REDACTED@example.org/"#), "{exchange}");
    assert!(!exchange.contains("c=d") && !exchange.contains("example.org/b"), "{exchange}");
}
