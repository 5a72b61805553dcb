//! Owners: the processes at the ends of a connection.

use serde::ser::SerializeMap;

use super::{Side, Text};

/// The process at one end of a connection: the first one that read from its socket, or the one that connected it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its number in the initial PID namespace.
    pub pid: u32,
    /// The name of the process, of at most 15 bytes: that of its first thread.
    pub name: Text,
    /// Its effective user, as a number of the initial user namespace.
    pub user_id: u32,
    /// The container that it runs in, by its cgroup.
    pub container: Option<Text>,
    /// The Kubernetes pod that it runs in, by its cgroup.
    pub pod: Option<Text>,
    /// Its arguments, separated by blanks.
    pub command_line: Option<Text>,
    /// The name of its user.
    pub user_name: Option<Text>,
}

/// Names of the fields of one side.
struct Names {
    pid: &'static str,
    name: &'static str,
    command_line: &'static str,
    user_id: &'static str,
    user_name: &'static str,
    container: &'static str,
    pod: &'static str,
}

const CLIENT: Names = Names {
    pid: "client.process.pid",
    name: "client.process.executable.name",
    command_line: "client.process.command_line",
    user_id: "client.process.user.id",
    user_name: "client.process.user.name",
    container: "client.container.id",
    pod: "client.k8s.pod.uid",
};
const SERVER: Names = Names {
    pid: "server.process.pid",
    name: "server.process.executable.name",
    command_line: "server.process.command_line",
    user_id: "server.process.user.id",
    user_name: "server.process.user.name",
    container: "server.container.id",
    pod: "server.k8s.pod.uid",
};

impl Owner {
    /// Writes the fields of this owner of `side` into the map of a record.
    pub(super) fn serialize_into<M: SerializeMap>(&self, side: Side, map: &mut M) -> Result<(), M::Error> {
        let names = match side {
            Side::Client => &CLIENT,
            Side::Server => &SERVER,
        };
        map.serialize_entry(names.pid, &self.pid)?;
        map.serialize_entry(names.name, &self.name)?;
        map.serialize_entry(names.user_id, &self.user_id)?;
        for (name, text) in [
            (names.user_name, &self.user_name),
            (names.command_line, &self.command_line),
            (names.container, &self.container),
            (names.pod, &self.pod),
        ] {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        Ok(())
    }
}
