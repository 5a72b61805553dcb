//! The validated configuration of a run.
//!
//! The types parse command-line arguments. Their errors say what was found and what is expected.

use std::{
    collections::BTreeSet, fmt, net::IpAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration,
};

use ipnet::IpNet;
use tracer_common::config::MAX_HOSTS;

use crate::output::OutputConfig;

use tracer_core::selection::{Criteria, Selector};
pub use tracer_core::{
    http::{HeaderSelection, Redact},
    record::Events,
};

/// Minimum size of the ring buffer in bytes: a multiple of every page size that Linux uses, enough
/// for a few hundred events.
pub const MIN_RING_BYTES: u32 = 64 * 1024;
/// Maximum size of the ring buffer in bytes: the kernel locks all of it in memory.
pub const MAX_RING_BYTES: u32 = 1024 * 1024 * 1024;
/// Minimum size of a userspace buffer in bytes: one connection may need some hundred KiB.
pub const MIN_BUFFER_BYTES: u32 = 1024 * 1024;
/// Default limit for incomplete heads and open exchanges in bytes: 4000 heads of maximum length.
pub const BUFFER_BYTES: u32 = 64 * 1024 * 1024;
/// Default limit for queued records of each output in bytes: about ten thousand records.
pub const OUTPUT_BYTES: u32 = 16 * 1024 * 1024;
/// Maximum of `--max-connections`: the kernel preallocates about 1 KiB for each.
pub const MAX_CONNECTIONS: u32 = 4 * 1024 * 1024;
/// Maximum of timeouts and durations: far beyond any use, and far from an overflow of nanoseconds.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// An invalid value, and what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub(crate) String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// The configuration of `tracer trace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to attach, and how.
    pub attach: Attach,
    /// Selection and sizes of the kernel programs.
    pub kernel: KernelConfig,
    /// Timeouts and limits of userspace.
    pub limits: Limits,
    /// Which records are written, how and where.
    pub records: Records,
    /// End after this time.
    pub duration: Option<Duration>,
    /// End after this many records.
    pub count: Option<u64>,
    /// Leave out the notes on attached interfaces, memory and sandbox.
    pub quiet: bool,
    /// Privileges to drop after attaching.
    pub confine: Confine,
}

/// Privileges to drop after attaching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confine {
    /// The user to become. By default root becomes `nobody`, and other users are left unchanged.
    pub user: Option<String>,
    /// Keep the capabilities for attaching to new interfaces.
    pub keep_privileges: bool,
}

/// The configuration of `tracer replay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// The captures, in the order in which they were made; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The traced ports.
    pub ports: Ports,
    /// Only connections with an address in one of these networks; all if there are none.
    pub hosts: Vec<IpNet>,
    /// Timeouts and limits, in the time of the captures.
    pub limits: Limits,
    /// How long a closed connection waits for stray segments before its record is written.
    pub close_linger: Duration,
    /// Which records are written, how and where.
    pub records: Records,
    /// End after this much time of the captures.
    pub duration: Option<Duration>,
    /// End after this many records.
    pub count: Option<u64>,
}

/// Where to attach, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// The interfaces.
    pub interfaces: Interfaces,
    /// XDP or TC on ingress.
    pub by: AttachBy,
    /// The kind of XDP.
    pub xdp_mode: XdpMode,
    /// Set the interfaces promiscuous for the run.
    pub promiscuous: bool,
}

/// Selection and sizes of the kernel programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// The traced ports.
    pub ports: Ports,
    /// Only connections with an address in one of these networks; all if there are none.
    pub hosts: Vec<IpNet>,
    /// The records to make. `segment` needs an event for every segment.
    pub events: Events,
    /// Decapsulate tunnels and trace the connections inside.
    pub decapsulate: bool,
    /// Bytes of the ring buffer.
    pub ring_bytes: u32,
    /// Size of each of the two connection tables.
    pub max_connections: u32,
    /// Name the processes at the ends of connections.
    pub owners: bool,
    /// With their command lines, and the names of their users.
    pub process_details: bool,
    /// Show the messages of the kernel programs.
    pub log: bool,
}

/// Timeouts and limits of userspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of connections, and of half-open handshakes.
    pub max_connections: u32,
    /// Time after which a half-open handshake expires.
    pub half_open_timeout: Duration,
    /// Time after which an idle connection expires.
    pub idle_timeout: Duration,
    /// Limit for incomplete heads and open exchanges, in bytes.
    pub buffer_bytes: u32,
    /// Limit for the queued records of each output, in bytes. A replay blocks instead.
    pub output_bytes: u32,
}

/// Which records are written, how and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// Which records are written.
    pub events: Events,
    /// What they have to match.
    pub criteria: Criteria,
    /// How they are written, and where: each record goes to every output.
    pub outputs: Vec<OutputConfig>,
    /// The header fields that are recorded.
    pub headers: Option<HeaderSelection>,
    /// The parts of URLs that are written as a hash.
    pub redact: Redact,
    /// The file with the key of the hash. By default the key is random for each run.
    pub redact_key: Option<PathBuf>,
}

