//! The columns of containers.

use crate::applets::ctr_ps::columns::{Id, Names, figure, number, words};
use crate::applets::ctr_ps::request::{Form, Request};
use crate::output::narrow::Narrow;
use crate::output::smartcols::{Align, Column};

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::applets::ctr_ps) enum ListColumn {
    /// The same as for processes.
    Same(Id),
    Init,
    Procs,
    Memory,
    Limit,
    Time,
    Cpu,
    OomKills,
    Psi(&'static str),
    Started,
    Status,
    Exit,
    Ended,
    Command,
    Ports,
    Ip,
    Veth,
    PodUid,
    Shares,
    Rootfs,
    Group,
}

pub(in crate::applets::ctr_ps) static COLUMNS: [(ListColumn, Column); 36] = [
    (
        ListColumn::Same(Id::Container),
        words("CONTAINER", "RUNTIME:NAME; for nested containers all names, outermost first"),
    ),
    (ListColumn::Same(Id::Runtime), words("RUNTIME", "runtime that created the container")),
    (ListColumn::Same(Id::Engine), words("ENGINE", "engine below the runtime")),
    (ListColumn::Same(Id::Name), words("NAME", "name without the runtime")),
    (ListColumn::Same(Id::Id), words("ID", "id that the runtime gave the container")),
    (ListColumn::Same(Id::Image), words("IMAGE", "image")),
    (ListColumn::Same(Id::Pod), words("POD", "pod")),
    (ListColumn::Same(Id::PodNamespace), words("POD_NAMESPACE", "Kubernetes namespace of the pod")),
    (ListColumn::PodUid, words("POD_UID", "UID of the pod")),
    (ListColumn::Same(Id::Hostname), words("HOSTNAME", "host name inside the container")),
    (ListColumn::Same(Id::Labels), words("LABELS", "labels, for Kubernetes those of the pod too")),
    (ListColumn::Same(Id::Owner), words("OWNER", "owner: root, or the user of a rootless container")),
    (ListColumn::Same(Id::Created), words("CREATED", "when the container was created")),
    (ListColumn::Same(Id::Chain), words("CHAIN", "the container and those it is nested in, outermost first")),
    (
        ListColumn::Same(Id::IdentifiedBy),
        words("HOW", "how the container is identified: state, cgroup, namespace, anonymous"),
    ),
    (ListColumn::Init, number("PID", "first process, as PID on the host")),
    (ListColumn::Procs, number("PROCS", "number of processes, those in nested containers included")),
    (ListColumn::Memory, number("MEMORY", "memory in use, without cache that can be reclaimed at once")),
    (ListColumn::Limit, number("LIMIT", "lowest memory limit that applies to the container")),
    (ListColumn::Time, figure("TIME", "CPU time of all its processes, ended ones too: [DD-]HH:MM:SS")),
    (ListColumn::Cpu, figure("CPU", "CPU use in percent of one CPU, measured for 0.2 seconds")),
    (ListColumn::OomKills, number("OOM_KILLS", "processes that were killed for lack of memory")),
    (
        ListColumn::Psi("cpu"),
        number("PSI_CPU", "percent of the last 10 s in which a process waited for a CPU (psi: all three)"),
    ),
    (
        ListColumn::Psi("memory"),
        number("PSI_MEMORY", "percent of the last 10 s in which a process waited for memory"),
    ),
    (
        ListColumn::Psi("io"),
        number("PSI_IO", "percent of the last 10 s in which a process waited for input or output"),
    ),
    (
        ListColumn::Started,
        Column { align: Align::Right, ..words("STARTED", "how long ago the first process started") },
    ),
    (
        ListColumn::Status,
        words(
            "STATUS",
            "running, paused, restarting, created, exited or stopped; since when, and the exit status",
        ),
    ),
    (ListColumn::Exit, number("EXIT", "exit status of a container that ended")),
    (ListColumn::Ended, Column { align: Align::Right, ..words("ENDED", "how long ago it ended") }),
    (ListColumn::Command, words("COMMAND", "command line of the first process")),
    (ListColumn::Ports, words("PORTS", "published and exposed ports, by the state files")),
    (ListColumn::Ip, words("IP", "addresses of its network namespace, if that is not the host's")),
    (
        ListColumn::Veth,
        words("VETH", "interfaces of the host whose veth(4) peer is in its network namespace"),
    ),
    (ListColumn::Shares, words("SHARES", "namespaces that it shares with the host or with other containers")),
    (ListColumn::Rootfs, words("ROOTFS", "directory on the host with what the container wrote")),
    (ListColumn::Group, words("CGROUP", "control group of the container")),
];

/// Names of columns fit a terminal of 100 columns, with usual names of containers and images.
pub(in crate::applets::ctr_ps) const DEFAULT: &[ListColumn] = &[
    ListColumn::Same(Id::Container),
    ListColumn::Same(Id::Id),
    ListColumn::Same(Id::Owner),
    ListColumn::Init,
    ListColumn::Procs,
    ListColumn::Memory,
    ListColumn::Limit,
    ListColumn::Status,
    ListColumn::Same(Id::Image),
];

/// All columns of JSON: none that must be measured for some time.
pub(in crate::applets::ctr_ps) fn json() -> Vec<ListColumn> {
    COLUMNS.iter().map(|row| row.0).filter(|id| *id != ListColumn::Cpu).collect()
}

/// On a narrow terminal some of the default columns give way: so that the status is seen, and not only the numbers before it.
pub(in crate::applets::ctr_ps) fn narrow(request: &Request) -> Option<Narrow> {
    // Not OWNER: it says that a user made the container, and can have given it any name.
    const LESS: [ListColumn; 3] = [ListColumn::Limit, ListColumn::Procs, ListColumn::Memory];
    let place = |column: &ListColumn| DEFAULT.iter().position(|other| other == column);
    let applies = request.list && request.form == Form::People && request.columns.is_empty();
    applies.then(|| Narrow { leave_out: LESS.iter().filter_map(place).collect(), shrinks: 0 })
}

impl ListColumn {
    /// The column with the name and value of a column of processes for which files of the container are read.
    #[must_use]
    pub(in crate::applets::ctr_ps) fn of(id: Id) -> Option<ListColumn> {
        match id {
            Id::OomKills => Some(ListColumn::OomKills),
            Id::Psi(resource) => Some(ListColumn::Psi(resource)),
            Id::Ports => Some(ListColumn::Ports),
            _ => None,
        }
    }

    #[must_use]
    pub(in crate::applets::ctr_ps) fn column(self) -> &'static Column {
        COLUMNS.iter().find(|row| row.0 == self).map_or(&COLUMNS[0].1, |row| &row.1)
    }
}

