//! `--list`: a line for each container.

use std::cell::OnceCell;

use nix::unistd::Pid;

use super::cells::{of_container, short};
use super::clock::{self, Clock};
use super::columns::{Id, number, words};
use super::containers::{Containers, Seen};
use super::gather::Found;
use super::select::Selection;
use super::usage::{Groups, size};
use crate::container::{IdentifiedBy, rfc3339};
use crate::isolation::cgroup::Hierarchies;
use crate::output::lazy_table::{Source, Value};
use crate::output::smartcols::{Align, Column};
use crate::proc::{ProcRoot, Stat, Users};

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// As processes have it.
    Same(Id),
    Init,
    Procs,
    Memory,
    Limit,
    Started,
    Status,
    Group,
}

pub(super) static COLUMNS: [(Of, Column); 21] = [
    (Of::Same(Id::Container), words("CONTAINER", "RUNTIME:NAME; of nested ones all, outermost first")),
    (Of::Same(Id::Runtime), words("RUNTIME", "what made it")),
    (Of::Same(Id::Engine), words("ENGINE", "what does the work behind it")),
    (Of::Same(Id::Name), words("NAME", "its name alone")),
    (Of::Same(Id::Id), words("ID", "the runtime's id")),
    (Of::Same(Id::Image), words("IMAGE", "its image")),
    (Of::Same(Id::Pod), words("POD", "its pod")),
    (Of::Same(Id::PodNamespace), words("POD_NAMESPACE", "Kubernetes' namespace of the pod")),
    (Of::Same(Id::Hostname), words("HOSTNAME", "host name inside")),
    (Of::Same(Id::Labels), words("LABELS", "its labels")),
    (Of::Same(Id::Owner), words("OWNER", "who runs it: root, or the user of a rootless one")),
    (Of::Same(Id::Created), words("CREATED", "when it was made")),
    (Of::Same(Id::Chain), words("CHAIN", "it and those around it, outermost first")),
    (Of::Same(Id::IdentifiedBy), words("HOW", "how it is known: state, cgroup, namespace, anonymous")),
    (Of::Init, number("PID", "its first process, on the host")),
    (Of::Procs, number("PROCS", "processes, those of nested ones too")),
    (Of::Memory, number("MEMORY", "memory in use, without what can be given back at once")),
    (Of::Limit, number("LIMIT", "the least limit of memory that holds for it")),
    (Of::Started, Column { align: Align::Right, ..words("STARTED", "how long ago its first process began") }),
    (Of::Status, words("STATUS", "running or paused")),
    (Of::Group, words("CGROUP", "its own control group")),
];

pub(super) const DEFAULT: &[Of] = &[
    Of::Same(Id::Container),
    Of::Same(Id::Id),
    Of::Same(Id::Owner),
    Of::Init,
    Of::Procs,
    Of::Memory,
    Of::Limit,
    Of::Started,
    Of::Status,
    Of::Same(Id::Image),
];

impl Of {
    #[must_use]
    pub(super) fn column(self) -> &'static Column {
        COLUMNS.iter().find(|row| row.0 == self).map_or(&COLUMNS[0].1, |row| &row.1)
    }
}

#[must_use]
pub(super) fn named(name: &str) -> Vec<Of> {
    let found = COLUMNS.iter().find(|row| row.1.name.eq_ignore_ascii_case(name));
    found.map(|row| row.0).into_iter().collect()
}

/// How cells are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    People,
    /// Whole numbers and names.
    Raw,
    Json,
}

pub(super) struct List<'a> {
    pub proc: &'a ProcRoot,
    pub containers: &'a Containers,
    /// Those to list, by number.
    pub rows: Vec<usize>,
    pub columns: &'a [Of],
    pub users: &'a Users,
    pub clock: Clock,
    pub form: Form,
    mounted: OnceCell<Hierarchies>,
    groups: Vec<OnceCell<Option<Groups>>>,
    /// What was read for a cell: it is asked for twice.
    made: Vec<OnceCell<Value<'static>>>,
}

impl<'a> List<'a> {
    pub(super) fn new(
        proc: &'a ProcRoot,
        found: &'a Found,
        selection: &Selection,
        (columns, form): (&'a [Of], Form),
        users: &'a Users,
    ) -> Self {
        let containers = &found.containers;
        let has_process = |number| found.list.iter().any(|process| process.container == Some(number));
        let shown = |&number: &usize| {
            found.chosen.has(containers, number) && (!selection.by_process() || has_process(number))
        };
        let mut rows: Vec<usize> = (0..containers.all.len()).filter(shown).collect();
        rows.sort_by_key(|&number| (&containers.all[number].label, containers.all[number].init));
        let groups = rows.iter().map(|_| OnceCell::new()).collect();
        let made = (0..rows.len() * columns.len()).map(|_| OnceCell::new()).collect();
        let (clock, mounted) = (Clock::read(proc), OnceCell::new());
        List { proc, containers, rows, columns, users, clock, form, mounted, groups, made }
    }

    fn seen(&self, row: usize) -> &Seen {
        &self.containers.all[self.rows[row]]
    }

    fn groups(&self, row: usize) -> Option<&Groups> {
        let read = || {
            let seen = self.seen(row);
            Groups::of(self.proc, Pid::from_raw(seen.init.or(seen.member)?), &seen.container)
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
            _ => of_container(id, container),
        }
    }

    /// What must be read from files.
    fn make(&self, row: usize, of: Of) -> Value<'static> {
        let groups = self.groups(row);
        match of {
            Of::Memory => self.size(groups.and_then(|groups| groups.memory(self.mounted()))),
            Of::Limit => self.size(groups.and_then(|groups| groups.limit(self.mounted()))),
            Of::Started => self.started(self.seen(row)),
            Of::Status => match groups.map(|groups| groups.paused(self.mounted())) {
                Some(None) => Value::None,
                Some(Some(true)) => Value::text("paused"),
                Some(Some(false)) | None => Value::text("running"),
            },
            Of::Group => match groups.and_then(Groups::path) {
                Some(path) => Value::Bytes(path.to_vec().into()),
                None => Value::None,
            },
            Of::Same(_) | Of::Init | Of::Procs => Value::None,
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
            let text = self.proc.read(Pid::from_raw(seen.init?), "stat").ok()?;
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
            Of::Same(id) => self.same(id, seen),
            Of::Init => Value::number(seen.init),
            Of::Procs => Value::number(Some(seen.processes)),
            of => self.made[row * self.columns.len() + column].get_or_init(|| self.make(row, of)).clone(),
        }
    }

    fn colour(&self, row: usize, column: usize) -> Option<&str> {
        let of_container = matches!(self.columns[column], Of::Same(Id::Container | Id::Name));
        of_container.then(|| self.seen(row).container.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_its_row() {
        for (of, column) in &COLUMNS {
            assert_eq!(of.column().name, column.name, "{of:?} stands twice");
            assert_eq!(named(&column.name.to_lowercase()), [*of]);
        }
    }
}
