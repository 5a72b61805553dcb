//! What people type who know tcpdump and tshark, and what to type here instead.

/// What to type instead, for a command line that was refused. `arguments` are those after the name
/// of the program.
pub(super) fn hint(arguments: &[String]) -> Option<String> {
    let (command, rest) = match arguments.split_first() {
        Some((first, rest)) if ["trace", "replay", "demo", "doctor"].contains(&first.as_str()) => {
            (Some(first.as_str()), rest)
        }
        Some(_) => (None, arguments),
        None => return None,
    };
    if let Some(answer) = rest.iter().enumerate().find_map(|(place, word)| option(rest, place, word)) {
        return Some(answer);
    }
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match words.iter().position(|word| CAPTURE_WORDS.contains(word)) {
        Some(start) if command != Some("replay") => Some(filter(&words[start..].join(" "))),
        _ => {
            let starts = command.is_none() && rest.first().is_some_and(|first| first.starts_with('-'));
            starts.then(|| {
                format!("there is no command before the options: type tracer trace {}", quoted(rest))
            })
        }
    }
}

/// The words that begin a filter of tcpdump.
const CAPTURE_WORDS: [&str; 9] = ["tcp", "port", "host", "net", "src", "dst", "portrange", "ip", "ip6"];

/// Options that have other names here, or no meaning.
const OPTIONS: [(&[&str], &str); 9] = [
    (
        &["-A", "-X", "-XX", "-x"],
        "message content is never recorded: -o explain shows what each segment is for",
    ),
    (&["-v", "-vv", "-V"], "type -o explain for every detail"),
    (&["-l", "-U"], "lines are written at once: leave it out"),
    (&["-s", "--snapshot-length"], "heads are recorded up to 16 KiB and content never: leave it out"),
    (&["-D", "--list-interfaces"], "type tracer doctor to see the interfaces"),
    (&["-T"], "type -o json"),
    (&["-G", "-C", "-W"], "let logrotate rename the file of -w and send SIGHUP: tracer opens it again"),
    (&["-z"], "type -o json and count with jq"),
    (&["-tttt", "-ttt", "-tt", "-t"], "text has the time of day, and -o json the date: leave it out"),
];

/// What to type instead of the option at `place`.
fn option(arguments: &[String], place: usize, typed: &str) -> Option<String> {
    let (name, joined) = match typed.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        _ => (typed, None),
    };
    let value = || joined.or_else(|| arguments.get(place + 1).map(String::as_str)).unwrap_or("");
    match name {
        "-r" | "--read-file" => {
            let file = Some(value()).filter(|file| !file.is_empty()).unwrap_or("FILE");
            Some(format!("{name} reads a capture: type tracer replay {}", quote(file)))
        }
        "-Y" | "-R" | "-f" | "--filter" | "--display-filter" => Some(filter(value())),
        _ => OPTIONS
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|(_, answer)| format!("{name} is an option of tcpdump or tshark: {answer}")),
    }
}

/// What to type instead of a filter expression.
fn filter(expression: &str) -> String {
    let found = format!("\"{expression}\" is a filter expression");
    match translated(&tokens(expression)) {
        Some(options) if !options.is_empty() => format!("{found}: type {options}"),
        _ => format!(
            "{found}: select by options, as in -p 80, --host 10.0.0.1, --status 5xx, --path '/api/*' (see --help)"
        ),
    }
}

/// The words and operators of an expression, without quotes and parentheses.
fn tokens(expression: &str) -> Vec<String> {
    let is_operator = |one: char| "<>=!&|".contains(one);
    let mut tokens: Vec<String> = Vec::new();
    let mut goes_on = None;
    for character in expression.chars() {
        if character.is_whitespace() || "()\"'".contains(character) {
            goes_on = None;
            continue;
        }
        let kind = Some(is_operator(character));
        match tokens.last_mut().filter(|_| goes_on == kind) {
            Some(last) => last.push(character),
            None => tokens.push(character.into()),
        }
        goes_on = kind;
    }
    tokens
}

