//! `--header` and `traceparent`, between curl and nginx.

use serde_json::json;

use crate::{
    harness::Tracer,
    pair,
    web::{Nginx, curl},
};

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn selected_fields_and_the_trace_of_a_request_are_recorded() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let options = ["--events", "request,response,exchange,closed", "--header", "common,server"];
    let tracer = Tracer::at(&pair.server, &options);
    let request = [
        "http://10.77.0.1/account",
        "-A",
        "curl of a test",
        "-H",
        "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "-H",
        "Referer: http://user:s3cr3t@example.org/a?b",
        "-H",
        "X-Forwarded-For: 192.0.2.1",
        "-H",
        "X-Forwarded-For: 192.0.2.2",
        "-H",
        "Cookie: s3cr3t",
    ];
    assert_eq!(curl(&pair.client, &request)[0].status, 200);
    tracer.wait_for(1, "connection.closed");
    let trace = tracer.stop();
    trace.assert_clean();
    let (request, response) = (trace.of("http.request"), trace.of("http.response"));
    for record in [request[0], trace.exchanges()[0]] {
        for (name, expected) in [
            ("http.request.header.user-agent", json!(["curl of a test"])),
            ("http.request.header.referer", json!(["http://REDACTED@example.org/a?b"])),
            ("http.request.header.x-forwarded-for", json!(["192.0.2.1", "192.0.2.2"])),
            ("trace.id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
            ("span.id", json!("00f067aa0ba902b7")),
        ] {
            assert_eq!(record[name], expected, "{name} in {record}");
        }
    }
    for record in [response[0], trace.exchanges()[0]] {
        let servers = record["http.response.header.server"].as_array().expect("nginx names itself");
        assert!(
            servers.len() == 1 && servers[0].as_str().is_some_and(|name| name.starts_with("nginx")),
            "{record}"
        );
        assert!(record["http.response.header.content-type"].is_array(), "{record}");
    }
    assert!(!trace.output.iter().any(|line| line.contains("s3cr3t")), "{:?}", trace.output);
}
