//! The command line. Parsing has no side effects: arguments become a [`Command`], or a message and
//! exit code 2.

mod familiar;
mod filters;
mod headers;

use std::{path::PathBuf, str::FromStr as _, time::Duration};

use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use ipnet::IpNet;
use tracer_core::{http::Redact, record::Events, selection::Criteria};

use self::{filters::FilterArguments, headers::HeaderArguments};
use crate::config::{
    self, Attach, AttachBy, BUFFER_BYTES, Config, Confine, HeaderSelection, Interfaces, KernelConfig, Limits,
    MAX_CONNECTIONS, OUTPUT_BYTES, Ports, Records, ReplayConfig, XdpMode,
};
use crate::output::{Color, FormatAndTarget, Look, OutputConfig, Time, outputs};

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Trace live connections.
    Trace(Box<Config>),
    /// Analyse captures.
    Replay(Box<ReplayConfig>),
    /// Run the demo.
    Demo(OutputConfig),
    /// Check what this host supports.
    Doctor(Attach),
}

/// Parses the command line of this process. Exits on errors, and after printing help or the
/// version.
#[must_use]
pub fn parse() -> Command {
    Arguments::try_parse()
        .unwrap_or_else(|error| refuse(error))
        .command
        .checked()
        .unwrap_or_else(|invalid| Arguments::command().error(ErrorKind::ValueValidation, invalid).exit())
}

/// Prints the error, or help, and exits. What other tools understand is answered with what to type
/// here.
fn refuse(error: clap::Error) -> ! {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|one| one.to_string_lossy().into()).collect();
    match familiar::hint(&arguments).filter(|_| error.use_stderr()) {
        Some(hint) => Arguments::command().error(error.kind(), hint).exit(),
        None => error.exit(),
    }
}

/// The definition of the command line.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The configuration of `tracer trace` with these arguments.
///
/// # Errors
/// The arguments are invalid.
pub fn trace(arguments: &[&str]) -> Result<Config, String> {
    let line = ["tracer", "trace"].into_iter().chain(arguments.iter().copied());
    let parsed = Arguments::try_parse_from(line).map_err(|error| error.to_string())?;
    match parsed.command.checked().map_err(|invalid| invalid.to_string())? {
        Command::Trace(config) => Ok(*config),
        Command::Replay(_) | Command::Demo(_) | Command::Doctor(_) => Err("not a trace".to_owned()),
    }
}

/// Traces TCP connections and their HTTP exchanges from inside the Linux kernel
#[derive(Debug, Parser)]
#[command(name = "tracer", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

/// The text after the list of subcommands.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed at run time, 2 bad arguments.";

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Trace live connections (needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)
    Trace(TraceArguments),
    /// Analyse pcap and pcapng captures in the same way (needs no privileges)
    Replay(ReplayArguments),
    /// Trace a page and two cached pictures, served and fetched in private network namespaces
    Demo {
        /// How records are written, and where
        #[arg(short, long, value_name = "FORMAT[=TARGET]", default_value = "explain")]
        output: FormatAndTarget,
    },
    /// Check kernel support and privileges; show where tracer would attach
    Doctor(AttachArguments),
}

#[derive(Debug, Args)]
struct TraceArguments {
    #[command(flatten)]
    attach: AttachArguments,
    #[command(flatten)]
    select: SelectArguments,

    /// Do not name the processes at the ends of connections
    #[arg(long, help_heading = "What")]
    no_owner: bool,

    /// Name processes with their command lines and the names of their users
    #[arg(long, help_heading = "What", conflicts_with = "no_owner")]
    process_details: bool,

    /// Trace the connections inside tunnels (GRE, VXLAN, GTP and others)
    #[arg(long, help_heading = "What")]
    decapsulate: bool,

    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    limits: LimitArguments,

    /// Leave out the notes on attached interfaces, memory and sandbox on standard error
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,

    /// Show the messages of the kernel programs on standard error
    #[arg(long, help_heading = "Output")]
    kernel_log: bool,

    #[command(flatten)]
    confine: ConfineArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Privileges")]
struct ConfineArguments {
    /// User to become after attaching [default: nobody, if started by root]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,

    /// Keep CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON so that new interfaces can be attached (implied
    /// by -i any)
    #[arg(long)]
    keep_privileges: bool,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// Captures in the order in which they were recorded; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    select: SelectArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    limits: ReplayLimitArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
struct AttachArguments {
    /// Interfaces to attach to; repeatable. "any" is every interface, including ones created later
    /// [default: those with a default route, and lo]
    #[arg(short, long = "interface", value_name = "NAME[,NAME…]", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    interfaces: Vec<String>,

    /// Hook on ingress; egress always uses TC
    #[arg(long, value_name = "HOOK", default_value = "auto")]
    attach: AttachBy,

