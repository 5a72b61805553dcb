//! Options that select records, the same for every command that writes some.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use tracer_core::selection::{
    ContainerId, Criteria, ExchangeCriteria, Glob, InvalidPattern, MethodList, Process, Sample, StatusList,
};

use crate::config;

/// The options. Values of one option are alternatives; different options apply together.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Selection (a list, or a repeated option, means any of them; different options apply together)"
)]
pub(super) struct FilterArguments {
    /// Only connections with a client in these networks
    #[arg(long = "client", value_name = "CIDR[,CIDR…]", value_delimiter = ',', value_parser = config::host)]
    clients: Vec<IpNet>,

    /// Only connections with a server in these networks
    #[arg(long = "server", value_name = "CIDR[,CIDR…]", value_delimiter = ',', value_parser = config::host)]
    servers: Vec<IpNet>,

    /// Only exchanges with these methods, as in POST,PUT
    #[arg(long = "method", value_name = "LIST")]
    methods: Vec<MethodList>,

    /// Only exchanges with these status codes, as in 5xx,404,200-204
    #[arg(long = "status", value_name = "LIST")]
    statuses: Vec<StatusList>,

    /// Only exchanges with a path like this, as in '/api/*'; repeatable. * is any text, ? one
    /// character, [a-z] one of these; \ takes the meaning from the next
    #[arg(long = "path", value_name = "GLOB")]
    paths: Vec<Glob>,

    /// Only exchanges with a host like this, as in '*.example.org'; repeatable
    #[arg(long = "domain", value_name = "GLOB", value_parser = domain)]
    domains: Vec<Glob>,

    /// Only exchanges that take longer than this, as in 500ms
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    slower_than: Option<Duration>,

    /// Only exchanges that failed: not complete, or a status of 500 or more. Also connections that
    /// were refused, not answered, or reset before an exchange
    #[arg(long)]
    failed: bool,

    /// Only connections of these processes, at either end
    #[arg(long = "process", value_name = "NAME|PID[,…]", value_delimiter = ',')]
    processes: Vec<Process>,

    /// Only connections of processes in these containers, by at least four characters of the
    /// identifier
    #[arg(long = "container", value_name = "ID[,ID…]", value_delimiter = ',')]
    containers: Vec<ContainerId>,

    /// Only about one of N connections, chosen by addresses and ports; the summary says so
    #[arg(long, value_name = "1/N")]
    sample: Option<Sample>,
}

fn domain(pattern: &str) -> Result<Glob, InvalidPattern> {
    pattern.parse().map(Glob::ignoring_case)
}

impl From<FilterArguments> for Criteria {
    fn from(arguments: FilterArguments) -> Self {
        Self {
            clients: arguments.clients,
            servers: arguments.servers,
            processes: arguments.processes,
            containers: arguments.containers,
            sample: arguments.sample,
            exchange: ExchangeCriteria {
                methods: arguments.methods,
                statuses: arguments.statuses,
                paths: arguments.paths,
                domains: arguments.domains,
                slower_than: arguments.slower_than,
                failed: arguments.failed,
            },
        }
    }
}
