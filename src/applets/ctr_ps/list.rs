//! `--list`: the table of containers.

use std::cell::OnceCell;

use nix::unistd::Pid;

use super::cells::container_value;
use super::columns::{Id, Names, number, words};
use super::containers::{Containers, Seen};
use super::gather::Found;
use super::host::Host;
use super::select::Selection;
use super::usage::Groups;
use crate::container::{IdentifiedBy, rfc3339, short};
use crate::isolation::cgroup::Hierarchies;
use crate::output::lazy_table::{Source, Value};
use crate::output::size::size;
use crate::output::smartcols::{Align, Column};
use crate::proc::clock::{self, Clock};
use crate::proc::{ProcRoot, Stat, Users};

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListColumn {
    /// The same as for processes.
    Same(Id),
    Init,
    Procs,
    Memory,
    Limit,
    Started,
    Status,
    Group,
}

pub(super) static COLUMNS: [(ListColumn, Column); 21] = [
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
    (ListColumn::Same(Id::Hostname), words("HOSTNAME", "host name inside the container")),
    (ListColumn::Same(Id::Labels), words("LABELS", "labels")),
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
    (
        ListColumn::Started,
        Column { align: Align::Right, ..words("STARTED", "how long ago the first process started") },
    ),
    (ListColumn::Status, words("STATUS", "running or paused")),
    (ListColumn::Group, words("CGROUP", "control group of the container")),
];

pub(super) const DEFAULT: &[ListColumn] = &[
    ListColumn::Same(Id::Container),
    ListColumn::Same(Id::Id),
    ListColumn::Same(Id::Owner),
    ListColumn::Init,
    ListColumn::Procs,
    ListColumn::Memory,
    ListColumn::Limit,
    ListColumn::Started,
    ListColumn::Status,
    ListColumn::Same(Id::Image),
];

impl ListColumn {
    #[must_use]
    pub(super) fn column(self) -> &'static Column {
        COLUMNS.iter().find(|row| row.0 == self).map_or(&COLUMNS[0].1, |row| &row.1)
    }
}

#[must_use]
pub(super) fn named(name: &str) -> Vec<ListColumn> {
    let found = COLUMNS.iter().find(|row| row.1.name.eq_ignore_ascii_case(name));
    found.map(|row| row.0).into_iter().collect()
}

pub(super) const NAMES: Names<ListColumn> =
    Names { named, all: || COLUMNS.iter().map(|row| row.1.name).collect() };

/// The format of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    People,
    /// Exact numbers and full names.
    Raw,
    Json,
}

pub(super) struct List<'a> {
    pub proc: &'a ProcRoot,
    pub containers: &'a Containers,
    /// The numbers of the listed containers.
    pub rows: Vec<usize>,
    pub columns: &'a [ListColumn],
    pub users: &'a Users,
    pub clock: Clock,
    pub form: Form,
    mounted: OnceCell<Hierarchies>,
    groups: Vec<OnceCell<Option<Groups>>>,
    /// The values that were read for cells: the table requests each cell twice.
    cached: Vec<OnceCell<Value<'static>>>,
}