    /// XDP mode
    #[arg(long, value_name = "MODE", default_value = "auto")]
    xdp_mode: XdpMode,

    /// Set the interfaces promiscuous until tracer ends: for mirror ports, and for a bridge that
    /// forwards traffic of other hosts (needs CAP_NET_RAW)
    #[arg(long)]
    promiscuous: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What")]
struct SelectArguments {
    /// Server ports, as in 80,8080,8000-8099 or http,http-alt; any is every port
    #[arg(short, long = "port", value_name = "LIST", default_value = "80")]
    ports: Ports,

    /// Only connections with an address in this network; repeatable
    #[arg(long = "host", value_name = "CIDR", value_parser = config::host)]
    hosts: Vec<IpNet>,

    /// Records to write: opened, closed, connection (both), exchange, request, response, state,
    /// segment, half-open, icmp, flood, stats. SYN flood alarms are always written
    #[arg(long, value_name = "LIST", default_value = Events::DEFAULT_WORDS)]
    events: Events,

    #[command(flatten)]
    headers: HeaderArguments,

    #[command(flatten)]
    filters: FilterArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct OutputArguments {
    #[command(flatten)]
    outputs: OutputList,

    /// Parts of request targets and other URLs to replace by a hash. User information is never written
    /// [default: none]
    #[arg(long, value_name = "LEVEL", value_parser = redact())]
    redact: Option<Redact>,

    /// File with the key of the hash: runs with the same key write the same hashes
    /// [default: a random key for each run]
    #[arg(long, value_name = "FILE", requires = "redact")]
    redact_key_file: Option<PathBuf>,

    /// Stop after this time, as in 90s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    duration: Option<Duration>,

    /// Times of text and explain
    #[arg(long, value_name = "TIME", default_value = "utc", value_parser = time())]
    time: Time,

    /// Colours of text
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = color())]
    color: Color,

    /// As in tcpdump: addresses and ports are always numeric
    #[arg(short = 'n')]
    _numeric: bool,

    /// Stop after this many records
    #[arg(short, long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// Size of the ring buffer between kernel and userspace, a power of two
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = config::ring_bytes)]
    ring_bytes: u32,

    /// Maximum number of connections, and of half-open handshakes
    #[arg(long, value_name = "NUMBER", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CONNECTIONS)))]
    max_connections: u32,

    /// Limit on memory for incomplete heads, open exchanges and sequence gaps of all connections;
    /// when exceeded, the largest buffers are dropped
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = config::buffer_bytes)]
    buffer_bytes: u32,

    /// Limit on memory for queued records of each output; when exceeded, records are dropped and
    /// counted
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = config::buffer_bytes)]
    output_bytes: u32,

    // Linux sends a SYN-ACK six times; the handshake expires after 63 seconds.
    /// Expire half-open handshakes this long after their last SYN or SYN-ACK (Linux servers: 63s)
    #[arg(long, value_name = "TIME", default_value = "64s", value_parser = config::duration)]
    half_open_timeout: Duration,

    // Longer than servers and browsers keep idle connections: nginx 75 s, browsers up to 5 minutes.
    /// Expire idle connections after this long (servers and browsers keep them for up to 5m)
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = config::duration)]
    idle_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct ReplayLimitArguments {
    /// Maximum number of connections, and of half-open handshakes
    #[arg(long, value_name = "NUMBER", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CONNECTIONS)))]
    max_connections: u32,

    /// Expire half-open handshakes after this time of the capture [default: never]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    half_open_timeout: Option<Duration>,

    /// Expire idle connections after this time of the capture [default: never]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    idle_timeout: Option<Duration>,
}

/// How long a closed connection of a capture waits for stray segments: the TIME-WAIT of twice the
/// maximum segment lifetime of 2 minutes (RFC 9293, 3.4.2).
const REPLAY_LINGER: Duration = Duration::from_secs(240);

impl Subcommands {
    fn checked(self) -> Result<Command, config::Invalid> {
        Ok(match self {
            Self::Trace(arguments) => Command::Trace(Box::new(arguments.checked()?)),
            Self::Replay(arguments) => Command::Replay(Box::new(arguments.checked()?)),
            Self::Demo { output } => Command::Demo(output.into()),
            Self::Doctor(arguments) => Command::Doctor(arguments.checked()),
        })
    }
}

impl AttachArguments {
    fn checked(self) -> Attach {
        Attach {
            interfaces: Interfaces::from_names(self.interfaces),
            by: self.attach,
            xdp_mode: self.xdp_mode,
            promiscuous: self.promiscuous,
        }
    }
}

/// `-o` and `-w`. Their order counts: `-w` belongs to the `-o` before it.
#[derive(Debug)]
struct OutputList(Vec<OutputConfig>);