/// Names of docker(1) and ps(1), and the names that they have here.
const SYNONYMS: [(&str, &str); 9] = [
    ("NAMES", "NAME"),
    ("STATE", "STATUS"),
    ("RUNNINGFOR", "STARTED"),
    ("CREATEDAT", "CREATED"),
    ("ARGS", "COMMAND"),
    ("CMD", "COMMAND"),
    ("%CPU", "CPU"),
    ("MEM", "MEMORY"),
    ("RSS", "MEMORY"),
];

#[must_use]
pub(in crate::applets::ctr_ps) fn named(name: &str) -> Vec<ListColumn> {
    let all = COLUMNS.iter();
    if name.eq_ignore_ascii_case("PSI") {
        return all.map(|row| row.0).filter(|id| matches!(id, ListColumn::Psi(_))).collect();
    }
    let synonym = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    let name = synonym.map_or(name, |(_, own)| own);
    all.filter(|row| row.1.name.eq_ignore_ascii_case(name)).map(|row| row.0).collect()
}

pub(in crate::applets::ctr_ps) const NAMES: Names<ListColumn> =
    Names { named, all: || COLUMNS.iter().map(|row| row.1.name).collect(), synonyms: &SYNONYMS };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_one_row() {
        for (id, column) in &COLUMNS {
            assert_eq!(id.column().name, column.name, "{id:?} has two rows");
            assert_eq!(named(&column.name.to_lowercase()), [*id]);
        }
        assert_eq!(named("psi").len(), 3);
    }
}