impl<'a> List<'a> {
    pub(super) fn new(
        host: &'a Host,
        found: &'a Found,
        selection: &Selection,
        (columns, form): (&'a [ListColumn], Form),
    ) -> Self {
        let (proc, users) = (&host.proc, &host.users);
        let containers = &found.containers;
        let has_process = |number| found.list.iter().any(|process| process.container == Some(number));
        let shown = |&number: &usize| {
            found.chosen.has(containers, number) && (!selection.by_process() || has_process(number))
        };
        let mut rows: Vec<usize> = (0..containers.all.len()).filter(shown).collect();
        rows.sort_by_key(|&number| (&containers.all[number].label, containers.all[number].init));
        let groups = rows.iter().map(|_| OnceCell::new()).collect();
        let cached = (0..rows.len() * columns.len()).map(|_| OnceCell::new()).collect();
        let (clock, mounted) = (Clock::read(proc), OnceCell::new());
        List { proc, containers, rows, columns, users, clock, form, mounted, groups, cached }
    }

    /// Keeps some rows, in this order. Before the first cell is read.
    pub(super) fn keep(&mut self, rows: &[usize]) {
        self.rows = rows.iter().map(|&row| self.rows[row]).collect();
    }

    fn seen(&self, row: usize) -> &Seen {
        &self.containers.all[self.rows[row]]
    }

    fn groups(&self, row: usize) -> Option<&Groups> {
        let read = || {
            let seen = self.seen(row);
            Groups::find(self.proc, Pid::from_raw(seen.first()?), &seen.container)
        };
        self.groups[row].get_or_init(read).as_ref()
    }

    fn mounted(&self) -> &Hierarchies {
        self.mounted.get_or_init(|| Hierarchies::read(self.proc).unwrap_or_default())
    }

    fn same<'v>(&'v self, id: Id, seen: &'v Seen) -> Value<'v> {
        let container = &seen.container;
        match (id, self.form) {
            (Id::Container, Form::Json) => Value::maybe(container.name.as_deref()),
            (Id::Container, Form::People) if container.name.is_none() && container.hostname.is_some() => {
                let hostname = container.hostname.as_deref().unwrap_or_default();
                Value::owned(format!("{} ({hostname})", seen.label))
            }
            (Id::Container, _) => Value::text(&seen.label),
            (Id::Id, Form::People) => Value::text(short(&container.id)),
            (Id::Owner, _) => match self.users.get(container.owner) {
                Some(user) => Value::Bytes(user.name.as_slice().into()),
                None => Value::owned(container.owner.to_string()),
            },
            (Id::IdentifiedBy, _) => Value::text(IdentifiedBy::name(container.identified_by)),
            (Id::Labels, Form::People) if container.labels.is_empty() => Value::None,
            _ => container_value(id, container),
        }
    }

    /// The value of a cell for which files must be read.
    fn read_value(&self, row: usize, column: ListColumn) -> Value<'static> {
        let groups = self.groups(row);
        match column {
            ListColumn::Memory => self.size(groups.and_then(|groups| groups.memory(self.mounted()))),
            ListColumn::Limit => self.size(groups.and_then(|groups| groups.limit(self.mounted()))),
            ListColumn::Started => self.started(self.seen(row)),
            ListColumn::Status => match groups.map(|groups| groups.paused(self.mounted())) {
                Some(None) => Value::None,
                Some(Some(true)) => Value::text("paused"),
                Some(Some(false)) | None => Value::text("running"),
            },
            ListColumn::Group => match groups.and_then(Groups::path) {
                Some(path) => Value::Bytes(path.to_vec().into()),
                None => Value::None,
            },
            ListColumn::Same(_) | ListColumn::Init | ListColumn::Procs => Value::None,
        }
    }

    fn size(&self, bytes: Option<u64>) -> Value<'static> {
        match bytes {
            Some(bytes) if self.form == Form::People => Value::owned(size(bytes)),
            bytes => Value::number(bytes),
        }
    }

    fn started(&self, seen: &Seen) -> Value<'static> {
        let start = || {
            let text = self.proc.read(Pid::from_raw(seen.first()?), "stat").ok()?;
            Stat::parse(&text).map(|stat| stat.start)
        };
        let text = start().and_then(|start| match self.form {
            Form::People => self.clock.age(start).map(|age| format!("{} ago", clock::ago(age))),
            Form::Raw | Form::Json => self.clock.epoch(start).map(rfc3339),
        });
        text.map_or(Value::None, Value::owned)
    }
}

impl Source for List<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        let seen = self.seen(row);
        match self.columns[column] {
            ListColumn::Same(id) => self.same(id, seen),
            ListColumn::Init => Value::number(seen.first()),
            ListColumn::Procs => Value::number(Some(seen.processes)),
            other => self.cached[row * self.columns.len() + column]
                .get_or_init(|| self.read_value(row, other))
                .clone(),
        }
    }

    fn colour(&self, row: usize, column: usize) -> Option<&str> {
        let names_container = matches!(self.columns[column], ListColumn::Same(Id::Container | Id::Name));
        names_container.then(|| self.seen(row).container.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_one_row() {
        for (id, column) in &COLUMNS {
            assert_eq!(id.column().name, column.name, "{id:?} has two rows");
            assert_eq!(named(&column.name.to_lowercase()), [*id]);
        }
    }
}