impl Args for OutputList {
    fn augment_args(command: clap::Command) -> clap::Command {
        let output = Arg::new("output")
            .short('o')
            .long("output")
            .value_name("FORMAT[=TARGET]")
            .help("How records are written, and where: a file, or - for standard output; repeatable [default: text]")
            .long_help(
                "How records are written, and where: a file, or - for standard output; repeatable [default: text]\n\
                 - text: one line a record, for reading\n\
                 - json: one JSON object a line, for a log pipeline\n\
                 - explain: each connection step by step, in words",
            );
        let write = Arg::new("write")
            .short('w')
            .long("write")
            .value_name("FILE")
            .help("File for the -o before it, instead of standard output; SIGHUP reopens it");
        command
            .arg(output.action(ArgAction::Append).value_parser(FormatAndTarget::from_str))
            .arg(write.action(ArgAction::Append).value_parser(clap::value_parser!(PathBuf)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for OutputList {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let list = outputs(with_places(matches, "output"), with_places(matches, "write"));
        list.map(Self).map_err(|message| Arguments::command().error(ErrorKind::ValueValidation, message))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The values of an option, each with its place on the command line.
fn with_places<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<(usize, T)> {
    let places = matches.indices_of(name).into_iter().flatten();
    places.zip(matches.get_many(name).into_iter().flatten().cloned()).collect()
}

impl OutputArguments {
    fn checked(
        self,
        events: Events,
        criteria: Criteria,
        headers: Option<HeaderSelection>,
    ) -> Result<Records, config::Invalid> {
        let mut outputs = self.outputs.0;
        for output in &mut outputs {
            output.look = Look { time: self.time, color: self.color };
        }
        let records = Records {
            events: outputs
                .iter()
                .fold(events, |events, output| output.format.events(events, headers.as_ref())),
            criteria,
            outputs,
            headers,
            redact: self.redact.unwrap_or_default(),
            redact_key: self.redact_key_file,
        };
        records.checked()
    }
}

impl ReplayArguments {
    fn checked(self) -> Result<ReplayConfig, config::Invalid> {
        let Self { files, select, output, limits } = self;
        let criteria = config::without_owners(select.filters.into())?;
        Ok(ReplayConfig {
            files,
            ports: select.ports,
            hosts: config::hosts(select.hosts)?,
            limits: Limits {
                max_connections: limits.max_connections,
                half_open_timeout: limits.half_open_timeout.unwrap_or(Duration::MAX),
                idle_timeout: limits.idle_timeout.unwrap_or(Duration::MAX),
                buffer_bytes: BUFFER_BYTES,
                output_bytes: OUTPUT_BYTES,
            },
            close_linger: REPLAY_LINGER,
            duration: output.duration,
            count: output.count,
            records: output.checked(select.events, criteria, select.headers.checked()?)?,
        })
    }
}

impl TraceArguments {
    fn checked(self) -> Result<Config, config::Invalid> {
        let Self {
            attach,
            select,
            no_owner,
            process_details,
            decapsulate,
            output,
            limits,
            quiet,
            kernel_log,
            confine,
        } = self;
        let (duration, count) = (output.duration, output.count);
        let headers = select.headers.checked()?;
        let records = output.checked(select.events, select.filters.into(), headers)?;
        Ok(Config {
            attach: attach.checked(),
            kernel: KernelConfig {
                ports: select.ports,
                hosts: config::hosts(select.hosts)?,
                events: records.events,
                decapsulate,
                owners: !no_owner,
                process_details,
                ring_bytes: limits.ring_bytes,
                max_connections: limits.max_connections,
                log: kernel_log,
            },
            limits: Limits {
                max_connections: limits.max_connections,
                half_open_timeout: limits.half_open_timeout,
                idle_timeout: limits.idle_timeout,
                buffer_bytes: limits.buffer_bytes,
                output_bytes: limits.output_bytes,
            },
            records,
            duration,
            count,
            quiet,
            confine: Confine { user: confine.user, keep_privileges: confine.keep_privileges },
        })
    }
}

/// A parser for these words, each with its value and its help text. The type of the values need not
/// know clap.
fn words<T: Copy + Send + Sync + 'static, const N: usize>(
    words: [(&'static str, T, &'static str); N],
) -> impl TypedValueParser<Value = T> {
    let possible = words.map(|(word, _, help)| PossibleValue::new(word).help(help));
    PossibleValuesParser::new(possible).try_map(move |typed| {
        let found = words.into_iter().find(|(word, ..)| *word == typed);
        found.map(|(_, value, _)| value).ok_or("not one of the possible values")
    })
}

fn time() -> impl TypedValueParser<Value = Time> {
    words([
        ("utc", Time::Utc, "In UTC"),
        ("local", Time::Local, "In the time zone of this host"),
        ("relative", Time::Relative, "Since the first record; explain has its date in UTC"),
    ])
}

fn color() -> impl TypedValueParser<Value = Color> {
    words([
        ("auto", Color::Auto, "On a terminal, unless NO_COLOR is set"),
        ("always", Color::Always, "Also in files and pipes"),
        ("never", Color::Never, "No colours"),
    ])
}

fn redact() -> impl TypedValueParser<Value = Redact> {
    words([
        ("none", Redact::None, "Nothing is hashed"),
        ("query", Redact::Query, "The query"),
        ("path", Redact::Path, "The path and the query"),
    ])
}

impl ValueEnum for AttachBy {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Xdp, Self::Tc]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("TC; XDP if --xdp-mode asks for it"),
            Self::Xdp => PossibleValue::new("xdp")
                .help("XDP, or an error; native XDP makes many drivers rebuild their queues"),
            Self::Tc => PossibleValue::new("tc").help("TC: does not touch the driver"),
        })
    }
}