/// The criteria, unless they need to know processes.
///
/// # Errors
/// They do: captures do not have them.
pub fn without_owners(criteria: Criteria) -> Result<Criteria, Invalid> {
    if criteria.needs_owners() {
        let why = "a capture does not know processes: type --process and --container with tracer trace";
        return Err(Invalid(why.to_owned()));
    }
    Ok(criteria)
}

impl Records {
    /// Checks that records have what they are selected by.
    ///
    /// # Errors
    /// They do not.
    pub fn checked(self) -> Result<Self, Invalid> {
        if self.redact == Redact::Path && !self.criteria.exchange.paths.is_empty() {
            let why = "--path cannot select what --redact path replaces by a hash: type --redact query, or no --path";
            return Err(Invalid(why.to_owned()));
        }
        Ok(self)
    }

    /// Selects these records.
    #[must_use]
    pub fn selector(&self) -> Selector {
        let whole = self.outputs.iter().any(|output| output.format.shows_whole_connections());
        Selector::new(self.criteria.clone(), self.events, whole)
    }
}

/// The interfaces to attach to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interfaces {
    /// Those with a default route, and `lo`.
    #[default]
    DefaultRoute,
    /// Every interface, including ones created later.
    Any,
    /// These.
    Named(BTreeSet<String>),
}

impl Interfaces {
    /// The word that stands for all interfaces, as in tcpdump.
    pub const ANY: &str = "any";

    /// The interfaces with these names; none means the default.
    #[must_use]
    pub fn from_names(names: Vec<String>) -> Self {
        if names.is_empty() {
            Self::DefaultRoute
        } else if names.iter().any(|name| name == Self::ANY) {
            Self::Any
        } else {
            Self::Named(names.into_iter().collect())
        }
    }
}

/// The hook on ingress. Egress always uses TC, because XDP sees ingress only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachBy {
    /// TC, which leaves the driver alone, unless an XDP mode is set.
    #[default]
    Auto,
    /// XDP, or an error.
    Xdp,
    /// TC.
    Tc,
}

/// The kind of XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// With [`AttachBy::Xdp`], native, and generic where the driver has no native XDP.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the network stack: slower than TC.
    Generic,
}

/// A set of ports, as in `80,8080,8000-8099,http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(BTreeSet<u16>);

impl Ports {
    /// The word that stands for all ports.
    const ANY: &str = "any";

    /// The ports in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied()
    }

    /// The same as ranges, in ascending order.
    #[must_use]
    pub fn ranges(&self) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for port in self.iter() {
            match ranges.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(port) => *last = *last.start()..=port,
                _ => ranges.push(port..=port),
            }
        }
        ranges
    }
}

impl FromStr for Ports {
    type Err = Invalid;

    fn from_str(list: &str) -> Result<Self, Invalid> {
        let mut ports = BTreeSet::new();
        for item in list.split(',') {
            if item.trim() == Self::ANY {
                ports.extend(1..=u16::MAX);
                continue;
            }
            let range =
                item.split_once('-').filter(|_| !SERVICES.iter().any(|(name, _)| *name == item.trim()));
            let (first, last) = range.unwrap_or((item, item));
            let (first, last) = (port(first, list)?, port(last, list)?);
            if first > last {
                return Err(Invalid(format!("the range {item} ends before it starts: write {last}-{first}")));
            }
            ports.extend(first..=last);
        }
        Ok(Self(ports))
    }
}

/// The names of services that may be HTTP (IANA, Service Name and Transport Protocol Port Number
/// Registry).
const SERVICES: [(&str, u16); 4] = [("http", 80), ("www", 80), ("http-alt", 8080), ("webcache", 8080)];

fn port(text: &str, list: &str) -> Result<u16, Invalid> {
    if let Some((_, port)) = SERVICES.iter().find(|(name, _)| *name == text.trim()) {
        return Ok(*port);
    }
    if text.trim() == "https" {
        let why = "tracer cannot read TLS, so that https has no HTTP to show: 443 traces its connections";
        return Err(Invalid(why.to_owned()));
    }
    match text.trim().parse() {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => Err(Invalid(format!(
            "\"{text}\" is not a port from 1 to 65535 (in \"{list}\"; expected a list like 80,8080,8000-8099)"
        ))),
    }
}

/// A network, or a single address.
///
/// # Errors
/// Text that is neither.
pub fn host(text: &str) -> Result<IpNet, Invalid> {
    let single = |address: IpAddr| IpNet::from(address);
    text.parse::<IpNet>().or_else(|_| text.parse().map(single)).map(|network| network.trunc()).map_err(|_| {
        Invalid(format!("\"{text}\" is neither an address nor a network like 192.0.2.0/24 or 2001:db8::/32"))
    })
}

/// Checks that all networks fit into the kernel's table.
///
/// # Errors
/// There are too many.
pub fn hosts(networks: Vec<IpNet>) -> Result<Vec<IpNet>, Invalid> {
    if networks.len() > MAX_HOSTS as usize {
        return Err(Invalid(format!("{} networks are given, {MAX_HOSTS} is the most", networks.len())));
    }
    Ok(networks)
}

