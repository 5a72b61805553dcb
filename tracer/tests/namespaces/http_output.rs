//! The human-readable formats of live tracing.

use crate::{
    harness::{Trace, Tracer},
    pair,
    web::{Nginx, curl},
};

/// The output of tracer in `format` while curl fetches one small page.
#[track_caller]
fn written(format: &str) -> Trace {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let arguments = ["trace", "-i", pair.server.interface, "-o", format];
    let tracer = Tracer::start(&pair.server.namespace, &arguments);
    curl(&pair.client, &["http://10.77.0.1/small"]);
    // The last line of a connection, in either format.
    let is_last = |line: &str| line.contains("  fin  by ") || line.contains("= Closed");
    tracer.wait_for_lines(1, "a connection that is over", is_last);
    let trace = tracer.stop();
    assert_eq!(trace.code, Some(0), "{}", trace.errors);
    for word in ["connections  1 opened, 1 closed, 0 open", "exchanges    1", " received, 0 lost"] {
        assert!(trace.errors.contains(word), "no {word:?} in the summary:\n{}", trace.errors);
    }
    trace
}

/// Checks that `lines` contain `texts` in this order, each in its own line.
#[track_caller]
fn assert_in_order(lines: &[String], texts: &[&str]) {
    let mut rest = lines.iter();
    for text in texts {
        assert!(rest.any(|line| line.contains(text)), "no {text:?} in order in\n{}", lines.join("\n"));
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn text_has_one_line_for_each_record() {
    let trace = written("text");
    let lines = &trace.output;
    assert_eq!(lines.len(), 3, "{}", lines.join("\n"));
    assert!(lines.iter().all(|line| line.contains(" 10.77.0.2:")), "{}", lines.join("\n"));
    // The server is known from the moment when it reads the request.
    assert!(lines[0].contains(" → 10.77.0.1:80 "), "{}", lines[0]);
    assert!(
        lines[1..].iter().all(|line| line.contains(" → nginx[") && line.contains("]:80 ")),
        "{}",
        lines.join("\n")
    );
    assert_in_order(lines, &[" opened in ", "  200  GET ", "  fin  by client: 1 exchange, ↑78 B ↓1.2 kB, "]);
    assert!(lines[1].contains("/small         1.0 kB  "), "{}", lines[1]);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_explanation_has_the_steps_in_order() {
    let trace = written("explain");
    assert_in_order(
        &trace.output,
        &[
            "In brackets, where they change: the states [client / server]",
            "#1 client 10.77.0.2:",
            "[SYN-SENT / LISTEN]",
            "The client asks for a connection (SYN).",
            "[SYN-SENT / SYN-RECEIVED]",
            "The server answers and asks for confirmation (SYN-ACK).",
            "[ESTABLISHED / ESTABLISHED]",
            "The client confirms: the connection is established.",
            "The client requests a resource (GET /small).",
            "The server answers 200: OK. The answer is complete.",
            "= GET /small: answered with 200, 1.0 kB, in ",
            "The client is ready to close and asks for confirmation (FIN).",
            "It is ready to close too (FIN).",
            "[TIME-WAIT / CLOSED]",
            "The client confirms: the connection is closed.",
            "= Closed in good order: both sides sent FIN and were acknowledged. 1 exchange in",
            "78 B from the client, 1240 B from the server.",
        ],
    );
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn options_select_what_is_written_live() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let options = ["--client", "10.77.0.2", "--status", "4xx", "--path", "/no*", "--time", "local"];
    let arguments = [&["trace", "-i", pair.server.interface, "-p", "http"], &options[..]].concat();
    let tracer = Tracer::start(&pair.server.namespace, &arguments);
    curl(&pair.client, &["http://10.77.0.1/small"]);
    curl(&pair.client, &["http://10.77.0.1/nowhere"]);
    tracer.wait_for_lines(1, "a connection that is over", |line| line.contains("  fin  by "));
    let trace = tracer.stop();
    assert_eq!((trace.code, trace.output.len()), (Some(0), 3), "{}", trace.output.join("\n"));
    assert!(trace.output[1].contains("  404  GET 10.77.0.1/nowhere "), "{}", trace.output[1]);
    assert!(trace.errors.contains("selection    3 records filtered"), "{}", trace.errors);
}
