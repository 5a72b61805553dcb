//! The processes of sockets, as records name them.

mod cgroup;
mod container;
mod namespace;

use std::{collections::HashMap, fs, sync::Arc};

use tracer_common::event::OwnerEvent;
use tracer_core::{
    record::{Owner, Text},
    tracker::Processes,
};

use self::{cgroup::Cgroups, container::Container};
pub use self::{cgroup::open_root, namespace::cookie};

/// The most processes that are remembered; when there are more, all are forgotten. Connections keep theirs.
const MAX_PROCESSES: usize = 16_384;
/// The most bytes of a command line.
const MAX_COMMAND_LINE: usize = 4096;
/// Ticks a second of the times in `/proc` (`USER_HZ`), the same on all architectures of today.
const TICKS: u64 = 100;
const NS_PER_TICK: u64 = 1_000_000_000 / TICKS;

/// Bytes of the memory of all processes, without details.
pub const MAX_BYTES: u64 = (MAX_PROCESSES * (2 * size_of::<Owner>() + 256)) as u64 + cgroup::MAX_BYTES;

/// The processes that were seen.
#[derive(Default)]
pub struct Seen {
    processes: HashMap<(u32, u64), Arc<Owner>>,
    cgroups: Cgroups,
    /// Present with `--process-details`.
    users: Option<HashMap<u32, Text>>,
}

impl Seen {
    /// With `details`, command lines and the names of users are read, too; those of the users now.
    #[must_use]
    pub fn new(details: bool) -> Self {
        let users = details.then(|| user_names(&fs::read_to_string("/etc/passwd").unwrap_or_default()));
        Self { users, ..Self::default() }
    }
}

impl Processes for Seen {
    fn owner(&mut self, event: &OwnerEvent) -> Arc<Owner> {
        let process = (event.pid, event.started);
        if let Some(owner) = self.processes.get(&process)
            && owner.user_id == event.user
            && owner.name == name(event)
        {
            return Arc::clone(owner);
        }
        let Container { id, pod } = self.cgroups.container(event.cgroup, event.pid, event.started);
        let owner = Arc::new(Owner {
            pid: event.pid,
            name: name(event),
            user_id: event.user,
            container: id.map(|id| Text::from_wire(id.as_bytes())),
            pod: pod.map(|uid| Text::from_wire(uid.as_bytes())),
            command_line: if self.users.is_some() { command_line(event) } else { None },
            user_name: self.users.as_ref().and_then(|users| users.get(&event.user).cloned()),
        });
        if self.processes.len() >= MAX_PROCESSES {
            self.processes.clear();
        }
        self.processes.insert(process, Arc::clone(&owner));
        owner
    }
}

fn name(event: &OwnerEvent) -> Text {
    Text::from_wire(event.name.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// The command line of the process of `event`; `None` if it has ended, even if its number is used again.
fn command_line(event: &OwnerEvent) -> Option<Text> {
    let mut bytes = fs::read(format!("/proc/{}/cmdline", event.pid)).ok()?;
    bytes.truncate(MAX_COMMAND_LINE);
    let arguments = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    let line: Vec<u8> = arguments.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
    lives(event.pid, event.started).then(|| Text::from_wire(&line))
}

/// Whether the process with this number is still the one that started at this time. To be called after what it is needed for
/// was read.
fn lives(pid: u32, started: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_same(&stat, started))
}

/// Whether a process of this `/proc/PID/stat` (proc_pid_stat(5)) started at this time, in ns since boot.
fn is_same(stat: &str, started: u64) -> bool {
    /// The place of the start after the name, which may contain anything and ends at the last parenthesis.
    const START: usize = 22 - 3;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().nth(START).and_then(|ticks| ticks.parse::<u64>().ok());
    ticks == Some(started / NS_PER_TICK)
}

/// The names of users in a `passwd` file (passwd(5)); the first row of a number counts.
fn user_names(passwd: &str) -> HashMap<u32, Text> {
    let mut names = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(user))) =
            (fields.next(), fields.next(), fields.next().map(str::parse))
        {
            names.entry(user).or_insert_with(|| Text::from_wire(name.as_bytes()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_same_if_it_started_at_the_same_time() {
        let stat = "812 (a) b) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 125774 9 10";
        assert!(is_same(stat, 1_257_740_000_000));
        assert!(is_same(stat, 1_257_749_999_999));
        assert!(!is_same(stat, 1_257_750_000_000));
        assert!(!is_same("", 0));
    }

    #[test]
    fn the_first_name_of_a_user_counts() {
        let names =
            user_names("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:\nbad\nwww:x:33:33\nnobody:x:none:1\n");
        assert_eq!(names.get(&0).map(Text::as_str), Some("root"));
        assert_eq!(names.get(&33).map(Text::as_str), Some("www"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn the_processes_remembered_are_bounded_and_one_is_shared() {
        let mut seen = Seen::default();
        let event = |pid| OwnerEvent { pid, name: *b"nginx\0\0\0\0\0\0\0\0\0\0\0", ..OwnerEvent::default() };
        let first = seen.owner(&event(1));
        assert_eq!(first.name.as_str(), "nginx");
        assert!(Arc::ptr_eq(&first, &seen.owner(&event(1))));
        for pid in 0..=MAX_PROCESSES as u32 {
            seen.owner(&event(pid));
            assert!(seen.processes.len() <= MAX_PROCESSES);
        }
    }
}
