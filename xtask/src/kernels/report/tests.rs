use super::{Outcome, table};

const KERNEL: &str = "== kernel\n6.1.0-1-cloud-amd64\n== exit status 0\n";
const DOCTOR: &str = "== doctor\n  ok  tracer_xdp: loads, 300 instructions verified\n  \
                      ok  tracer_in_eth: loads, 200 instructions verified\n== exit status 0\n";
const TESTS: &str = "== tests\n\nrunning 3 tests\ntest a::b ... ok\n\n---- a::b stdout ----\nskipped: no reason\n\
                     skipped: no reason\n\ntest result: ok. 3 passed; 0 failed; 0 ignored\n\n== exit status 0\n";

fn demo(last: u16) -> String {
    let exchange = |status: u16| {
        format!(
            "{{\"event.name\":\"http.exchange\",\"http.outcome\":\"complete\",\"http.confidence\":\"exact\",\
             \"http.response.status_code\":{status}}}\n"
        )
    };
    let closed = |reason: &str| {
        format!("{{\"event.name\":\"connection.closed\",\"tcp.close.reason\":\"{reason}\"}}\n")
    };
    let summary =
        "{\"event.name\":\"tracer.summary\",\"tracer.attachments\":[\"veth-server ingress xdp native\"]}\n";
    let exchanges: String = [200, 304, last].map(exchange).concat();
    format!(
        "== demo\ntracer: attached\n{exchanges}{}{}{summary}== exit status 0\n",
        closed("fin"),
        closed("half_open_timeout")
    )
}

fn outcome(parts: &[&str]) -> Outcome {
    Outcome::of("linux-image-6.1.0-1-cloud-amd64", &parts.concat())
}

#[test]
fn a_report_without_failures_is_one_row() {
    let outcome = outcome(&[KERNEL, DOCTOR, &demo(304), TESTS]);
    assert_eq!(outcome.failures().next(), None);
    let row =
        "| 6.1.0-1-cloud-amd64 | 2 | 300 | ingress xdp native | 2 passed, 0 failed, 1 skipped | passed |\n";
    let table = table(&[outcome]);
    assert!(table.contains(row), "{table}");
    assert!(table.ends_with("6.1.0-1-cloud-amd64: skipped: a::b: no reason\n"), "{table}");
}

#[test]
fn everything_wrong_or_missing_is_a_failure() {
    let rows = [
        (
            [KERNEL, DOCTOR, &demo(200), TESTS],
            "demo reported complete exchanges with status codes [200, 304, 200]",
        ),
        ([KERNEL, "== doctor\nNO\n== exit status 1\n", &demo(304), TESTS], "doctor exited with 1"),
        (
            [KERNEL, DOCTOR, &demo(304), "== tests\nrunning 3 tests\n"],
            "tests is missing or incomplete in the report",
        ),
        (
            [KERNEL, DOCTOR, &demo(304), "== tests\npanic\n== exit status 101\n"],
            "tests exited with 101 and printed no result",
        ),
        (
            [
                KERNEL,
                DOCTOR,
                &demo(304),
                "== tests\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n== exit status 101\n",
            ],
            "tests exited with 101, 1 failed",
        ),
    ];
    for (parts, expected) in rows {
        let outcome = outcome(&parts);
        let failures: Vec<_> = outcome.failures().collect();
        let [failure] = failures[..] else { panic!("one failure: {failures:?}") };
        assert!(failure.starts_with(&format!("6.1.0-1-cloud-amd64: {expected}")), "{failure}");
    }
}

#[test]
fn a_guest_with_an_empty_report_is_named_by_its_package() {
    let outcome = outcome(&[]);
    assert_eq!(outcome.failures().count(), 3);
    assert!(table(&[outcome]).contains("| linux-image-6.1.0-1-cloud-amd64 | 0 |"));
}