/// A length of time, as in `90s` or `1h 30m`.
///
/// # Errors
/// The text is not a duration, or it is zero or more than a year.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| Invalid(format!("{error} (expected a duration like 500ms, 90s or 1h30m)")))?;
    if duration.is_zero() || duration > MAX_DURATION {
        return Err(Invalid(format!("{text} is not between 1ns and a year")));
    }
    Ok(duration)
}

/// Bytes of a buffer, as in `64M`.
///
/// # Errors
/// Values that are not between [`MIN_BUFFER_BYTES`] and [`MAX_RING_BYTES`].
pub fn buffer_bytes(text: &str) -> Result<u32, Invalid> {
    match bytes(text) {
        Some(bytes) if (MIN_BUFFER_BYTES..=MAX_RING_BYTES).contains(&bytes) => Ok(bytes),
        Some(_) | None => {
            Err(Invalid(format!("\"{text}\" is not between 1M and 1G (expected a size like 64M)")))
        }
    }
}

/// Bytes of the ring buffer, as in `16M`.
///
/// # Errors
/// Values that are not a power of two between [`MIN_RING_BYTES`] and [`MAX_RING_BYTES`].
pub fn ring_bytes(text: &str) -> Result<u32, Invalid> {
    match bytes(text) {
        Some(bytes) if bytes.is_power_of_two() && (MIN_RING_BYTES..=MAX_RING_BYTES).contains(&bytes) => {
            Ok(bytes)
        }
        Some(_) | None => Err(Invalid(format!(
            "\"{text}\" is not a power of two from 64K to 1G (expected a size like 16M)"
        ))),
    }
}

/// A number of bytes, with or without a unit of 1024.
fn bytes(text: &str) -> Option<u32> {
    let (digits, shift) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
        Some((digits, "k" | "K")) => (digits, 10),
        Some((digits, "m" | "M")) => (digits, 20),
        Some((digits, "g" | "G")) => (digits, 30),
        _ => (text.trim(), 0),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift))?;
    u32::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(list: &str) -> Result<Vec<u16>, Invalid> {
        list.parse::<Ports>().map(|ports| ports.iter().collect())
    }

    #[test]
    fn ports_are_single_ones_and_ranges() {
        assert_eq!(ports("80"), Ok(vec![80]));
        assert_eq!(ports("8080, 80,8000-8002,80"), Ok(vec![80, 8000, 8001, 8002, 8080]));
        assert_eq!(ports("1-65535").map(|all| all.len()), Ok(65_535));
        assert_eq!(ports("any"), ports("1-65535"));
        assert_eq!(ports("http, http-alt,81"), Ok(vec![80, 81, 8080]));
    }

    #[test]
    fn an_invalid_list_of_ports_is_refused_and_the_invalid_part_is_named() {
        for (list, wrong) in [
            ("", "\"\""),
            ("80,", "\"\""),
            ("htp", "\"htp\""),
            ("https", "cannot read TLS"),
            ("0", "\"0\""),
            ("80,65536", "\"65536\""),
            ("80-", "\"\""),
            ("-80", "\"\""),
            ("90-80", "80-90"),
            ("80 81", "\"80 81\""),
        ] {
            let error = ports(list).expect_err(list);
            assert!(error.0.contains(wrong), "{list}: {error}");
        }
    }

    #[test]
    fn a_host_is_a_network_or_an_address() {
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(host(text).map(|host| host.to_string()).as_deref(), Ok(network));
        }
        for text in ["", "example.org", "192.0.2.0/33", "192.0.2", "2001:db8::/129"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn more_hosts_than_the_kernel_table_holds_are_refused() {
        let network = host("192.0.2.0/24").expect("a network");
        assert!(hosts(vec![network; MAX_HOSTS as usize]).is_ok());
        assert!(hosts(vec![network; MAX_HOSTS as usize + 1]).is_err());
    }

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["", "90", "0s", "-1s", "5 parsecs", "10years"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ring_is_a_power_of_two() {
        assert_eq!(ring_bytes("16M"), Ok(16 << 20));
        assert_eq!(ring_bytes("64k"), Ok(64 << 10));
        assert_eq!(ring_bytes("1G"), Ok(1 << 30));
        assert_eq!(ring_bytes("131072"), Ok(131_072));
        for text in ["", "M", "32K", "3M", "2G", "100000", "-1", "16MB", "18446744073709551615G"] {
            assert!(ring_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_buffer_has_any_size_between_the_bounds() {
        assert_eq!(buffer_bytes("1M"), Ok(1 << 20));
        assert_eq!(buffer_bytes("3000000"), Ok(3_000_000));
        for text in ["", "0", "1023K", "2G", "64MB"] {
            assert!(buffer_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_among_the_interfaces_means_all() {
        let names = |names: &[&str]| Interfaces::from_names(names.iter().map(ToString::to_string).collect());
        assert_eq!(names(&[]), Interfaces::DefaultRoute);
        assert_eq!(names(&["eth0", "any"]), Interfaces::Any);
        assert_eq!(names(&["eth0", "eth0"]), Interfaces::Named(BTreeSet::from(["eth0".to_owned()])));
    }
}