/// The options for an expression, if each part of it has one.
fn translated(tokens: &[String]) -> Option<String> {
    let mut rest: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let mut options: Vec<(&str, Vec<String>)> = Vec::new();
    let mut is_alternative = false;
    while !rest.is_empty() {
        let (taken, found) = match rest[..] {
            ["or" | "||", ..] => {
                is_alternative = true;
                rest.remove(0);
                continue;
            }
            ["tcp" | "ip" | "ip6" | "http" | "and" | "&&", ..] => (1, None),
            ["port" | "portrange", port, ..] => (2, Some(("-p", port.to_owned()))),
            ["src" | "dst", "port" | "portrange", port, ..] => (3, Some(("-p", port.to_owned()))),
            ["host" | "net", host, ..] => (2, Some(("--host", host.to_owned()))),
            ["src", "host" | "net", host, ..] => (3, Some(("--client", host.to_owned()))),
            ["dst", "host" | "net", host, ..] => (3, Some(("--server", host.to_owned()))),
            ["src", host, ..] => (2, Some(("--client", host.to_owned()))),
            ["dst", host, ..] => (2, Some(("--server", host.to_owned()))),
            [field, operator, value, ..] => (3, Some(comparison(field, operator, value)?)),
            _ => return None,
        };
        rest.drain(..taken);
        let Some((option, value)) = found else { continue };
        match options.iter_mut().find(|(known, _)| *known == option) {
            Some((_, values)) => values.push(value),
            // Only values of one option are alternatives.
            None if is_alternative => return None,
            None => options.push((option, vec![value])),
        }
    }
    let words = options.into_iter().map(|(option, values)| match values.join(",") {
        none if none.is_empty() => option.to_owned(),
        list => format!("{option} {}", quote(&list)),
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

/// The option for a comparison of tshark.
fn comparison(field: &str, operator: &str, value: &str) -> Option<(&'static str, String)> {
    let is_equal = ["==", "eq"].contains(&operator);
    let has = ["contains", "matches", "~"].contains(&operator);
    let pattern = || if has { format!("*{value}*") } else { value.to_owned() };
    Some(match field {
        "http.response.code" | "http.response.code.class" => ("--status", statuses(operator, value)?),
        "http.request.method" if is_equal => ("--method", value.to_owned()),
        "http.request.uri" | "http.request.uri.path" if is_equal || has => ("--path", pattern()),
        "http.host" if is_equal || has => ("--domain", pattern()),
        "ip.addr" | "ipv6.addr" if is_equal => ("--host", value.to_owned()),
        "ip.src" | "ipv6.src" if is_equal => ("--client", value.to_owned()),
        "ip.dst" | "ipv6.dst" if is_equal => ("--server", value.to_owned()),
        "tcp.port" | "tcp.dstport" | "tcp.srcport" if is_equal => ("-p", value.to_owned()),
        "http.time" if [">", ">=", "gt", "ge"].contains(&operator) => ("--slower-than", format!("{value}s")),
        "tcp.flags.reset" if is_equal => ("--failed", String::new()),
        _ => return None,
    })
}

/// The list for a comparison of a status code with a number.
fn statuses(operator: &str, value: &str) -> Option<String> {
    let code: u16 = value.parse().ok().filter(|code| (100..=599).contains(code))?;
    let (first, last) = match operator {
        "==" | "eq" => (code, code),
        ">=" | "ge" => (code, 599),
        ">" | "gt" => (code + 1, 599),
        "<=" | "le" => (100, code),
        "<" | "lt" => (100, code - 1),
        _ => return None,
    };
    Some(match (first % 100, last - first) {
        (_, 0) => first.to_string(),
        (0, 99) => format!("{}xx", first / 100),
        _ => format!("{first}-{last}"),
    })
}

/// Words as a shell takes them.
fn quoted(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_./:,=@%+".contains(one);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hinted(line: &[&str]) -> Option<String> {
        hint(&line.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_of_other_tools_are_answered_with_what_to_type() {
        for (line, expected) in [
            (&["trace", "-r", "a.pcap"][..], "type tracer replay a.pcap"),
            (&["-r", "my capture"], "type tracer replay 'my capture'"),
            (&["trace", "-r"], "type tracer replay FILE"),
            (&["trace", "-A"], "message content is never recorded"),
            (&["replay", "a.pcap", "-V"], "type -o explain"),
            (&["trace", "-s", "0"], "leave it out"),
            (&["-D"], "type tracer doctor"),
            (&["-i", "eth0"], "type tracer trace -i eth0"),
            (&["-i", "eth0", "--path", "/a*"], "type tracer trace -i eth0 --path '/a*'"),
            (&["-i", "eth0", "port", "80"], "\"port 80\" is a filter expression: type -p 80"),
        ] {
            let answer = hinted(line).unwrap_or_else(|| panic!("{line:?}"));
            assert!(answer.ends_with(expected) || answer.contains(expected), "{line:?}: {answer}");
        }
        for line in [&[][..], &["tarce"], &["trace", "--no-such-option"], &["replay", "host"]] {
            assert_eq!(hinted(line), None, "{line:?}");
        }
    }

    #[test]
    fn filter_expressions_become_options_where_each_part_has_one() {
        for (expression, options) in [
            ("tcp port 80", "-p 80"),
            ("port 8080", "-p 8080"),
            ("host 10.0.0.1", "--host 10.0.0.1"),
            ("tcp and (port 80 or port 8080)", "-p 80,8080"),
            ("portrange 8000-8099 and net 10.0.0.0/8", "-p 8000-8099 --host 10.0.0.0/8"),
            ("src host 10.0.0.7 and dst port 80", "--client 10.0.0.7 -p 80"),
            ("dst 10.0.0.1", "--server 10.0.0.1"),
            ("http.response.code >= 500", "--status 5xx"),
            ("http.response.code>=400", "--status 400-599"),
            ("http.response.code == 404", "--status 404"),
            ("http.response.code < 300", "--status 100-299"),
            (
                "http.request.method == \"POST\" && http.host == example.org",
                "--method POST --domain example.org",
            ),
            ("http.request.uri contains /api", "--path '*/api*'"),
            ("ip.addr == 10.0.0.1 and tcp.port == 8080", "--host 10.0.0.1 -p 8080"),
            ("http.time > 1", "--slower-than 1s"),
            ("tcp.flags.reset == 1", "--failed"),
        ] {
            assert_eq!(
                filter(expression),
                format!("\"{expression}\" is a filter expression: type {options}")
            );
        }
        for expression in [
            "",
            "udp port 53",
            "port 80 or host 10.0.0.1",
            "not port 22",
            "http.response.code != 200",
            "port",
        ] {
            assert!(filter(expression).contains("select by options, as in -p 80"), "{expression}");
        }
    }

    #[test]
    fn what_is_to_be_typed_is_understood() {
        for options in
            ["-p 80,8080", "--host 10.0.0.0/8", "--status 400-599", "--slower-than 1s", "--path *api*"]
        {
            let words: Vec<&str> = options.split(' ').collect();
            assert!(super::super::trace(&words).is_ok(), "{options}");
        }
    }
}