impl ValueEnum for XdpMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Native, Self::Generic]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => {
                PossibleValue::new("auto").help("Native; with --attach xdp, generic where native fails")
            }
            Self::Native => PossibleValue::new("native").help("In the driver"),
            Self::Generic => PossibleValue::new("generic").help("In the network stack; slower than TC"),
        })
    }
}

#[cfg(test)]
mod tests {
    use tracer_core::record::EventName;

    use super::*;

    fn command(line: &str) -> Result<Command, clap::Error> {
        let arguments = Arguments::try_parse_from(line.split_whitespace())?;
        Ok(arguments.command.checked().expect("valid"))
    }

    fn trace(line: &str) -> Config {
        match command(&format!("tracer trace {line}")) {
            Ok(Command::Trace(config)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = trace("");
        assert_eq!(config.attach, Attach::default());
        assert_eq!(config.kernel.ports, "80".parse().expect("a port"));
        assert_eq!(config.kernel.ring_bytes, 16 << 20);
        assert_eq!((config.kernel.max_connections, config.limits.max_connections), (65_536, 65_536));
        assert_eq!((config.limits.buffer_bytes, config.limits.output_bytes), (BUFFER_BYTES, OUTPUT_BYTES));
        assert_eq!(config.limits.half_open_timeout, Duration::from_secs(64));
        assert_eq!(config.limits.idle_timeout, Duration::from_secs(360));
        assert_eq!(config.records.events, "exchange,closed".parse().expect("events"));
        assert_eq!((config.duration, config.count), (None, None));
        assert!(!config.kernel.events.has(EventName::Segment) && !config.kernel.log);
    }

    #[test]
    fn segments_are_selected_by_name_and_by_the_format_explain() {
        assert!(trace("--events segment").kernel.events.has(EventName::Segment));
        let explained = trace("-o explain");
        assert!(
            explained.kernel.events.has(EventName::Segment)
                && explained.records.events.has(EventName::Segment)
        );
    }

    #[test]
    fn interfaces_are_promiscuous_only_on_request() {
        assert!(!trace("").attach.promiscuous && trace("--promiscuous").attach.promiscuous);
    }

    #[test]
    fn options_can_be_repeated_where_that_makes_sense() {
        let config = trace("-i eth0,eth1 -i eth2 --host 192.0.2.0/24 --host 2001:db8::1");
        assert_eq!(
            config.attach.interfaces,
            Interfaces::from_names(vec!["eth0".into(), "eth1".into(), "eth2".into()])
        );
        assert_eq!(config.kernel.hosts.len(), 2);
    }

    #[test]
    fn outputs_are_a_list_in_the_order_of_the_options() {
        let shown = |line: &str| {
            let outputs = trace(line).records.outputs;
            outputs
                .iter()
                .map(|output| format!("{} {}", output.format, output.destination))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(""), ["text standard output"]);
        assert_eq!(shown("-w a -c 3 -q"), ["text a"]);
        assert_eq!(shown("-o text -o json -w a"), ["text standard output", "json a"]);
        assert_eq!(shown("-o json -w a -o text"), ["json a", "text standard output"]);
        assert_eq!(shown("-o text --output=json=/var/log/a"), ["text standard output", "json /var/log/a"]);
    }

    #[test]
    fn bad_arguments_are_refused() {
        for line in [
            "tracer",
            "tracer trace -p x",
            "tracer trace --host x",
            "tracer trace --events x",
            "tracer trace --duration x",
            "tracer trace --count 0",
            "tracer trace --max-connections 0",
            "tracer trace --ring-bytes 3M",
            "tracer trace -o xml",
            "tracer trace -o json -o text",
            "tracer trace -o json=a -w b",
            "tracer trace -i",
        ] {
            assert!(command(line).is_err(), "{line}");
        }
    }
}
